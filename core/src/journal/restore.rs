//! Reads records back from a store and checks each as it does.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::chain::{Hash, seal};
use super::record::{Entry, Record};
use super::steps::{Pattern, Route};
use crate::clock::Timestamp;
use crate::ids::{MessageId, RunId};
use crate::label::Label;
use crate::message::Message;
use crate::outcome::Outcome;
use crate::payload::Body;
use crate::principal::{Authority, Identity};
use crate::specimen::NOWHERE;

/// A record as a store keeps it.
#[derive(Debug, Clone)]
pub struct Row {
    /// Position in the chain.
    pub seq: u64,
    /// The hash of the record before.
    pub prev_hash: Hash,
    /// The hash of this record.
    pub hash: Hash,
    /// Position within the run.
    pub number: u64,
    /// The JSON text of the entry, or what has become of it.
    pub body: Kept,
}

/// What a store has of the text of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// The text.
    Text(String),
    /// It was erased with the key of its subject, which is on record.
    Erased {
        /// The run that the record is filed under.
        run_id: RunId,
        /// The type of the entry.
        kind: Arc<str>,
        /// SHA-256 of the text.
        body_sha256: Hash,
    },
    /// It cannot be had, and no erasure is on record: why, in a clause.
    Broken(String),
}

/// A stored record that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {seq} is not as it was written: {problem}; run `genie audit verify`")]
pub struct Corrupt {
    /// The record.
    pub seq: u64,
    /// What is wrong with it.
    pub problem: String,
}

/// The entry of a message, by itself: raw JSON does not pass through tagged enums.
#[derive(Deserialize)]
struct Sent {
    pattern: Pattern,
    step: u32,
    leg: u32,
    message: Wire,
}

#[derive(Deserialize)]
struct Wire {
    id: MessageId,
    run_id: RunId,
    causation_id: Option<MessageId>,
    from: Arc<str>,
    to: Arc<str>,
    kind: Arc<str>,
    payload: Box<RawValue>,
    principal: Identity,
    label: Arc<Label>,
    deadline: Timestamp,
    created_at: Timestamp,
    traceparent: String,
    hops: u16,
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
}

/// Reads rows in the order of their chain or run; each must give its own hash.
///
/// The principals of the messages belong to no kernel, as those of a specimen do.
///
/// # Errors
/// The first record that is not as it was written.
pub fn restore(rows: impl IntoIterator<Item = Row>) -> Result<Vec<Arc<Record>>, Corrupt> {
    let mut records: Vec<Arc<Record>> = Vec::new();
    for row in rows {
        let mut entry = checked(&row)?;
        if let Entry::Verdict { message_id, message, .. } = &mut entry {
            let before = records.last().map(|record| &record.entry);
            if let Some(Entry::Message { message: judged, .. }) = before {
                *message = (judged.id() == *message_id).then(|| judged.clone());
            }
        }
        let Row { seq, prev_hash, hash, number, body } = row;
        let text = match body {
            Kept::Text(text) => Some(text.into_boxed_str()),
            Kept::Erased { .. } | Kept::Broken(_) => None,
        };
        records.push(Arc::new(Record { seq, prev_hash, hash, number, entry, text }));
    }
    Ok(records)
}

fn checked(row: &Row) -> Result<Entry, Corrupt> {
    let corrupt = |problem: String| Corrupt { seq: row.seq, problem };
    let body_sha256 = match &row.body {
        Kept::Text(text) => Hash::of(text.as_bytes()),
        Kept::Erased { body_sha256, .. } => *body_sha256,
        Kept::Broken(problem) => return Err(corrupt(problem.clone())),
    };
    if seal(row.seq, row.prev_hash, body_sha256) != row.hash {
        return Err(corrupt("its content does not give its hash".to_owned()));
    }
    match &row.body {
        Kept::Text(text) => entry_of(text).map_err(|error| corrupt(error.to_string())),
        Kept::Erased { run_id, kind, body_sha256 } => {
            let (run_id, kind, body_sha256) = (*run_id, kind.clone(), *body_sha256);
            Ok(Entry::Erased { run_id, kind, body_sha256 })
        }
        Kept::Broken(problem) => Err(corrupt(problem.clone())),
    }
}

/// Reads the JSON text of an entry.
///
/// # Errors
/// A text that is none.
pub fn entry_of(text: &str) -> Result<Entry, serde_json::Error> {
    let tag: Tag<'_> = serde_json::from_str(text)?;
    if tag.kind != "message" {
        return serde_json::from_str(text);
    }
    let Sent { pattern, step, leg, message } = serde_json::from_str(text)?;
    let route = Route { pattern, step, leg };
    Ok(Entry::Message { route, message: Arc::new(message.restored()?) })
}

/// Reads back what an observer was shown of an entry, see [`crate::tap::shown`]: with the message
/// of a verdict and the answer of an outcome. A payload that the observer was not shown is null.
///
/// # Errors
/// What is no entry that this program knows.
pub fn entry_shown(data: &Value) -> Result<Entry, serde_json::Error> {
    if let Ok(Gone { kind, run_id, body_sha256 }) = Gone::deserialize(data) {
        return Ok(Entry::Erased { run_id, kind, body_sha256 });
    }
    let mut entry = Entry::deserialize(data)?;
    match &mut entry {
        Entry::Verdict { message, .. } if data["message"].is_object() => {
            let mut shown = data["message"].clone();
            if shown.get("payload").is_none() {
                shown["payload"] = Value::Null;
            }
            // Through its text, since raw JSON is part of it.
            let wire: Wire = serde_json::from_str(&shown.to_string())?;
            *message = Some(Arc::new(wire.restored()?));
        }
        Entry::Outcome { outcome, .. } => {
            if let Outcome::Completed { kind, answer, .. } = Arc::make_mut(outcome) {
                *answer = Body::from_value(kind, &data["answer"]).unwrap_or_default();
            }
        }
        _ => {}
    }
    Ok(entry)
}

/// What is shown of an entry that was erased.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Gone {
    #[serde(rename = "type")]
    kind: Arc<str>,
    run_id: RunId,
    body_sha256: Hash,
}

impl Wire {
    fn restored(self) -> Result<Message, serde_json::Error> {
        let trace_id = self.traceparent.get(3..35);
        let trace_id = trace_id.and_then(|digits| u128::from_str_radix(digits, 16).ok());
        Ok(Message {
            id: self.id,
            run_id: self.run_id,
            causation_id: self.causation_id,
            from: self.from,
            to: self.to,
            kind: self.kind,
            payload: Body::restored(self.payload),
            principal: Authority::new(NOWHERE).admit(self.principal),
            label: self.label,
            deadline: self.deadline,
            created_at: self.created_at,
            trace_id: trace_id
                .ok_or_else(|| serde::de::Error::custom("`traceparent` has no trace id"))?,
            hops: self.hops,
        })
    }
}
