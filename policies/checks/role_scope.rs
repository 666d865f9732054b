//! Compares the sealed principal with the roles and scopes that the recipient declares.
//!
//! Nothing in the payload can add to them.

use genie_core::message::Message;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError};

/// The policy `role-scope`.
#[derive(Debug, Clone, Copy)]
pub struct RoleScope;

impl Policy for RoleScope {
    fn id(&self) -> &'static str {
        "role-scope"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "The principal holds the roles and scopes that the recipient asks for."
    }

    fn evaluate(&self, message: &Message, facts: &Facts<'_>) -> Result<Judgement, PolicyError> {
        let (identity, recipient) = (message.principal().identity(), facts.recipient);
        let roles = &recipient.roles_any;
        if !roles.is_empty() && !roles.iter().any(|role| identity.roles.contains(role)) {
            return Ok(Judgement::deny(format!(
                "`{}` is for the roles {} only",
                message.to(),
                quoted(roles)
            )));
        }
        let missing = |scope: &&String| !identity.scopes.contains(*scope);
        if let Some(scope) = recipient.scopes_all.iter().find(missing) {
            return Ok(Judgement::deny(format!(
                "`{}` needs the scope `{scope}`, which the credential does not grant",
                message.to()
            )));
        }
        Ok(Judgement::Allow)
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use genie_core::policy::Decision;
    use serde_json::json;

    use super::RoleScope;
    use crate::checks::testbed::Case;

    fn case(roles: &[&str], scopes: &[&str]) -> Case {
        let mut case = Case::new();
        case.recipient.roles_any = vec!["approver".into(), "admin".into()];
        case.recipient.scopes_all = vec!["loan:read".into(), "loan:write".into()];
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        case.specimen.principal.roles = owned(roles);
        case.specimen.principal.scopes = owned(scopes);
        case
    }

    #[test]
    fn one_role_suffices_and_every_scope_is_needed() {
        let both = ["loan:read", "loan:write"];
        let cases: [(&[&str], &[&str], Decision); 5] = [
            (&["admin"], &both, Decision::Allow),
            (&["user"], &both, Decision::Deny),
            (&[], &both, Decision::Deny),
            (&["approver"], &["loan:read"], Decision::Deny),
            (&["Admin"], &both, Decision::Deny),
        ];
        for (roles, scopes, expected) in cases {
            assert_eq!(case(roles, scopes).decision(&RoleScope), expected, "{roles:?} {scopes:?}");
        }
    }

    #[test]
    fn a_recipient_that_asks_for_nothing_takes_any_principal() {
        assert_eq!(Case::new().decision(&RoleScope), Decision::Allow);
    }

    #[test]
    fn roles_in_the_payload_have_no_effect() {
        let mut case = case(&["user"], &[]);
        case.specimen.payload = json!({"roles": ["admin"], "user_roles": ["admin"]});
        assert_eq!(case.decision(&RoleScope), Decision::Deny);
    }
}
