//! What an auditor gets: chains, raw records, tiles and checkpoints.

use genie_core::journal::Error;
use genie_store::{Checkpoint, OpenError, Tile};

use crate::on_each_database;
use crate::place::{Place, quick};
use crate::scribe::{Scribe, at, filler, run};

async fn chains_and_their_records_can_be_read_raw(place: &Place) {
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    for number in 0..10 {
        scribe.append(&*store.journal, &filler(run(number % 2), 10)).unwrap();
    }
    store.journal.durable(scribe.head.seq).await.unwrap();
    let audit = &store.checkpoints;
    let chains = audit.chains().await.unwrap();
    let [chain] = &chains[..] else { panic!("{chains:?}") };
    assert_eq!(Some(chain.chain), audit.own_chain());
    assert_eq!(chain.head, scribe.head);
    let rows = audit.rows(chain.chain, 3, 4).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [4, 5, 6, 7]);
    let hashes = audit.hashes(chain.chain, 2, 5).await.unwrap();
    assert_eq!(hashes[0], rows[0].prev_hash);
    assert_eq!(hashes[1..], rows.iter().map(|row| row.hash).collect::<Vec<_>>());
    let places = audit.places(run(1)).await.unwrap();
    assert_eq!(places, [2, 4, 6, 8, 10].map(|seq| (chain.chain, seq)));
    store.close().await.unwrap();
}

async fn tiles_grow_and_checkpoints_stay(place: &Place) {
    let store = place.own().await;
    let audit = &store.checkpoints;
    let tile = |index, count: u8| Tile { level: 0, index, hashes: vec![count; 32] };
    audit.put_tiles(1, &[tile(0, 1), tile(1, 2)]).await.unwrap();
    audit.put_tiles(1, &[tile(1, 3)]).await.unwrap();
    assert_eq!(audit.tile(1, 0, 0).await.unwrap(), Some(vec![1; 32]));
    assert_eq!(audit.tile(1, 0, 1).await.unwrap(), Some(vec![3; 32]));
    assert_eq!(audit.tile(1, 1, 0).await.unwrap(), None);
    let checkpoint = |size, note: &str| Checkpoint { size, note: note.to_owned(), at: at(5) };
    assert_eq!(audit.latest_checkpoint(1).await.unwrap(), None);
    for made in [checkpoint(10, "a"), checkpoint(20, "b"), checkpoint(10, "other")] {
        audit.put_checkpoint(1, &made).await.unwrap();
    }
    assert_eq!(audit.latest_checkpoint(1).await.unwrap(), Some(checkpoint(20, "b")));
    let all = audit.checkpoints(1, 10).await.unwrap();
    assert_eq!(all, [checkpoint(20, "b"), checkpoint(10, "a")]);
    assert!(audit.checkpoints(2, 10).await.unwrap().is_empty());
    store.close().await.unwrap();
}

/// Three records of two runs, one of them altered behind the store's back.
async fn altered(place: &Place, sql: &str) -> (Option<u64>, Option<u64>) {
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    for number in [1, 2, 1] {
        scribe.append(&*store.journal, &filler(run(number), 10)).unwrap();
    }
    store.journal.durable(scribe.head.seq).await.unwrap();
    place.tamper(sql).await;
    let corrupt = |result| match result {
        Ok(_) => None,
        Err(Error::Corrupt(corrupt)) => Some(corrupt.seq),
        Err(other) => panic!("{other}"),
    };
    let found =
        (corrupt(store.journal.read(0, 10).await), corrupt(store.journal.read_run(run(1)).await));
    store.close().await.unwrap();
    found
}

async fn an_altered_text_is_found(place: &Place) {
    let sql = "UPDATE records SET body = replace(body, 'xx', 'xy') WHERE seq = 3";
    assert_eq!(altered(place, sql).await, (Some(3), Some(3)));
}

async fn an_altered_hash_is_found(place: &Place) {
    let sql = "UPDATE records SET hash = (SELECT hash FROM records WHERE seq = 2) WHERE seq = 1";
    assert_eq!(altered(place, sql).await, (Some(1), Some(1)));
}

async fn a_removed_record_is_found(place: &Place) {
    assert_eq!(altered(place, "DELETE FROM records WHERE seq = 2").await, (Some(3), Some(3)));
}

async fn a_cut_off_end_is_found_on_opening(place: &Place) {
    altered(place, "DELETE FROM records WHERE seq = 3").await;
    let error = genie_store::open(&place.location, genie_store::Mode::Own, quick()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, OpenError::Truncated { chain: 1, .. }), "{error}");
}

on_each_database!(
    chains_and_their_records_can_be_read_raw,
    tiles_grow_and_checkpoints_stay,
    an_altered_text_is_found,
    an_altered_hash_is_found,
    a_removed_record_is_found,
    a_cut_off_end_is_found_on_opening,
);
