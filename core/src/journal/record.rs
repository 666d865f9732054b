//! What the journal records, one entry for each message, verdict, step and outcome.
//!
//! The same type crosses bus, journal and observers; there is no row or event type beside it.

use std::sync::Arc;

use serde::Serialize;

use super::chain::Hash;
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::ids::{MessageId, RunId};
use crate::label::Label;
use crate::message::Message;
use crate::outcome::Outcome;
use crate::policy::Verdict;

/// One entry, as its writer gives it. The JSON form, tagged by `type`, is what is hashed.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entry {
    /// A run was admitted.
    RunStarted {
        /// The run.
        run_id: RunId,
        /// When.
        at: Timestamp,
        /// The version of the policy set in force.
        policy_set: Arc<str>,
        /// When the run expires.
        deadline: Timestamp,
    },
    /// A message, as delivered (redacted) or as refused.
    Message {
        /// The message; its `run_id` names the run.
        message: Arc<Message>,
    },
    /// The verdict on the message recorded just before it within the run.
    Verdict {
        /// The run.
        run_id: RunId,
        /// The message.
        message_id: MessageId,
        /// What the chain decided.
        #[serde(flatten)]
        verdict: Arc<Verdict>,
        /// SHA-256 of the payload before redaction, if it was redacted.
        #[serde(skip_serializing_if = "Option::is_none")]
        original_sha256: Option<Hash>,
        /// The message itself, for observers in this process; the record before holds it.
        #[serde(skip)]
        message: Arc<Message>,
    },
    /// A call that a handler made through its context.
    Step {
        /// The run.
        run_id: RunId,
        /// The message that the handler works on.
        cause: MessageId,
        /// The number of the step within the handler, from 0.
        number: u32,
        /// The agent.
        agent: Arc<str>,
        /// What was called and what it gave.
        #[serde(flatten)]
        call: Call,
    },
    /// A handler came to its end.
    Handled {
        /// The run.
        run_id: RunId,
        /// The message that it worked on.
        message_id: MessageId,
        /// The agent.
        agent: Arc<str>,
        /// When it ended.
        at: Timestamp,
        /// How long it took, waiting included.
        duration_us: u64,
        /// Why it failed; absent if it did not.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
    /// A handler panicked and its activation is started again.
    Restarted {
        /// The run.
        run_id: RunId,
        /// The message that is handled again.
        message_id: MessageId,
        /// The agent.
        agent: Arc<str>,
        /// Which restart this is, from 1.
        restart: u32,
        /// The wait before it in milliseconds.
        backoff_ms: u64,
        /// The panic message.
        reason: String,
    },
    /// A message that came to nobody.
    DeadLetter {
        /// The run.
        run_id: RunId,
        /// The message.
        message_id: MessageId,
        /// The agent that it was for.
        agent: Arc<str>,
        /// Why it came to nobody.
        reason: String,
    },
    /// Something that an operator should look at.
    Incident {
        /// The run.
        run_id: RunId,
        /// The message at which it happened.
        message_id: MessageId,
        /// The agent.
        agent: Arc<str>,
        /// What happened.
        failure: Failure,
    },
    /// The one outcome of the run.
    Outcome {
        /// The run.
        run_id: RunId,
        /// When.
        at: Timestamp,
        /// How it ended.
        #[serde(flatten)]
        outcome: Arc<Outcome>,
    },
    /// The last record of the run, with its counts, so that nothing within can be left out.
    RunEnd {
        /// The run.
        run_id: RunId,
        /// When.
        at: Timestamp,
        /// How many records the run has, this one included.
        records: u64,
        /// How many messages it has.
        messages: u64,
        /// How long it took.
        duration_us: u64,
    },
}

/// A step and its result.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "call", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Call {
    /// One request, one reply.
    Ask {
        /// The request.
        request: MessageId,
        /// The reply; absent if the call failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        reply: Option<MessageId>,
        /// Why the call failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
    /// A scatter and gather, or a fan-in of kinds.
    Gather {
        /// The messages that arrived, in order.
        arrived: Vec<MessageId>,
        /// The legs that did not, and why.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        missing: Vec<crate::gather::Missing>,
    },
    /// The time of day that the handler was given.
    Now {
        /// The time.
        value: Timestamp,
    },
    /// The random number that the handler was given.
    Random {
        /// The number, in hexadecimal so that no JSON reader rounds it.
        value: String,
    },
    /// A wait.
    Sleep {
        /// How long in milliseconds.
        duration_ms: u64,
    },
    /// Content that was stored.
    Store {
        /// Its hash.
        blob: Hash,
        /// Its size.
        bytes: u64,
        /// Its label.
        label: Arc<Label>,
    },
}

impl Entry {
    /// The run that the entry belongs to.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        match self {
            Self::Message { message } => message.run_id(),
            Self::RunStarted { run_id, .. }
            | Self::Verdict { run_id, .. }
            | Self::Step { run_id, .. }
            | Self::Handled { run_id, .. }
            | Self::Restarted { run_id, .. }
            | Self::DeadLetter { run_id, .. }
            | Self::Incident { run_id, .. }
            | Self::Outcome { run_id, .. }
            | Self::RunEnd { run_id, .. } => *run_id,
        }
    }
}

/// One sealed entry.
#[derive(Debug, Clone)]
pub struct Record {
    /// Position in the chain, from 1.
    pub seq: u64,
    /// The hash of the record before; zeros for the first.
    pub prev_hash: Hash,
    /// The hash of this record.
    pub hash: Hash,
    /// What happened.
    pub entry: Entry,
}
