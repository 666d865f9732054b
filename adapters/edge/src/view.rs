//! What callers are shown of records: those who may see only their own runs learn who said what to
//! whom, but read only what they sent and what they were sent.

use genie_core::approval::{Approval, Status};
use genie_core::clock::Timestamp;
use genie_core::journal::{Entry, Record};
use genie_core::message::USER;
use genie_core::outcome::Outcome;
use genie_core::principal::Identity;
use genie_core::tap::shown;
use serde_json::{Value, json};

use crate::rights;

/// How much of a run somebody sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Everything.
    All,
    /// Payloads only of what comes from or goes to whoever asked.
    Own,
}

impl Sight {
    pub(crate) fn of(identity: &Identity) -> Self {
        if rights::sees_all(identity) { Self::All } else { Self::Own }
    }

    /// The entry as this one sees it.
    pub(crate) fn entry(self, entry: &Entry, known: Option<&Outcome>) -> Value {
        let mut data = shown(entry, known);
        if self == Self::Own
            && let Entry::Verdict { message: Some(message), .. } = entry
            && message.from() != USER
            && message.to() != USER
            && let Some(fields) = data["message"].as_object_mut()
        {
            fields.remove("payload");
        }
        data
    }

    /// A message with its verdict, if that is what the record holds.
    pub(crate) fn message(self, record: &Record) -> Option<Value> {
        match &record.entry {
            Entry::Verdict { message: Some(_), .. } => Some(self.entry(&record.entry, None)),
            _ => None,
        }
    }
}

/// Whether an approval still waits: one whose time has passed does not, whether or not its run has
/// noticed.
pub(crate) fn waits(approval: &Approval, now: Timestamp) -> bool {
    approval.status == Status::Pending && now < approval.expires_at
}

/// An approval as it stands.
pub(crate) fn approval(approval: &Approval, now: Timestamp) -> Value {
    let mut object = json!(approval);
    if approval.status == Status::Pending && !waits(approval, now) {
        object["status"] = json!(Status::Expired.name());
    }
    object
}
