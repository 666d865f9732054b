//! Wrapping the keys of subjects with another key, while others read and write, and killed halfway.

use std::sync::Arc;

use genie_store::{KekUse, KeySource, Opened, RotateError};
use tokio::sync::Notify;

use crate::on_each_database;
use crate::place::Place;
use crate::scribe::{Scribe, ended, run, saying, started_by, tenant};
use crate::sealing::{SECRET, a_run, key};

/// A run of each of many subjects.
async fn many(store: &Opened, first: u128, count: u128) {
    let mut scribe = Scribe::after(store.checkpoints.chains().await.unwrap()[0].head);
    for number in first..first + count {
        let subject = format!("subject {number}");
        scribe.append(&*store.journal, &started_by(run(number), "acme", &subject)).unwrap();
        scribe.append(&*store.journal, &saying(run(number), SECRET)).unwrap();
        scribe.append(&*store.journal, &ended(run(number))).unwrap();
    }
    store.journal.durable(scribe.head.seq).await.unwrap();
}

async fn reads(store: &Opened, number: u128) {
    let records = store.journal.read_run(run(number)).await.unwrap();
    assert!(records[1].text().unwrap().contains(SECRET));
}

async fn uses(store: &Opened) -> Vec<KekUse> {
    store.key_status().await.unwrap().keks
}

async fn all_keys_are_wrapped_with_a_new_one_while_others_go_on(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    many(&store, 1, 600).await;
    let before = uses(&store).await.remove(0);
    assert_eq!((before.keys, before.current, before.here), (600, true, true));
    let looker = place.look_sealed(&key).await;
    let mut steps = Vec::new();
    let rotated = looker.rotate(None, |done| steps.push(done)).await.unwrap();
    assert_eq!((rotated.keys, &*steps), (600, &[256, 512, 600][..]));
    assert_ne!(rotated.kek_id, before.kek_id);
    let after = uses(&looker).await;
    assert_eq!(after.len(), 1);
    assert_eq!((&after[0].kek_id, after[0].keys), (&rotated.kek_id, 600));
    // The other process finds the new key by itself, to read and to write.
    reads(&store, 600).await;
    many(&store, 1_000, 3).await;
    assert_eq!(uses(&store).await[0].keys, 603);
    looker.close().await.unwrap();
    store.close().await.unwrap();
    let store = place.own_sealed(&key).await;
    reads(&store, 1).await;
    reads(&store, 1_002).await;
    store.close().await.unwrap();
}

async fn a_rotation_that_was_killed_goes_on_where_it_was(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    many(&store, 1, 600).await;
    let looker = place.look_sealed(&key).await;
    let begun = Arc::new(Notify::new());
    let tell = begun.clone();
    tokio::select! {
        biased;
        () = begun.notified() => {}
        rotated = looker.rotate(None, |_| tell.notify_one()) => panic!("{rotated:?}"),
    }
    looker.close().await.unwrap();
    let halfway = uses(&store).await;
    assert_eq!(halfway.len(), 2, "{halfway:?}");
    assert!(halfway.iter().all(|kek| kek.here && kek.keys > 0), "{halfway:?}");
    for number in [1, 300, 600] {
        reads(&store, number).await;
    }
    many(&store, 1_000, 1).await;
    let looker = place.look_sealed(&key).await;
    let rotated = looker.rotate(None, |_| {}).await.unwrap();
    assert!(rotated.keys > 0 && rotated.keys < 600, "{rotated:?}");
    let after = uses(&looker).await;
    assert_eq!((after.len(), after[0].keys, after[0].current), (1, 601, true));
    assert_eq!(key.load().unwrap().unwrap().current().unwrap().id(), rotated.kek_id);
    reads(&looker, 600).await;
    looker.close().await.unwrap();
    store.close().await.unwrap();
}

async fn the_keys_can_be_moved_to_another_file(place: &Place) {
    let ((_keys, key), (_others, other)) = (key(), key());
    let store = place.own_sealed(&key).await;
    a_run(&store, 1, "asha").await;
    a_run(&store, 2, "ravi").await;
    store.erase(&tenant("acme"), "ravi").await.unwrap();
    store.close().await.unwrap();
    let looker = place.look_sealed(&key).await;
    let KeySource::File(path) = &other else { panic!("a file") };
    let rotated = looker.rotate(Some(path.clone()), |_| {}).await.unwrap();
    assert_eq!(rotated.keys, 1, "an erased key stays erased");
    looker.close().await.unwrap();
    let store = place.own_sealed(&other).await;
    assert!(store.journal.read_run(run(1)).await.unwrap()[3].text().unwrap().contains(SECRET));
    assert!(store.journal.read_run(run(2)).await.unwrap()[3].entry.is_erased());
    store.close().await.unwrap();
    let error = place.look_sealed(&key).await.journal.read_run(run(1)).await.unwrap_err();
    assert!(error.to_string().contains("--sealing-key"), "{error}");
}

async fn where_nothing_is_sealed_nothing_is_rotated(place: &Place) {
    place.own().await.close().await.unwrap();
    let (_keys, key) = key();
    let looker = place.look_sealed(&key).await;
    assert!(matches!(looker.rotate(None, |_| {}).await, Err(RotateError::Nothing)));
    assert!(key.load().unwrap().is_none());
    looker.close().await.unwrap();
}

on_each_database!(
    all_keys_are_wrapped_with_a_new_one_while_others_go_on,
    a_rotation_that_was_killed_goes_on_where_it_was,
    the_keys_can_be_moved_to_another_file,
    where_nothing_is_sealed_nothing_is_rotated,
);
