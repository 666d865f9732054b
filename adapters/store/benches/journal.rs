//! How many records a second become durable, and how long one waits for it.
//!
//! `cargo bench --package genie-store` measures SQLite in a temporary directory; with
//! `GENIE_TEST_POSTGRES_URL` it measures PostgreSQL, too, in a schema of its own. Each run has
//! twelve records of 700 bytes, among them its start and its outcome. Everything is measured in the
//! clear and sealed.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says where")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use genie_core::clock::Timestamp;
use genie_core::ids::{MessageId, RunId};
use genie_core::journal::chain::{Hash, Head, seal};
use genie_core::journal::restore::{Kept, Row, restore};
use genie_core::journal::{Entry, Journal, Record, Text};
use genie_core::outcome::Outcome;
use genie_store::{KeySource, Location, Mode, Options, open};
use sqlx::Connection as _;
use tokio::task::JoinSet;
use uuid::Uuid;

const RUNS: u128 = 25_000;
const RECORDS_OF_RUN: u64 = 12;
const BODY_BYTES: usize = 700;
/// Records that are appended at once, as a message with its verdict is.
const TOGETHER: usize = 2;

type Sealed = (Arc<Record>, String);

fn entry(run_id: RunId, number: u64) -> Entry {
    let at = Timestamp::from_micros(1);
    match number {
        1 => Entry::RunStarted {
            run_id,
            at,
            policy_set: "v".repeat(BODY_BYTES - 250).into(),
            deadline: at,
            tenant: "acme".into(),
            subject: "asha".into(),
            agent: "echo".into(),
            request_id: None,
        },
        RECORDS_OF_RUN => {
            let reason = "r".repeat(BODY_BYTES - 150);
            Entry::Outcome { run_id, at, outcome: Arc::new(Outcome::Cancelled { reason }) }
        }
        _ => Entry::DeadLetter {
            run_id,
            message_id: MessageId(run_id.0),
            agent: "echo".into(),
            reason: "x".repeat(BODY_BYTES - 150),
        },
    }
}

/// The records of many runs, of which 64 are at work at a time.
fn records(mut head: Head, first_run: u128, runs: u128) -> Vec<Sealed> {
    const AT_ONCE: u128 = 64;
    let mut sealed = Vec::new();
    for batch in (first_run..first_run + runs).step_by(AT_ONCE as usize) {
        for number in 1..=RECORDS_OF_RUN {
            for run in batch..(batch + AT_ONCE).min(first_run + runs) {
                let run = RunId(Uuid::from_u128((0x0190 << 112) + run));
                let body = serde_json::to_string(&entry(run, number)).unwrap();
                let (seq, prev_hash) = (head.seq + 1, head.hash);
                let hash = seal(seq, prev_hash, Hash::of(body.as_bytes()));
                head = Head { seq, hash };
                let row = Row { seq, prev_hash, hash, number, body: Kept::Text(body.clone()) };
                sealed.push((restore([row]).unwrap().remove(0), body));
            }
        }
    }
    sealed
}

fn append(journal: &dyn Journal, sealed: &[Sealed]) -> u64 {
    let records: Vec<_> = sealed.iter().map(|(record, _)| record.clone()).collect();
    let texts: Vec<_> = sealed.iter().map(|(_, text)| Text::of(text.as_bytes())).collect();
    journal.append(&records, &texts).unwrap();
    records.last().unwrap().seq
}

/// As fast as the store takes them.
async fn throughput(journal: &dyn Journal, sealed: &[Sealed]) -> Duration {
    let started = Instant::now();
    let mut last = 0;
    for some in sealed.chunks(TOGETHER) {
        if !journal.has_room() {
            journal.room().await;
        }
        last = append(journal, some);
    }
    journal.durable(last).await.unwrap();
    started.elapsed()
}

/// Each of `waiters` appends and waits until it is durable, over and over.
async fn latency(journal: Arc<dyn Journal>, sealed: Vec<Sealed>, waiters: usize) -> Vec<Duration> {
    let sealed = Arc::new(sealed);
    let next = Arc::new((std::sync::Mutex::new(()), AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..waiters {
        let (journal, sealed, next) = (journal.clone(), sealed.clone(), next.clone());
        tasks.spawn(async move {
            let mut waits = Vec::new();
            loop {
                let started = Instant::now();
                let seq = {
                    let _turn = next.0.lock().unwrap();
                    let at = next.1.fetch_add(TOGETHER, Ordering::Relaxed);
                    let Some(some) = sealed.get(at..at + TOGETHER) else { return waits };
                    append(&*journal, some)
                };
                journal.durable(seq).await.unwrap();
                waits.push(started.elapsed());
            }
        });
    }
    let mut waits: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    waits.sort();
    waits
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
async fn measure(name: &str, location: Location, sealing: Option<KeySource>) {
    let options = Options { sealing, ..Options::default() };
    let store = open(&location, Mode::Own, options).await.unwrap();
    let sealed = records(store.journal.head(), 0, RUNS);
    let took = throughput(&*store.journal, &sealed).await;
    let rate = sealed.len() as f64 / took.as_secs_f64();
    println!("{name}: {} records of about {BODY_BYTES} bytes, {rate:.0} a second", sealed.len());
    let (last, _) = &sealed[sealed.len() - 1];
    let mut head = Head { seq: last.seq, hash: last.hash };
    let mut first_run = RUNS;
    for (waiters, runs) in [(1, 128), (64, 1_024), (512, 4_096)] {
        let sealed = records(head, first_run, runs);
        first_run += runs;
        let (last, _) = &sealed[sealed.len() - 1];
        head = Head { seq: last.seq, hash: last.hash };
        let (count, started) = (sealed.len() as f64, Instant::now());
        let waits = latency(store.journal.clone(), sealed, waiters).await;
        let rate = count / started.elapsed().as_secs_f64();
        let (median, worst) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
        println!("{name}: {waiters} wait: {rate:.0} a second, p50 {median:?}, p99 {worst:?}");
    }
    let started = Instant::now();
    let run = RunId(Uuid::from_u128(0x0190 << 112));
    let read = store.journal.read_run(run).await.unwrap().len();
    println!("{name}: {read} records of one run read in {:?}", started.elapsed());
    let stats = store.stats().await.unwrap();
    println!("{name}: {} bytes a run", stats.bytes_per_run());
    store.close().await.unwrap();
}

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| Location::Sqlite(directory.path().join(name));
    let key = KeySource::File(directory.path().join("sealing.key"));
    measure("SQLite", place("clear"), None).await;
    measure("SQLite, sealed", place("sealed"), Some(key.clone())).await;
    #[expect(clippy::disallowed_methods, reason = "a benchmark has no configuration")]
    let Ok(server) = std::env::var("GENIE_TEST_POSTGRES_URL") else { return };
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    let mark = if server.contains('?') { '&' } else { '?' };
    let url = format!("{server}{mark}options[search_path]=genie_bench");
    for (name, key) in [("PostgreSQL", None), ("PostgreSQL, sealed", Some(key))] {
        for sql in ["DROP SCHEMA IF EXISTS genie_bench CASCADE", "CREATE SCHEMA genie_bench"] {
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
        measure(name, Location::Postgres(url.clone()), key).await;
    }
    sqlx::raw_sql("DROP SCHEMA genie_bench CASCADE").execute(&mut connection).await.unwrap();
}
