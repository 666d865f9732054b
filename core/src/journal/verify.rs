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
                "record {} stands where record {} belongs; some were inserted, dropped or swapped",
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::super::memory::MemoryJournal;
    use super::super::record::Entry;
    use super::super::steps::{Call, Route};
    use super::super::store::Journal;
    use super::super::writer::{Close, Tally, Writer};
    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::MessageId;
    use crate::outcome::Outcome;
    use crate::specimen::Specimen;
    use crate::tap::Taps;

    /// What a run records between its start and its end: any text in a message, or a step.
    #[derive(Debug, Clone)]
    enum Written {
        Message(String),
        Random(u64),
        Incident(String),
    }

    fn written() -> impl Strategy<Value = Vec<(usize, Written)>> {
        let entry = prop_oneof![
            any::<String>().prop_map(Written::Message),
            any::<u64>().prop_map(Written::Random),
            any::<String>().prop_map(Written::Incident),
        ];
        proptest::collection::vec((0_usize..3, entry), 0..12)
    }

    /// A journal of three runs, with these entries among them, as a file with its head.
    fn file(entries: &[(usize, Written)]) -> (Vec<u8>, Head) {
        let journal = Arc::new(MemoryJournal::keeping(1_000));
        let writer = Writer::new(journal.clone(), Taps::new(1));
        let at = Timestamp::from_micros(1_700_000_000_000_000);
        let runs: Vec<(RunId, Tally)> =
            (1..=3).map(|run| (RunId(Uuid::from_u128(run)), Tally::default())).collect();
        for (run_id, tally) in &runs {
            let start = Entry::RunStarted {
                run_id: *run_id,
                at,
                policy_set: "0123456789ab".into(),
                deadline: at,
                tenant: "t".into(),
                subject: "s".into(),
                agent: "a".into(),
            };
            writer.append(tally, [start]).unwrap();
        }
        for (run, entry) in entries {
            let (run_id, tally) = &runs[*run];
            let cause = MessageId(Uuid::from_u128(7));
            let entry = match entry {
                Written::Message(text) => {
                    let payload = serde_json::json!({ "text": text });
                    let mut message = Specimen::new("k", "a", payload).message().unwrap();
                    message.run_id = *run_id;
                    Entry::Message { route: Route::ROOT, message: Arc::new(message) }
                }
                Written::Random(value) => {
                    let call = Call::Random { value: format!("{value:016x}") };
                    Entry::Step { run_id: *run_id, cause, number: 0, agent: "a".into(), call }
                }
                Written::Incident(reason) => Entry::DeadLetter {
                    run_id: *run_id,
                    message_id: cause,
                    agent: "a".into(),
                    reason: reason.clone(),
                },
            };
            writer.append(tally, [entry]).unwrap();
        }
        for (run_id, tally) in &runs {
            let outcome = Arc::new(Outcome::Cancelled { reason: "at the end".into() });
            let close = Close { run_id: *run_id, at, outcome, duration_us: 0 };
            writer.close(tally, close).unwrap();
        }
        let records = futures::executor::block_on(journal.read(0, usize::MAX)).unwrap();
        let mut file = Vec::new();
        for record in records {
            lines::write(&record, &mut file).unwrap();
        }
        (file, writer.head())
    }

    fn some_entries() -> Vec<(usize, Written)> {
        vec![
            (0, Written::Message("first \u{1f9de} \"quoted\"".into())),
            (1, Written::Random(7)),
            (0, Written::Incident("reason".into())),
        ]
    }

    fn lines_of(file: &[u8]) -> Vec<Vec<u8>> {
        file.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    /// The record at which a tampered file is found out.
    fn found(lines: &[Vec<u8>], head: Head) -> Option<u64> {
        verify(lines.concat().as_slice(), Some(head)).err().map(|fault| fault.record)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_is_recorded_verifies(entries in written()) {
            let (file, head) = file(&entries);
            let report = verify(file.as_slice(), Some(head)).unwrap();
            prop_assert_eq!(report, Report { records: 9 + entries.len() as u64, runs: 3, head });
        }

        #[test]
        fn any_changed_byte_is_found_at_its_record(
            entries in written(), at in any::<proptest::sample::Index>(), change in 1_u8..,
        ) {
            let (mut file, head) = file(&entries);
            let at = at.index(file.len());
            let record = file[..at].split(|byte| *byte == b'\n').count() as u64;
            file[at] ^= change;
            let fault = verify(file.as_slice(), Some(head)).unwrap_err();
            prop_assert_eq!(fault.record, record, "{}", fault);
        }
    }

    #[test]
    fn every_single_flipped_bit_is_found_at_its_record() {
        let (original, head) = file(&some_entries());
        let mut file = original.clone();
        let mut record = 1;
        for at in 0..original.len() {
            file[at] ^= 1 << (at % 8);
            let fault = verify(file.as_slice(), Some(head)).unwrap_err();
            assert_eq!(fault.record, record, "byte {at}: {fault}");
            file[at] = original[at];
            record += u64::from(original[at] == b'\n');
        }
    }

    #[test]
    fn a_dropped_swapped_or_inserted_record_is_found_where_it_is() {
        let (original, head) = file(&some_entries());
        let lines = lines_of(&original);
        for at in 0..lines.len() {
            let expected = Some(at as u64 + 1);
            let mut dropped = lines.clone();
            dropped.remove(at);
            assert_eq!(found(&dropped, head), expected, "without record {}", at + 1);
            for other in at + 1..lines.len() {
                let mut swapped = lines.clone();
                swapped.swap(at, other);
                assert_eq!(found(&swapped, head), expected, "{} and {}", at + 1, other + 1);
            }
            for copied in &lines {
                let mut inserted = lines.clone();
                inserted.insert(at, copied.clone());
                let at = if *copied == lines[at] { at + 1 } else { at };
                assert_eq!(found(&inserted, head), Some(at as u64 + 1));
            }
        }
    }

    #[test]
    fn a_truncation_is_found_at_the_first_missing_record_with_or_without_a_head() {
        let (original, head) = file(&some_entries());
        let mut whole_lines = 0;
        for length in 0..original.len() {
            let cut = &original[..length];
            assert_eq!(verify(cut, Some(head)).unwrap_err().record, whole_lines + 1, "{length}");
            // All runs end at the end of this file, so no cut leaves only whole runs.
            assert_eq!(verify(cut, None).unwrap_err().record, whole_lines + 1, "{length}");
            whole_lines += u64::from(original[length] == b'\n');
        }
    }

    /// A forger who recomputes every hash still has to make the runs' counts right.
    #[test]
    fn a_left_out_record_with_recomputed_hashes_is_found_at_the_end_of_its_run() {
        let (original, _) = file(&some_entries());
        let forged = |left_out: usize| {
            let mut head = Head::EMPTY;
            let mut file = Vec::new();
            for (number, line) in lines_of(&original).iter().enumerate() {
                if number == left_out {
                    continue;
                }
                let line: Line<'_> = serde_json::from_slice(line).unwrap();
                let seq = head.seq + 1;
                let hash = seal(seq, head.hash, Hash::of(line.body.get().as_bytes()));
                file.extend(lines::render(seq, head.hash, hash, line.body).into_bytes());
                file.push(b'\n');
                head = Head { seq, hash };
            }
            verify(file.as_slice(), None)
        };
        for left_out in 0..lines_of(&original).len() {
            assert!(forged(left_out).is_err(), "record {} was left out", left_out + 1);
        }
        assert!(forged(usize::MAX).is_ok());
    }
}
