//! What the journal records, one entry for each message, verdict, step and outcome.
//!
//! The same type crosses bus, journal and observers; there is no row or event type beside it.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::chain::Hash;
use super::steps::{Call, Effect, Route};
use crate::approval::{ApprovalId, Decision, Status};
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::ids::{MessageId, RunId};
use crate::message::Message;
use crate::outcome::Outcome;
use crate::policy::{Requirement, Verdict};

/// One entry, as its writer gives it. The JSON form, tagged by `type`, is what is hashed.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
        /// The tenant of whoever asked.
        tenant: Arc<str>,
        /// Who asked.
        subject: Arc<str>,
        /// The agent that was asked.
        agent: Arc<str>,
        /// The id of the request that it came with, if it came over a network.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<Arc<str>>,
    },
    /// A message, as delivered (redacted) or as refused.
    #[serde(skip_deserializing)]
    Message {
        /// How it is sent, and by which step of its sender.
        #[serde(flatten)]
        route: Route,
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
        /// The message itself, for observers; the record before holds it.
        #[serde(skip)]
        message: Option<Arc<Message>>,
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
        /// Whether the agent keeps something for the next message of the run.
        #[serde(default, skip_serializing_if = "is_false")]
        stateful: bool,
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
    /// A policy wants a human to decide on a message, or an effect is in doubt.
    ApprovalRequested {
        /// The run.
        run_id: RunId,
        /// The message that waits; the record of it holds the arguments.
        message_id: MessageId,
        /// The approval.
        approval_id: ApprovalId,
        /// When.
        at: Timestamp,
        /// SHA-256 over the canonical JSON (RFC 8785) of what is to be approved.
        digest: Hash,
        /// The policy that asks, with its version and the version of the whole set.
        policy: Arc<str>,
        /// That policy's version.
        policy_version: Arc<str>,
        /// The version of the policy set in force.
        policy_set: Arc<str>,
        /// Who may decide, how many, until when.
        requirement: Requirement,
        /// When the approval expires.
        expires_at: Timestamp,
    },
    /// The approval has its one final status.
    ApprovalDecided {
        /// The run.
        run_id: RunId,
        /// The message that waited.
        message_id: MessageId,
        /// The approval.
        approval_id: ApprovalId,
        /// When the run took note of it.
        at: Timestamp,
        /// What was decided.
        status: Status,
        /// Who decided, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        decisions: Vec<Decision>,
    },
    /// What became of a tool call.
    Effect {
        /// The run.
        run_id: RunId,
        /// The tool call's message.
        message_id: MessageId,
        /// The tool.
        tool: Arc<str>,
        /// When.
        at: Timestamp,
        /// How far it is.
        #[serde(flatten)]
        effect: Effect,
    },
    /// Nothing in the run can go on before a human decides or a timer is due; it leaves the memory.
    RunWaiting {
        /// The run.
        run_id: RunId,
        /// When it was parked.
        at: Timestamp,
        /// When it goes on by itself.
        wake_at: Timestamp,
        /// The approvals that it waits for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        approvals: Vec<ApprovalId>,
        /// The gathers that wait, so that each keeps its deadline.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gathers: Vec<Gathering>,
    },
    /// The run goes on after it was parked or after its process died.
    RunResumed {
        /// The run.
        run_id: RunId,
        /// When.
        at: Timestamp,
        /// The version of the policy set now in force.
        policy_set: Arc<str>,
        /// When the run expires now; time that it waited for a human does not count.
        deadline: Timestamp,
        /// How many records the run had before this one, on whatever chain.
        records: u64,
        /// How many messages it had.
        messages: u64,
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
    /// What is left of an entry whose text was erased with its subject's key. Only read, never
    /// written: its hash is that of the text that was there.
    #[serde(skip)]
    Erased {
        /// The run.
        run_id: RunId,
        /// The type of the entry, as its text had it.
        kind: Arc<str>,
        /// SHA-256 of the text.
        body_sha256: Hash,
    },
}

/// The deadline of a gather that waits while its run is parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathering {
    /// The message that the handler works on.
    pub cause: MessageId,
    /// The number of the step.
    pub number: u32,
    /// When it ends with what has come.
    pub until: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Entry {
    /// The run that the entry belongs to.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        match self {
            Self::Message { message, .. } => message.run_id(),
            Self::RunStarted { run_id, .. }
            | Self::Verdict { run_id, .. }
            | Self::Step { run_id, .. }
            | Self::Handled { run_id, .. }
            | Self::Restarted { run_id, .. }
            | Self::DeadLetter { run_id, .. }
            | Self::Incident { run_id, .. }
            | Self::ApprovalRequested { run_id, .. }
            | Self::ApprovalDecided { run_id, .. }
            | Self::Effect { run_id, .. }
            | Self::RunWaiting { run_id, .. }
            | Self::RunResumed { run_id, .. }
            | Self::Outcome { run_id, .. }
            | Self::RunEnd { run_id, .. }
            | Self::Erased { run_id, .. } => *run_id,
        }
    }

    /// The type of the entry, as in its JSON form.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::Message { .. } => "message",
            Self::Verdict { .. } => "verdict",
            Self::Step { .. } => "step",
            Self::Handled { .. } => "handled",
            Self::Restarted { .. } => "restarted",
            Self::DeadLetter { .. } => "dead_letter",
            Self::Incident { .. } => "incident",
            Self::ApprovalRequested { .. } => "approval_requested",
            Self::ApprovalDecided { .. } => "approval_decided",
            Self::Effect { .. } => "effect",
            Self::RunWaiting { .. } => "run_waiting",
            Self::RunResumed { .. } => "run_resumed",
            Self::Outcome { .. } => "outcome",
            Self::RunEnd { .. } => "run_end",
            Self::Erased { kind, .. } => kind,
        }
    }

    /// Whether the entry holds nothing that a user, an agent or a tool has written: only ids,
    /// times, counts, hashes and names of the installation. It may be kept in the clear, and stays
    /// when its subject is erased.
    #[must_use]
    pub fn is_structure(&self) -> bool {
        match self {
            Self::RunStarted { .. }
            | Self::RunWaiting { .. }
            | Self::RunResumed { .. }
            | Self::RunEnd { .. } => true,
            Self::Outcome { outcome, .. } => {
                matches!(**outcome, Outcome::Completed { .. } | Outcome::Expired { .. })
            }
            _ => false,
        }
    }

    /// Whether the text of the entry was erased.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        matches!(self, Self::Erased { .. })
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
    /// Position within the run, from 1, over all chains that the run has been on.
    pub number: u64,
    /// What happened.
    pub entry: Entry,
    /// The text that was hashed, if the record was read back from a store.
    pub(crate) text: Option<Box<str>>,
}

impl Record {
    /// The JSON text of the entry, exactly as it was hashed.
    ///
    /// # Errors
    /// An entry that has no JSON form: one that was erased.
    pub fn text(&self) -> Result<Cow<'_, str>, serde_json::Error> {
        match &self.text {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => serde_json::to_string(&self.entry).map(Cow::Owned),
        }
    }
}
