//! Verification of a journal file: finds the first record that is not as it was written.
//!
//! Detects edits, insertions, deletions and swaps by the chain; left-out records of a run by its
//! end record; a truncation by a missing end record or by a head that was kept elsewhere.
//! It does not judge what the records say, and a complete rewrite with recomputed hashes is only
//! seen against a kept head.

use std::collections::HashMap;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::chain::{Hash, Head, seal};
use super::lines;
use crate::ids::RunId;

/// Longest line that is read; a record is bounded by the payload limit, this by memory.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// The first thing that is wrong with a journal file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {record} (line {line}): {problem}")]
pub struct Fault {
    /// The line, counted from 1.
    pub line: u64,
    /// The number that the record there should have.
    pub record: u64,
    /// What is wrong, in a clause.
    pub problem: String,
}

/// What a sound journal file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// How many records.
    pub records: u64,
    /// How many runs, all ended.
    pub runs: u64,
    /// The end of the chain.
    pub head: Head,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    seq: u64,
    prev_hash: Hash,
    hash: Hash,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// The part of a body that counting needs.
#[derive(Deserialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    run_id: Option<RunId>,
    message: Option<InRun>,
    records: Option<u64>,
    messages: Option<u64>,
}

#[derive(Deserialize)]
struct InRun {
    run_id: RunId,
}

#[derive(Default)]
struct Counted {
    records: u64,
    messages: u64,
    outcomes: u64,
    ended: bool,
}

/// Reads a journal file and checks every record; `kept` is a head noted down earlier.
///
/// # Errors
/// The first [`Fault`].
pub fn verify(mut input: impl BufRead, kept: Option<Head>) -> Result<Report, Fault> {
    let mut checker = Checker::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = std::io::Read::take(&mut input, LINE_BYTES_MAX);
        let read = bounded.read_until(b'\n', &mut line);
        let count = read.map_err(|error| checker.fault(format!("cannot be read: {error}")))?;
        if count == 0 {
            return checker.finish(kept);
        }
        checker.line(&line, kept)?;
    }
}

#[derive(Default)]
struct Checker {
    lines: u64,
    head: Option<Head>,
    runs: HashMap<RunId, Counted>,
}

impl Checker {
    fn head(&self) -> Head {
        self.head.unwrap_or(Head::EMPTY)
    }

    fn fault(&self, problem: impl Into<String>) -> Fault {
        Fault { line: self.lines.max(1), record: self.head().seq + 1, problem: problem.into() }
    }

    fn line(&mut self, bytes: &[u8], kept: Option<Head>) -> Result<(), Fault> {
        self.lines += 1;
        let Some(text) = bytes.strip_suffix(b"\n") else {
            return Err(self.fault("the line is cut off; the file was truncated here"));
        };
        let text = std::str::from_utf8(text).map_err(|_| self.fault("is not UTF-8 text"))?;
        let line: Line<'_> = serde_json::from_str(text)
            .map_err(|error| self.fault(format!("is not a journal record: {error}")))?;
        let head = self.head();
        if line.seq != head.seq + 1 {
            let problem = format!(
                "record {} stands where record {} belongs; records were inserted, dropped or swapped",
                line.seq,
                head.seq + 1
            );
            return Err(self.fault(problem));
        }
        if line.prev_hash != head.hash {
            return Err(self.fault("does not follow the record before it: `prev_hash` differs"));
        }
        if seal(line.seq, line.prev_hash, Hash::of(line.body.get().as_bytes())) != line.hash {
            return Err(self.fault("was changed: its content does not give its `hash`"));
        }
        if lines::render(line.seq, line.prev_hash, line.hash, line.body) != text {
            return Err(self.fault("was changed: it is not written as a record is"));
        }
        self.count(line.body)?;
        self.head = Some(Head { seq: line.seq, hash: line.hash });
        match kept {
            Some(kept) if kept.seq == line.seq && kept.hash != line.hash => {
                self.head = Some(head);
                Err(self.fault("differs from the head that was kept: the journal was rewritten"))
            }
            _ => Ok(()),
        }
    }

    /// Counts the record for its run and compares at the run's end.
    fn count(&mut self, body: &RawValue) -> Result<(), Fault> {
        let body: Body = serde_json::from_str(body.get())
            .map_err(|error| self.fault(format!("has a body that is not an entry: {error}")))?;
        let run_id = body.message.map(|message| message.run_id).or(body.run_id);
        let Some(run_id) = run_id else {
            return Err(self.fault("belongs to no run"));
        };
        let starts = body.kind == "run_started";
        if starts == self.runs.contains_key(&run_id) {
            let problem =
                if starts { "starts a run twice" } else { "comes before its run started" };
            return Err(self.fault(problem));
        }
        let counted = self.runs.entry(run_id).or_default();
        let after_end = counted.ended;
        counted.records += 1;
        counted.messages += u64::from(body.kind == "message");
        counted.outcomes += u64::from(body.kind == "outcome");
        counted.ended = body.kind == "run_end";
        let Counted { records, messages, outcomes, ended } = *counted;
        if after_end {
            return Err(self.fault(format!("follows the end record of run {run_id}")));
        }
        if ended && body.records != Some(records) {
            return Err(self.fault(format!(
                "run {run_id} ends with {} records, {records} are here",
                body.records.unwrap_or(0)
            )));
        }
        if ended && body.messages != Some(messages) {
            return Err(self.fault(format!(
                "run {run_id} ends with {} messages, {messages} are here",
                body.messages.unwrap_or(0)
            )));
        }
        if ended && outcomes != 1 {
            return Err(self.fault(format!("run {run_id} has {outcomes} outcomes instead of one")));
        }
        Ok(())
    }

    fn finish(mut self, kept: Option<Head>) -> Result<Report, Fault> {
        self.lines += 1;
        let head = self.head();
        if head == Head::EMPTY {
            return Err(self.fault("the file holds no record"));
        }
        let open = self.runs.iter().filter(|(_, counted)| !counted.ended);
        if let Some((run_id, counted)) = open.min_by_key(|(run_id, _)| **run_id) {
            return Err(self.fault(format!(
                "is missing: run {run_id} has {} records and no end record; the file was cut off, \
                 or written while the run went on",
                counted.records
            )));
        }
        if let Some(kept) = kept.filter(|kept| kept.seq > head.seq) {
            return Err(self.fault(format!(
                "is missing: the head that was kept is record {}; the file was cut off",
                kept.seq
            )));
        }
        Ok(Report { records: head.seq, runs: self.runs.len() as u64, head })
    }
}
