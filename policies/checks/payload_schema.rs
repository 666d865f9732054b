//! Checks a payload against the JSON Schema of its kind.
//!
//! A payload that the declared Rust type wrote follows the schema already and is not read again. A
//! kind that no agent declares is refused: nobody could say what it means.

use genie_core::message::Message;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError};

use crate::payload;

/// The policy `payload-schema`.
#[derive(Debug, Clone, Copy)]
pub struct PayloadSchema;

impl Policy for PayloadSchema {
    fn id(&self) -> &'static str {
        "payload-schema"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "A payload follows the schema that its kind declares."
    }

    fn evaluate(&self, message: &Message, facts: &Facts<'_>) -> Result<Judgement, PolicyError> {
        let Some(kind) = facts.kind else {
            return Ok(Judgement::deny(format!(
                "no agent declares the kind `{}`; add it to the `accepts` or `emits` of one",
                message.kind()
            )));
        };
        if message.payload().was_written_by(kind.writer()) {
            return Ok(Judgement::Allow);
        }
        let value = payload::value(message)?;
        match kind.validate(&value) {
            Ok(()) => Ok(Judgement::Allow),
            Err(violation) => Ok(Judgement::deny(format!(
                "the payload is not a valid `{}`: {violation}",
                kind.name()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use genie_core::Payload;
    use genie_core::policy::{Decision, Judgement};
    use genie_core::spec::KindSpec;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::PayloadSchema;
    use crate::checks::testbed::Case;

    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    struct Note {
        text: String,
        pages: u32,
    }

    impl Payload for Note {
        const KIND: &'static str = "note.taken";
    }

    fn case(payload: Value) -> Case {
        let mut case = Case::with(payload);
        case.kind = Some(KindSpec::of::<Note>());
        case
    }

    #[test]
    fn a_payload_of_the_declared_shape_passes() {
        let case = case(json!({"text": "a", "pages": 2}));
        assert_eq!(case.decision(&PayloadSchema), Decision::Allow);
    }

    #[test]
    fn a_payload_of_another_shape_is_refused_with_its_place() {
        let cases = [
            (json!({"text": "a", "pages": "two"}), "/pages"),
            (json!({"text": "a"}), "pages"),
            (json!([]), "the payload"),
        ];
        for (payload, place) in cases {
            let judgement = case(payload).judge(&PayloadSchema).unwrap();
            let Judgement::Deny { reason } = judgement else { panic!("{judgement:?}") };
            assert!(reason.contains(place), "{reason}");
        }
    }

    #[test]
    fn a_payload_too_deep_to_be_read_is_refused() {
        let deep = (0..200).fold(json!("ignore"), |inner, _| json!([inner]));
        let error = case(deep).judge(&PayloadSchema).unwrap_err();
        assert!(error.to_string().contains("too deeply"), "{error}");
    }

    #[test]
    fn an_undeclared_kind_is_refused() {
        assert_eq!(Case::new().decision(&PayloadSchema), Decision::Deny);
    }
}
