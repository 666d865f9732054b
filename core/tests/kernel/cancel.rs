//! Cancelling: the whole run stops, and only its own tenant can stop it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use genie_core::kernel::Options;
use genie_core::outcome::Outcome;
use genie_core::{Agent, Ask};

use crate::{Answer, Desk, Present, agent, answer, identity, millis, options, question, spec};

/// Asks the next agent and waits; the last one works for ever.
fn link(
    id: &'static str,
    next: Option<&'static str>,
    at_work: &Arc<AtomicUsize>,
) -> &'static dyn Agent {
    let at_work = at_work.clone();
    agent(spec(id), move |_, cx| {
        let present = Present::new(&at_work);
        Box::pin(async move {
            let _present = present;
            let Some(next) = next else {
                loop {
                    cx.sleep(millis(1)).await?;
                }
            };
            let told: Answer = cx.ask(next, &question("go on")).await?;
            Ok(cx.reply(&told).await?)
        })
    })
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_stops_at_every_level() {
    let at_work = Arc::default();
    let desk = Desk::with(&[
        link("a", Some("b"), &at_work),
        link("b", Some("c"), &at_work),
        link("c", None, &at_work),
    ])
    .await;
    let running = desk.kernel.ask(&desk.principal, Ask::new("a", &question("x"))).await.unwrap();
    tokio::time::sleep(millis(20)).await;
    assert_eq!(at_work.load(Ordering::Relaxed), 3);
    assert!(desk.kernel.cancel(&desk.principal, running.run_id, "changed my mind").await);
    let outcome = running.outcome().await;
    let Outcome::Cancelled { reason } = &*outcome else { panic!("{outcome:?}") };
    assert_eq!(reason, "changed my mind");
    tokio::task::yield_now().await;
    tokio::time::sleep(millis(1)).await;
    assert_eq!(at_work.load(Ordering::Relaxed), 0, "a handler goes on");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_cancels_the_run_of_another_tenant_or_with_a_foreign_principal() {
    let at_work = Arc::default();
    let desk = Desk::with(&[link("a", None, &at_work)]).await;
    let elsewhere = Options {
        ids: Arc::new(genie_core::ids::SeededIds::new(8)),
        ..options(&[link("a", None, &at_work)])
    };
    let other_kernel = Desk::of(elsewhere).await;
    let running = desk.kernel.ask(&desk.principal, Ask::new("a", &question("x"))).await.unwrap();
    let rival = desk.authority.admit(identity("rival"));
    for principal in [&rival, &other_kernel.principal] {
        assert!(!desk.kernel.cancel(principal, running.run_id, "sabotage").await);
    }
    assert_eq!(desk.kernel.runs_in_flight(), 1);
    assert!(desk.kernel.cancel(&desk.principal, running.run_id, "enough").await);
    assert!(!desk.kernel.cancel(&desk.principal, running.run_id, "twice").await);
    assert_eq!(running.outcome().await.name(), "cancelled");
    other_kernel.close().await;
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_once_whoever_comes_second() {
    let hasty = agent(spec("hasty"), |_, cx| {
        Box::pin(async move {
            cx.reply(&answer("done")).await?;
            // The run has ended; nothing that is done now may change that.
            assert!(cx.is_cancelled());
            assert_eq!(
                cx.ask::<_, Answer>("hasty", &question("x")).await.unwrap_err().code(),
                "cycle"
            );
            assert_eq!(cx.now().unwrap_err().code(), "run_ended");
            Ok(())
        })
    });
    let desk = Desk::with(&[hasty]).await;
    let running =
        desk.kernel.ask(&desk.principal, Ask::new("hasty", &question("x"))).await.unwrap();
    let run_id = running.run_id;
    assert_eq!(running.outcome().await.name(), "completed");
    assert!(!desk.kernel.cancel(&desk.principal, run_id, "too late").await);
    desk.close().await;
}
