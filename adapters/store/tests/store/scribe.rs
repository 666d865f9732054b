//! Writes records as the kernel does: sealed one after the other.

use std::collections::HashMap;
use std::sync::Arc;

use genie_core::Tenant;
use genie_core::clock::Timestamp;
use genie_core::ids::{MessageId, RunId};
use genie_core::journal::chain::{Hash, Head, seal};
use genie_core::journal::memory::MemoryJournal;
use genie_core::journal::restore::{Kept, Row, restore};
use genie_core::journal::{Entry, Error, Journal, Record, Text};
use genie_core::outcome::Outcome;
use genie_core::runs::MemoryRuns;
use uuid::Uuid;

/// The end of a chain, and how many records each run has.
pub(crate) struct Scribe {
    pub(crate) head: Head,
    numbers: HashMap<RunId, u64>,
}

pub(crate) fn run(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

impl Scribe {
    pub(crate) fn after(head: Head) -> Self {
        Self { head, numbers: HashMap::new() }
    }

    /// Takes note of what a run has on another chain.
    pub(crate) fn counted(mut self, run: RunId, records: u64) -> Self {
        self.numbers.insert(run, records);
        self
    }

    /// The record of this text, without taking its place in the chain.
    fn seal(&self, run: RunId, body: String) -> (Arc<Record>, String) {
        let (seq, prev_hash) = (self.head.seq + 1, self.head.hash);
        let hash = seal(seq, prev_hash, Hash::of(body.as_bytes()));
        let number = self.numbers.get(&run).copied().unwrap_or(0) + 1;
        let row = Row { seq, prev_hash, hash, number, body: Kept::Text(body.clone()) };
        (restore([row]).unwrap().remove(0), body)
    }

    /// Appends a text; the place in the chain is taken only if the journal takes the record.
    pub(crate) fn append_text(
        &mut self,
        journal: &dyn Journal,
        run: RunId,
        body: String,
    ) -> Result<u64, Error> {
        let (record, text) = self.seal(run, body);
        journal.append(std::slice::from_ref(&record), &[Text::of(text.as_bytes())])?;
        self.head = Head { seq: record.seq, hash: record.hash };
        self.numbers.insert(run, record.number);
        Ok(record.seq)
    }

    /// Appends entries at once, which thereby go into one group; gives each hash with its text.
    pub(crate) fn append_all(
        &mut self,
        journal: &dyn Journal,
        entries: &[Entry],
    ) -> Vec<(Hash, String)> {
        let mut sealed = Vec::new();
        for entry in entries {
            let (record, text) = self.seal(entry.run_id(), serde_json::to_string(entry).unwrap());
            self.head = Head { seq: record.seq, hash: record.hash };
            self.numbers.insert(entry.run_id(), record.number);
            sealed.push((record, text));
        }
        let records: Vec<Arc<Record>> = sealed.iter().map(|(record, _)| record.clone()).collect();
        let texts: Vec<_> = sealed.iter().map(|(_, text)| Text::of(text.as_bytes())).collect();
        journal.append(&records, &texts).unwrap();
        sealed.into_iter().map(|(record, text)| (record.hash, text)).collect()
    }

    pub(crate) fn append(&mut self, journal: &dyn Journal, entry: &Entry) -> Result<u64, Error> {
        let body = serde_json::to_string(entry).unwrap();
        self.append_text(journal, entry.run_id(), body)
    }
}

/// A tenant, as an operator names one.
pub(crate) fn tenant(name: &str) -> Tenant {
    let runs = MemoryRuns::over(Arc::new(MemoryJournal::keeping(1)));
    Tenant::of_operator(&runs, name)
}

pub(crate) fn started(run_id: RunId, tenant: &str) -> Entry {
    started_by(run_id, tenant, "asha")
}

pub(crate) fn started_by(run_id: RunId, tenant: &str, subject: &str) -> Entry {
    Entry::RunStarted {
        run_id,
        at: at(1_000),
        policy_set: "v1".into(),
        deadline: at(9_000),
        tenant: tenant.into(),
        subject: subject.into(),
        agent: "echo".into(),
        request_id: None,
    }
}

/// An entry that says something.
pub(crate) fn saying(run_id: RunId, reason: &str) -> Entry {
    let (message_id, reason) = (MessageId(run_id.0), reason.to_owned());
    Entry::DeadLetter { run_id, message_id, agent: "echo".into(), reason }
}

/// An entry of about so many bytes.
pub(crate) fn filler(run_id: RunId, bytes: usize) -> Entry {
    Entry::DeadLetter {
        run_id,
        message_id: MessageId(run_id.0),
        agent: "echo".into(),
        reason: "x".repeat(bytes),
    }
}

pub(crate) fn waiting(run_id: RunId, wake_at: i64) -> Entry {
    let (at, wake_at) = (at(2_000), at(wake_at));
    Entry::RunWaiting { run_id, at, wake_at, approvals: Vec::new(), gathers: Vec::new() }
}

pub(crate) fn resumed(run_id: RunId) -> Entry {
    Entry::RunResumed {
        run_id,
        at: at(3_000),
        policy_set: "v1".into(),
        deadline: at(9_000),
        records: 0,
        messages: 0,
    }
}

pub(crate) fn ended(run_id: RunId) -> Entry {
    let outcome = Arc::new(Outcome::Cancelled { reason: "enough".to_owned() });
    Entry::Outcome { run_id, at: at(4_000), outcome }
}

/// The text of a message record, as the kernel writes it, and of the verdict on it.
pub(crate) fn message_and_verdict(run: RunId) -> [String; 2] {
    let id = Uuid::from_u128(run.0.as_u128() + 1_000_000);
    let trace = "0123456789abcdef0123456789abcdef-0123456789abcdef";
    let message =
        format!(r#"{{"type":"message","pattern":"root","step":0,"leg":0,"message":{{"id":"{id}","#)
            + &format!(r#""run_id":"{run}","causation_id":null,"from":"user","to":"echo","#)
            + r#""kind":"question","payload":{"text":"ö\u0000"},"#
            + r#""principal":{"tenant":"acme","subject":"asha"},"#
            + r#""label":{"classification":"internal"},"#
            + r#""deadline":"2026-11-21T02:59:29.500000Z","#
            + r#""created_at":"2026-11-21T02:59:28.500000Z","#
            + &format!(r#""traceparent":"00-{trace}-01","hops":0}}}}"#);
    let verdict =
        format!(r#"{{"type":"verdict","run_id":"{run}","message_id":"{id}","decision":"allow","#)
            + r#""policy":"chain","policy_version":"v1","reason":""}"#;
    [message, verdict]
}
