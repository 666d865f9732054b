//! Lists in pages: `?limit=&after=` in, `{ "data": […], "next": … }` out.

use serde_json::{Value, json};

use crate::error::Problem;

/// Items of a page if the client does not say.
const LIMIT: usize = 50;
/// Most items of a page.
const LIMIT_MAX: usize = 500;

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
