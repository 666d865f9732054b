//! `genie audit verify`: a journal verifies as it was written and in no other form.

use std::path::Path;
use std::sync::OnceLock;

use genie_core::journal::verify::verify;
use serde_json::Value;

use crate::program::{Files, genie};

/// The journal of one run and the head that the run printed, made once for all tests.
fn written() -> &'static (String, String) {
    static WRITTEN: OnceLock<(String, String)> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let files = Files::new();
        let path = files.argument("run.jsonl");
        let ended = genie(&["run", "--journal", &path]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let head = ended.stdout.lines().find_map(|line| line.strip_prefix("head: ")).unwrap();
        (std::fs::read_to_string(path).unwrap(), head.to_owned())
    })
}

fn lines() -> Vec<&'static str> {
    written().0.lines().collect()
}

fn joined(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

/// The number of the first record that is not as it was written.
fn first_fault(journal: &str) -> u64 {
    verify(journal.as_bytes(), None).unwrap_err().record
}

#[test]
fn the_journal_of_a_run_verifies_against_the_head_that_the_run_printed() {
    let (journal, head) = written();
    let files = Files::new();
    let path = files.write("run.jsonl", journal);
    let ended = genie(&["audit", "verify", &path, "--head", head]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains(&format!("{} records in 1 run", lines().len())));
    assert!(ended.stdout.contains(&format!("head: {head}")));

    let report = genie(&["audit", "verify", &path, "--json"]).json();
    assert_eq!(report["verified"], true);
    assert_eq!(report["records"], lines().len());
    assert_eq!(report["runs"], 1);
}

#[test]
fn a_changed_byte_is_found_at_its_record() {
    let journal = &written().0;
    let mut start = 0;
    for (record, line) in (1..).zip(journal.lines()) {
        // A step that is coprime to the widths of the fields, so that each of them has its turn.
        for offset in (0..=line.len()).step_by(37).chain([line.len()]) {
            let mut bytes = journal.clone().into_bytes();
            bytes[start + offset] ^= 1;
            let fault = verify(bytes.as_slice(), None).unwrap_err();
            assert_eq!(fault.record, record, "byte {offset} of record {record}: {fault}");
        }
        start += line.len() + 1;
    }
}

#[test]
fn dropped_doubled_and_swapped_records_are_found_where_they_are() {
    let lines = lines();
    for at in 0..lines.len() {
        let record = at as u64 + 1;
        let mut dropped = lines.clone();
        dropped.remove(at);
        assert_eq!(first_fault(&joined(&dropped)), record, "dropped");

        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        assert_eq!(first_fault(&joined(&doubled)), record + 1, "doubled");

        if at + 1 < lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(at, at + 1);
            assert_eq!(first_fault(&joined(&swapped)), record, "swapped");
        }
    }
}

#[test]
fn a_journal_that_is_cut_off_is_found_wherever_it_was_cut() {
    let lines = lines();
    for kept in 0..lines.len() {
        assert_eq!(first_fault(&joined(&lines[..kept])), kept as u64 + 1, "after {kept}");
        // In the middle of a line, and just before its end.
        for part in [lines[kept].len() / 2, lines[kept].len()] {
            let cut = joined(&lines[..kept]) + &lines[kept][..part];
            assert_eq!(first_fault(&cut), kept as u64 + 1, "within {kept}");
        }
    }
}

#[test]
fn a_whole_run_that_was_replaced_is_only_found_against_the_head() {
    let head = &written().1;
    let files = Files::new();
    let other = files.argument("other.jsonl");
    assert_eq!(genie(&["run", "--quiet", "--journal", &other]).code, 0);
    assert_eq!(genie(&["audit", "verify", &other]).code, 0);
    let ended = genie(&["audit", "verify", &other, "--head", head]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    let complaint = ended.complaint();
    let found = ["rewritten", "cut off"].iter().any(|word| complaint.contains(word));
    assert!(found, "{complaint}");
}

#[test]
fn a_fault_names_line_record_and_problem_and_exits_with_one() {
    let mut lines = lines();
    lines.remove(4);
    let files = Files::new();
    let path = files.write("run.jsonl", joined(&lines));
    let ended = genie(&["audit", "verify", &path]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    let complaint = ended.complaint();
    assert!(complaint.contains("run.jsonl: record 5 (line 5): "), "{complaint}");
    assert!(complaint.contains("record 6 stands where record 5 belongs"), "{complaint}");

    let ended = genie(&["audit", "verify", &path, "--json"]);
    assert_eq!(ended.code, 1);
    let report: Value = ended.json();
    assert_eq!((&report["verified"], &report["record"]), (&false.into(), &5.into()));
}

#[test]
fn what_cannot_be_read_or_is_no_head_is_a_usage_error() {
    let files = Files::new();
    let directory = files.argument(".");
    let path = files.write("run.jsonl", &written().0);
    for (arguments, said) in [
        (vec!["audit", "verify", "/nowhere/run.jsonl"], "cannot read `/nowhere/run.jsonl`"),
        (vec!["audit", "verify", directory.as_str()], "is a directory"),
        (vec!["audit", "verify", path.as_str(), "--head", "12"], "write the number of the record"),
        (vec!["audit", "verify"], "there is no database"),
        (vec!["audit", "verify", "--memory"], "nothing outlives"),
    ] {
        let ended = genie(&arguments);
        assert_eq!(ended.code, 2, "{arguments:?}");
        assert!(ended.complaint().contains(said), "{arguments:?}: {}", ended.stderr);
    }
    assert!(Path::new(&path).exists());
}
