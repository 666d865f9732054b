//! What the runs port gives: what follows from the records, who may go on with what, cancelling.

use std::sync::Arc;

use genie_core::approval::ApprovalId;
use genie_core::ids::RunId;
use genie_core::journal::memory::MemoryJournal;
use genie_core::journal::{Entry, Journal};
use genie_core::runs::{MemoryRuns, Query, Runs, Summary};
use genie_store::Opened;
use uuid::Uuid;

use crate::approvals::{approval, decided};
use crate::on_each_database;
use crate::place::Place;
use crate::scribe::{Scribe, at, ended, filler, resumed, run, started, tenant, waiting};

fn all() -> Query {
    Query { limit: 100, ..Query::default() }
}

async fn write(store: &Opened, scribe: &mut Scribe, entries: &[Entry]) {
    for entry in entries {
        scribe.append(&*store.journal, entry).unwrap();
    }
    store.journal.durable(scribe.head.seq).await.unwrap();
}

async fn status(store: &Opened, number: u128) -> Summary {
    store.runs.get(&tenant("acme"), run(number)).await.unwrap().unwrap()
}

async fn a_run_stands_as_its_records_say(place: &Place) {
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    scribe.append(&*store.journal, &started(run(1), "acme")).unwrap();
    // What is not yet written is seen all the same.
    let first = status(&store, 1).await;
    assert_eq!((&*first.status, &*first.subject, &*first.agent), ("running", "asha", "echo"));
    assert_eq!((first.started_at, first.ended_at, first.wake_at), (at(1_000), None, None));
    write(&store, &mut scribe, &[waiting(run(1), 8_000)]).await;
    let second = status(&store, 1).await;
    assert_eq!((&*second.status, second.wake_at), ("waiting", Some(at(8_000))));
    write(&store, &mut scribe, &[resumed(run(1))]).await;
    assert_eq!(&*status(&store, 1).await.status, "running");
    write(&store, &mut scribe, &[ended(run(1))]).await;
    let last = status(&store, 1).await;
    assert_eq!((&*last.status, last.ended_at, last.wake_at), ("cancelled", Some(at(4_000)), None));
    // A whole life in one group.
    let life = [started(run(2), "acme"), waiting(run(2), 5), resumed(run(2)), ended(run(2))];
    write(&store, &mut scribe, &life).await;
    assert_eq!(&*status(&store, 2).await.status, "cancelled");
    assert_eq!(status(&store, 2).await.started_at, at(1_000));
    store.close().await.unwrap();
}

async fn a_group_of_any_size_is_written_whole(place: &Place) {
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    let mut number = 0;
    for (runs, records) in [(1, 1), (1, 2), (1, 8), (2, 3), (2, 16), (3, 1), (1, 127), (1, 128)] {
        let mut entries = Vec::new();
        for _ in 0..runs {
            number += 1;
            entries.push(started(run(number), "acme"));
            entries.extend(vec![filler(run(number), 10); records]);
        }
        let before = number - runs;
        scribe.append_all(&*store.journal, &entries);
        store.journal.durable(scribe.head.seq).await.unwrap();
        // What began before goes on and ends, in groups of its own.
        let ends: Vec<Entry> = (before + 1..=number).map(|number| ended(run(number))).collect();
        scribe.append_all(&*store.journal, &ends);
        store.journal.durable(scribe.head.seq).await.unwrap();
        for number in before + 1..=number {
            let read = store.journal.read_run(run(number)).await.unwrap();
            assert_eq!(read.len(), records + 2, "{runs} runs of {records}");
            let summary = status(&store, number).await;
            assert_eq!((&*summary.status, summary.started_at), ("cancelled", at(1_000)));
        }
    }
    let read = store.journal.read(0, usize::MAX).await.unwrap();
    let seqs: Vec<u64> = read.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, (1..=scribe.head.seq).collect::<Vec<_>>());
    store.close().await.unwrap();
}

async fn runs_are_listed_newest_first_and_only_to_their_tenant(place: &Place) {
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    let entries: Vec<Entry> = (1..=9).map(|number| started(run(number), "acme")).collect();
    write(&store, &mut scribe, &entries).await;
    write(&store, &mut scribe, &[started(run(10), "other"), ended(run(4)), ended(run(7))]).await;
    let check = async |query: Query, expected: &[u128]| {
        let listed = store.runs.list(&tenant("acme"), &query).await.unwrap();
        let listed: Vec<u128> = listed.iter().map(|one| one.run_id.0.as_u128()).collect();
        assert_eq!(listed, expected, "{query:?}");
    };
    check(all(), &[9, 8, 7, 6, 5, 4, 3, 2, 1]).await;
    check(Query { limit: 2, before: Some(run(6)), ..Query::default() }, &[5, 4]).await;
    check(Query { status: Some("cancelled".to_owned()), ..all() }, &[7, 4]).await;
    let of = |subject: &str| Some(subject.to_owned());
    check(Query { subject: of("asha"), limit: 2, ..Query::default() }, &[9, 8]).await;
    check(Query { subject: of("ravi"), ..all() }, &[]).await;
    assert!(store.runs.get(&tenant("acme"), run(10)).await.unwrap().is_none());
    assert!(store.runs.get(&tenant("other"), run(10)).await.unwrap().is_some());
    store.close().await.unwrap();
}

/// Of runs of several tenants, how many records each has and whether it has ended; nothing of one
/// that never was.
async fn progress_is_told_of_the_runs_that_there_are(journal: &dyn Journal, runs: &dyn Runs) {
    let mut scribe = Scribe::after(journal.head());
    for (number, tenant) in [(1, "acme"), (2, "acme"), (3, "other"), (4, "acme")] {
        scribe.append(journal, &started(run(number), tenant)).unwrap();
    }
    for entry in [waiting(run(1), 8_000), resumed(run(1)), ended(run(3)), ended(run(4))] {
        scribe.append(journal, &entry).unwrap();
    }
    journal.durable(scribe.head.seq).await.unwrap();
    let check = async |asked: &[u128], expected: &[(u128, &str, u64, bool)]| {
        let asked: Vec<RunId> = asked.iter().copied().map(run).collect();
        let mut told = runs.progress(&asked).await.unwrap();
        told.sort_unstable_by_key(|one| one.run_id);
        let told: Vec<_> = told
            .iter()
            .map(|one| (one.run_id.0.as_u128(), &*one.tenant, one.records, one.has_ended))
            .collect();
        assert_eq!(told, expected);
    };
    check(&[9, 3, 2, 1], &[(1, "acme", 3, false), (2, "acme", 1, false), (3, "other", 2, true)])
        .await;
    check(&[9], &[]).await;
    check(&[], &[]).await;
    check(&(4..2_000).collect::<Vec<_>>(), &[(4, "acme", 2, true)]).await;
}

async fn it_is_told_how_far_runs_are(place: &Place) {
    let store = place.own().await;
    progress_is_told_of_the_runs_that_there_are(&*store.journal, &*store.runs).await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn it_is_told_how_far_runs_in_memory_are() {
    let journal = Arc::new(MemoryJournal::keeping(1_000));
    let runs = MemoryRuns::over(journal.clone());
    progress_is_told_of_the_runs_that_there_are(&*journal, &runs).await;
}

async fn what_is_due_is_claimed_once_and_the_longest_due_first(place: &Place) {
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    for (number, wake_at) in [(1, 300), (2, 100), (3, 200), (4, 9_000)] {
        let entries = [started(run(number), "acme"), waiting(run(number), wake_at)];
        write(&store, &mut scribe, &entries).await;
    }
    write(&store, &mut scribe, &[started(run(5), "acme")]).await;
    assert_eq!(store.runs.next_due().await.unwrap(), Some(at(100)));
    assert_eq!(store.runs.claim(at(300), 2).await.unwrap(), [run(2), run(3)]);
    assert_eq!(store.runs.claim(at(300), 10).await.unwrap(), [run(1)]);
    assert!(store.runs.claim(at(300), 10).await.unwrap().is_empty());
    assert_eq!(store.runs.next_due().await.unwrap(), Some(at(9_000)));
    assert!(store.runs.claim_run(run(4)).await.unwrap(), "due or not");
    assert!(!store.runs.claim_run(run(4)).await.unwrap(), "someone works on it");
    assert!(!store.runs.claim_run(run(5)).await.unwrap(), "it was never parked");
    write(&store, &mut scribe, &[resumed(run(1)), ended(run(1))]).await;
    assert!(!store.runs.claim_run(run(1)).await.unwrap(), "it has ended");
    assert_eq!(store.runs.next_due().await.unwrap(), None);
    store.close().await.unwrap();
}

async fn what_cannot_go_on_is_let_go_of_until_later_or_until_it_is_cancelled(place: &Place) {
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    // One that was parked, and one whose process would have died.
    write(&store, &mut scribe, &[started(run(1), "acme"), waiting(run(1), 100)]).await;
    write(&store, &mut scribe, &[started(run(2), "acme")]).await;
    assert_eq!(store.runs.claim(at(100), 10).await.unwrap(), [run(1)]);
    for number in [1, 2] {
        store.runs.release(run(number), at(500 + i64::try_from(number).unwrap())).await.unwrap();
    }
    assert!(store.runs.claim(at(500), 10).await.unwrap().is_empty());
    assert_eq!(store.runs.next_due().await.unwrap(), Some(at(501)));
    assert_eq!(store.runs.claim(at(502), 10).await.unwrap(), [run(1), run(2)]);
    store.runs.release(run(2), at(9_000)).await.unwrap();
    assert!(store.runs.ask_to_cancel(&tenant("acme"), run(2), "enough").await.unwrap());
    assert_eq!(store.runs.claim(at(502), 10).await.unwrap(), [run(2)]);
    write(&store, &mut scribe, &[ended(run(2))]).await;
    store.runs.release(run(2), at(600)).await.unwrap();
    assert!(store.runs.claim(at(9_000), 10).await.unwrap().is_empty(), "it has ended");
    store.close().await.unwrap();
}

async fn a_restart_takes_up_what_was_at_work(place: &Place) {
    let before = place.own().await;
    let mut scribe = Scribe::after(before.journal.head());
    let entries = [
        started(run(1), "acme"),
        started(run(2), "acme"),
        ended(run(2)),
        started(run(3), "acme"),
        waiting(run(3), 9_000),
        started(run(4), "acme"),
        waiting(run(4), 50),
        started(run(5), "acme"),
        waiting(run(5), 9_000),
    ];
    write(&before, &mut scribe, &entries).await;
    // Due or not: whoever claimed it had a reason, and did not come to act on it.
    for number in [4, 5] {
        assert!(before.runs.claim_run(run(number)).await.unwrap());
    }
    before.close().await.unwrap();
    let after = place.own().await;
    let mut claimed = after.runs.claim(at(100), 10).await.unwrap();
    claimed.sort();
    assert_eq!(claimed, [run(1), run(4), run(5)]);
    after.close().await.unwrap();
}

async fn a_decision_makes_its_run_due(place: &Place) {
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    let wait = |number, id| match waiting(run(number), 9_000) {
        Entry::RunWaiting { run_id, at, wake_at, gathers, .. } => {
            Entry::RunWaiting { run_id, at, wake_at, approvals: vec![id], gathers }
        }
        other => other,
    };
    let id = |number| ApprovalId(Uuid::from_u128(number));
    // Decided while it is parked.
    store.approvals.put(&tenant("acme"), &approval(1, "acme", run(1))).await.unwrap();
    write(&store, &mut scribe, &[started(run(1), "acme"), wait(1, id(1))]).await;
    assert!(store.runs.claim(at(100), 10).await.unwrap().is_empty());
    assert!(
        store
            .approvals
            .swap(&tenant("acme"), &decided(&approval(1, "acme", run(1))))
            .await
            .unwrap()
    );
    assert_eq!(store.runs.claim(at(100), 10).await.unwrap(), [run(1)]);
    // Decided before it is parked.
    store.approvals.put(&tenant("acme"), &approval(2, "acme", run(2))).await.unwrap();
    write(&store, &mut scribe, &[started(run(2), "acme")]).await;
    assert!(
        store
            .approvals
            .swap(&tenant("acme"), &decided(&approval(2, "acme", run(2))))
            .await
            .unwrap()
    );
    write(&store, &mut scribe, &[wait(2, id(2))]).await;
    assert_eq!(store.runs.claim(at(100), 10).await.unwrap(), [run(2)]);
    store.close().await.unwrap();
}

async fn a_cancellation_comes_to_whoever_works_on_the_run_until_it_has_ended(place: &Place) {
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    write(&store, &mut scribe, &[started(run(1), "acme")]).await;
    write(&store, &mut scribe, &[started(run(2), "acme"), waiting(run(2), 9_000)]).await;
    write(&store, &mut scribe, &[started(run(3), "acme"), ended(run(3))]).await;
    let looker = place.look().await;
    assert!(looker.runs.ask_to_cancel(&tenant("acme"), run(1), "not needed").await.unwrap());
    assert!(looker.runs.ask_to_cancel(&tenant("acme"), run(2), "not needed").await.unwrap());
    assert!(
        !looker.runs.ask_to_cancel(&tenant("acme"), run(3), "not needed").await.unwrap(),
        "ended"
    );
    assert!(
        !looker.runs.ask_to_cancel(&tenant("other"), run(1), "not needed").await.unwrap(),
        "not theirs"
    );
    let told = store.runs.to_cancel().await.unwrap();
    assert_eq!(told, [(run(1), "not needed".to_owned())], "nobody works on the other yet");
    // Whoever was told may not have found it at work yet.
    assert_eq!(store.runs.to_cancel().await.unwrap(), told);
    write(&store, &mut scribe, &[ended(run(1))]).await;
    assert!(store.runs.to_cancel().await.unwrap().is_empty());
    // Whoever takes the parked one, which is due now, learns of it.
    assert_eq!(store.runs.claim(at(100), 10).await.unwrap(), [run(2)]);
    assert_eq!(store.runs.to_cancel().await.unwrap(), [(run(2), "not needed".to_owned())]);
    looker.close().await.unwrap();
    store.close().await.unwrap();
}

on_each_database!(
    a_group_of_any_size_is_written_whole,
    a_run_stands_as_its_records_say,
    runs_are_listed_newest_first_and_only_to_their_tenant,
    it_is_told_how_far_runs_are,
    what_is_due_is_claimed_once_and_the_longest_due_first,
    what_cannot_go_on_is_let_go_of_until_later_or_until_it_is_cancelled,
    a_restart_takes_up_what_was_at_work,
    a_decision_makes_its_run_due,
    a_cancellation_comes_to_whoever_works_on_the_run_until_it_has_ended,
);
