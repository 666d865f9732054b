//! What the records say of a handler's steps: how a message was sent, what a call gave, how far an
//! effect is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chain::Hash;
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::gather::Missing;
use crate::ids::MessageId;
use crate::label::Label;

/// How a message is sent, so that a recovery knows who waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// The request that the run began with.
    Root,
    /// A request whose sender waits for the reply.
    Ask,
    /// To a subscriber of the kind.
    Publish,
    /// To an agent that gathers the kind.
    Collect,
    /// The reply to the message that caused it.
    Reply,
    /// To the agent that stands in for one that failed.
    Fallback,
    /// To a tool.
    Tool,
    /// From a tool.
    ToolResult,
}

/// How a message is sent, and by which step of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// How it is sent.
    pub pattern: Pattern,
    /// The number of the step within the handler of the message that caused it.
    pub step: u32,
    /// Which recipient of that step, from 0.
    pub leg: u32,
}

impl Route {
    /// The request that a run begins with.
    pub(crate) const ROOT: Self = Self { pattern: Pattern::Root, step: 0, leg: 0 };
}

/// A step and its result.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        missing: Vec<Missing>,
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
    /// A wait, recorded when it begins.
    Sleep {
        /// When it ends.
        until: Timestamp,
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
    /// Content that was not stored.
    Refused {
        /// Why.
        failure: Failure,
    },
}

impl Call {
    /// The word for the call, as in the record.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ask { .. } => "ask",
            Self::Gather { .. } => "gather",
            Self::Now { .. } => "now",
            Self::Random { .. } => "random",
            Self::Sleep { .. } => "sleep",
            Self::Store { .. } | Self::Refused { .. } => "store",
        }
    }
}

/// How far a tool call is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// It is not called, since a budget has too little left for it.
    Unpaid {
        /// What it costs.
        price_minor: u64,
        /// What was left.
        left_minor: u64,
    },
    /// It is about to be called; durable before it is.
    Intent {
        /// The key that the tool gets with every attempt.
        key: String,
        /// Which attempt this is, from 1.
        attempt: u32,
    },
    /// It gave a result.
    Done {
        /// The message with the result.
        result: MessageId,
        /// How long it took in microseconds.
        duration_us: u64,
    },
    /// It did not happen.
    Failed {
        /// Why.
        reason: String,
    },
    /// Nobody here knows whether it happened.
    Unknown {
        /// Why not.
        reason: String,
    },
    /// A human has found out.
    Resolved {
        /// Whether it happened.
        happened: bool,
        /// What the human knows of the result.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        result: Value,
    },
}
