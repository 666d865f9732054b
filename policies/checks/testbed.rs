//! What the checks' tests share: a specimen on its way to a recipient, and its judgement.

use genie_core::label::{Classification, Clearance};
use genie_core::policy::{Decision, Facts, Judgement, Policy, PolicyError, Recipient};
use genie_core::spec::KindSpec;
use genie_core::specimen::Specimen;
use serde_json::{Value, json};

/// A specimen with the facts around it; the tests change what matters to them.
pub(super) struct Case {
    pub(super) specimen: Specimen,
    pub(super) recipient: Recipient,
    pub(super) kind: Option<KindSpec>,
    pub(super) run_tenant: String,
}

impl Case {
    /// A sound message with this payload; every check allows it.
    pub(super) fn with(payload: Value) -> Self {
        let mut specimen = Specimen::new("note.taken", "reader", payload);
        specimen.principal.tenant = "acme".into();
        specimen.principal.subject = "asha".into();
        Self {
            specimen,
            recipient: Recipient {
                clearance: Clearance::up_to(Classification::Internal),
                roles_any: Vec::new(),
                scopes_all: Vec::new(),
                consent: None,
            },
            kind: None,
            run_tenant: "acme".into(),
        }
    }

    /// A sound message with an empty payload.
    pub(super) fn new() -> Self {
        Self::with(json!({}))
    }

    /// What `policy` says of it.
    pub(super) fn judge(&self, policy: &dyn Policy) -> Result<Judgement, PolicyError> {
        let facts = Facts {
            recipient: &self.recipient,
            kind: self.kind.as_ref(),
            run_tenant: &self.run_tenant,
            home_region: "in",
            message_bytes_max: 1_000,
            hops_max: 8,
        };
        policy.evaluate(&self.specimen.message().unwrap(), &facts)
    }

    /// The decision of `policy`, an error being a denial as in the chain.
    pub(super) fn decision(&self, policy: &dyn Policy) -> Decision {
        self.judge(policy).map_or(Decision::Deny, |judgement| judgement.decision())
    }
}
