//! Bounds the bytes of a payload; larger content belongs in a blob.

use genie_core::message::Message;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError};

/// The policy `message-size`.
#[derive(Debug, Clone, Copy)]
pub struct MessageSize;

impl Policy for MessageSize {
    fn id(&self) -> &'static str {
        "message-size"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "A payload is no larger than the installation allows."
    }

    fn evaluate(&self, message: &Message, facts: &Facts<'_>) -> Result<Judgement, PolicyError> {
        let (bytes, max) = (message.payload().text().len(), facts.message_bytes_max);
        if bytes <= max {
            return Ok(Judgement::Allow);
        }
        Ok(Judgement::deny(format!(
            "the payload has {bytes} bytes, and {max} is the most; keep large content in a blob"
        )))
    }
}

#[cfg(test)]
mod tests {
    use genie_core::policy::Decision;
    use serde_json::json;

    use super::MessageSize;
    use crate::checks::testbed::Case;

    #[test]
    fn a_payload_may_have_the_largest_size_and_not_a_byte_more() {
        // The facts allow 1,000 bytes; a JSON string has two quotes.
        for (bytes, expected) in [(998, Decision::Allow), (999, Decision::Deny)] {
            let case = Case::with(json!("x".repeat(bytes)));
            assert_eq!(case.decision(&MessageSize), expected, "{bytes}");
        }
    }
}
