//! Redacts identifiers of people unless the recipient is cleared for [`PERSONAL`] data.
//!
//! What counts is decided by `detect::pii`. One pass over the raw JSON settles the common case of
//! none; only a hit, or an escape that could hide one, makes it look at each string by itself.

use genie_core::label::PERSONAL;
use genie_core::message::Message;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError, Redaction};
use serde_json::Value;

use crate::detect::pii::{self, Detector, Hit};
use crate::payload::{self, Last};

/// The policy `pii`.
#[derive(Debug, Clone, Copy)]
pub struct Pii;

impl Policy for Pii {
    fn id(&self) -> &'static str {
        "pii"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "A recipient that is not cleared for personal data gets the message without identifiers."
    }

    fn evaluate(&self, message: &Message, facts: &Facts<'_>) -> Result<Judgement, PolicyError> {
        if facts.recipient.clearance.categories.contains(PERSONAL) {
            return Ok(Judgement::Allow);
        }
        thread_local!(static LAST: Last<bool> = const { Last::none() });
        let suspicious = payload::last(&LAST, message.payload(), |text| {
            pii::found(text) || payload::has_unicode_escape(text)
        });
        if !suspicious {
            return Ok(Judgement::Allow);
        }
        let mut search = Search::default();
        search.value(&payload::value(message)?, "", &mut String::new());
        if let Some(detector) = search.in_key {
            return Ok(Judgement::deny(format!(
                "the name of a field is a {}; put it into a value",
                detector.name()
            )));
        }
        if search.redactions.is_empty() {
            return Ok(Judgement::Allow);
        }
        Ok(Judgement::Redact { reason: search.reason(), redactions: search.redactions })
    }

    fn inspect(&self, content: &str) -> Vec<&'static str> {
        if pii::found(content) { vec![PERSONAL] } else { Vec::new() }
    }
}

/// Most places that a reason names.
const PLACES_MAX: usize = 3;

/// What the strings, numbers and field names of a payload hold.
#[derive(Default)]
struct Search {
    redactions: Vec<Redaction>,
    in_key: Option<Detector>,
    /// Reused for the text of one value with its key.
    member: String,
    hits: Vec<Hit>,
}

impl Search {
    /// Looks at `value`, which stands at `pointer` under the nearest key `key`.
    fn value(&mut self, value: &Value, key: &str, pointer: &mut String) {
        let length = pointer.len();
        match value {
            Value::String(text) => self.leaf(key, ("\"", text, "\""), pointer),
            Value::Number(number) => self.leaf(key, ("", &number.to_string(), ""), pointer),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    pointer.push('/');
                    pointer.push_str(&index.to_string());
                    self.value(item, key, pointer);
                    pointer.truncate(length);
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields {
                    self.hits.clear();
                    pii::scan(name, &mut self.hits);
                    self.in_key = self.in_key.or(self.hits.first().map(|hit| hit.detector));
                    pointer.push('/');
                    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                    self.value(field, name, pointer);
                    pointer.truncate(length);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Looks at one string or number as JSON writes it, with its key, which may say what it is.
    fn leaf(&mut self, key: &str, (open, text, close): (&str, &str, &str), pointer: &str) {
        self.member.clear();
        for part in ["\"", key, "\":", open] {
            self.member.push_str(part);
        }
        let start = self.member.len();
        self.member.push_str(text);
        let end = self.member.len();
        self.member.push_str(close);
        self.hits.clear();
        pii::scan(&self.member, &mut self.hits);
        for hit in &self.hits {
            let within = start <= hit.range.start && hit.range.end <= end;
            if hit.range.end <= start {
                continue;
            }
            let offset = |at: usize| u32::try_from(at - start).ok();
            let range = (within && !open.is_empty())
                .then(|| offset(hit.range.start).zip(offset(hit.range.end)))
                .flatten();
            self.redactions.push(Redaction {
                pointer: pointer.to_owned(),
                range,
                what: hit.detector.code().to_owned(),
            });
        }
    }

    fn reason(&self) -> String {
        let mut places: Vec<String> = self
            .redactions
            .iter()
            .map(|redaction| format!("{} in `{}`", redaction.what, redaction.pointer))
            .collect();
        places.dedup();
        let more = places.len().saturating_sub(PLACES_MAX);
        places.truncate(PLACES_MAX);
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("the recipient is not cleared for personal data: {}{tail}", places.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use genie_core::label::Clearance;
    use genie_core::policy::{Decision, Judgement, Policy};
    use serde_json::{Value, json};

    use super::{PERSONAL, Pii};
    use crate::checks::testbed::Case;

    /// Pointer, redacted text (all of it if none is given) and detector of each redaction.
    fn redacted(payload: &Value) -> Vec<(String, Option<String>, String)> {
        let judgement = Case::with(payload.clone()).judge(&Pii).unwrap();
        let Judgement::Redact { redactions, .. } = judgement else { return Vec::new() };
        redactions
            .into_iter()
            .map(|one| {
                let text = payload.pointer(&one.pointer).and_then(Value::as_str);
                let part = one
                    .range
                    .zip(text)
                    .map(|((start, end), text)| text[start as usize..end as usize].to_owned());
                (one.pointer, part, one.what)
            })
            .collect()
    }

    fn check(payload: &Value, expected: &[(&str, Option<&str>, &str)]) {
        let found = redacted(payload);
        let found: Vec<(&str, Option<&str>, &str)> =
            found.iter().map(|(at, text, what)| (&**at, text.as_deref(), &**what)).collect();
        assert_eq!(found, expected, "{payload}");
    }

    #[test]
    fn identifiers_are_redacted_where_they_stand() {
        check(
            &json!({"question": "is 4111 1111 1111 1111 mine?"}),
            &[("/question", Some("4111 1111 1111 1111"), "card")],
        );
        check(
            &json!({"rows": [{"narration": "UPI/asha@okaxis/é"}, {"a/b": "é\nbob@example.com"}]}),
            &[
                ("/rows/0/narration", Some("asha@okaxis"), "upi"),
                ("/rows/1/a~1b", Some("bob@example.com"), "email"),
            ],
        );
        check(&json!({"mobile_no": "9876543210"}), &[("/mobile_no", Some("9876543210"), "phone")]);
        check(&json!({"mobile_no": 9_876_543_210_u64}), &[("/mobile_no", None, "phone")]);
        check(
            &json!({"aadhaar": "999941057058"}),
            &[("/aadhaar", Some("999941057058"), "aadhaar")],
        );
        check(&json!("ABCPE1234F"), &[("", Some("ABCPE1234F"), "pan")]);
    }

    #[test]
    fn amounts_ids_and_references_are_not_personal_data() {
        for payload in [
            json!({"amount_minor": 9_876_543_210_u64, "total": 123_456_789_012_u64}),
            json!({"run_id": "0192f3a4-1234-4123-8123-412345678901"}),
            json!({"narration": "UPI/999941057058/Swiggy", "at": "2026-11-21T02:59:29.500000Z"}),
            json!({"note": "caf\u{1}"}),
        ] {
            assert_eq!(redacted(&payload), [], "{payload}");
        }
    }

    #[test]
    fn an_escaped_digit_does_not_hide_a_card() {
        let case = Case::new();
        let mut specimen = case.specimen.clone();
        specimen.payload = serde_json::from_str(r#"{"q":"\u0034111 1111 1111 1111"}"#).unwrap();
        let case = Case { specimen, ..case };
        assert_eq!(case.decision(&Pii), Decision::Redact);
    }

    #[test]
    fn an_identifier_as_the_name_of_a_field_is_refused() {
        let case = Case::with(json!({"bob@example.com": 1}));
        assert_eq!(case.decision(&Pii), Decision::Deny);
    }

    #[test]
    fn the_reason_does_not_repeat_the_data() {
        let payload = json!({"a": "bob@example.com", "b": "bob@example.com",
            "c": "4111111111111111",
            "d": "asha@okaxis", "e": "ABCPE1234F"});
        let judgement = Case::with(payload).judge(&Pii).unwrap();
        let Judgement::Redact { reason, .. } = judgement else { panic!("{judgement:?}") };
        assert!(!reason.contains("bob") && !reason.contains("4111"), "{reason}");
        assert!(reason.ends_with("and 2 more"), "{reason}");
    }

    #[test]
    fn a_cleared_recipient_gets_everything() {
        let mut case = Case::with(json!({"q": "bob@example.com"}));
        assert_eq!(case.decision(&Pii), Decision::Redact);
        case.recipient.clearance = Clearance::default().and_category(PERSONAL);
        assert_eq!(case.decision(&Pii), Decision::Allow);
    }

    #[test]
    fn stored_content_with_identifiers_is_marked_personal() {
        assert_eq!(Pii.inspect("date,narration\n2026-01-01,UPI/asha@okaxis\n"), [PERSONAL]);
        assert!(Pii.inspect("date,amount\n2026-01-01,9876543210\n").is_empty());
    }
}
