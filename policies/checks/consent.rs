//! Asks for the subject's consent where the recipient declares a purpose.

use genie_core::message::Message;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError};

/// The policy `consent`.
#[derive(Debug, Clone, Copy)]
pub struct Consent;

impl Policy for Consent {
    fn id(&self) -> &'static str {
        "consent"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "The subject has consented to the purpose that the recipient serves."
    }

    fn evaluate(&self, message: &Message, facts: &Facts<'_>) -> Result<Judgement, PolicyError> {
        let Some(purpose) = &facts.recipient.consent else { return Ok(Judgement::Allow) };
        if message.principal().identity().consents.contains(purpose) {
            return Ok(Judgement::Allow);
        }
        Ok(Judgement::deny(format!(
            "the subject has not consented to `{purpose}`, which `{}` serves",
            message.to()
        )))
    }
}

#[cfg(test)]
mod tests {
    use genie_core::policy::Decision;

    use super::Consent;
    use crate::checks::testbed::Case;

    #[test]
    fn the_very_purpose_must_have_been_consented_to() {
        let cases = [
            (None, None, Decision::Allow),
            (Some("marketing"), None, Decision::Deny),
            (Some("marketing"), Some("analysis"), Decision::Deny),
            (Some("analysis"), Some("analysis"), Decision::Allow),
        ];
        for (asked, given, expected) in cases {
            let mut case = Case::new();
            case.recipient.consent = asked.map(str::to_owned);
            case.specimen.principal.consents = given.map(str::to_owned).into_iter().collect();
            assert_eq!(case.decision(&Consent), expected, "{asked:?} {given:?}");
        }
    }
}
