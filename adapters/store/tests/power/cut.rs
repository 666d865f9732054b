//! The power is cut at every write and sync.

use genie_core::outcome::Outcome;
use genie_store_disk::{Fault, Keep};

use crate::lives::{Life, TURN, Told, disk, reference};

/// Cuts the power at the operation, and looks at everything that may be left.
async fn cut(at: u64) -> bool {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("data");
    disk().watch(&directory, Some(Fault::Cut { at }));
    let told = reference(&directory).await;
    let is_cut = disk().is_cut();
    let key = directory.with_extension("key");
    let keeps = [Keep::Nothing, Keep::Everything, Keep::Some(at), Keep::Some(!at)];
    for (number, keep) in keeps.into_iter().enumerate() {
        let after = root.path().join(format!("after-{number}"));
        disk().leave(keep, &after).unwrap();
        if key.exists() {
            std::fs::copy(&key, after.with_extension("key")).unwrap();
        }
        // What is watched is known by the directory, which the next life does not use.
        revive(&after, &told, (at, keep)).await;
    }
    is_cut
}

/// The next life finds what was acknowledged, ends what had begun, and works.
async fn revive(directory: &std::path::Path, told: &Told, case: (u64, Keep)) {
    let life = Life::begin(directory).await;
    let life = life.unwrap_or_else(|error| panic!("{case:?}: {error}"));
    life.caught_up().await;
    life.check(told, case).await;
    let (_, outcome) = life.ask(4).await.unwrap();
    assert!(matches!(&*outcome, Outcome::Completed { .. }), "{case:?}: {outcome:?}");
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_power_is_cut_what_was_acknowledged_is_there_and_every_run_ends_once() {
    let _turn = TURN.lock().await;
    let mut at = 1;
    while cut(at).await {
        at += 1;
    }
    // Tables, a commit for each run, and the checkpoint at the end.
    assert!(at > 100, "the reference run has only {at} operations");
}
