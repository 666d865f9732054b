//! Erasing a subject: what was theirs is gone for good, the rest stays, and the log still says what
//! it said.

use genie_core::approval::Filter;
use genie_core::budget::{Budget, BudgetId, Charge, Reserved};
use genie_core::clock::Timestamp;
use genie_core::identity::KeyId;
use genie_core::journal::Entry;
use genie_core::journal::restore::Kept;
use genie_store::{EraseError, Erased, Opened};
use uuid::Uuid;

use crate::approvals::approval;
use crate::attempts::attempt;
use crate::blobs::{content, internal, scope};
use crate::identity;
use crate::on_each_database;
use crate::place::Place;
use crate::scribe::{Scribe, ended, run, saying, started_by, tenant, waiting};
use crate::sealing::{SECRET, a_run, is_in, key};

async fn what_is_erased_is_gone_and_its_hashes_stay(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    a_run(&store, 1, "asha").await;
    a_run(&store, 2, "ravi").await;
    let (blob, stored) = content(SECRET, internal());
    store.blobs.put(&scope("acme", 1), blob, stored).await.unwrap();
    store.approvals.put(&tenant("acme"), &approval(1, "acme", run(1))).await.unwrap();
    a_run(&store, 3, "asha").await;
    let before = store.checkpoints.raw(1, 0, 15).await.unwrap();
    let looker = place.look_sealed(&key).await;
    let erased = looker.erase(&tenant("acme"), "asha").await.unwrap();
    let expected = Erased { keys: 1, records: 8, blobs: 1, approvals: 1, ..Erased::default() };
    assert_eq!(erased, expected);
    for store in [&store, &looker] {
        let records = store.journal.read_run(run(1)).await.unwrap();
        let kinds: Vec<(bool, &str)> =
            records.iter().map(|record| (record.entry.is_erased(), record.entry.kind())).collect();
        let expected = [
            (false, "run_started"),
            (true, "message"),
            (true, "verdict"),
            (true, "dead_letter"),
            (true, "outcome"),
        ];
        assert_eq!(kinds, expected);
        assert!(records[3].text().is_err());
        let other = store.journal.read_run(run(2)).await.unwrap();
        assert!(other[3].text().unwrap().contains(SECRET), "somebody else's stays");
        let listed =
            store.approvals.list(&tenant("acme"), &Filter { limit: 9, ..Filter::default() }).await;
        assert!(listed.unwrap().is_empty());
    }
    let after = store.checkpoints.raw(1, 0, 15).await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.hash, before.body_sha256), (after.hash, after.body_sha256));
    }
    assert!(after.iter().all(|record| !matches!(record.body, Kept::Broken(_))));
    assert!(looker.blobs.get(&scope("acme", 1), blob).await.unwrap().is_none());
    // Once more finds nothing.
    assert_eq!(looker.erase(&tenant("acme"), "asha").await.unwrap(), Erased::default());
    looker.close().await.unwrap();
    store.close().await.unwrap();
}

async fn who_was_erased_may_come_again(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    let (blob, stored) = content(SECRET, internal());
    for number in 1..=3 {
        // Whoever writes knows the former key, and finds it erased.
        a_run(&store, number, "asha").await;
        store.blobs.put(&scope("acme", number), blob, stored.clone()).await.unwrap();
        a_run(&store, number + 10, "asha").await;
        let records = store.journal.read_run(run(number)).await.unwrap();
        assert!(records[3].text().unwrap().contains(SECRET));
        let looker = place.look_sealed(&key).await;
        let found = looker.blobs.get(&scope("acme", number), blob).await.unwrap();
        assert_eq!(&*found.unwrap().content, SECRET.as_bytes());
        assert_eq!(looker.erase(&tenant("acme"), "asha").await.unwrap().keys, 1);
        looker.close().await.unwrap();
    }
    let status = store.key_status().await.unwrap();
    assert_eq!(status.erased, 3);
    store.close().await.unwrap();
}

async fn nothing_is_erased_while_a_run_goes_on(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    let mut scribe = Scribe::after(store.journal.head());
    for number in 1..=7 {
        let journal = &*store.journal;
        scribe.append(journal, &started_by(run(number), "acme", "asha")).unwrap();
        scribe.append(journal, &saying(run(number), SECRET)).unwrap();
        scribe.append(journal, &waiting(run(number), 9_000)).unwrap();
    }
    store.journal.durable(scribe.head.seq).await.unwrap();
    let error = store.erase(&tenant("acme"), "asha").await.unwrap_err();
    let EraseError::Unfinished { count, runs, .. } = &error else { panic!("{error}") };
    assert_eq!((*count, runs.len()), (7, 5));
    assert!(error.to_string().contains("genie runs cancel RUN"), "{error}");
    for number in 1..=7 {
        let last = scribe.append(&*store.journal, &ended(run(number))).unwrap();
        store.journal.durable(last).await.unwrap();
    }
    assert_eq!(store.erase(&tenant("acme"), "asha").await.unwrap().records, 14);
    store.close().await.unwrap();
}

async fn whoever_is_unknown_cannot_be_erased(place: &Place) {
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    a_run(&store, 1, "asha").await;
    for (tenant, subject) in [("acme", "nobody"), ("other", "asha")] {
        let error = store.erase(&crate::scribe::tenant(tenant), subject).await.unwrap_err();
        assert!(matches!(error, EraseError::Unknown { .. }), "{error}");
    }
    store.close().await.unwrap();
}

async fn what_was_kept_in_the_clear_is_erased_too(place: &Place) {
    let store = place.own().await;
    a_run(&store, 1, "asha").await;
    a_run(&store, 2, "ravi").await;
    store.approvals.put(&tenant("acme"), &approval(1, "acme", run(1))).await.unwrap();
    store.close().await.unwrap();
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    let erased = store.erase(&tenant("acme"), "asha").await.unwrap();
    assert_eq!((erased.records, erased.approvals), (4, 1));
    let records = store.journal.read_run(run(1)).await.unwrap();
    assert_eq!(records.iter().filter(|record| record.entry.is_erased()).count(), 4);
    assert!(matches!(records[0].entry, Entry::RunStarted { .. }));
    let other = store.journal.read_run(run(2)).await.unwrap();
    assert!(other.iter().all(|record| !record.entry.is_erased()));
    let id = approval(1, "acme", run(1)).id;
    let error = store.approvals.get(&tenant("acme"), id).await.unwrap_err();
    assert!(error.to_string().contains("was erased"), "{error}");
    // Erased once, it is not counted again.
    assert_eq!(store.erase(&tenant("acme"), "asha").await.unwrap(), Erased::default());
    store.close().await.unwrap();
}

/// Lets somebody come in by a key that may spend.
async fn let_in(store: &Opened, number: i64, subject: &str) -> BudgetId {
    let key = identity::key(number, "acme", subject, "user");
    store.keys.put(&tenant("acme"), &key).await.unwrap();
    let budget = BudgetId(key.id.0);
    store.budgets.allot(&tenant("acme"), budget, 100).await.unwrap();
    budget
}

/// What a run of somebody's reserves, in these budgets.
fn charge(number: u128, budgets: &[BudgetId]) -> Charge {
    Charge {
        id: Uuid::from_u128(number),
        run_id: run(number),
        tenant: tenant("acme"),
        budgets: budgets.to_vec(),
        amount_minor: 30,
        at: Timestamp::from_micros(1),
    }
}

async fn who_has_no_account_comes_in_no_more_either(place: &Place) {
    let (_keys, sealing) = key();
    let store = place.own_sealed(&sealing).await;
    // Neither has said anything: a key alone lets them in, and is erased.
    let (asha, more) = (let_in(&store, 3, "asha").await, let_in(&store, 6, "asha").await);
    let ravi = let_in(&store, 9, "ravi").await;
    let foreign = identity::key(12, "globex", "asha", "user");
    store.keys.put(&tenant("globex"), &foreign).await.unwrap();
    // Somebody whose key was made with one of theirs spends in both budgets.
    let both = charge(1, &[asha, ravi]);
    assert_eq!(store.budgets.reserve(&both).await.unwrap(), Reserved::Yes);
    for subject in ["asha", "ravi"] {
        let begun = store.attempts.begin(&attempt(subject, "the rent of asha@home", 5)).await;
        assert_eq!(begun.unwrap(), None);
    }

    let looker = place.look_sealed(&sealing).await;
    let erased = looker.erase(&tenant("acme"), "asha").await.unwrap();
    assert_eq!(erased, Erased { api_keys: 2, ..Erased::default() });
    for store in [&store, &looker] {
        for gone in [asha, more] {
            assert_eq!(store.keys.claimed(KeyId(gone.0)).await.unwrap(), None);
            assert_eq!(store.budgets.get(&tenant("acme"), gone).await.unwrap(), None);
        }
        for stays in [KeyId(ravi.0), foreign.id] {
            assert!(store.keys.claimed(stays).await.unwrap().is_some());
        }
    }
    // What the other has reserved is settled all the same.
    store.budgets.close(both.run_id).await.unwrap();
    let left = store.budgets.get(&tenant("acme"), ravi).await.unwrap();
    assert_eq!(left, Some(Budget { limit_minor: 100, spent_minor: 30, reserved_minor: 0 }));
    let short = store.budgets.reserve(&charge(2, &[asha])).await.unwrap();
    assert_eq!(short, Reserved::Short { left_minor: 0 });
    // The same words tell a request of the other's apart still, and of the erased one nothing.
    let begun = async |subject| {
        store.attempts.begin(&attempt(subject, "the rent of asha@home", 6)).await.unwrap()
    };
    assert_eq!((begun("asha").await, begun("ravi").await.is_some()), (None, true));
    // That attempt alone is something that is kept of them, and the last.
    assert_eq!(looker.erase(&tenant("acme"), "asha").await.unwrap(), Erased::default());
    let error = looker.erase(&tenant("acme"), "asha").await.unwrap_err();
    assert!(matches!(error, EraseError::Unknown { .. }), "{error}");
    looker.close().await.unwrap();
    store.close().await.unwrap();
}

on_each_database!(
    who_has_no_account_comes_in_no_more_either,
    what_is_erased_is_gone_and_its_hashes_stay,
    who_was_erased_may_come_again,
    nothing_is_erased_while_a_run_goes_on,
    whoever_is_unknown_cannot_be_erased,
    what_was_kept_in_the_clear_is_erased_too,
);

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_key_is_nowhere_in_the_files() {
    let place = Place::sqlite();
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    // Enough that the table of keys has many pages.
    for number in 1..=300 {
        a_run(&store, number, &format!("subject {number}")).await;
    }
    for number in [1, 137, 300] {
        let subject = format!("subject {number}");
        let wrapped = format!("SELECT wrapped FROM subject_keys WHERE subject = '{subject}'");
        let wrapped = place.value(&wrapped).await;
        assert!(is_in(&wrapped[12..], &place.bytes()), "it is there before");
        let erased = store.erase(&tenant("acme"), &subject).await.unwrap();
        assert!(!erased.in_log);
        assert!(!is_in(&wrapped[12..28], &place.bytes()), "it is there after");
    }
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn text_in_the_clear_is_nowhere_in_the_files_once_erased() {
    let place = Place::sqlite();
    let store = place.own().await;
    for number in 1..=50 {
        a_run(&store, number, "asha").await;
    }
    store.close().await.unwrap();
    assert!(is_in(SECRET.as_bytes(), &place.bytes()));
    let (_keys, key) = key();
    let store = place.own_sealed(&key).await;
    store.erase(&tenant("acme"), "asha").await.unwrap();
    assert!(!is_in(SECRET.as_bytes(), &place.bytes()));
    store.close().await.unwrap();
}
