//! Refuses a message that lacks an attribute which others rely on.

use genie_core::message::Message;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError};

/// The policy `required-attributes`.
#[derive(Debug, Clone, Copy)]
pub struct RequiredAttributes;

impl Policy for RequiredAttributes {
    fn id(&self) -> &'static str {
        "required-attributes"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "A message names its kind, sender, recipient, tenant and subject."
    }

    fn evaluate(&self, message: &Message, _: &Facts<'_>) -> Result<Judgement, PolicyError> {
        let attributes = [
            ("kind", message.kind()),
            ("from", message.from()),
            ("to", message.to()),
            ("principal.tenant", message.principal().tenant().as_str()),
            ("principal.subject", message.principal().subject()),
        ];
        if let Some((name, _)) = attributes.iter().find(|(_, value)| value.trim().is_empty()) {
            return Ok(Judgement::deny(format!("`{name}` is blank; every message needs it")));
        }
        if !is_kind(message.kind()) {
            return Ok(Judgement::deny(format!(
                "`{}` is not a kind; write dotted lower case such as `analysis.result`",
                message.kind()
            )));
        }
        Ok(Judgement::Allow)
    }
}

/// Dotted words of lower-case letters, digits, `_` and `-`.
pub(crate) fn is_kind(text: &str) -> bool {
    let is_word = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    text.split('.').all(|word| !word.is_empty() && word.bytes().all(is_word))
}

#[cfg(test)]
mod tests {
    use genie_core::policy::Decision;

    use super::{RequiredAttributes, is_kind};
    use crate::checks::testbed::Case;

    #[test]
    fn a_message_with_every_attribute_passes() {
        assert_eq!(Case::new().decision(&RequiredAttributes), Decision::Allow);
    }

    #[test]
    fn a_blank_attribute_is_refused() {
        let blank: [fn(&mut Case); 5] = [
            |case| case.specimen.kind = " ".into(),
            |case| case.specimen.from = String::new(),
            |case| case.specimen.to = "\t".into(),
            |case| case.specimen.principal.tenant = String::new(),
            |case| case.specimen.principal.subject = " ".into(),
        ];
        for (index, change) in blank.into_iter().enumerate() {
            let mut case = Case::new();
            change(&mut case);
            assert_eq!(case.decision(&RequiredAttributes), Decision::Deny, "{index}");
        }
    }

    #[test]
    fn a_kind_is_dotted_lower_case() {
        for kind in ["analysis.result", "ask", "tool.call_2", "a-b.c"] {
            assert!(is_kind(kind), "{kind}");
        }
        for kind in ["Analysis.result", "a..b", ".a", "a.", "a b", ""] {
            assert!(!is_kind(kind), "{kind}");
        }
    }
}
