//! Applying redactions to a payload before anyone, the journal included, sees it.

use serde_json::Value;

use crate::payload::{Body, Error};
use crate::policy::Redaction;

/// The payload with every redaction applied; overlapping ranges of one string become one.
///
/// A range that does not fit its string replaces the whole string: better too much than too little.
pub(crate) fn apply(kind: &str, body: &Body, redactions: &[Redaction]) -> Result<Body, Error> {
    let mut value = body.value();
    let mut sorted: Vec<&Redaction> = redactions.iter().collect();
    sorted.sort_by_key(|redaction| (&redaction.pointer, redaction.range));
    for group in sorted.chunk_by(|a, b| a.pointer == b.pointer) {
        let Some(target) = value.pointer_mut(&group[0].pointer) else {
            return Err(Error::Mismatch {
                kind: kind.to_owned(),
                reason: format!("nothing to redact at `{}`", group[0].pointer),
            });
        };
        *target = Value::String(match target.as_str() {
            Some(text) => replace(text, group),
            None => mark(&group[0].what),
        });
    }
    Body::from_value(kind, &value)
}

fn mark(what: &str) -> String {
    format!("[redacted:{what}]")
}

/// Replaces the ranges, sorted by start, of one string.
fn replace(text: &str, group: &[&Redaction]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for redaction in group {
        let Some((start, end)) = redaction.range else {
            return mark(&redaction.what);
        };
        let (start, end) = (start as usize, end as usize);
        if end <= at {
            continue;
        }
        let kept = text.get(at..start.max(at));
        let (Some(kept), true) = (kept, start < end && text.is_char_boundary(end)) else {
            return mark(&redaction.what);
        };
        out.push_str(kept);
        if start >= at {
            out.push_str(&mark(&redaction.what));
        }
        at = end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redaction(pointer: &str, range: Option<(u32, u32)>) -> Redaction {
        Redaction { pointer: pointer.into(), range, what: "x".into() }
    }

    fn check(redactions: &[Redaction], expected: &Value) {
        let body = Body::from_value("k", &json!({"a": "0123456789", "n": 5})).unwrap();
        assert_eq!(apply("k", &body, redactions).unwrap().value(), *expected);
    }

    #[test]
    fn ranges_are_replaced_and_overlaps_become_one() {
        check(&[redaction("/a", Some((2, 4)))], &json!({"a": "01[redacted:x]456789", "n": 5}));
        check(
            &[redaction("/a", Some((3, 6))), redaction("/a", Some((2, 4)))],
            &json!({"a": "01[redacted:x]6789", "n": 5}),
        );
        check(
            &[redaction("/a", Some((0, 1))), redaction("/a", Some((8, 10)))],
            &json!({"a": "[redacted:x]1234567[redacted:x]", "n": 5}),
        );
    }

    #[test]
    fn a_range_that_does_not_fit_replaces_the_whole_string() {
        check(&[redaction("/a", Some((5, 99)))], &json!({"a": "[redacted:x]", "n": 5}));
        check(&[redaction("/a", None)], &json!({"a": "[redacted:x]", "n": 5}));
        check(&[redaction("/n", None)], &json!({"a": "0123456789", "n": "[redacted:x]"}));
    }

    #[test]
    fn a_pointer_to_nothing_is_an_error_and_not_a_silent_pass() {
        let body = Body::from_value("k", &json!({})).unwrap();
        assert!(apply("k", &body, &[redaction("/a", None)]).is_err());
    }
}
