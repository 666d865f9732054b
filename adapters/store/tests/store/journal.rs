//! What every journal does: takes records in order, gives them back, goes on after a restart.

use std::sync::Arc;
use std::time::Duration;

use genie_core::journal::chain::Head;
use genie_core::journal::memory::MemoryJournal;
use genie_core::journal::{Entry, Error, Journal, Record};
use genie_store::Location;
use tokio::task::JoinSet;

use crate::on_each_database;
use crate::place::{Place, quick};
use crate::scribe::{Scribe, ended, filler, message_and_verdict, run, started};

fn seqs(records: &[Arc<Record>]) -> Vec<u64> {
    records.iter().map(|record| record.seq).collect()
}

/// The contract, from an empty journal.
async fn contract(journal: &dyn Journal) {
    assert_eq!(journal.head(), Head::EMPTY);
    let mut scribe = Scribe::after(journal.head());
    assert!(journal.read(0, 10).await.unwrap().is_empty());
    for entry in [started(run(1), "acme"), started(run(2), "acme"), filler(run(1), 10)] {
        scribe.append(journal, &entry).unwrap();
    }
    for text in message_and_verdict(run(2)) {
        scribe.append_text(journal, run(2), text).unwrap();
    }
    let last = scribe.append(journal, &ended(run(2))).unwrap();
    journal.durable(last).await.unwrap();
    journal.durable(0).await.unwrap();

    assert_eq!(seqs(&journal.read(0, 100).await.unwrap()), [1, 2, 3, 4, 5, 6]);
    assert_eq!(seqs(&journal.read(2, 2).await.unwrap()), [3, 4]);
    assert!(journal.read(6, 10).await.unwrap().is_empty());
    assert!(journal.read(u64::MAX, 10).await.unwrap().is_empty());
    assert!(journal.read(0, 0).await.unwrap().is_empty());
    assert_eq!(seqs(&journal.read(4, usize::MAX).await.unwrap()), [5, 6]);

    let of_run = journal.read_run(run(2)).await.unwrap();
    assert_eq!(seqs(&of_run), [2, 4, 5, 6]);
    assert_eq!(of_run.iter().map(|record| record.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(of_run.last().unwrap().hash, scribe.head.hash);
    assert_eq!(of_run[1].text().unwrap(), message_and_verdict(run(2))[0]);
    assert!(journal.read_run(run(3)).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_journal_in_memory_keeps_the_contract() {
    contract(&MemoryJournal::keeping(1_000)).await;
}

async fn keeps_the_contract(place: &Place) {
    let store = place.own().await;
    contract(&*store.journal).await;
    store.close().await.unwrap();
}

async fn a_verdict_is_read_with_its_message(place: &Place) {
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    for text in message_and_verdict(run(1)) {
        scribe.append_text(&*store.journal, run(1), text).unwrap();
    }
    for read in [
        store.journal.read(1, 10).await.unwrap(),
        store.journal.read(0, 10).await.unwrap(),
        store.journal.read_run(run(1)).await.unwrap(),
    ] {
        let Entry::Verdict { message, .. } = &read.last().unwrap().entry else { panic!() };
        assert_eq!(message.as_ref().unwrap().to(), "echo");
    }
    store.close().await.unwrap();
}

async fn a_restart_goes_on_with_the_chain(place: &Place) {
    let mut head = Head::EMPTY;
    for start in 0..3_u64 {
        let store = place.own().await;
        assert_eq!(store.journal.head(), head);
        let mut scribe = Scribe::after(head);
        for _ in 0..5 {
            scribe.append(&*store.journal, &filler(run(1), 10)).unwrap();
        }
        let read = store.journal.read(0, 100).await.unwrap();
        assert_eq!(seqs(&read), (1..=(start + 1) * 5).collect::<Vec<_>>());
        head = scribe.head;
        store.close().await.unwrap();
    }
}

async fn nothing_appended_is_lost_or_reordered_under_load(place: &Place) {
    const WRITERS: u128 = 8;
    const RECORDS: u64 = 500;
    let store = place.own().await;
    let scribe = Arc::new(std::sync::Mutex::new(Scribe::after(store.journal.head())));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (journal, scribe) = (store.journal.clone(), scribe.clone());
        writers.spawn(async move {
            for _ in 0..RECORDS {
                let seq = scribe.lock().unwrap().append(&*journal, &filler(run(writer), 300));
                journal.durable(seq.unwrap()).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let total = RECORDS * WRITERS as u64;
    let read = store.journal.read(0, usize::MAX).await.unwrap();
    assert_eq!(seqs(&read), (1..=total).collect::<Vec<_>>());
    assert_eq!(read.last().unwrap().hash, scribe.lock().unwrap().head.hash);
    store.close().await.unwrap();
}

async fn what_is_too_much_is_refused_by_name(place: &Place) {
    let options = genie_store::Options { queue_bytes_max: 10_000, ..quick() };
    let store = genie_store::open(&place.location, genie_store::Mode::Own, options).await.unwrap();
    let mut scribe = Scribe::after(store.journal.head());
    let error = scribe.append(&*store.journal, &filler(run(1), 20_000)).unwrap_err();
    assert!(matches!(&error, Error::Unwritable(reason) if reason.contains("10000 is the most")));
    let seq = scribe.append(&*store.journal, &filler(run(1), 100)).unwrap();
    store.journal.durable(seq).await.unwrap();
    store.journal.room().await;
    assert!(store.journal.has_room());
    store.close().await.unwrap();
}

async fn records_out_of_order_are_refused(place: &Place) {
    let store = place.own().await;
    let mut late = Scribe::after(Head { seq: 1, ..Head::EMPTY });
    let error = late.append(&*store.journal, &filler(run(1), 10)).unwrap_err();
    assert!(matches!(error, Error::Unwritable(_)));
    store.close().await.unwrap();
}

async fn who_only_looks_cannot_write(place: &Place) {
    let owner = place.own().await;
    let mut scribe = Scribe::after(owner.journal.head());
    let seq = scribe.append(&*owner.journal, &filler(run(1), 10)).unwrap();
    owner.journal.durable(seq).await.unwrap();
    let looker = place.look().await;
    assert_eq!(seqs(&looker.journal.read_run(run(1)).await.unwrap()), [1]);
    assert!(scribe.append(&*looker.journal, &filler(run(1), 10)).is_err());
    assert!(looker.runs.claim_run(run(1)).await.is_err());
    looker.close().await.unwrap();
    owner.close().await.unwrap();
}

on_each_database!(
    keeps_the_contract,
    a_verdict_is_read_with_its_message,
    a_restart_goes_on_with_the_chain,
    nothing_appended_is_lost_or_reordered_under_load,
    what_is_too_much_is_refused_by_name,
    records_out_of_order_are_refused,
    who_only_looks_cannot_write,
);

/// SQLite copies the log itself only once it has grown to 32 MiB.
#[tokio::test]
async fn a_log_that_grows_is_copied_into_the_file_beside_the_writer() {
    let place = Place::sqlite();
    let Location::Sqlite(directory) = &place.location else { panic!() };
    let file = directory.join("genie.db");
    let store = place.own().await;
    let before = file.metadata().unwrap().len();
    let mut scribe = Scribe::after(store.journal.head());
    let mut last = 0;
    for _ in 0..12 {
        last = scribe.append(&*store.journal, &filler(run(1), 500_000)).unwrap();
        store.journal.durable(last).await.unwrap();
    }
    let copied = async {
        while file.metadata().unwrap().len() < before + 4_000_000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), copied).await.unwrap();
    assert_eq!(store.journal.read(last - 1, 9).await.unwrap().len(), 1);
    store.close().await.unwrap();
}
