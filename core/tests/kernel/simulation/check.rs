//! What must hold after every simulation, whatever happened in it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use genie_core::ids::{MessageId, RunId};
use genie_core::journal::{Entry, Record};
use genie_core::outcome::Outcome;
use genie_core::policy::Decision;

use super::{Asked, Trace};

/// Panics at the first invariant that does not hold.
pub(crate) async fn invariants(trace: &Trace) {
    trace.desk.check().await;
    let records = trace.desk.records().await;
    one_outcome_each(&records, &trace.asked);
    only_allowed_messages_arrived(&records, trace);
    nothing_happened_twice(&records);
    for observed in &trace.observed {
        let (seen, all) = (hashes(observed), hashes(&records));
        assert_eq!(seen, all, "an observer saw something else than the journal");
    }
}

fn hashes(records: &[Arc<Record>]) -> Vec<String> {
    records.iter().map(|record| format!("{} {}", record.seq, record.hash)).collect()
}

/// Every run that was started has one outcome, which is the one that the client was told, and no
/// run takes longer than its deadline allows.
fn one_outcome_each(records: &[Arc<Record>], asked: &[Asked]) {
    let mut outcomes: HashMap<RunId, Vec<&'static str>> = HashMap::new();
    let mut expires = HashMap::new();
    for record in records {
        match &record.entry {
            Entry::RunStarted { run_id, deadline, .. } => {
                outcomes.insert(*run_id, Vec::new());
                expires.insert(*run_id, *deadline);
            }
            // Time in which a human was asked does not count.
            Entry::RunWaiting { run_id, wake_at, approvals, .. } if !approvals.is_empty() => {
                expires.insert(*run_id, *wake_at);
            }
            Entry::RunResumed { run_id, deadline, .. } => {
                expires.insert(*run_id, *deadline);
            }
            Entry::Outcome { run_id, outcome, at } => {
                outcomes.get_mut(run_id).unwrap().push(outcome.name());
                let late = at.micros_since(expires[run_id]);
                assert!(late <= 1_000, "run {run_id} ended {late} µs after its deadline");
            }
            _ => {}
        }
    }
    let admitted = asked.iter().filter_map(|asked| asked.run.as_ref().ok());
    let mut told = 0;
    for (run_id, outcome) in admitted {
        told += usize::from(outcomes.contains_key(run_id));
        match (outcomes.get(run_id).map(Vec::as_slice), &**outcome) {
            (Some([recorded]), outcome) if *recorded == outcome.name() => {}
            // The record, or the word that it is durable, did not come in time for the client.
            (Some([_]) | None, Outcome::Failed { cause }) if cause.code() == "journal" => {}
            (recorded, told) => panic!("run {run_id}: recorded {recorded:?}, told {told:?}"),
        }
    }
    assert_eq!(told, outcomes.len(), "a run was recorded that nobody asked for");
}

/// Whatever reached a handler, as its message or within a gather, is in the journal, was allowed,
/// and was for that agent.
fn only_allowed_messages_arrived(records: &[Arc<Record>], trace: &Trace) {
    let mut addressed: HashMap<MessageId, &str> = HashMap::new();
    let mut decided: HashMap<MessageId, Decision> = HashMap::new();
    for record in records {
        match &record.entry {
            Entry::Message { message, .. } => {
                let known = addressed.insert(message.id(), message.to());
                assert!(known.is_none(), "message {} is recorded twice", message.id());
            }
            Entry::Verdict { message_id, verdict, .. } => {
                assert!(addressed.contains_key(message_id), "a verdict precedes its message");
                decided.insert(*message_id, verdict.decision);
            }
            _ => {}
        }
    }
    assert_eq!(addressed.len(), decided.len(), "a message has no verdict");
    for seen in trace.world.seen.lock().unwrap().iter() {
        assert_eq!(addressed.get(&seen.message), Some(&seen.by), "{seen:?} was for someone else");
        let decision = decided[&seen.message];
        assert!(
            matches!(decision, Decision::Allow | Decision::Redact),
            "{seen:?} was delivered although {decision:?}"
        );
    }
}

/// A step, and so a gather, is recorded once; a handler comes to an end once for each start.
pub(super) fn nothing_happened_twice(records: &[Arc<Record>]) {
    let mut steps = HashSet::new();
    let mut starts: HashMap<MessageId, u32> = HashMap::new();
    for record in records {
        match &record.entry {
            Entry::Step { cause, number, .. } => {
                assert!(steps.insert((*cause, *number)), "step {number} of {cause} is there twice");
            }
            Entry::Restarted { message_id, restart, .. } => {
                let known = starts.insert(*message_id, *restart).unwrap_or(0);
                assert_eq!(known + 1, *restart, "a restart of {message_id} is missing");
            }
            Entry::Handled { message_id, .. } => {
                *starts.entry(*message_id).or_default() += 0;
            }
            _ => {}
        }
    }
}

/// Panics at the first line in which two journals of one seed differ.
pub(crate) fn identical(once: &[u8], twice: &[u8]) {
    let (once, twice) = (String::from_utf8_lossy(once), String::from_utf8_lossy(twice));
    for (number, (first, second)) in once.lines().zip(twice.lines()).enumerate() {
        assert_eq!(first, second, "the same seed gave another line {}", number + 1);
    }
    assert_eq!(once.len(), twice.len(), "the same seed gave another number of lines");
}
