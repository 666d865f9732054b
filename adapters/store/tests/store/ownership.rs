//! Who owns what: one process a directory, one a chain; a former owner is refused for good.

use std::time::Duration;

use genie_core::journal::Error;
use genie_store::{Mode, OpenError, Opened, Options, open};
use tokio::task::JoinSet;

use crate::on_each_database;
use crate::place::{Place, quick};
use crate::scribe::{Scribe, at, ended, filler, resumed, run, started, waiting};

/// Waits for a state; the test's own patience is the bound.
async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if reached().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not come about");
}

/// A process that does not renew its lease, as if it were stopped.
async fn stalled(place: &Place) -> Opened {
    let (lease, heartbeat) = (Duration::from_millis(100), Duration::from_hours(1));
    open(&place.location, Mode::Own, Options { lease, heartbeat, ..quick() }).await.unwrap()
}

async fn a_former_owner_is_refused_for_good(place: &Place) {
    let store = place.own().await;
    let mut scribe = Scribe::after(store.journal.head());
    let seq = scribe.append(&*store.journal, &filler(run(1), 10)).unwrap();
    store.journal.durable(seq).await.unwrap();
    // Another takes the chain over and writes a record.
    place.tamper("UPDATE chains SET epoch = epoch + 1, head_seq = 2").await;
    let lost = scribe.append(&*store.journal, &filler(run(1), 10)).unwrap();
    let error = store.journal.durable(lost).await.unwrap_err();
    assert!(matches!(&error, Error::Unwritable(reason) if reason.contains("took over")), "{error}");
    let error = scribe.append(&*store.journal, &filler(run(1), 10)).unwrap_err();
    assert!(matches!(&error, Error::Unwritable(reason) if reason.contains("took over")), "{error}");
    assert!(store.journal.durable(lost).await.is_err());
    store.journal.durable(seq).await.unwrap();
    store.journal.room().await;
    assert!(store.runs.claim_run(run(1)).await.is_err(), "nor may it take runs");
    assert_eq!(store.checkpoints.rows(1, 0, 10).await.unwrap().len(), 1);
    assert!(store.close().await.is_err(), "records were left unwritten");
}

async fn a_crash_keeps_what_was_durable(place: &Place) {
    let location = place.location.clone();
    let crashed = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let durable = runtime.block_on(async {
            let store = open(&location, Mode::Own, quick()).await.unwrap();
            let mut scribe = Scribe::after(store.journal.head());
            for _ in 0..100 {
                scribe.append(&*store.journal, &filler(run(1), 500)).unwrap();
            }
            store.journal.durable(scribe.head.seq).await.unwrap();
            let durable = scribe.head.seq;
            for _ in 0..1_000 {
                scribe.append(&*store.journal, &filler(run(1), 500)).unwrap();
            }
            durable
        });
        // Whatever was at work stops where it is.
        runtime.shutdown_background();
        durable
    });
    let durable = crashed.join().unwrap();
    let store = place.own().await;
    let head = store.checkpoints.chains().await.unwrap()[0].head;
    assert!(head.seq >= durable);
    let rows = store.checkpoints.rows(1, 0, 10_000).await.unwrap();
    assert_eq!(
        rows.iter().map(|row| row.seq).collect::<Vec<_>>(),
        (1..=head.seq).collect::<Vec<_>>()
    );
    assert_eq!(rows.last().unwrap().hash, head.hash);
    store.close().await.unwrap();
}

on_each_database!(a_former_owner_is_refused_for_good, a_crash_keeps_what_was_durable);

#[tokio::test]
async fn a_directory_has_one_owner_at_a_time() {
    let place = Place::sqlite();
    let first = place.own().await;
    let error = open(&place.location, Mode::Own, quick()).await.unwrap_err();
    let pid = std::process::id().to_string();
    assert!(matches!(&error, OpenError::Owned { pid: of, .. } if *of == pid), "{error}");
    assert!(error.to_string().contains("stop it, or use `--database postgres://"), "{error}");
    assert!(matches!(genie_store::revert(&place.location, 1).await, Err(OpenError::Owned { .. })));
    first.close().await.unwrap();
    place.own().await.close().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_data_directory_is_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::sqlite();
    let store = place.own().await;
    let genie_store::Location::Sqlite(directory) = &place.location else { panic!() };
    let mode = std::fs::metadata(directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: scripts/test starts one"]
async fn the_runs_of_a_dead_process_are_taken_over_and_it_cannot_come_back() {
    let place = Place::postgres().await;
    let dead = stalled(&place).await;
    let mut before = Scribe::after(dead.journal.head());
    for entry in [started(run(1), "acme"), filler(run(1), 10), started(run(2), "acme")] {
        before.append(&*dead.journal, &entry).unwrap();
    }
    for entry in [ended(run(2)), started(run(3), "acme"), waiting(run(3), 9_000)] {
        before.append(&*dead.journal, &entry).unwrap();
    }
    dead.journal.durable(before.head.seq).await.unwrap();

    // It begins a chain of its own if the lease has not ended yet, and goes on with that one if it
    // has; both must come to the same.
    let heir = place.own().await;
    let mut taken = Vec::new();
    until("the take-over", async || {
        taken.extend(heir.runs.claim(at(100), 10).await.unwrap());
        !taken.is_empty()
    })
    .await;
    assert_eq!(taken, [run(1)], "neither the ended run nor the parked one");

    let late = before.append(&*dead.journal, &filler(run(1), 10)).unwrap();
    let error = dead.journal.durable(late).await.unwrap_err();
    assert!(matches!(&error, Error::Unwritable(reason) if reason.contains("took over")), "{error}");
    assert!(dead.runs.claim(at(9_999), 10).await.is_err(), "nor does it take runs");

    let mut after = Scribe::after(heir.journal.head()).counted(run(1), 2);
    for entry in [resumed(run(1)), ended(run(1))] {
        after.append(&*heir.journal, &entry).unwrap();
    }
    let records = heir.journal.read_run(run(1)).await.unwrap();
    let numbers: Vec<u64> = records.iter().map(|record| record.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4], "the run goes on over both chains");
    heir.close().await.unwrap();
    assert!(dead.close().await.is_err());
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: scripts/test starts one"]
async fn a_process_that_renews_its_lease_keeps_its_runs() {
    let place = Place::postgres().await;
    let (lease, heartbeat) = (Duration::from_millis(500), Duration::from_millis(50));
    let options = Options { lease, heartbeat, ..quick() };
    let alive = open(&place.location, Mode::Own, options).await.unwrap();
    let mut scribe = Scribe::after(alive.journal.head());
    scribe.append(&*alive.journal, &started(run(1), "acme")).unwrap();
    alive.journal.durable(1).await.unwrap();
    let other = place.own().await;
    assert_ne!(alive.checkpoints.own_chain(), other.checkpoints.own_chain());
    // Its first lease would have ended twice over.
    let begun = std::time::Instant::now();
    until("the end of the first lease", async || {
        assert!(other.runs.claim(at(9_999), 10).await.unwrap().is_empty());
        begun.elapsed() > 2 * lease
    })
    .await;
    let seq = scribe.append(&*alive.journal, &ended(run(1))).unwrap();
    alive.journal.durable(seq).await.unwrap();
    other.close().await.unwrap();
    alive.close().await.unwrap();
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: scripts/test starts one"]
async fn a_process_learns_of_its_loss_though_it_writes_nothing() {
    let place = Place::postgres().await;
    let options = Options { heartbeat: Duration::from_millis(10), ..quick() };
    let store = open(&place.location, Mode::Own, options).await.unwrap();
    place.tamper("UPDATE chains SET epoch = epoch + 1").await;
    until("the refusal", async || store.runs.claim(at(1), 1).await.is_err()).await;
    let mut scribe = Scribe::after(store.journal.head());
    assert!(scribe.append(&*store.journal, &filler(run(1), 10)).is_err());
    store.close().await.unwrap();
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: scripts/test starts one"]
async fn two_processes_never_take_the_same_run() {
    const RUNS: u128 = 200;
    let place = Place::postgres().await;
    let (one, other) = (place.own().await, place.own().await);
    let mut scribe = Scribe::after(one.journal.head());
    for number in 0..RUNS {
        for entry in [started(run(number), "acme"), waiting(run(number), 10)] {
            scribe.append(&*one.journal, &entry).unwrap();
        }
    }
    one.journal.durable(scribe.head.seq).await.unwrap();
    let mut claimers = JoinSet::new();
    for runs in [&one.runs, &other.runs, &one.runs, &other.runs] {
        let runs = runs.clone();
        claimers.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let some = runs.claim(at(100), 7).await.unwrap();
                if some.is_empty() && runs.next_due().await.unwrap().is_none() {
                    return taken;
                }
                taken.extend(some);
            }
        });
    }
    let mut taken: Vec<_> = claimers.join_all().await.into_iter().flatten().collect();
    taken.sort();
    assert_eq!(taken, (0..RUNS).map(run).collect::<Vec<_>>());
    one.close().await.unwrap();
    other.close().await.unwrap();
    place.remove().await;
}
