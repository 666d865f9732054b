//! Waiting for what becomes of a request: its answer, or a human that it waits for.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use genie_core::approval::ApprovalId;
use genie_core::clock::Timestamp;
use genie_core::failure::Failure;
use genie_core::ids::RunId;
use genie_core::journal::Entry;
use genie_core::journal::chain::Hash;
use genie_core::outcome::Outcome;
use genie_core::payload::Body;
use genie_core::tap::Event;
use genie_core::{Ask, Running};
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::body;
use crate::edge::Edge;
use crate::error::{Problem, RUN_ID, of_outcome};
use crate::follow::Follower;

/// How long the last record of a run may come behind its outcome.
const END_WAIT: Duration = Duration::from_secs(1);

/// Where a run has come to a halt.
pub(crate) enum Halt {
    /// It was answered.
    Answered(Answer),
    /// A human must decide.
    Waiting { wake_at: Timestamp, approvals: Vec<ApprovalId> },
}

/// An answer with what to keep of its run.
pub(crate) struct Answer {
    pub(crate) body: Body,
    pub(crate) end: End,
}

/// What the last record of a run says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct End {
    pub(crate) records: u64,
    pub(crate) messages: u64,
    pub(crate) duration_us: u64,
    /// The end of the chain: number and hash of the record.
    pub(crate) head: Option<(u64, Hash)>,
}

impl End {
    /// How much it took.
    pub(crate) fn usage(&self) -> Value {
        json!({ "messages": self.messages, "duration_us": self.duration_us })
    }

    /// What to keep to find the run in the log again.
    pub(crate) fn receipt(&self) -> Value {
        let head = self.head.map(|(seq, hash)| json!({ "seq": seq, "hash": hash }));
        json!({ "records": self.records, "head": head })
    }
}

/// Asks, and waits for the run to halt.
///
/// # Errors
/// The problem that the caller is told: the request was refused, or the run gave no answer.
pub(crate) async fn of(
    edge: &Arc<Edge>,
    caller: &Caller,
    run: RunId,
    ask: Ask,
) -> Result<Halt, Problem> {
    let mut follower = Follower::of_new(edge.kernel(), &edge.hub, run);
    let running = edge.kernel().ask(&caller.principal, ask.under(run)).await?;
    let mut end = End::default();
    let waiting = {
        let watch = watch(&mut follower, &mut end);
        tokio::pin!(watch);
        let outcome = outcome(running);
        tokio::pin!(outcome);
        tokio::select! {
            outcome = &mut outcome => {
                // A run that leaves the memory tells nobody its outcome; what waits is on record.
                let gone = matches!(&*outcome, Outcome::Failed { cause: Failure::RunEnded });
                let waits = if gone { tokio::time::timeout(END_WAIT, &mut watch).await } else { Ok(None) };
                waits.ok().flatten().ok_or(outcome)
            }
            waiting = &mut watch => match waiting {
                Some(halt) => Ok(halt),
                None => Err(outcome.await),
            },
        }
    };
    let outcome = match waiting {
        Ok(halt) => return Ok(halt),
        Err(outcome) => outcome,
    };
    if let Some(problem) = of_outcome(&outcome, run) {
        return Err(problem);
    }
    let Outcome::Completed { answer, .. } = &*outcome else { return Err(Problem::panicked()) };
    if end.head.is_none() {
        let _ = tokio::time::timeout(END_WAIT, watch(&mut follower, &mut end)).await;
    }
    Ok(Halt::Answered(Answer { body: answer.clone(), end }))
}

async fn outcome(running: Running) -> Arc<Outcome> {
    running.outcome().await
}

/// Watches until the run waits for a human; `None` once it has ended or cannot be watched.
async fn watch(follower: &mut Follower, end: &mut End) -> Option<Halt> {
    loop {
        let Ok(Some(event)) = follower.next().await else { return None };
        let Event::Recorded(record) = event else { continue };
        match &record.entry {
            Entry::RunWaiting { wake_at, approvals, .. } if !approvals.is_empty() => {
                let (wake_at, approvals) = (*wake_at, approvals.clone());
                return Some(Halt::Waiting { wake_at, approvals });
            }
            Entry::RunEnd { records, messages, duration_us, .. } => {
                *end = End {
                    records: *records,
                    messages: *messages,
                    duration_us: *duration_us,
                    head: Some((record.seq, record.hash)),
                };
                return None;
            }
            _ => {}
        }
    }
}

/// The response that names the run.
pub(crate) fn of_run(mut response: Response, run: RunId) -> Response {
    if let Ok(id) = HeaderValue::try_from(run.to_string()) {
        response.headers_mut().insert(RUN_ID, id);
    }
    response
}

/// The response to a request that waits for a human.
pub(crate) fn waiting(
    run: RunId,
    (wake_at, approvals): (Timestamp, &[ApprovalId]),
    mut object: Value,
) -> Response {
    object["run_id"] = json!(run);
    object["outcome"] = json!("waiting");
    object["approval_id"] = json!(approvals.first());
    object["approvals"] = json!(approvals);
    object["wake_at"] = json!(wake_at);
    let mut response = of_run(body::json(&object), run);
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(place) = HeaderValue::try_from(format!("/v1/runs/{run}")) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}
