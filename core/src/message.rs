//! The message: an immutable envelope that every hop shares.
//!
//! Nobody outside this crate can build or change one. An agent gives kind, payload and recipient;
//! the bus stamps the rest, so that `from`, `principal` and `label` are always true.

use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::clock::Timestamp;
use crate::ids::{MessageId, RunId};
use crate::label::Label;
use crate::payload::{Body, Error as PayloadError, Payload};
use crate::principal::Principal;

/// The address of whoever asked: the edge, in the name of the principal.
pub const USER: &str = "user";

/// An immutable message. Cloned by reference count only.
#[derive(Debug, Clone)]
pub struct Message {
    pub(crate) id: MessageId,
    pub(crate) run_id: RunId,
    pub(crate) causation_id: Option<MessageId>,
    pub(crate) from: Arc<str>,
    pub(crate) to: Arc<str>,
    pub(crate) kind: Arc<str>,
    pub(crate) payload: Body,
    pub(crate) principal: Principal,
    pub(crate) label: Arc<Label>,
    pub(crate) deadline: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) trace_id: u128,
    pub(crate) hops: u16,
}

impl Message {
    /// The id of this message.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// The run that this message belongs to.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        self.run_id
    }

    /// The message that caused this one; `None` for the root of a run.
    #[must_use]
    pub fn causation_id(&self) -> Option<MessageId> {
        self.causation_id
    }

    /// Who sent it: an agent id or [`USER`].
    #[must_use]
    pub fn from(&self) -> &str {
        &self.from
    }

    /// Who gets it: an agent id or [`USER`].
    #[must_use]
    pub fn to(&self) -> &str {
        &self.to
    }

    /// The kind, e.g. `analysis.result`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &Body {
        &self.payload
    }

    /// The payload read as `T`.
    pub fn decode<T: Payload>(&self) -> Result<T, PayloadError> {
        self.payload.decode()
    }

    /// Who asked, sealed.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// How sensitive the message is.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// When an answer is no longer of use.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// When the bus stamped it.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// How many messages led to this one within the run; 0 for the root.
    #[must_use]
    pub fn hops(&self) -> u16 {
        self.hops
    }

    /// The W3C trace context: the run's trace with this message as parent span.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let span = self.id.0.as_u64_pair().1;
        format!("00-{:032x}-{span:016x}-01", self.trace_id)
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Message", 13)?;
        fields.serialize_field("id", &self.id)?;
        fields.serialize_field("run_id", &self.run_id)?;
        fields.serialize_field("causation_id", &self.causation_id)?;
        fields.serialize_field("from", &*self.from)?;
        fields.serialize_field("to", &*self.to)?;
        fields.serialize_field("kind", &*self.kind)?;
        fields.serialize_field("payload", &self.payload)?;
        fields.serialize_field("principal", &self.principal)?;
        fields.serialize_field("label", &*self.label)?;
        fields.serialize_field("deadline", &self.deadline)?;
        fields.serialize_field("created_at", &self.created_at)?;
        fields.serialize_field("traceparent", &self.traceparent())?;
        fields.serialize_field("hops", &self.hops)?;
        fields.end()
    }
}
