//! A database that fails for a while: nothing leaves meanwhile, and nothing is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use genie_core::journal::{Error, Journal};
use genie_store::{Location, Mode, Options, open};
use sqlx::{Connection as _, SqliteConnection};
use tokio::task::JoinSet;

use crate::place::{APART, Place, quick};
use crate::scribe::{Scribe, filler, run};

async fn assert_unbroken(journal: &dyn Journal, scribe: &Scribe) {
    let read = journal.read(0, usize::MAX).await.unwrap();
    let seqs: Vec<u64> = read.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, (1..=scribe.head.seq).collect::<Vec<_>>());
    assert_eq!(read.last().unwrap().hash, scribe.head.hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_until_there_is_space_and_leaves_no_gap() {
    let place = Place::sqlite();
    place.own().await.close().await.unwrap();
    place
        .tamper(
            "CREATE TABLE ballast (content BLOB); \
             WITH RECURSIVE rows (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM rows WHERE n < 500) \
             INSERT INTO ballast SELECT zeroblob(8000) FROM rows",
        )
        .await;
    let options = Options { sqlite_pages_max: Some(600), ..quick() };
    let store = open(&place.location, Mode::Own, options).await.unwrap();
    let mut scribe = Scribe::after(store.journal.head());
    let refused = loop {
        let appended = scribe.append(&*store.journal, &filler(run(1), 2_000));
        let Ok(seq) = appended else { break appended.unwrap_err() };
        if let Err(error) = store.journal.durable(seq).await {
            break error;
        }
        assert!(scribe.head.seq < 10_000, "the disk never fills");
    };
    let reason = refused.to_string();
    assert!(reason.contains("full") && reason.contains("has space"), "{reason}");
    let error = scribe.append(&*store.journal, &filler(run(1), 10)).unwrap_err();
    assert!(matches!(error, Error::Unwritable(_)), "{error}");
    let last = scribe.head.seq;
    assert!(store.journal.durable(last).await.is_err(), "what was taken in is not durable");
    assert!(store.journal.read_run(run(1)).await.is_err(), "nor is the run complete");

    place.tamper("DELETE FROM ballast").await;
    while store.journal.durable(last).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seq = scribe.append(&*store.journal, &filler(run(1), 10)).unwrap();
    store.journal.durable(seq).await.unwrap();
    assert_unbroken(&*store.journal, &scribe).await;
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_although_it_was_said_to_have_failed_is_not_written_twice() {
    let place = Place::sqlite();
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    let seq = scribe.append(&*store.journal, &filler(run(1), 10)).unwrap();
    store.journal.durable(seq).await.unwrap();
    for more in [1, 200] {
        // The writer has its group, and waits for the file while the same records come into it.
        let Location::Sqlite(directory) = &place.location else { panic!() };
        let file = format!("sqlite://{}/genie.db", directory.display());
        let mut holder = SqliteConnection::connect(&file).await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
        let [apart, together] = APART;
        sqlx::raw_sql(apart).execute(&mut holder).await.unwrap();
        let first = scribe.head.seq + 1;
        let written = scribe.append_all(&*store.journal, &vec![filler(run(1), 10); more]);
        for (seq, (hash, body)) in (first..).zip(written) {
            let sql = "INSERT INTO records (chain, seq, run_id, number, hash, body) \
                       VALUES (1, $1, $2, $1, $3, $4)";
            let query = sqlx::query(sql).bind(seq.cast_signed()).bind(&run(1).0.as_bytes()[..]);
            query.bind(&hash.0[..]).bind(body).execute(&mut holder).await.unwrap();
        }
        sqlx::raw_sql(together).execute(&mut holder).await.unwrap();
        let sql = "UPDATE chains SET head_seq = $1, head_hash = $2";
        let query = sqlx::query(sql).bind(scribe.head.seq.cast_signed());
        query.bind(&scribe.head.hash.0[..]).execute(&mut holder).await.unwrap();
        sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
        store.journal.durable(scribe.head.seq).await.unwrap();
        assert_unbroken(&*store.journal, &scribe).await;
    }
    let seq = scribe.append(&*store.journal, &filler(run(1), 10)).unwrap();
    store.journal.durable(seq).await.unwrap();
    assert_unbroken(&*store.journal, &scribe).await;
    store.close().await.unwrap();
}

/// Appends and waits, again and again if need be, as the runs of a kernel would.
async fn persist(journal: &dyn Journal, scribe: &Mutex<Scribe>, number: u128) {
    let seq = loop {
        let appended = scribe.lock().unwrap().append(journal, &filler(run(number), 300));
        match appended {
            Ok(seq) => break seq,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    while journal.durable(seq).await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: scripts/test starts one"]
async fn connections_that_break_in_mid_stream_lose_nothing() {
    const KILLS: u32 = 30;
    let place = Place::postgres().await;
    let store = place.own().await;
    let scribe = Arc::new(Mutex::new(Scribe::after(store.journal.head())));
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for number in 0..4 {
        let (journal, scribe, stop) = (store.journal.clone(), scribe.clone(), stop.clone());
        writers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                persist(&*journal, &scribe, number).await;
            }
        });
    }
    for _ in 0..KILLS {
        let reached = scribe.lock().unwrap().head.seq;
        place
            .tamper(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE \
                 application_name = current_setting('application_name') AND \
                 pid <> pg_backend_pid()",
            )
            .await;
        while scribe.lock().unwrap().head.seq < reached + 20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    writers.join_all().await;
    let head = scribe.lock().unwrap().head;
    assert_unbroken(&*store.journal, &Scribe::after(head)).await;
    store.close().await.unwrap();
    place.remove().await;
}
