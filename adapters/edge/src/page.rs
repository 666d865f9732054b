//! Lists in pages: `?limit=&after=` in, `{ "data": […], "next": … }` out.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::Problem;

/// Items of a page if the client does not say.
const LIMIT: usize = 50;
/// Most items of a page.
const LIMIT_MAX: usize = 500;

/// What to list of what is registered, which is little and has names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registered {
    /// What `next` of the page before says.
    after: Option<String>,
    /// Items of a page, all if absent.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
}

impl Registered {
    /// The page of these items, each with its name.
    ///
    /// # Errors
    /// A limit that is none, or a name that none has.
    pub(crate) fn of(self, mut items: Vec<(String, Value)>) -> Result<Value, Problem> {
        let limit = self.limit.map_or(Ok(items.len()), |asked| limit(Some(asked)))?;
        if let Some(after) = self.after {
            let place = items.iter().position(|(name, _)| *name == after);
            let place = place.ok_or_else(|| {
                Problem::invalid("after", "`after` is none of these; leave it out to begin")
            })?;
            items.drain(..=place);
        }
        Ok(of(items, limit, |(_, shown)| shown.clone(), |(name, _)| name.clone()))
    }
}

/// How many items the client wants.
pub(crate) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(LIMIT);
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::invalid("limit", format!("`limit` is from 1 to {LIMIT_MAX}")))
}

/// The page, of which one item more than `limit` was looked for.
pub(crate) fn of<T>(
    mut items: Vec<T>,
    limit: usize,
    shown: impl Fn(&T) -> Value,
    id: impl Fn(&T) -> String,
) -> Value {
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| has_more).map(id);
    let data: Vec<Value> = items.iter().map(shown).collect();
    json!({ "data": data, "next": next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_registered_comes_page_by_page_in_its_order_and_ends() {
        let named = || ["b", "a", "c"].map(|name| (name.to_owned(), json!(name))).to_vec();
        let page = |after: Option<&str>, limit: Option<usize>| {
            Registered { after: after.map(str::to_owned), limit }.of(named())
        };
        assert_eq!(page(None, None).unwrap(), json!({ "data": ["b", "a", "c"], "next": null }));
        assert_eq!(page(None, Some(2)).unwrap(), json!({ "data": ["b", "a"], "next": "a" }));
        assert_eq!(page(Some("a"), Some(2)).unwrap(), json!({ "data": ["c"], "next": null }));
        assert_eq!(page(Some("c"), None).unwrap(), json!({ "data": [], "next": null }));
        assert!(page(Some("d"), None).is_err() && page(None, Some(0)).is_err());
    }
}
