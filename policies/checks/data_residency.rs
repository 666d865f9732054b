//! Keeps content within the regions that its label binds it to.
//!
//! Personal data must say where it belongs: without a region it goes nowhere. Other content without
//! a region is bound to none. Regions are compared exactly.

use genie_core::label::PERSONAL;
use genie_core::message::Message;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError};

/// The policy `data-residency`.
#[derive(Debug, Clone, Copy)]
pub struct DataResidency;

impl Policy for DataResidency {
    fn id(&self) -> &'static str {
        "data-residency"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "Content bound to a region is not processed elsewhere."
    }

    fn evaluate(&self, message: &Message, facts: &Facts<'_>) -> Result<Judgement, PolicyError> {
        let label = message.label();
        if label.regions.is_empty() && label.categories.contains(PERSONAL) {
            return Ok(Judgement::deny(
                "the message holds personal data and its label names no region",
            ));
        }
        let region = facts.recipient.clearance.region.as_deref().unwrap_or(facts.home_region);
        if let Some(bound) = label.regions.iter().find(|bound| bound.as_str() != region) {
            return Ok(Judgement::deny(format!(
                "the message is bound to the region `{bound}`, and `{}` processes in `{region}`",
                message.to()
            )));
        }
        Ok(Judgement::Allow)
    }
}

#[cfg(test)]
mod tests {
    use genie_core::label::Clearance;
    use genie_core::policy::Decision;

    use super::{DataResidency, PERSONAL};
    use crate::checks::testbed::Case;

    #[test]
    fn bound_content_stays_in_all_its_regions() {
        // The facts' home region is `in`.
        let cases: [(&[&str], Option<&str>, bool, Decision); 9] = [
            (&[], None, false, Decision::Allow),
            (&[], Some("us"), false, Decision::Allow),
            (&[], None, true, Decision::Deny),
            (&["in"], None, true, Decision::Allow),
            (&["in"], Some("in"), true, Decision::Allow),
            (&["in"], Some("us"), true, Decision::Deny),
            (&["in"], Some("us"), false, Decision::Deny),
            (&["in", "eu"], None, false, Decision::Deny),
            (&["IN"], None, true, Decision::Deny),
        ];
        for (regions, processes_in, personal, expected) in cases {
            let mut case = Case::new();
            case.recipient.clearance =
                Clearance { region: processes_in.map(str::to_owned), ..Clearance::default() };
            for region in regions {
                case.specimen.label.regions.insert((*region).to_owned());
            }
            if personal {
                case.specimen.label.categories.insert(PERSONAL.to_owned());
            }
            let decision = case.decision(&DataResidency);
            assert_eq!(decision, expected, "{regions:?} {processes_in:?} {personal}");
        }
    }
}
