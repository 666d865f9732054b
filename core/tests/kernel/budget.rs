//! What processes that died have left reserved: given back, spent, or kept, as their runs stand.

use std::sync::Arc;
use std::time::Duration;

use genie_core::Ask;
use genie_core::budget::{Budget, BudgetId, Budgets, Charge, MemoryBudgets, Prices, Reserved};
use genie_core::clock::{Clock, SteadyClock, Timestamp};
use genie_core::ids::RunId;
use genie_core::kernel::Options;
use genie_core::limits::Limits;
use genie_core::principal::Identity;
use uuid::Uuid;

use crate::flow::Echo;
use crate::{Desk, agent, answer, identity, options, question, spec};

const BUDGET: BudgetId = BudgetId(Uuid::from_u128(1));

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_has_reserved_is_settled_as_its_run_stands() {
    let budgets = Arc::new(MemoryBudgets::default());
    let clock = Arc::new(SteadyClock::starting_at(Timestamp::from_micros(1_000_000_000_000)));
    // Parked meanwhile, so that only its records say that it goes on.
    let hour = Duration::from_hours(1);
    let patient = agent(spec("patient"), move |_, cx| {
        Box::pin(async move {
            cx.sleep(hour).await?;
            Ok(cx.reply(&answer("at last")).await?)
        })
    });
    let mut desk = Desk::of(Options {
        budgets: budgets.clone(),
        clock: clock.clone(),
        prices: Prices { run_minor: 10, ..Prices::default() },
        limits: Limits { run_deadline: 2 * hour, ..Limits::default() },
        ..options(&[&Echo, patient])
    })
    .await;
    let acme = desk.principal.tenant().clone();
    desk.kernel.allot(&acme, BUDGET, 100).await.unwrap();
    desk.principal =
        desk.authority.admit(Identity { budgets: [BUDGET].into(), ..identity("acme") });
    let stands = async || {
        let Budget { spent_minor, reserved_minor, .. } =
            desk.kernel.budget(&acme, BUDGET).await.unwrap().unwrap();
        (spent_minor, reserved_minor)
    };
    // One run that goes on, and one that has ended.
    let ask = Ask::new("patient", &question("x"));
    let going_on = desk.kernel.ask(&desk.principal, ask).await.unwrap();
    let ask = Ask::new("echo", &question("x"));
    let over = desk.kernel.ask(&desk.principal, ask).await.unwrap();
    let over_id = over.run_id;
    over.outcome().await;
    while stands().await != (10, 10) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    // A process that is killed leaves what it has reserved for a run that it has not begun, and for
    // a call of one that has ended.
    let never = RunId(Uuid::from_u128(7));
    for (run_id, id, amount_minor) in [(never, never.0, 30), (over_id, Uuid::from_u128(8), 5)] {
        let (tenant, budgets_of) = (acme.clone(), vec![BUDGET]);
        let at = clock.now();
        let charge = Charge { id, run_id, tenant, budgets: budgets_of, amount_minor, at };
        assert_eq!(budgets.reserve(&charge).await.unwrap(), Reserved::Yes);
    }
    assert_eq!(stands().await, (10, 45));
    // It may only be slow to begin, or to settle.
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(stands().await, (10, 45));
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(stands().await, (15, 10), "given back, spent, and kept");

    assert!(desk.kernel.cancel(&desk.principal, going_on.run_id, "enough").await);
    going_on.outcome().await;
    while stands().await != (25, 0) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    desk.close().await;
}
