//! Asks for a rationale with every finding that an agent publishes.
//!
//! Judged are the items of every list called one of [`LISTS`], wherever it stands in the payload;
//! an empty list, or none at all, is fine.

use std::sync::LazyLock;

use aho_corasick::packed::Searcher;
use genie_core::message::Message;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError};
use serde_json::Value;

use crate::payload;

/// The names of lists whose items are findings.
const LISTS: [&str; 4] = ["anomalies", "decisions", "findings", "recommendations"];

/// The policy `explainability`.
#[derive(Debug, Clone, Copy)]
pub struct Explainability;

impl Policy for Explainability {
    fn id(&self) -> &'static str {
        "explainability"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "Every finding says why."
    }

    fn evaluate(&self, message: &Message, _: &Facts<'_>) -> Result<Judgement, PolicyError> {
        if !may_have_list(message.payload().text()) {
            return Ok(Judgement::Allow);
        }
        match unexplained(&payload::value(message)?) {
            None => Ok(Judgement::Allow),
            Some(path) => Ok(Judgement::deny(format!(
                "`{}` has no rationale; say in `rationale` why it was found",
                pointer(&path)
            ))),
        }
    }
}

/// Whether the text has the name of such a list, or an escape that could spell one.
fn may_have_list(text: &str) -> bool {
    // `None` where the processor cannot search for several names at once.
    static NAMES: LazyLock<Option<Searcher>> =
        LazyLock::new(|| Searcher::new(LISTS.map(|name| format!("\"{name}\""))));
    let named = match &*NAMES {
        Some(names) => names.find(text).is_some(),
        None => LISTS.iter().any(|name| text.contains(name)),
    };
    named || payload::has_unicode_escape(text)
}

/// The path of the first finding without a rationale in `value`, innermost step first.
fn unexplained(value: &Value) -> Option<Vec<String>> {
    let behind = |step: String, mut path: Vec<String>| {
        path.push(step);
        path
    };
    match value {
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            unexplained(item).map(|path| behind(index.to_string(), path))
        }),
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            let bare = field.as_array().filter(|_| LISTS.contains(&name.as_str()));
            let path = bare
                .and_then(|items| items.iter().position(|item| !has_rationale(item)))
                .map(|index| vec![index.to_string()])
                .or_else(|| unexplained(field))?;
            Some(behind(name.replace('~', "~0").replace('/', "~1"), path))
        }),
        _ => None,
    }
}

/// A path as a JSON pointer.
fn pointer(path: &[String]) -> String {
    path.iter().rev().fold(String::new(), |pointer, step| pointer + "/" + step)
}

fn has_rationale(item: &Value) -> bool {
    let rationale = item.get("rationale").and_then(Value::as_str);
    rationale.is_some_and(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use genie_core::policy::{Decision, Judgement};
    use serde_json::json;

    use super::Explainability;
    use crate::checks::testbed::Case;

    #[test]
    fn lists_that_are_empty_absent_or_explained_pass() {
        let payloads = [
            json!({}),
            json!({"findings": []}),
            json!({"findings": null, "recommendations": null}),
            json!({"findings": 3}),
            json!({"findings": [{"rationale": "twice the usual"}], "anomalies": []}),
            json!({"notes": [{"text": "no rationale needed here"}]}),
        ];
        for payload in payloads {
            let case = Case::with(payload);
            assert_eq!(
                case.decision(&Explainability),
                Decision::Allow,
                "{}",
                case.specimen.payload
            );
        }
    }

    #[test]
    fn one_unexplained_finding_in_any_list_is_refused_with_its_place() {
        let cases = [
            (json!({"findings": [{"rationale": " "}]}), "/findings/0"),
            (json!({"findings": [{"rationale": 5}]}), "/findings/0"),
            (
                json!({"findings": [{"rationale": "x"}], "decisions": [{"rationale": "x"}, {}]}),
                "/decisions/1",
            ),
            (json!({"legs": [{"anomalies": ["bare"]}]}), "/legs/0/anomalies/0"),
            (json!({"a/b": {"decisions": [{}]}}), "/a~1b/decisions/0"),
            (json!({"findings": [{"rationale": "x", "findings": [{}]}]}), "/findings/0/findings/0"),
        ];
        for (payload, place) in cases {
            let judgement = Case::with(payload).judge(&Explainability).unwrap();
            let Judgement::Deny { reason } = judgement else { panic!("{place}: {judgement:?}") };
            assert!(reason.contains(place), "{reason}");
        }
    }
}
