//! Taps: what observers see, governed messages only, in journal order.
//!
//! An observer that lags loses ephemeral events, never records: it is told where it stands and
//! reads what it missed from the journal.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::ids::RunId;
use crate::journal::steps::Effect;
use crate::journal::{self, Entry, Journal, Record};
use crate::message::USER;
use crate::outcome::Outcome;
use crate::payload::Body;
use crate::policy::Decision;

/// Something that an observer may see.
#[derive(Debug, Clone)]
pub enum Event {
    /// A journal record.
    Recorded(Arc<Record>),
    /// Something beside the journal, lost if nobody looks.
    Ephemeral(Arc<Ephemeral>),
}

/// An event beside the journal.
#[derive(Debug, Clone, Serialize)]
pub struct Ephemeral {
    /// The run.
    pub run_id: RunId,
    /// The name, e.g. `agent.started`.
    pub name: &'static str,
    /// What it is about.
    pub data: Value,
}

impl Event {
    /// The run that the event belongs to.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        match self {
            Self::Recorded(record) => record.entry.run_id(),
            Self::Ephemeral(event) => event.run_id,
        }
    }

    /// The name under which clients see the event, e.g. `message.denied`; `None` for a record that
    /// only completes another (a message is shown with its verdict, an outcome with its run end).
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::Ephemeral(event) => Some(event.name),
            Self::Recorded(record) => name_of(&record.entry),
        }
    }
}

/// What clients see of an entry: its JSON with what the journal keeps in other records, a verdict's
/// message and an outcome's answer. `known` is the outcome with its answer, of which an entry that
/// was read back has only the hash.
#[must_use]
pub fn shown(entry: &Entry, known: Option<&Outcome>) -> Value {
    if let Entry::Erased { run_id, kind, body_sha256 } = entry {
        return json!({ "type": kind, "run_id": run_id, "body_sha256": body_sha256 });
    }
    let mut data = json!(entry);
    match entry {
        Entry::Verdict { message: Some(message), .. } => data["message"] = json!(**message),
        Entry::Outcome { outcome, .. } => {
            if let Outcome::Completed { answer, .. } = known.unwrap_or(outcome) {
                data["answer"] = answer.value();
            }
        }
        _ => {}
    }
    data
}

/// How a run ended, with its answer, from all of its records.
#[must_use]
pub fn outcome_of(records: &[Arc<Record>]) -> Option<Outcome> {
    let (mut ended, mut last) = (None, Body::default());
    for record in records {
        match &record.entry {
            Entry::Message { message, .. } if message.to() == USER => {
                last = message.payload().clone();
            }
            Entry::Outcome { outcome, .. } => ended = Some(Outcome::clone(outcome)),
            _ => {}
        }
    }
    // The record of the outcome has only the hash of the answer; the answer is a message.
    if let Some(Outcome::Completed { answer, .. }) = &mut ended {
        *answer = last;
    }
    ended
}

fn name_of(entry: &Entry) -> Option<&'static str> {
    match entry {
        Entry::RunStarted { .. } => Some("run.started"),
        Entry::Message { .. } | Entry::RunEnd { .. } => None,
        Entry::Erased { .. } => Some("record.erased"),
        Entry::Verdict { verdict, .. } => Some(match verdict.decision {
            Decision::Allow => "message.published",
            Decision::Redact => "message.redacted",
            Decision::RequireApproval => "message.held",
            Decision::Deny => "message.denied",
        }),
        Entry::Step { .. } => Some("step.completed"),
        Entry::Handled { failure: None, .. } => Some("agent.completed"),
        Entry::Handled { .. } => Some("agent.failed"),
        Entry::Restarted { .. } => Some("agent.restarted"),
        Entry::ApprovalRequested { .. } => Some("approval.requested"),
        Entry::ApprovalDecided { .. } => Some("approval.decided"),
        Entry::Effect { effect: Effect::Intent { .. }, .. } => Some("tool.started"),
        Entry::Effect { .. } => Some("tool.completed"),
        Entry::RunWaiting { .. } => Some("run.waiting"),
        Entry::RunResumed { .. } => Some("run.resumed"),
        Entry::DeadLetter { .. } => Some("message.dead"),
        Entry::Incident { .. } => Some("incident"),
        Entry::Outcome { outcome, .. } => Some(match **outcome {
            Outcome::Completed { .. } => "run.completed",
            Outcome::Denied { .. } => "run.denied",
            Outcome::Failed { .. } => "run.failed",
            Outcome::Cancelled { .. } => "run.cancelled",
            Outcome::Expired { .. } => "run.expired",
        }),
    }
}

/// The sending side, shared by the journal writer and the contexts.
#[derive(Debug, Clone)]
pub(crate) struct Taps {
    sender: broadcast::Sender<Event>,
}

impl Taps {
    pub(crate) fn new(events_max: usize) -> Self {
        Self { sender: broadcast::Sender::new(events_max.max(1)) }
    }

    /// Whether anybody looks; ephemeral events are not even built otherwise.
    pub(crate) fn watched(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    pub(crate) fn recorded(&self, records: &[Arc<Record>]) {
        if self.watched() {
            for record in records {
                // An error means that the last observer has just left.
                let _ = self.sender.send(Event::Recorded(record.clone()));
            }
        }
    }

    pub(crate) fn ephemeral(&self, run_id: RunId, name: &'static str, data: Value) {
        let _ = self.sender.send(Event::Ephemeral(Arc::new(Ephemeral { run_id, name, data })));
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }
}

/// What happens, for an observer that does not read on from the journal.
#[derive(Debug)]
pub enum Live {
    /// An event.
    Event(Event),
    /// Events were missed, which may have been records.
    Missed,
    /// The kernel is gone.
    Closed,
}

/// How many records a lagging tap reads from the journal at a time.
const CATCH_UP_RECORDS: usize = 256;

/// An observer's view of everything that is recorded after a point.
pub struct Tap {
    receiver: broadcast::Receiver<Event>,
    journal: Arc<dyn Journal>,
    seen: u64,
    behind: bool,
    backlog: std::collections::VecDeque<Arc<Record>>,
}

impl Tap {
    pub(crate) fn new(
        receiver: broadcast::Receiver<Event>,
        journal: Arc<dyn Journal>,
        (seen, behind): (u64, bool),
    ) -> Self {
        Self { receiver, journal, seen, behind, backlog: [].into() }
    }

    /// Goes on with what is recorded from now on, whatever was missed.
    pub fn skip(&mut self) {
        self.receiver = self.receiver.resubscribe();
        (self.behind, self.backlog) = (false, [].into());
    }

    /// What happens next, of which whoever lags misses a part.
    pub async fn live(&mut self) -> Live {
        match self.receiver.recv().await {
            Ok(event) => Live::Event(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Live::Missed,
            Err(broadcast::error::RecvError::Closed) => Live::Closed,
        }
    }

    /// As [`Self::live`], if it has happened already.
    pub fn live_now(&mut self) -> Option<Live> {
        match self.receiver.try_recv() {
            Ok(event) => Some(Live::Event(event)),
            Err(broadcast::error::TryRecvError::Lagged(_)) => Some(Live::Missed),
            Err(broadcast::error::TryRecvError::Closed) => Some(Live::Closed),
            Err(broadcast::error::TryRecvError::Empty) => None,
        }
    }

    /// The next event; `None` once the kernel is gone.
    ///
    /// # Errors
    /// [`journal::Error`] if records that this tap has missed cannot be read any more.
    pub async fn next(&mut self) -> Result<Option<Event>, journal::Error> {
        loop {
            if let Some(record) = self.backlog.pop_front() {
                self.seen = record.seq;
                return Ok(Some(Event::Recorded(record)));
            }
            if self.behind {
                self.backlog = self.journal.read(self.seen, CATCH_UP_RECORDS).await?.into();
                self.behind = !self.backlog.is_empty();
                continue;
            }
            match self.receiver.recv().await {
                Ok(Event::Recorded(record)) if record.seq <= self.seen => {}
                Ok(Event::Recorded(record)) => {
                    self.seen = record.seq;
                    return Ok(Some(Event::Recorded(record)));
                }
                Ok(event) => return Ok(Some(event)),
                Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                Err(broadcast::error::RecvError::Closed) => return Ok(None),
            }
        }
    }
}
