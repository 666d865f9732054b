//! Verification of a journal file: finds the first record that is not as it was written.
//!
//! Detects edits, insertions, deletions and swaps by the chain; left-out records of a run by its
//! end record; a truncation by a missing end record or by a head that was kept elsewhere.
//! It does not judge what the records say, and a complete rewrite with recomputed hashes is only
//! seen against a kept head.
//!
//! A run without an end record counts as cut off, unless it waits, unless the last record of the
//! file is the kept head, or unless it began before the file does. A file may begin later than its
//! chain, where a run starts or goes on.

use std::io::BufRead;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::census::{Census, Facts, Mark, Place};
use super::chain::{Hash, Head, seal};
use super::lines;

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
    /// How many runs.
    pub runs: u64,
    /// How many of them have not ended.
    pub open: u64,
    /// How many records were erased: their hashes are checked, their texts are gone.
    pub erased: u64,
    /// How many records of other runs are left out, as far as the file says.
    pub left_out: u64,
    /// The number of the first record.
    pub first: u64,
    /// The end of the chain, or of the last one.
    pub head: Head,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    seq: u64,
    prev_hash: Hash,
    hash: Hash,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
    #[serde(default)]
    erased: Option<lines::Erased>,
}

impl Line<'_> {
    /// SHA-256 of the entry's text, and what counting needs of it.
    fn body(&self) -> Result<(Hash, Result<Facts, String>), &'static str> {
        match (self.body, &self.erased) {
            (Some(body), None) => Ok((Hash::of(body.get().as_bytes()), Facts::of(body.get()))),
            (None, Some(erased)) => {
                Ok((erased.body_sha256, Facts::erased(erased.run_id, &erased.kind)))
            }
            _ => Err("is not a journal record: it has neither `body` nor `erased`, or both"),
        }
    }

    /// The line as it must be written.
    fn rendered(&self) -> Option<String> {
        let Self { seq, prev_hash, hash, .. } = *self;
        match (self.body, &self.erased) {
            (Some(body), _) => Some(lines::render(seq, prev_hash, hash, body)),
            (None, Some(erased)) => lines::render_erased(seq, prev_hash, hash, erased).ok(),
            (None, None) => None,
        }
    }
}

/// A line that names a record which is left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    after: Before,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    chain: i64,
    seq: u64,
    hash: Hash,
}

/// Reads a journal file and checks every record; `kept` is a head noted down earlier.
///
/// # Errors
/// The first [`Fault`].
pub fn verify(mut input: impl BufRead, kept: Option<Head>) -> Result<Report, Fault> {
    let mut checker = Checker {
        lines: 0,
        records: 0,
        erased: 0,
        left_out: 0,
        first: None,
        chain: 1,
        head: None,
        census: Census::default(),
    };
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

struct Checker {
    lines: u64,
    records: u64,
    erased: u64,
    left_out: u64,
    first: Option<u64>,
    chain: i64,
    head: Option<Head>,
    census: Census,
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
        if text.starts_with("{\"after\"") {
            return self.after(text);
        }
        let line: Line<'_> = serde_json::from_str(text)
            .map_err(|error| self.fault(format!("is not a journal record: {error}")))?;
        let (body_sha256, facts) = line.body().map_err(|problem| self.fault(problem))?;
        self.begin(&line, facts.as_ref().ok().map(|facts| &facts.mark));
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
        if seal(line.seq, line.prev_hash, body_sha256) != line.hash {
            return Err(self.fault("was changed: its content does not give its `hash`"));
        }
        if line.rendered().as_deref() != Some(text) {
            return Err(self.fault("was changed: it is not written as a record is"));
        }
        let facts = facts.map_err(|problem| self.fault(problem))?;
        let place = Place { chain: self.chain, seq: line.seq };
        self.census.count(place, facts).map_err(|problem| self.fault(problem))?;
        self.records += 1;
        self.erased += u64::from(line.erased.is_some());
        self.first.get_or_insert(line.seq);
        self.head = Some(Head { seq: line.seq, hash: line.hash });
        match kept {
            Some(kept) if kept.seq == line.seq && kept.hash != line.hash => {
                self.head = Some(head);
                Err(self.fault("differs from the head that was kept: the journal was rewritten"))
            }
            _ => Ok(()),
        }
    }

    /// Lets a file begin later than its chain, where a run starts or goes on.
    fn begin(&mut self, line: &Line<'_>, mark: Option<&Mark>) {
        let begins = matches!(mark, Some(Mark::Started(_) | Mark::Resumed { .. }));
        if self.head.is_none() && line.seq > 1 && begins {
            self.census.begins_later = true;
            self.head = Some(Head { seq: line.seq - 1, hash: line.prev_hash });
        }
    }

    /// Notes that what comes next follows a record that is left out.
    fn after(&mut self, text: &str) -> Result<(), Fault> {
        let read: After = serde_json::from_str(text)
            .map_err(|error| self.fault(format!("is not a journal record: {error}")))?;
        let Before { chain, seq, hash } = read.after;
        let next = Head { seq, hash };
        if lines::render_after(chain, next) != text {
            return Err(self.fault("was changed: it is not written as a record is"));
        }
        let before = self.head();
        if chain == self.chain && seq <= before.seq {
            return Err(self.fault(format!("leaves out records up to {seq}, which came before")));
        }
        if chain == self.chain {
            self.left_out += seq - before.seq;
        }
        self.chain = chain;
        self.head = Some(next);
        Ok(())
    }

    fn finish(mut self, kept: Option<Head>) -> Result<Report, Fault> {
        self.lines += 1;
        let head = self.head();
        let Some(first) = self.first else {
            return Err(self.fault("the file holds no record"));
        };
        self.census.whole().map_err(|incomplete| Fault {
            record: incomplete.place.map_or(head.seq, |place| place.seq),
            ..self.fault(incomplete.to_string())
        })?;
        let open = self.census.open();
        let cut = |(run_id, status, _): &&(_, &str, _)| {
            *status != "waiting" && !self.census.began_earlier(*run_id)
        };
        if kept != Some(head)
            && let Some((run_id, _, records)) = open.iter().find(cut)
        {
            return Err(self.fault(format!(
                "is missing: run {run_id} has {records} records and no end record; the file was \
                 cut off, or written while the run went on"
            )));
        }
        if let Some(kept) = kept.filter(|kept| kept.seq > head.seq) {
            return Err(self.fault(format!(
                "is missing: the head that was kept is record {}; the file was cut off",
                kept.seq
            )));
        }
        let (records, erased, left_out) = (self.records, self.erased, self.left_out);
        let (runs, open) = (self.census.runs(), open.len() as u64);
        Ok(Report { records, runs, open, erased, left_out, first, head })
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
    use crate::ids::{MessageId, RunId};
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
                request_id: None,
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
            let records = 9 + entries.len() as u64;
            let (runs, open, erased, left_out, first) = (3, 0, 0, 0, 1);
            let expected = Report { records, runs, open, erased, left_out, first, head };
            prop_assert_eq!(report, expected);
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
        // A file may begin where a run starts, and says so.
        assert_eq!(verify(lines[1..].concat().as_slice(), Some(head)).unwrap().first, 2);
        for at in 1..lines.len() {
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
                let hash = seal(seq, head.hash, Hash::of(line.body.unwrap().get().as_bytes()));
                file.extend(lines::render(seq, head.hash, hash, line.body.unwrap()).into_bytes());
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

    /// The lines again, in a file that leaves out some of them and says which.
    fn without(original: &[u8], left_out: std::ops::Range<usize>) -> Vec<u8> {
        let lines = lines_of(original);
        let mut file = lines[..left_out.start].concat();
        let last: Line<'_> = serde_json::from_slice(&lines[left_out.end - 1]).unwrap();
        lines::write_after(1, Head { seq: last.seq, hash: last.hash }, &mut file).unwrap();
        file.extend(lines[left_out.end..].concat());
        file
    }

    #[test]
    fn other_runs_may_be_left_out_and_the_records_of_a_run_may_not() {
        // Records 1 to 3 start the runs, 4 and 6 are of the first run, 5 is of the second; from 7
        // on each run has its outcome and its end.
        let (original, head) = file(&some_entries());
        let rest = verify(without(&original, 6..7).as_slice(), Some(head)).unwrap_err();
        assert!(rest.problem.contains("has 0 outcomes"), "{rest}");
        let rest = verify(without(&original, 3..4).as_slice(), Some(head)).unwrap_err();
        assert!(rest.problem.contains("ends with 5 records, 4 are here"), "{rest}");
        let lines = lines_of(&original);
        let mut alone = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let read: Line<'_> = serde_json::from_slice(line).unwrap();
            if read.body.unwrap().get().contains(&Uuid::from_u128(3).to_string()) {
                let before: Line<'_> = serde_json::from_slice(&lines[at - 1]).unwrap();
                let before = Head { seq: before.seq, hash: before.hash };
                lines::write_after(1, before, &mut alone).unwrap();
                alone.extend(line);
            }
        }
        // Two markers for the start and the outcome; that before the end leaves nothing out.
        let fault = verify(alone.as_slice(), None).unwrap_err();
        assert!(fault.problem.contains("which came before"), "{fault}");
        let alone: Vec<Vec<u8>> = lines_of(&alone)
            .into_iter()
            .enumerate()
            .filter(|(at, _)| *at != 4)
            .map(|(_, line)| line)
            .collect();
        let report = verify(alone.concat().as_slice(), None).unwrap();
        assert_eq!((report.records, report.runs, report.left_out), (3, 1, 9));
    }

    #[test]
    fn a_run_that_goes_on_elsewhere_is_counted_over_both_chains() {
        let run = "018bcfe5-6800-7000-8000-000000000001";
        let at = "2023-11-14T22:13:20.000000Z";
        let start = format!(
            "{{\"type\":\"run_started\",\"run_id\":\"{run}\",\"at\":\"{at}\",\"policy_set\":\"p\",\
             \"deadline\":\"{at}\",\"tenant\":\"t\",\"subject\":\"s\",\"agent\":\"a\"}}"
        );
        let waiting = format!(
            "{{\"type\":\"run_waiting\",\"run_id\":\"{run}\",\"at\":\"{at}\",\"wake_at\":\"{at}\"}}"
        );
        let resumed = |records: u64| {
            format!(
                "{{\"type\":\"run_resumed\",\"run_id\":\"{run}\",\"at\":\"{at}\",\
                 \"policy_set\":\"p\",\"deadline\":\"{at}\",\"records\":{records},\"messages\":0}}"
            )
        };
        let outcome = format!(
            "{{\"type\":\"outcome\",\"run_id\":\"{run}\",\"at\":\"{at}\",\
             \"outcome\":\"cancelled\",\"reason\":\"r\"}}"
        );
        let end = |records: u64| {
            format!(
                "{{\"type\":\"run_end\",\"run_id\":\"{run}\",\"at\":\"{at}\",\"records\":{records},\
                 \"messages\":0,\"duration_us\":1}}"
            )
        };
        let written = |first: &[&str], other: &[&str]| {
            let mut file = Vec::new();
            for (chain, bodies) in [(1, first), (2, other)] {
                let mut head = Head::EMPTY;
                if chain == 2 {
                    head = Head { seq: 40, hash: Hash::of(b"before") };
                    lines::write_after(2, head, &mut file).unwrap();
                }
                for body in bodies {
                    let raw = RawValue::from_string((*body).to_owned()).unwrap();
                    let seq = head.seq + 1;
                    let hash = seal(seq, head.hash, Hash::of(body.as_bytes()));
                    file.extend(lines::render(seq, head.hash, hash, &raw).into_bytes());
                    file.push(b'\n');
                    head = Head { seq, hash };
                }
            }
            verify(file.as_slice(), None)
        };
        let moved = written(&[&start, &waiting], &[&resumed(2), &outcome, &end(5)]).unwrap();
        assert_eq!((moved.records, moved.runs, moved.open), (5, 1, 0));
        let waits = written(&[&start, &waiting], &[]).unwrap();
        assert_eq!((waits.runs, waits.open), (1, 1));
        let check = |first: &[&str], other: &[&str], problem: &str| {
            let fault = written(first, other).unwrap_err();
            assert!(fault.problem.contains(problem), "{fault}");
        };
        check(&[&start], &[], "and no end record");
        check(&[&start, &waiting], &[&resumed(3), &outcome, &end(6)], "lacks its records 3 to 3");
        check(&[&start, &waiting], &[&resumed(1), &outcome, &end(4)], "went on twice");
        check(&[&start, &waiting], &[&resumed(2), &outcome, &end(6)], "ends with 6 records, 5");
        check(&[&start, &outcome, &end(3)], &[&resumed(3)], "goes on after its end record");
        check(&[&start], &[&outcome], "comes before its run was resumed on this chain");
    }
}
