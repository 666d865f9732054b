//! Asks for a rationale with every finding that an agent publishes.
//!
//! Judged are the items of every list called one of [`LISTS`], wherever it stands in the payload;
//! an empty list, or none at all, is fine.

use std::fmt;
use std::sync::LazyLock;

use aho_corasick::packed::Searcher;
use genie_core::message::Message;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::payload::{self, Last};

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
        thread_local!(static LAST: Last<bool> = const { Last::none() });
        let explained = payload::last(&LAST, message.payload(), |text| {
            !may_have_list(text) || Walk::explains_all(text)
        });
        if explained {
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

/// A walk over the text that builds no value: nearly every report is in order, and only one that
/// is not has to be searched for the place.
#[derive(Clone, Copy)]
struct Walk {
    /// Whether the value is one of the judged lists.
    is_list: bool,
}

/// What a walk found.
struct Walked {
    /// Whether every finding within has a rationale.
    all_explained: bool,
    /// Whether the value is itself a finding with one.
    explained: bool,
    /// Whether the value is a text that says something.
    says: bool,
}

impl Walk {
    fn explains_all(text: &str) -> bool {
        let mut reader = serde_json::Deserializer::from_str(text);
        let walked = Self { is_list: false }.deserialize(&mut reader);
        walked.is_ok_and(|walked| walked.all_explained)
    }
}

/// What the name of a field says about its value.
enum Name {
    List,
    Rationale,
    Other,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl Visitor<'_> for Names {
            type Value = Name;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match name {
                    "rationale" => Name::Rationale,
                    name if LISTS.contains(&name) => Name::List,
                    _ => Name::Other,
                })
            }
        }

        deserializer.deserialize_str(Names)
    }
}

/// What a walk finds in a value that is neither text nor a container.
const SCALAR: Walked = Walked { all_explained: true, explained: false, says: false };

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = Walked;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Walked, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = Walked;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Walked, E> {
        Ok(SCALAR)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Walked, E> {
        Ok(SCALAR)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Walked, E> {
        Ok(SCALAR)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Walked, E> {
        Ok(SCALAR)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Walked, E> {
        Ok(SCALAR)
    }

    fn visit_str<E>(self, text: &str) -> Result<Walked, E> {
        Ok(Walked { says: !text.trim().is_empty(), ..SCALAR })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Walked, A::Error> {
        let mut all_explained = true;
        while let Some(item) = items.next_element_seed(Self { is_list: false })? {
            all_explained &= item.all_explained && (item.explained || !self.is_list);
        }
        Ok(Walked { all_explained, ..SCALAR })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Walked, A::Error> {
        let (mut all_explained, mut explained) = (true, false);
        while let Some(name) = fields.next_key::<Name>()? {
            let field = fields.next_value_seed(Self { is_list: matches!(name, Name::List) })?;
            all_explained &= field.all_explained;
            if matches!(name, Name::Rationale) {
                explained = field.says;
            }
        }
        Ok(Walked { all_explained, explained, ..SCALAR })
    }
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
