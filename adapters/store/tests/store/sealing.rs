//! What is kept of a subject is sealed: it reads as it was written, lies nowhere in the clear, and
//! opens only where it was put.

use std::path::Path;

use genie_core::journal::{Entry, Error};
use genie_store::{Keks, KeySource, Location, Mode, OpenError, Opened, migrate, open, revert};
use tempfile::TempDir;

use crate::blobs::{content, internal};
use crate::on_each_database;
use crate::place::{Place, quick, sealing};
use crate::scribe::{Scribe, ended, message_and_verdict, run, saying, started, started_by};
use crate::{approvals, blobs};

/// A directory for keys, and the file in it.
pub(crate) fn key() -> (TempDir, KeySource) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sealing.key");
    (directory, KeySource::File(path))
}

/// A word that is written only for a subject.
pub(crate) const SECRET: &str = "Lakshmipuram";

/// A whole run of a subject that says the word.
pub(crate) async fn a_run(store: &Opened, number: u128, subject: &str) {
    let mut scribe = Scribe::after(store.checkpoints.chains().await.unwrap()[0].head);
    scribe.append(&*store.journal, &started_by(run(number), "acme", subject)).unwrap();
    for text in message_and_verdict(run(number)) {
        scribe.append_text(&*store.journal, run(number), text).unwrap();
    }
    scribe.append(&*store.journal, &saying(run(number), SECRET)).unwrap();
    let last = scribe.append(&*store.journal, &ended(run(number))).unwrap();
    store.journal.durable(last).await.unwrap();
}

/// Whether the bytes are anywhere in the others.
pub(crate) fn is_in(bytes: &[u8], all: &[u8]) -> bool {
    all.windows(bytes.len()).any(|part| part == bytes)
}

async fn what_is_sealed_reads_as_it_was_written(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    a_run(&store, 1, "asha").await;
    let records = store.journal.read_run(run(1)).await.unwrap();
    assert_eq!(records.len(), 5);
    assert_eq!(records[1].text().unwrap(), message_and_verdict(run(1))[0]);
    assert!(records[3].text().unwrap().contains(SECRET));
    assert_eq!(store.journal.read(0, 10).await.unwrap().len(), 5);
    let (blob, stored) = content(SECRET, internal());
    let mut scope = blobs::scope("acme", 1);
    store.blobs.put(&scope, blob, stored).await.unwrap();
    store.close().await.unwrap();
    assert!(!is_in(SECRET.as_bytes(), &place.bytes()), "it lies in the clear");
    // Another process has it from the database.
    let store = place.own_sealed(&key).await;
    let found = store.blobs.get(&scope, blob).await.unwrap().unwrap();
    assert_eq!(&*found.content, SECRET.as_bytes());
    scope.subject = "ravi".into();
    assert!(store.blobs.get(&scope, blob).await.unwrap().is_none(), "of another subject");
    assert_eq!(store.journal.read_run(run(1)).await.unwrap().len(), 5);
    store.close().await.unwrap();
    let looker = place.look_sealed(&key).await;
    let stats = looker.stats().await.unwrap();
    let kinds: Vec<&str> = stats.entries.iter().map(|kind| &*kind.name).collect();
    assert!(kinds.contains(&"message") && kinds.contains(&"run_started"), "{kinds:?}");
    looker.close().await.unwrap();
}

async fn sealed_approvals_and_blobs_keep_their_contracts(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    approvals::contract(store.approvals.clone()).await;
    blobs::contract(&*store.blobs).await;
    store.close().await.unwrap();
}

/// Two runs of two subjects, sealed, and something done behind the store's back. Gives the number
/// of the record of the first run at which reading it fails.
async fn tampered(place: &Place, sql: &str) -> Option<u64> {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    a_run(&store, 1, "asha").await;
    a_run(&store, 2, "ravi").await;
    place.tamper(sql).await;
    let found = match store.journal.read_run(run(1)).await {
        Ok(_) => None,
        Err(Error::Corrupt(corrupt)) => Some(corrupt.seq),
        Err(other) => panic!("{other}"),
    };
    store.close().await.unwrap();
    found
}

/// A column of record 4 becomes that of record `from`.
fn swapped(column: &str, from: u64) -> String {
    format!(
        "UPDATE records SET {column} = (SELECT {column} FROM records WHERE seq = {from}) \
         WHERE seq = 4"
    )
}

async fn a_sealed_text_of_another_record_does_not_open(place: &Place) {
    assert_eq!(tampered(place, &swapped("sealed", 3)).await, Some(4));
}

async fn a_sealed_text_of_another_subject_does_not_open(place: &Place) {
    let both = swapped("sealed", 9) + "; " + &swapped("key_id", 9);
    assert_eq!(tampered(place, &both).await, Some(4));
}

async fn a_key_under_another_name_does_not_open(place: &Place) {
    let sql = "UPDATE subject_keys SET tenant = 'other' WHERE subject = 'asha'";
    assert_eq!(tampered(place, sql).await, Some(2));
}

async fn a_text_that_is_gone_without_an_erasure_is_found(place: &Place) {
    assert_eq!(tampered(place, "UPDATE records SET sealed = NULL WHERE seq = 4").await, Some(4));
}

async fn a_key_that_is_gone_without_an_erasure_is_found(place: &Place) {
    let sql = "UPDATE subject_keys SET wrapped = NULL WHERE subject = 'asha'";
    assert_eq!(tampered(place, sql).await, Some(2));
}

async fn a_text_in_the_clear_in_place_of_a_sealed_one_is_found(place: &Place) {
    let sql = "UPDATE records SET body = '{}' WHERE seq = 4";
    assert_eq!(tampered(place, sql).await, Some(4));
}

async fn a_text_in_the_clear_that_was_never_sealed_does_not_give_the_hash(place: &Place) {
    let sql = "UPDATE records SET body = '{}', sealed = NULL, key_id = NULL WHERE seq = 4";
    assert_eq!(tampered(place, sql).await, Some(4));
}

async fn a_wrong_or_missing_key_says_so_and_is_no_tampering(place: &Place) {
    let ((_keys, right), (_others, wrong)) = (key(), key());
    let store = place.own_sealed(&right).await;
    a_run(&store, 1, "asha").await;
    store.close().await.unwrap();
    wrong.load_or_make().unwrap();
    for options in [sealing(&wrong), quick()] {
        let error = open(&place.location, Mode::Own, options.clone()).await.unwrap_err();
        assert!(matches!(error, OpenError::Sealing(..)), "{error}");
        assert!(error.to_string().contains("--sealing-key FILE"), "{error}");
        let looker = open(&place.location, Mode::Look, options).await.unwrap();
        let error = looker.journal.read_run(run(1)).await.unwrap_err();
        assert!(matches!(error, Error::Unreadable(_)), "{error}");
        assert!(error.to_string().contains("--sealing-key FILE"), "{error}");
        let error = looker.checkpoints.raw(1, 0, 10).await.unwrap_err();
        assert!(error.to_string().contains("--sealing-key FILE"), "{error}");
        looker.close().await.unwrap();
    }
    // Nothing was made in the place of the file that is missing.
    let KeySource::File(path) = &right else { panic!("a file") };
    let elsewhere = path.with_extension("away");
    std::fs::rename(path, &elsewhere).unwrap();
    let error = open(&place.location, Mode::Own, sealing(&right)).await.unwrap_err();
    assert!(error.to_string().contains("there is no file"), "{error}");
    assert!(!path.exists());
    std::fs::rename(&elsewhere, path).unwrap();
    place.own_sealed(&right).await.close().await.unwrap();
}

async fn a_key_may_be_given_without_a_file(place: &Place) {
    let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let key = KeySource::Given(Keks::parse("here", hex).unwrap());
    let store = place.own_sealed(&key).await;
    a_run(&store, 1, "asha").await;
    assert_eq!(store.journal.read_run(run(1)).await.unwrap().len(), 5);
    store.close().await.unwrap();
}

async fn what_was_kept_before_in_the_clear_stays_readable(place: &Place) {
    let store = place.own().await;
    a_run(&store, 1, "asha").await;
    store.close().await.unwrap();
    // As it was before there was sealing.
    revert(&place.location, 1).await.unwrap();
    migrate(&place.location).await.unwrap();
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    a_run(&store, 2, "asha").await;
    for number in [1, 2] {
        let records = store.journal.read_run(run(number)).await.unwrap();
        assert!(records[3].text().unwrap().contains(SECRET));
    }
    store.close().await.unwrap();
}

async fn the_step_is_not_taken_back_from_under_what_is_sealed(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    a_run(&store, 1, "asha").await;
    store.close().await.unwrap();
    // The later steps are others, which may go with it.
    let error = revert(&place.location, 10).await.unwrap_err();
    assert!(matches!(error, OpenError::Sealed { sealed: 4, .. }), "{error}");
    let store = place.own_sealed(&key).await;
    assert_eq!(store.journal.read_run(run(1)).await.unwrap().len(), 5);
    store.close().await.unwrap();
    // All of it may go.
    revert(&place.location, 11).await.unwrap();
    assert!(place.tables().await.is_empty());
}

async fn structure_stays_in_the_clear(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    let mut scribe = Scribe::after(store.journal.head());
    let first = scribe.append(&*store.journal, &started(run(1), "acme")).unwrap();
    store.journal.durable(first).await.unwrap();
    let raw = store.checkpoints.raw(1, 0, 1).await.unwrap();
    assert_eq!(raw[0].holder, None);
    a_run(&store, 2, "asha").await;
    let raw = store.checkpoints.raw(1, 2, 3).await.unwrap();
    assert_eq!(raw[0].holder, Some(("acme".to_owned(), "asha".to_owned())));
    assert!(Entry::is_structure(&started(run(1), "acme")));
    assert!(!Entry::is_structure(&ended(run(1))), "a reason is somebody's text");
    store.close().await.unwrap();
}

on_each_database!(
    what_is_sealed_reads_as_it_was_written,
    sealed_approvals_and_blobs_keep_their_contracts,
    a_sealed_text_of_another_record_does_not_open,
    a_sealed_text_of_another_subject_does_not_open,
    a_key_under_another_name_does_not_open,
    a_text_that_is_gone_without_an_erasure_is_found,
    a_key_that_is_gone_without_an_erasure_is_found,
    a_text_in_the_clear_in_place_of_a_sealed_one_is_found,
    a_text_in_the_clear_that_was_never_sealed_does_not_give_the_hash,
    a_wrong_or_missing_key_says_so_and_is_no_tampering,
    a_key_may_be_given_without_a_file,
    what_was_kept_before_in_the_clear_stays_readable,
    the_step_is_not_taken_back_from_under_what_is_sealed,
    structure_stays_in_the_clear,
);

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn only_its_user_can_read_a_database() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::sqlite();
    let store = place.own().await;
    a_run(&store, 1, "asha").await;
    let Location::Sqlite(directory) = &place.location else { panic!("a directory") };
    for file in ["genie.db", "genie.db-wal", "genie.db-shm"] {
        let mode = Path::new(directory).join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    store.close().await.unwrap();
}
