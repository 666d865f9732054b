//! A message for inspection only: policies can judge it, nothing can send it.
//!
//! Dry runs, rule cases and policy tests need messages that no run has produced. A specimen's
//! principal belongs to no kernel, so every kernel refuses it at the door.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::{MessageId, RunId};
use crate::label::Label;
use crate::message::{Message, USER};
use crate::payload::{Body, Error};
use crate::principal::{Authority, Identity};

/// The realm that no kernel has.
pub(crate) const NOWHERE: u64 = 0;

/// The description of a message, as a case file or a dry-run request gives it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Specimen {
    /// The kind.
    pub kind: String,
    /// The sender; [`USER`] if absent.
    #[serde(default = "user")]
    pub from: String,
    /// The recipient.
    pub to: String,
    /// The payload; an empty object if absent.
    #[serde(default = "empty")]
    pub payload: Value,
    /// Who asks.
    #[serde(default)]
    pub principal: Identity,
    /// How sensitive it is.
    #[serde(default)]
    pub label: Label,
    /// How many messages led to it.
    #[serde(default)]
    pub hops: u16,
}

impl Specimen {
    /// A specimen of `kind` from the user to `to`.
    #[must_use]
    pub fn new(kind: &str, to: &str, payload: Value) -> Self {
        Self {
            kind: kind.to_owned(),
            from: user(),
            to: to.to_owned(),
            payload,
            principal: Identity::default(),
            label: Label::default(),
            hops: 0,
        }
    }

    /// The message that the specimen describes.
    pub fn message(&self) -> Result<Message, Error> {
        let origin = Timestamp::from_micros(0);
        Ok(Message {
            id: MessageId(Uuid::nil()),
            run_id: RunId(Uuid::nil()),
            causation_id: None,
            from: self.from.as_str().into(),
            to: self.to.as_str().into(),
            kind: self.kind.as_str().into(),
            payload: Body::from_value(&self.kind, &self.payload)?,
            principal: Authority::new(NOWHERE).admit(self.principal.clone()),
            label: Arc::new(self.label.clone()),
            deadline: origin,
            created_at: origin,
            trace_id: 0,
            hops: self.hops,
        })
    }
}

fn user() -> String {
    USER.to_owned()
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}
