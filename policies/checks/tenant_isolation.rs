//! Keeps the principal's tenant and the run's tenant one.

use genie_core::message::Message;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError};

/// The policy `tenant-isolation`.
#[derive(Debug, Clone, Copy)]
pub struct TenantIsolation;

impl Policy for TenantIsolation {
    fn id(&self) -> &'static str {
        "tenant-isolation"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "A message stays within the tenant of its run."
    }

    fn evaluate(&self, message: &Message, facts: &Facts<'_>) -> Result<Judgement, PolicyError> {
        let tenant = message.principal().tenant().as_str();
        if tenant.trim().is_empty() {
            return Ok(Judgement::deny("the principal has no tenant"));
        }
        if tenant != facts.run_tenant {
            return Ok(Judgement::deny("the message and its run belong to different tenants"));
        }
        Ok(Judgement::Allow)
    }
}

#[cfg(test)]
mod tests {
    use genie_core::policy::Decision;

    use super::TenantIsolation;
    use crate::checks::testbed::Case;

    #[test]
    fn only_the_tenant_of_the_run_passes() {
        let cases = [
            ("acme", "acme", Decision::Allow),
            ("acme", "other", Decision::Deny),
            ("acme", "Acme", Decision::Deny),
            ("", "", Decision::Deny),
            (" ", " ", Decision::Deny),
        ];
        for (tenant, run_tenant, expected) in cases {
            let mut case = Case::new();
            case.specimen.principal.tenant = tenant.into();
            case.run_tenant = run_tenant.into();
            assert_eq!(case.decision(&TenantIsolation), expected, "{tenant} in {run_tenant}");
        }
    }
}
