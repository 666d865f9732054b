//! Compares a message's label with the recipient's clearance.
//!
//! Core reads an unknown or mis-cased classification as `restricted`, so such a message reaches
//! only those cleared for everything. The category [`PERSONAL`] is not judged here: the check `pii`
//! takes personal data out of a message where it can, and that is milder than to refuse it.

use genie_core::label::PERSONAL;
use genie_core::message::Message;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError};

/// The policy `classification-ceiling`.
#[derive(Debug, Clone, Copy)]
pub struct ClassificationCeiling;

impl Policy for ClassificationCeiling {
    fn id(&self) -> &'static str {
        "classification-ceiling"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "A recipient gets nothing above its ceiling and no category that it is not cleared for."
    }

    fn evaluate(&self, message: &Message, facts: &Facts<'_>) -> Result<Judgement, PolicyError> {
        let (label, clearance) = (message.label(), &facts.recipient.clearance);
        if label.classification > clearance.ceiling {
            return Ok(Judgement::deny(format!(
                "the message is {}, and `{}` is cleared up to {} only",
                label.classification.as_str(),
                message.to(),
                clearance.ceiling.as_str()
            )));
        }
        let barred = |category: &&String| {
            category.as_str() != PERSONAL && !clearance.categories.contains(*category)
        };
        if let Some(category) = label.categories.iter().find(barred) {
            return Ok(Judgement::deny(format!(
                "`{}` is not cleared for the category `{category}`",
                message.to()
            )));
        }
        Ok(Judgement::Allow)
    }
}

#[cfg(test)]
mod tests {
    use genie_core::label::{Classification, Clearance, Label};
    use genie_core::policy::Decision;

    use super::{ClassificationCeiling, PERSONAL};
    use crate::checks::testbed::Case;

    #[test]
    fn a_recipient_gets_what_is_at_its_ceiling_or_below() {
        use Classification::{Confidential, Internal, Public, Restricted};
        let ranks = [Public, Internal, Confidential, Restricted];
        for (ceiling_rank, ceiling) in ranks.into_iter().enumerate() {
            for (rank, classification) in ranks.into_iter().enumerate() {
                let mut case = Case::new();
                case.recipient.clearance = Clearance::up_to(ceiling);
                case.specimen.label = Label::new(classification);
                let allowed = case.decision(&ClassificationCeiling) == Decision::Allow;
                assert_eq!(allowed, rank <= ceiling_rank, "{classification:?} to {ceiling:?}");
            }
        }
    }

    #[test]
    fn an_unknown_or_mis_cased_classification_counts_as_the_most_restrictive() {
        for word in ["top-secret", "PUBLIC", "Internal", "", "pii"] {
            let mut case = Case::new();
            case.recipient.clearance = Clearance::up_to(Classification::Confidential);
            let label = format!("{{\"classification\":\"{word}\"}}");
            case.specimen.label = serde_json::from_str(&label).unwrap();
            assert_eq!(case.decision(&ClassificationCeiling), Decision::Deny, "{word}");
        }
    }

    #[test]
    fn a_category_needs_clearance_unless_it_is_personal() {
        let cases = [
            ("health", "health", Decision::Allow),
            ("health", "legal", Decision::Deny),
            (PERSONAL, "legal", Decision::Allow),
        ];
        for (category, cleared, expected) in cases {
            let mut case = Case::new();
            case.recipient.clearance = Clearance::default().and_category(cleared);
            case.specimen.label = Label::default().with_category(category);
            assert_eq!(case.decision(&ClassificationCeiling), expected, "{category} {cleared}");
        }
    }
}
