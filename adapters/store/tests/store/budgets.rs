//! The contract of budgets: reserved before, settled after, never exceeded.

use std::sync::Arc;

use genie_core::budget::{Budget, BudgetId, Budgets, Charge, MemoryBudgets, Reserved};
use genie_core::clock::Timestamp;
use genie_core::ids::RunId;
use uuid::Uuid;

use crate::on_each_database;
use crate::place::Place;
use crate::scribe::tenant;

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

const ONE: BudgetId = BudgetId(Uuid::from_u128(1));
const OTHER: BudgetId = BudgetId(Uuid::from_u128(2));

fn run(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

fn charge(run_number: u128, number: u128, amount_minor: u64) -> Charge {
    Charge {
        id: Uuid::from_u128(number),
        run_id: run(run_number),
        tenant: tenant("acme"),
        budgets: vec![ONE],
        amount_minor,
        at: at(i64::try_from(run_number).unwrap()),
    }
}

async fn stands(budgets: &Arc<dyn Budgets>, id: BudgetId) -> (u64, u64, u64) {
    let Budget { limit_minor, spent_minor, reserved_minor } =
        budgets.get(&tenant("acme"), id).await.unwrap().unwrap();
    (limit_minor, spent_minor, reserved_minor)
}

async fn contract(budgets: Arc<dyn Budgets>) {
    budgets.allot(&tenant("acme"), ONE, 100).await.unwrap();
    budgets.allot(&tenant("acme"), OTHER, 10).await.unwrap();
    budgets.allot(&tenant("acme"), ONE, 1_000).await.unwrap();
    assert_eq!(stands(&budgets, ONE).await, (100, 0, 0), "what there is stays");
    assert_eq!(budgets.get(&tenant("globex"), ONE).await.unwrap(), None);

    let first = charge(1, 1, 60);
    for _ in 0..3 {
        // However often it is tried, it is one charge.
        assert_eq!(budgets.reserve(&first).await.unwrap(), Reserved::Yes);
        assert_eq!(stands(&budgets, ONE).await, (100, 0, 60));
    }
    let short = budgets.reserve(&charge(1, 2, 41)).await.unwrap();
    assert_eq!(short, Reserved::Short { left_minor: 40 });
    // In all budgets or in none.
    let both = Charge { budgets: vec![ONE, OTHER], ..charge(2, 3, 20) };
    assert_eq!(budgets.reserve(&both).await.unwrap(), Reserved::Short { left_minor: 10 });
    assert_eq!((stands(&budgets, ONE).await, stands(&budgets, OTHER).await.2), ((100, 0, 60), 0));
    let both = Charge { amount_minor: 10, ..both };
    assert_eq!(budgets.reserve(&both).await.unwrap(), Reserved::Yes);
    for foreign in [
        Charge { budgets: vec![BudgetId(Uuid::from_u128(9))], ..charge(3, 4, 1) },
        Charge { tenant: tenant("globex"), ..charge(3, 5, 1) },
    ] {
        assert_eq!(budgets.reserve(&foreign).await.unwrap(), Reserved::Short { left_minor: 0 });
    }

    let cost = async |number: u128| budgets.cost(&tenant("acme"), run(number)).await.unwrap();
    assert_eq!((cost(1).await, cost(2).await, cost(3).await), (Some(60), Some(10), None));

    // Settled once, at most at what was reserved; what is open at the end is spent.
    budgets.settle(run(1), first.id, 5).await.unwrap();
    budgets.settle(run(1), first.id, 0).await.unwrap();
    assert_eq!(stands(&budgets, ONE).await, (100, 5, 10));
    assert_eq!(budgets.reserve(&first).await.unwrap(), Reserved::Yes, "it was reserved before");
    assert_eq!(stands(&budgets, ONE).await, (100, 5, 10));
    assert_eq!(cost(1).await, Some(5));
    assert_eq!(budgets.reserve(&charge(1, 6, 7)).await.unwrap(), Reserved::Yes);
    assert_eq!(cost(1).await, Some(12), "with what is reserved");
    budgets.settle(run(1), Uuid::from_u128(6), 0).await.unwrap();
    let open = budgets.open_runs(at(3)).await.unwrap();
    assert_eq!(open, [("acme".into(), run(1)), ("acme".into(), run(2))]);
    assert_eq!(budgets.open_runs(at(2)).await.unwrap().len(), 1);
    budgets.close(run(1)).await.unwrap();
    budgets.close(run(2)).await.unwrap();
    budgets.close(run(2)).await.unwrap();
    assert_eq!(
        (stands(&budgets, ONE).await, stands(&budgets, OTHER).await),
        ((100, 15, 0), (10, 10, 0))
    );
    assert_eq!(budgets.open_runs(at(9)).await.unwrap(), []);
    assert_eq!((cost(1).await, cost(2).await, cost(3).await), (Some(5), Some(10), None));
    assert_eq!(budgets.cost(&tenant("globex"), run(1)).await.unwrap(), None);
}

/// A thousand at once, of which 333 fit.
async fn many_at_once(budgets: Arc<dyn Budgets>) {
    budgets.allot(&tenant("acme"), ONE, 1_000).await.unwrap();
    let all = (0..1_000).map(|number| {
        let budgets = budgets.clone();
        async move { budgets.reserve(&charge(number, number, 3)).await.unwrap() }
    });
    let mut handles = tokio::task::JoinSet::new();
    for one in all {
        handles.spawn(one);
    }
    let reserved = handles.join_all().await;
    let yes = reserved.iter().filter(|one| **one == Reserved::Yes).count();
    assert_eq!((yes, stands(&budgets, ONE).await), (333, (1_000, 0, 999)));
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_in_memory_keep_the_contract() {
    contract(Arc::new(MemoryBudgets::default())).await;
    many_at_once(Arc::new(MemoryBudgets::default())).await;
}

async fn keep_the_contract(place: &Place) {
    let store = place.own().await;
    contract(store.budgets.clone()).await;
    store.close().await.unwrap();
}

async fn are_never_exceeded_however_many_spend_at_once(place: &Place) {
    let store = place.own().await;
    many_at_once(store.budgets.clone()).await;
    store.close().await.unwrap();
    // What was reserved by a process that is gone counts all the same.
    let store = place.look().await;
    let left = store.budgets.reserve(&charge(2_000, 2_000, 3)).await.unwrap();
    assert_eq!(left, Reserved::Short { left_minor: 1 });
    store.close().await.unwrap();
}

on_each_database!(keep_the_contract, are_never_exceeded_however_many_spend_at_once);
