//! What counting needs of a record, read from its text with as little work as will do.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use uuid::Uuid;

use super::chain::Hash;
use super::record::Entry;
use super::steps::{Call, Pattern};
use crate::approval::ApprovalId;
use crate::clock::Timestamp;
use crate::ids::RunId;
use crate::label::Label;

/// The part of an entry that counting needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The run that the entry belongs to.
    pub run_id: RunId,
    /// What it means for the run.
    pub mark: Mark,
}

/// What an entry means for its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// The run starts.
    Started(Box<Asked>),
    /// A message.
    Message,
    /// The message that the run began with; content that came with it has no record of its own.
    Root(Box<Label>),
    /// Content was stored under a label.
    Stored(Box<(Hash, Label)>),
    /// A human is asked.
    Requested(ApprovalId),
    /// The run took note of a decision.
    Decided(ApprovalId),
    /// The run leaves the memory.
    Waiting,
    /// The run goes on, on this chain or another.
    Resumed {
        /// How many records it had before.
        records: u64,
        /// How many messages.
        messages: u64,
    },
    /// The run has its outcome.
    Outcome {
        /// The word for it.
        status: &'static str,
        /// When.
        at: Timestamp,
    },
    /// The run has its outcome, which was erased.
    ErasedOutcome,
    /// The last record.
    End {
        /// How many records the run has.
        records: u64,
        /// How many messages.
        messages: u64,
        /// When the run ended.
        at: Timestamp,
    },
    /// Anything else.
    Other,
}

/// Who asked whom, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The tenant of whoever asked.
    pub tenant: Arc<str>,
    /// Who asked.
    pub subject: Arc<str>,
    /// The agent that was asked.
    pub agent: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// The types of entries that only count as records, and whose run is their first field.
const UNCOUNTED: [&str; 7] =
    ["verdict", "step", "handled", "restarted", "dead_letter", "incident", "effect"];

/// The length of a UUID as it is written.
const HYPHENATED: usize = 36;

/// What may be a field that was read already, said again, or an escape that spells one. Within a
/// payload it means nothing, which only a parser can tell.
const AMBIGUOUS: [&str; 5] = [r#""type""#, r#""run_id""#, r#""message""#, r#""pattern""#, r"\u"];

/// The text from the id of the run in the entry of a message.
fn in_message(text: &str) -> Option<&str> {
    let (pattern, rest) = text.strip_prefix(r#","pattern":""#)?.split_once('"')?;
    // What a run begins with says more than that it is a message.
    if pattern == "root" || !pattern.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
        return None;
    }
    let rest = number(rest.strip_prefix(r#","step":"#)?)?;
    let rest = number(rest.strip_prefix(r#","leg":"#)?)?;
    let (_, rest) = rest.strip_prefix(r#","message":{"id":""#)?.split_at_checked(HYPHENATED)?;
    rest.strip_prefix(r#"","run_id":""#)
}

/// The text behind a number.
fn number(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    (rest.len() < text.len()).then_some(rest)
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    run_id: Option<RunId>,
    message: Option<InRun>,
}

/// A `message` is an object in the record of one and an id nowhere.
#[derive(Deserialize)]
struct InRun {
    run_id: RunId,
}

/// How a message was sent.
#[derive(Deserialize)]
struct Routed<'a> {
    #[serde(borrow)]
    pattern: Option<Cow<'a, str>>,
}

/// The message that a run begins with.
#[derive(Deserialize)]
struct Root {
    message: Labelled,
}

#[derive(Deserialize)]
struct Labelled {
    label: Label,
}

impl Facts {
    /// Reads the JSON text of an entry. Of one that begins as this program writes it, the rest is
    /// not parsed: that it is as it was written follows from its hash.
    ///
    /// # Errors
    /// What is wrong with it, in a clause.
    pub fn of(text: &str) -> Result<Self, String> {
        Self::at_a_glance(text).map_or_else(|| Self::parsed(text), Ok)
    }

    /// What the beginning of the text says, unless something behind it could say otherwise.
    fn at_a_glance(text: &str) -> Option<Self> {
        let (kind, rest) = text.strip_prefix(r#"{"type":""#)?.split_once('"')?;
        let (rest, mark) = match kind {
            "message" => (in_message(rest)?, Mark::Message),
            "step" if rest.contains(r#""store""#) => return None,
            kind if UNCOUNTED.contains(&kind) => {
                (rest.strip_prefix(r#","run_id":""#)?, Mark::Other)
            }
            _ => return None,
        };
        let (run_id, rest) = rest.split_at_checked(HYPHENATED)?;
        let rest = rest.strip_prefix("\",").filter(|rest| rest.ends_with('}'))?;
        if AMBIGUOUS.iter().any(|text| rest.contains(text)) {
            return None;
        }
        Some(Self { run_id: RunId(Uuid::try_parse(run_id).ok()?), mark })
    }

    fn parsed(text: &str) -> Result<Self, String> {
        let malformed =
            |error: serde_json::Error| format!("has a body that is not an entry: {error}");
        let head: Head<'_> = serde_json::from_str(text).map_err(malformed)?;
        if head.kind == "message" {
            let message = head.message.ok_or("belongs to no run")?;
            let Routed { pattern } = serde_json::from_str(text).map_err(malformed)?;
            let mark = if pattern.as_deref() == Some("root") {
                let root: Root = serde_json::from_str(text).map_err(malformed)?;
                Mark::Root(Box::new(root.message.label))
            } else {
                Mark::Message
            };
            return Ok(Self { run_id: message.run_id, mark });
        }
        let run_id = head.run_id.ok_or("belongs to no run")?;
        let mark = match &*head.kind {
            "run_started" | "run_waiting" | "run_resumed" | "outcome" | "run_end"
            | "approval_requested" | "approval_decided" => {
                Mark::of(&serde_json::from_str(text).map_err(malformed)?)
            }
            "step" if text.contains(r#""store""#) => {
                Mark::of(&serde_json::from_str(text).map_err(malformed)?)
            }
            _ => Mark::Other,
        };
        Ok(Self { run_id, mark })
    }

    /// The facts of an entry of this type whose text was erased.
    ///
    /// # Errors
    /// A type of which nothing is ever erased, in a clause.
    pub fn erased(run_id: RunId, kind: &str) -> Result<Self, String> {
        let mark = match kind {
            "message" => Mark::Message,
            "outcome" => Mark::ErasedOutcome,
            "run_started" | "run_waiting" | "run_resumed" | "run_end" => {
                return Err(format!("is erased and a `{kind}`, which never is"));
            }
            _ => Mark::Other,
        };
        Ok(Self { run_id, mark })
    }
}

impl Mark {
    fn of(entry: &Entry) -> Self {
        match entry {
            Entry::RunStarted { at, tenant, subject, agent, .. } => {
                Self::Started(Box::new(Asked {
                    tenant: tenant.clone(),
                    subject: subject.clone(),
                    agent: agent.clone(),
                    at: *at,
                }))
            }
            Entry::RunWaiting { .. } => Self::Waiting,
            Entry::RunResumed { records, messages, .. } => {
                Self::Resumed { records: *records, messages: *messages }
            }
            Entry::Outcome { outcome, at, .. } => Self::Outcome { status: outcome.name(), at: *at },
            Entry::RunEnd { records, messages, at, .. } => {
                Self::End { records: *records, messages: *messages, at: *at }
            }
            Entry::Message { route, message } if route.pattern == Pattern::Root => {
                Self::Root(Box::new(message.label().clone()))
            }
            Entry::Message { .. } => Self::Message,
            Entry::Step { call: Call::Store { blob, label, .. }, .. } => {
                Self::Stored(Box::new((*blob, Label::clone(label))))
            }
            Entry::ApprovalRequested { approval_id, .. } => Self::Requested(*approval_id),
            Entry::ApprovalDecided { approval_id, .. } => Self::Decided(*approval_id),
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests;
