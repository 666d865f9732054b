//! The contract of attempts: one run for each key of each subject, replaced only by the quickest.

use std::sync::Arc;

use genie_core::attempts::{Attempt, Attempts, MemoryAttempts};
use genie_core::clock::Timestamp;
use genie_core::journal::chain::Hash;
use tokio::task::JoinSet;

use crate::on_each_database;
use crate::place::Place;
use crate::scribe::{run, tenant};

pub(crate) fn attempt(subject: &str, key: &str, number: u128) -> Attempt {
    Attempt {
        tenant: tenant("acme"),
        subject: subject.into(),
        key: key.into(),
        request: Hash::of(b"request"),
        run_id: run(number),
        at: Timestamp::from_micros(i64::try_from(number).unwrap()),
    }
}

async fn contract(attempts: Arc<dyn Attempts>) {
    let first = attempt("asha", "k", 1);
    assert_eq!(attempts.begin(&first).await.unwrap(), None);
    let known = attempts.begin(&attempt("asha", "k", 2)).await.unwrap();
    assert_eq!(known, Some(first.clone()));
    // Another subject, tenant or key is another attempt.
    assert_eq!(attempts.begin(&attempt("ravi", "k", 3)).await.unwrap(), None);
    assert_eq!(attempts.begin(&attempt("asha", "l", 4)).await.unwrap(), None);
    let foreign = Attempt { tenant: tenant("globex"), ..attempt("asha", "k", 5) };
    assert_eq!(attempts.begin(&foreign).await.unwrap(), None);

    let next = attempt("asha", "k", 6);
    assert!(!attempts.swap(run(9), &next).await.unwrap());
    assert!(attempts.swap(run(1), &next).await.unwrap());
    assert!(!attempts.swap(run(1), &next).await.unwrap(), "once");
    assert_eq!(attempts.begin(&attempt("asha", "k", 7)).await.unwrap(), Some(next));

    attempts.forget(Timestamp::from_micros(5)).await.unwrap();
    assert_eq!(attempts.begin(&attempt("ravi", "k", 8)).await.unwrap(), None, "forgotten");
    assert!(attempts.begin(&attempt("asha", "k", 8)).await.unwrap().is_some(), "kept");

    // Of many who begin at once, one does.
    let mut beginners = JoinSet::new();
    for number in 100..150 {
        let (attempts, attempt) = (attempts.clone(), attempt("asha", "race", number));
        beginners.spawn(async move { attempts.begin(&attempt).await.unwrap().is_none() });
    }
    let begun = beginners.join_all().await.into_iter().filter(|begun| *begun).count();
    assert_eq!(begun, 1);
}

#[tokio::test]
async fn attempts_in_memory_keep_the_contract() {
    contract(Arc::new(MemoryAttempts::default())).await;
}

async fn keep_the_contract(place: &Place) {
    let store = place.own().await;
    contract(store.attempts.clone()).await;
    store.close().await.unwrap();
}

on_each_database!(keep_the_contract);
