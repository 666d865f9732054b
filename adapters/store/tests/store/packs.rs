//! Records of one run lie together: what is read is the same as if each lay by itself.

use genie_core::journal::restore::Row;
use genie_core::journal::{Entry, Error};
use genie_store::{Opened, migrate, revert};

use crate::on_each_database;
use crate::place::Place;
use crate::scribe::{Scribe, filler, run, tenant};
use crate::sealing::{a_run, key};

/// Three runs whose records overlap, in one group and in two.
async fn overlapping(store: &Opened) -> Scribe {
    let mut scribe = Scribe::after(store.journal.head());
    for count in [17, 40] {
        let entries: Vec<Entry> = (0..count).map(|n| filler(run(n % 3 + n / 30), 40)).collect();
        scribe.append_all(&*store.journal, &entries);
        store.journal.durable(scribe.head.seq).await.unwrap();
    }
    scribe
}

async fn any_part_of_a_chain_is_read_in_order(place: &Place) {
    let store = place.own().await;
    let scribe = overlapping(&store).await;
    let (audit, end) = (&store.checkpoints, scribe.head.seq);
    let all = audit.rows(1, 0, 1_000).await.unwrap();
    assert_eq!(all.iter().map(|row| row.seq).collect::<Vec<_>>(), (1..=end).collect::<Vec<_>>());
    let hashes = audit.hashes(1, 0, 1_000).await.unwrap();
    assert_eq!(hashes, all.iter().map(|row| row.hash).collect::<Vec<_>>());
    for after in 0..end {
        for limit in [1, 2, 7, 30] {
            let (from, to) = (after as usize, (after + limit).min(end) as usize);
            let part = audit.rows(1, after, limit).await.unwrap();
            let of = |row: &Row| (row.seq, row.prev_hash, row.hash);
            let expected: Vec<_> = all[from..to].iter().map(of).collect();
            assert_eq!(part.iter().map(of).collect::<Vec<_>>(), expected);
            assert_eq!(audit.hashes(1, after, limit).await.unwrap(), hashes[from..to]);
            let raw = audit.raw(1, after, after + limit).await.unwrap();
            let seqs: Vec<u64> = raw.iter().map(|record| record.seq).collect();
            assert_eq!(seqs, (after + 1..=to as u64).collect::<Vec<_>>());
        }
        assert_eq!(store.journal.read(after, 3).await.unwrap()[0].seq, after + 1);
    }
    for number in 0..4 {
        let records = store.journal.read_run(run(number)).await.unwrap();
        let numbers: Vec<u64> = records.iter().map(|record| record.number).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        let seqs: Vec<(i64, u64)> = records.iter().map(|record| (1, record.seq)).collect();
        assert_eq!(audit.places(run(number)).await.unwrap(), seqs);
    }
    store.close().await.unwrap();
}

/// All that is there of three runs, of which the data of one was erased.
async fn all(store: &Opened) -> Vec<String> {
    let raw = store.checkpoints.raw(1, 0, 1_000).await.unwrap();
    let mut all: Vec<String> = raw.iter().map(|record| format!("{record:?}")).collect();
    for number in 1..=3 {
        let records = store.journal.read_run(run(number)).await.unwrap();
        all.extend(records.iter().map(|record| format!("{record:?}")));
    }
    all
}

async fn taking_the_step_back_and_again_changes_no_record(place: &Place) {
    let (_keys, key) = key();
    let store = place.own().await;
    a_run(&store, 1, "asha").await;
    store.close().await.unwrap();
    let store = place.own_sealed(&key).await;
    a_run(&store, 2, "asha").await;
    a_run(&store, 3, "ravi").await;
    store.erase(&tenant("acme"), "ravi").await.unwrap();
    let before = all(&store).await;
    assert_eq!(before.len(), 30);
    store.close().await.unwrap();
    revert(&place.location, 1).await.unwrap();
    let rows = place.text("SELECT CAST(COUNT(*) AS TEXT) FROM records").await;
    assert_eq!(rows, "15", "a row for each");
    migrate(&place.location).await.unwrap();
    let store = place.own_sealed(&key).await;
    assert_eq!(all(&store).await, before);
    // What comes then lies together again, and what is there is erased all the same.
    a_run(&store, 4, "asha").await;
    let erased = store.erase(&tenant("acme"), "asha").await.unwrap();
    assert_eq!(erased.records, 12);
    assert_eq!(store.journal.read_run(run(1)).await.unwrap().len(), 5);
    store.close().await.unwrap();
}

async fn a_row_that_does_not_hold_together_is_found(place: &Place) {
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    let entries: Vec<Entry> = (0..6).map(|n| filler(run(n % 2 + 1), 10)).collect();
    scribe.append_all(&*store.journal, &entries);
    store.journal.durable(6).await.unwrap();
    place.tamper("CREATE TABLE kept AS SELECT * FROM packs").await;
    // The first run has the records 1, 3 and 5, so that its row goes by the number 5.
    for change in [
        "meta = 'none'",
        "meta = '[]'",
        "meta = replace(meta, ',0,', ',2,')",
        "meta = replace(meta, '[1,', '[4,')",
        "meta = replace(meta, '[5,', '[6,')",
        "hashes = substr(hashes, 2)",
        "data = substr(data, 2)",
    ] {
        place.tamper(&format!("UPDATE packs SET {change} WHERE seq = 5")).await;
        for read in [store.journal.read(0, 10).await, store.journal.read_run(run(1)).await] {
            let error = read.unwrap_err();
            assert!(matches!(&error, Error::Corrupt(corrupt) if corrupt.seq <= 5), "{error}");
        }
        assert_eq!(store.journal.read_run(run(2)).await.unwrap().len(), 3, "of another row");
        place.tamper("DELETE FROM packs; INSERT INTO packs SELECT * FROM kept").await;
    }
    assert_eq!(store.journal.read(0, 10).await.unwrap().len(), 6);
    store.close().await.unwrap();
}

on_each_database!(
    any_part_of_a_chain_is_read_in_order,
    taking_the_step_back_and_again_changes_no_record,
    a_row_that_does_not_hold_together_is_found,
);
