//! What every store of approvals does: keeps them, lists them, lets one decision win.

use std::sync::Arc;

use genie_core::approval::{Approval, ApprovalId, Approvals, Filter, MemoryApprovals, Status};
use genie_core::ids::RunId;
use genie_core::journal::Journal;
use genie_core::journal::memory::MemoryJournal;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::on_each_database;
use crate::place::Place;
use crate::scribe::{Scribe, ended, run, started, tenant, waiting};
use crate::sealing::key;

/// A pending approval, in its documented JSON form.
pub(crate) fn approval(number: u32, tenant: &str, run_id: RunId) -> Approval {
    let document = json!({
        "id": Uuid::from_u128(number.into()), "run_id": run_id, "message_id": Uuid::from_u128(7),
        "tenant": tenant, "requester": "asha", "subject": "message", "from": "thinker",
        "to": "tool:pay", "kind": "tool.call", "arguments": {"amount_minor": 250, "to": "ö\u{0}"},
        "digest": "00".repeat(32), "policy": "pay", "policy_version": "v1", "policy_set": "v1",
        "reason": "money", "requirement":
        {"role": "approver", "quorum": 1, "expires_ms": 1_000, "requester_may": false},
        "requested_at": format!("2026-11-21T02:59:{:02}.500000Z", number / 2),
        "expires_at": "2026-11-24T02:59:29.500000Z", "status": "pending", "decisions": [],
        "revision": 0,
    });
    serde_json::from_value(document).unwrap()
}

/// The same, approved.
pub(crate) fn decided(approval: &Approval) -> Approval {
    approval.ended(Status::Approved).unwrap()
}

fn id(number: u32) -> ApprovalId {
    ApprovalId(Uuid::from_u128(number.into()))
}

fn filter() -> Filter {
    Filter { limit: 100, ..Filter::default() }
}

pub(crate) async fn contract(approvals: Arc<dyn Approvals>) {
    for number in [3, 1, 2, 5, 4] {
        let run = run((number % 2).into());
        approvals.put(&tenant("acme"), &approval(number, "acme", run)).await.unwrap();
    }
    approvals.put(&tenant("other"), &approval(6, "other", run(0))).await.unwrap();
    let first = approval(1, "acme", run(1));
    assert_eq!(approvals.get(&tenant("acme"), id(1)).await.unwrap(), Some(first.clone()));
    assert_eq!(approvals.get(&tenant("other"), id(1)).await.unwrap(), None, "of another tenant");
    assert_eq!(approvals.get(&tenant("acme"), id(9)).await.unwrap(), None);

    // One with the same id stays as it is.
    let altered = Approval { reason: "none".into(), ..first.clone() };
    approvals.put(&tenant("acme"), &altered).await.unwrap();
    assert_eq!(approvals.get(&tenant("acme"), id(1)).await.unwrap(), Some(first.clone()));

    // Nothing gets among another tenant's, and nobody decides there.
    assert!(approvals.put(&tenant("other"), &approval(7, "acme", run(0))).await.is_err());
    assert!(approvals.swap(&tenant("other"), &decided(&first)).await.is_err());
    let theirs = Approval { tenant: "other".into(), ..decided(&first) };
    assert!(!approvals.swap(&tenant("other"), &theirs).await.unwrap());

    assert!(approvals.swap(&tenant("acme"), &decided(&first)).await.unwrap());
    assert!(!approvals.swap(&tenant("acme"), &decided(&first)).await.unwrap(), "once");
    assert!(
        !approvals.swap(&tenant("acme"), &first).await.unwrap(),
        "nothing came before the first revision"
    );
    assert_eq!(approvals.get(&tenant("acme"), id(1)).await.unwrap(), Some(decided(&first)));

    let check = async |filter: Filter, expected: &[u32]| {
        let listed = approvals.list(&tenant("acme"), &filter).await.unwrap();
        let listed: Vec<ApprovalId> = listed.iter().map(|approval| approval.id).collect();
        let expected: Vec<ApprovalId> = expected.iter().map(|number| id(*number)).collect();
        assert_eq!(listed, expected, "{filter:?}");
    };
    check(filter(), &[1, 2, 3, 4, 5]).await;
    check(Filter { run_id: Some(run(0)), ..filter() }, &[2, 4]).await;
    check(Filter { status: Some("pending".to_owned()), ..filter() }, &[2, 3, 4, 5]).await;
    check(Filter { after: Some(id(2)), limit: 2, ..filter() }, &[3, 4]).await;
    check(Filter { after: Some(id(9)), ..filter() }, &[]).await;
}

/// What is pending of ended runs, and nothing else, is found to be withdrawn, whoever's it is.
async fn of_ended_runs(journal: &dyn Journal, approvals: &dyn Approvals) {
    let mut scribe = Scribe::after(journal.head());
    let mut kept = Vec::new();
    for (number, of) in [(1, "acme"), (2, "other"), (3, "acme"), (4, "acme"), (5, "acme")] {
        let run = run(number.into());
        scribe.append(journal, &started(run, of)).unwrap();
        kept.push(approval(number, of, run));
        approvals.put(&tenant(of), &kept[number as usize - 1]).await.unwrap();
    }
    assert!(approvals.swap(&tenant("acme"), &decided(&kept[4])).await.unwrap());
    // The runs 1, 2 and 5 end, 3 is at work and 4 is parked.
    for entry in [ended(run(1)), ended(run(2)), waiting(run(4), 9_000), ended(run(5))] {
        scribe.append(journal, &entry).unwrap();
    }
    journal.durable(scribe.head.seq).await.unwrap();
    // Nobody decides any more on what they have asked, nor comes nearer to a decision.
    let nearer = Approval { revision: 1, ..kept[0].clone() };
    for late in [decided(&kept[0]), nearer] {
        assert!(!approvals.swap(&tenant("acme"), &late).await.unwrap(), "{}", late.status.name());
    }
    let mut left = approvals.of_ended_runs(10).await.unwrap();
    left.sort_by_key(|approval| approval.id);
    assert_eq!(left, kept[..2]);
    for count in [1, 0] {
        let one = approvals.of_ended_runs(1).await.unwrap().pop().unwrap();
        let withdrawn = one.ended(Status::Withdrawn).unwrap();
        assert!(approvals.swap(&tenant(&one.tenant), &withdrawn).await.unwrap());
        assert_eq!(approvals.of_ended_runs(10).await.unwrap().len(), count);
    }
}

/// Many decide at once on each of many approvals.
async fn races(approvals: Arc<dyn Approvals>) {
    const APPROVALS: u32 = 100;
    const DECIDERS: usize = 10;
    for number in 0..APPROVALS {
        approvals.put(&tenant("acme"), &approval(number, "acme", run(1))).await.unwrap();
    }
    let mut deciders = JoinSet::new();
    for number in 0..APPROVALS {
        for _ in 0..DECIDERS {
            let (approvals, next) = (approvals.clone(), decided(&approval(number, "acme", run(1))));
            deciders.spawn(async move { approvals.swap(&tenant("acme"), &next).await.unwrap() });
        }
    }
    let won = deciders.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, APPROVALS as usize);
}

#[tokio::test]
async fn approvals_in_memory_keep_the_contract() {
    contract(Arc::new(MemoryApprovals::default())).await;
}

#[tokio::test]
async fn in_memory_what_ended_runs_have_asked_is_found() {
    let journal = Arc::new(MemoryJournal::keeping(100));
    of_ended_runs(&*journal, &MemoryApprovals::over(journal.clone())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_deciders_in_memory_have_one_winner_for_each_approval() {
    races(Arc::new(MemoryApprovals::default())).await;
}

async fn keep_the_contract(place: &Place) {
    let store = place.own().await;
    contract(store.approvals.clone()).await;
    store.close().await.unwrap();
}

async fn what_ended_runs_have_asked_is_found(place: &Place) {
    let store = place.own().await;
    of_ended_runs(&*store.journal, &*store.approvals).await;
    store.close().await.unwrap();
}

async fn what_was_erased_is_not_found_to_be_withdrawn(place: &Place) {
    let (_directory, key) = key();
    let store = place.own_sealed(&key).await;
    let mut scribe = Scribe::after(store.journal.head());
    for number in 1..=2 {
        let run = run(number.into());
        scribe.append(&*store.journal, &started(run, "acme")).unwrap();
        scribe.append(&*store.journal, &ended(run)).unwrap();
        let kept = approval(number, "acme", run);
        let requester = if number == 1 { "asha" } else { "ravi" };
        let kept = Approval { requester: requester.into(), ..kept };
        store.approvals.put(&tenant("acme"), &kept).await.unwrap();
    }
    store.journal.durable(scribe.head.seq).await.unwrap();
    assert_eq!(store.approvals.of_ended_runs(10).await.unwrap().len(), 2);
    place
        .tamper("UPDATE subject_keys SET wrapped = NULL, erased_at = 1 WHERE subject = 'asha'")
        .await;
    let left = store.approvals.of_ended_runs(1).await.unwrap();
    assert_eq!(left.len(), 1, "an erased one stands before the others");
    assert_eq!(&*left[0].requester, "ravi");
    store.close().await.unwrap();
}

async fn a_thousand_deciders_have_one_winner_for_each_approval(place: &Place) {
    let store = place.own().await;
    races(store.approvals.clone()).await;
    store.close().await.unwrap();
}

on_each_database!(
    keep_the_contract,
    a_thousand_deciders_have_one_winner_for_each_approval,
    what_ended_runs_have_asked_is_found,
    what_was_erased_is_not_found_to_be_withdrawn,
);
