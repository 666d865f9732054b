//! `POST /v1/tools/batch`: several tool calls at once, each a run of its own.
//!
//! Each call passes the gate by itself, exactly as it would alone: one that is refused, fails or
//! waits for a human holds up none of the others. Each counts as a request, in their order: where
//! the limits leave no room for one, it and those behind it are refused.

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
use crate::pace::Another;
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
        for (index, call) in self.calls.iter().enumerate() {
            call.is_sound().map_err(|problem| problem.within(&format!("calls[{index}]")))?;
        }
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
    let room = Room::of(&edge, &caller, batch.calls.len()).await;
    let calls = batch.calls.into_iter().enumerate().map(async |(index, call)| {
        let id = call.id().to_owned();
        let made = match room.refusal_of(index) {
            None => one(&edge, &caller, &headers, (digest, index, call)).await,
            Some(problem) => Err(problem.clone()),
        };
        made.unwrap_or_else(|problem| {
            json!({ "tool_call_id": id, "run_id": problem.run(), "error": problem.typed() })
        })
    });
    let results: Vec<Value> = join_all(calls).await;
    let mut response = body::json(&json!({ "results": results }));
    if let Some(last) = &room.last {
        last.tell(response.headers_mut());
    }
    Ok(response)
}

/// For how many calls the limits leave room.
struct Room {
    calls: usize,
    /// Why there is none for the next.
    refusal: Option<Problem>,
    /// How the caller stands now, if more than the request itself was counted.
    last: Option<Another>,
}

impl Room {
    /// Has each call counted, in their order; the first was, as the request.
    async fn of(edge: &Edge, caller: &Caller, calls: usize) -> Self {
        let mut room = Self { calls: 1, refusal: None, last: None };
        while room.calls < calls && room.refusal.is_none() {
            match Another::of(edge, caller).await {
                Ok(another) => {
                    room.refusal = another.refusal();
                    room.last = Some(another);
                }
                Err(problem) => room.refusal = Some(problem),
            }
            room.calls += usize::from(room.refusal.is_none());
        }
        room
    }

    /// Why there is no room for the call of this index.
    fn refusal_of(&self, index: usize) -> Option<&Problem> {
        self.refusal.as_ref().filter(|_| index >= self.calls)
    }
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
