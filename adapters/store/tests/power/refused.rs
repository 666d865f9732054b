//! The disk refuses at every write and sync, for a moment.

use genie_core::outcome::Outcome;
use genie_store_disk::{Fault, Refusal};

use crate::lives::{Life, TURN, disk};

/// Lives over a disk that refuses from the operation on; gives how many operations there were.
async fn refuse(from: u64, (count, how): (u64, Refusal)) -> u64 {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("data");
    disk().watch(&directory, Some(Fault::Refuse { from, count, how }));
    let mut told = Vec::new();
    let case = (from, how);
    match Life::begin(&directory).await {
        Err(error) => assert!(error.to_string().contains("genie.db"), "{case:?}: {error}"),
        Ok(life) => {
            for number in 1..=3 {
                told.extend(life.ask(number).await);
            }
            for (run, outcome) in &told {
                match &**outcome {
                    Outcome::Completed { .. } => {}
                    Outcome::Failed { cause } if cause.code() == "journal" => {
                        let cause = cause.to_string();
                        assert!(cause.contains("has space"), "{case:?}: {cause}");
                    }
                    other => panic!("{case:?}: run {run} was told {other:?}"),
                }
            }
            life.end().await;
        }
    }
    let operations = disk().operations();
    // Whatever was refused, the directory can be used again as soon as the disk takes writes.
    let life = loop {
        let before = disk().operations();
        match Life::begin(&directory).await {
            Ok(life) => break life,
            Err(error) => assert!(before + 1 < from + count, "{case:?}: {error}"),
        }
    };
    life.caught_up().await;
    life.check(&told, case).await;
    let (_, outcome) = life.ask(4).await.unwrap();
    assert!(matches!(&*outcome, Outcome::Completed { .. }), "{case:?}: {outcome:?}");
    life.end().await;
    operations
}

async fn refuse_everywhere(refusal: (u64, Refusal)) {
    let _turn = TURN.lock().await;
    let mut from = 1;
    while refuse(from, refusal).await >= from {
        from += 1;
    }
    assert!(from > 100, "the reference run has only {from} operations");
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_disk_fails_once_runs_fail_closed_and_the_store_goes_on() {
    refuse_everywhere((1, Refusal::Broken)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_disk_is_full_for_a_while_runs_fail_closed_and_the_store_goes_on() {
    refuse_everywhere((3, Refusal::NoSpace)).await;
}
