//! Bounds the hops from the root of a run, so that agents that answer each other come to an end.

use genie_core::message::Message;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError};

/// The policy `hop-loop`.
#[derive(Debug, Clone, Copy)]
pub struct HopLoop;

impl Policy for HopLoop {
    fn id(&self) -> &'static str {
        "hop-loop"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "A run does not go on from hop to hop without end."
    }

    fn evaluate(&self, message: &Message, facts: &Facts<'_>) -> Result<Judgement, PolicyError> {
        let (hops, max) = (message.hops(), facts.hops_max);
        if hops <= max {
            return Ok(Judgement::Allow);
        }
        Ok(Judgement::deny(format!(
            "the message is {hops} hops from the root of its run, and {max} is the most; \
             agents may be answering each other in a loop"
        )))
    }
}

#[cfg(test)]
mod tests {
    use genie_core::policy::Decision;

    use super::HopLoop;
    use crate::checks::testbed::Case;

    #[test]
    fn the_last_hop_passes_and_the_next_does_not() {
        // The facts allow 8 hops.
        for (hops, expected) in [
            (0, Decision::Allow),
            (8, Decision::Allow),
            (9, Decision::Deny),
            (u16::MAX, Decision::Deny),
        ] {
            let mut case = Case::new();
            case.specimen.hops = hops;
            assert_eq!(case.decision(&HopLoop), expected, "{hops}");
        }
    }
}
