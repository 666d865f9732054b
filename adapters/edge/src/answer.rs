//! Waiting for what becomes of a request: its answer, or a human that it waits for.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use genie_core::approval::ApprovalId;
use genie_core::attempts::Attempt;
use genie_core::clock::Timestamp;
use genie_core::failure::Failure;
use genie_core::ids::RunId;
use genie_core::journal::chain::Hash;
use genie_core::journal::{Entry as Recorded, Record};
use genie_core::outcome::Outcome;
use genie_core::payload::Body;
use genie_core::tap::{Event, outcome_of};
use genie_core::{Ask, Running};
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::body;
use crate::edge::{Edge, Fresh};
use crate::error::{Problem, RUN_ID, of_outcome};
use crate::follow::Follower;
use crate::retry::{self, Entry};
use crate::runs::Visible;

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
    /// What the record says, if it is the last of its run.
    fn of(record: &Record) -> Option<Self> {
        match &record.entry {
            Recorded::RunEnd { records, messages, duration_us, .. } => Some(Self {
                records: *records,
                messages: *messages,
                duration_us: *duration_us,
                head: Some((record.seq, record.hash)),
            }),
            _ => None,
        }
    }

    /// What the last record says; `None` before the run has ended.
    pub(crate) fn of_records(records: &[Arc<Record>]) -> Option<Self> {
        records.iter().rev().find_map(|record| Self::of(record))
    }

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

/// Gets what becomes of a request: of the run that it begins, or of one that it has begun before.
///
/// # Errors
/// The problem that the caller is told: the request was refused, or the run gave no answer.
pub(crate) async fn of(
    edge: &Arc<Edge>,
    caller: &Caller,
    entry: Entry,
    ask: Ask,
) -> Result<(RunId, Halt), Problem> {
    let (run, attempt) = match entry {
        Entry::Known(run) => return Ok((run, of_known(edge, caller, run).await?)),
        Entry::New(run, attempt) => (run, attempt),
    };
    let mut follower = Follower::of_new(edge, caller.tenant(), run);
    let running = begin(edge, caller, (run, attempt), ask).await?;
    Ok((run.id(), of_new(&mut follower, run.id(), running).await?))
}

/// Begins a run.
///
/// # Errors
/// Why it did not begin.
pub(crate) async fn begin(
    edge: &Edge,
    caller: &Caller,
    (run, attempt): (Fresh, Option<Attempt>),
    ask: Ask,
) -> Result<Running, Problem> {
    match edge.kernel().ask(&caller.principal, ask.under(run.id())).await {
        Ok(running) => Ok(running),
        Err(refused) => {
            retry::refused(edge, attempt).await;
            Err(refused.into())
        }
    }
}

/// Waits for a run that has just begun to halt.
async fn of_new(follower: &mut Follower, run: RunId, running: Running) -> Result<Halt, Problem> {
    let mut end = End::default();
    let waiting = {
        let watch = watch(follower, &mut end);
        tokio::pin!(watch);
        let outcome = outcome(running);
        tokio::pin!(outcome);
        tokio::select! {
            outcome = &mut outcome => {
                // A run that leaves the memory tells nobody its outcome; what waits is on record.
                let gone = matches!(&*outcome, Outcome::Failed { cause: Failure::RunEnded });
                let patience = if gone { END_WAIT } else { Duration::ZERO };
                let waits = tokio::time::timeout(patience, &mut watch).await;
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
    if end.head.is_none() && matches!(&*outcome, Outcome::Completed { .. }) {
        let _ = tokio::time::timeout(END_WAIT, watch(follower, &mut end)).await;
    }
    answered(&outcome, run, end)
}

/// Waits for a run that has begun before, here or elsewhere, to halt.
async fn of_known(edge: &Arc<Edge>, caller: &Caller, run: RunId) -> Result<Halt, Problem> {
    let kernel = edge.kernel();
    let mut follower = Follower::of(edge, &Visible::to(caller, edge, run).await?);
    loop {
        let found = kernel.run(caller.tenant(), run).await?;
        let status = found.ok_or_else(|| Problem::not_found("run"))?.status;
        let records = kernel.records(caller.tenant(), run).await?;
        if let Some((record, end)) = records.iter().rev().find_map(|one| Some((one, End::of(one)?)))
            && let Some(outcome) = outcome_of(&records)
        {
            follower.durable(record).await?;
            return answered(&outcome, run, end);
        }
        let halt = records.iter().rev().find_map(|record| waiting_at(record));
        if let Some(halt) = halt.filter(|_| &*status == "waiting") {
            return Ok(halt);
        }
        tokio::select! {
            () = edge.closing.cancelled() => return Err(Problem::stopping().of_run(run)),
            news = news(&mut follower) => news?,
        }
    }
}

/// Returns once the run may have come to a halt.
async fn news(follower: &mut Follower) -> Result<(), Problem> {
    loop {
        match follower.next().await? {
            None => return Err(Problem::stopping()),
            Some(Event::Recorded(record))
                if End::of(&record).is_some() || waiting_at(&record).is_some() =>
            {
                return Ok(());
            }
            Some(_) => {}
        }
    }
}

fn answered(outcome: &Outcome, run: RunId, end: End) -> Result<Halt, Problem> {
    match outcome {
        Outcome::Completed { answer, .. } => {
            Ok(Halt::Answered(Answer { body: answer.clone(), end }))
        }
        outcome => Err(of_outcome(outcome, run).unwrap_or_else(Problem::panicked)),
    }
}

async fn outcome(running: Running) -> Arc<Outcome> {
    running.outcome().await
}

/// Watches until the run waits for a human; `None` once it has ended or cannot be watched.
async fn watch(follower: &mut Follower, end: &mut End) -> Option<Halt> {
    loop {
        let Ok(Some(event)) = follower.next().await else { return None };
        let Event::Recorded(record) = event else { continue };
        if let Some(halt) = waiting_at(&record) {
            return Some(halt);
        }
        if let Some(last) = End::of(&record) {
            *end = last;
            return None;
        }
    }
}

/// What the run waits for, if the record says that it waits for a human.
fn waiting_at(record: &Record) -> Option<Halt> {
    match &record.entry {
        Recorded::RunWaiting { wake_at, approvals, .. } if !approvals.is_empty() => {
            Some(Halt::Waiting { wake_at: *wake_at, approvals: approvals.clone() })
        }
        _ => None,
    }
}

/// The response that names the run.
pub(crate) fn of_run(mut response: Response, run: RunId) -> Response {
    if let Ok(id) = HeaderValue::try_from(run.to_string()) {
        response.headers_mut().insert(RUN_ID, id);
    }
    response
}

/// What a caller is told of a request that waits for a human, besides what `object` has.
pub(crate) fn what_waits(
    run: RunId,
    (wake_at, approvals): (Timestamp, &[ApprovalId]),
    mut object: Value,
) -> Value {
    object["run_id"] = json!(run);
    object["outcome"] = json!("waiting");
    object["approval_id"] = json!(approvals.first());
    object["approvals"] = json!(approvals);
    object["wake_at"] = json!(wake_at);
    object
}

/// The response to a request that waits for a human.
pub(crate) fn waiting(run: RunId, waits: (Timestamp, &[ApprovalId]), object: Value) -> Response {
    let mut response = of_run(body::json(&what_waits(run, waits, object)), run);
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(place) = HeaderValue::try_from(format!("/v1/runs/{run}")) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}
