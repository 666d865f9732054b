//! `POST /v1/tools/batch`: several tool calls at once, each a run of its own.
//!
//! Each call passes the gate by itself, exactly as it would alone: one that is refused, fails or
//! waits for a human holds up none of the others.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;
use futures::future::join_all;
use genie_core::journal::chain::Hash;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{self, Halt};
use crate::auth::{Caller, Known};
use crate::body::{self, Json};
use crate::edge::Edge;
use crate::error::Problem;
use crate::retry;
use crate::tools::{self, Call};

/// Most calls of a batch.
pub(crate) const CALLS_MAX: usize = 32;

/// The body of a batch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch {
    /// The calls, each with an `id` of its own.
    #[schemars(length(min = 1, max = 32))]
    calls: Vec<Call>,
}

impl Batch {
    fn check(&self) -> Result<(), Problem> {
        if !(1..=CALLS_MAX).contains(&self.calls.len()) {
            let problem = format!("`calls` has 1 to {CALLS_MAX} calls; send more in batches");
            return Err(Problem::invalid("calls", problem));
        }
        self.calls.iter().try_for_each(Call::is_sound)?;
        let mut ids = HashSet::new();
        if self.calls.iter().any(|call| !ids.insert(call.id())) {
            let problem = "two of the `calls` have the same `id`; give each its own";
            return Err(Problem::invalid("calls", problem));
        }
        Ok(())
    }
}

/// `POST /v1/tools/batch`: the results in the order of the calls.
pub(crate) async fn batch(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    headers: HeaderMap,
    Json(batch, digest): Json<Batch>,
) -> Result<Response, Problem> {
    batch.check()?;
    retry::given(&headers)?;
    let calls = batch.calls.into_iter().enumerate().map(async |(index, call)| {
        let id = call.id().to_owned();
        let made = one(&edge, &caller, &headers, (digest, index, call));
        made.await.unwrap_or_else(|problem| {
            json!({ "tool_call_id": id, "run_id": problem.run(), "error": problem.typed() })
        })
    });
    let results: Vec<Value> = join_all(calls).await;
    Ok(body::json(&json!({ "results": results })))
}

/// What becomes of one call.
async fn one(
    edge: &Arc<Edge>,
    caller: &Caller,
    headers: &HeaderMap,
    (digest, index, call): (Hash, usize, Call),
) -> Result<Value, Problem> {
    let (id, requested) = tools::ready(edge, caller, call)?;
    let entry = retry::enter_nth(edge, caller, headers, (digest, index)).await?;
    let (run, halt) = tools::made(edge, caller, headers, (requested, entry)).await?;
    Ok(match halt {
        Halt::Answered(answered) => tools::output(&id, run, &answered),
        Halt::Waiting { wake_at, approvals } => {
            answer::what_waits(run, (wake_at, &approvals), json!({ "tool_call_id": id }))
        }
    })
}
