//! Cancelling: the whole run stops, and only its own tenant can stop it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use genie_core::approval::{Choice, Status};
use genie_core::clock::Timestamp;
use genie_core::ids::RunId;
use genie_core::journal::memory::MemoryJournal;
use genie_core::kernel::Options;
use genie_core::outcome::Outcome;
use genie_core::runs::{Error, MemoryRuns, Progress, Query, Runs, Summary};
use genie_core::{Agent, Ask, Running, Tenant, async_trait};

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

/// Runs each of which takes its time from being claimed to being at work.
struct Late(MemoryRuns);

const LATE: Duration = Duration::from_secs(5);

#[async_trait]
impl Runs for Late {
    async fn claim(&self, now: Timestamp, max: usize) -> Result<Vec<RunId>, Error> {
        let claimed = self.0.claim(now, max).await?;
        if !claimed.is_empty() {
            tokio::time::sleep(LATE).await;
        }
        Ok(claimed)
    }

    async fn claim_run(&self, run: RunId) -> Result<bool, Error> {
        let claimed = self.0.claim_run(run).await?;
        if claimed {
            tokio::time::sleep(LATE).await;
        }
        Ok(claimed)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        self.0.next_due().await
    }

    fn poll_every(&self) -> Option<Duration> {
        self.0.poll_every()
    }

    async fn get(&self, tenant: &Tenant, run: RunId) -> Result<Option<Summary>, Error> {
        self.0.get(tenant, run).await
    }

    async fn progress(&self, runs: &[RunId]) -> Result<Vec<Progress>, Error> {
        self.0.progress(runs).await
    }

    async fn list(&self, tenant: &Tenant, query: &Query) -> Result<Vec<Summary>, Error> {
        self.0.list(tenant, query).await
    }

    async fn ask_to_cancel(&self, of: &Tenant, run: RunId, reason: &str) -> Result<bool, Error> {
        self.0.ask_to_cancel(of, run, reason).await
    }

    async fn to_cancel(&self) -> Result<Vec<(RunId, String)>, Error> {
        self.0.to_cancel().await
    }

    async fn release(&self, run: RunId, until: Timestamp) -> Result<(), Error> {
        self.0.release(run, until).await
    }

    fn parked(&self, run: RunId, wake_at: Timestamp) {
        self.0.parked(run, wake_at);
    }
}

/// A kernel over such runs, with an agent that sleeps for a while and then needs an approval, and
/// a run of it that is parked. Counts how often the agent gets on.
async fn parked(woken: &Arc<AtomicUsize>) -> (Desk, Running) {
    let woken = woken.clone();
    let sleeper = agent(spec("sleeper"), move |_, cx| {
        let woken = woken.clone();
        Box::pin(async move {
            cx.sleep(Duration::from_secs(20)).await?;
            woken.fetch_add(1, Ordering::Relaxed);
            Ok(cx.reply(&answer("needs an approval")).await?)
        })
    });
    let journal = Arc::new(MemoryJournal::keeping(1_000));
    let runs = Arc::new(Late(MemoryRuns::over(journal.clone())));
    let desk = Desk::of(Options { journal, runs, ..options(&[sleeper]) }).await;
    let ask = Ask::new("sleeper", &question("x"));
    let running = desk.kernel.ask(&desk.principal, ask).await.unwrap();
    tokio::time::sleep(millis(100)).await;
    assert_eq!(desk.kernel.runs_in_flight(), 0, "it is not parked");
    (desk, running)
}

/// Cancels a run that is claimed and not yet at work.
async fn cancelled_on_its_way_in(desk: &Desk, running: Running) {
    assert_eq!(desk.kernel.runs_in_flight(), 0, "it is at work already");
    assert!(desk.kernel.cancel(&desk.principal, running.run_id, "enough").await, "not found");
    let outcome = running.outcome().await;
    assert!(matches!(&*outcome, Outcome::Cancelled { reason } if reason == "enough"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_when_its_timer_has_just_run_out_ends_and_does_nothing_more() {
    let woken = Arc::default();
    let (desk, running) = parked(&woken).await;
    tokio::time::sleep(Duration::from_secs(21)).await;
    cancelled_on_its_way_in(&desk, running).await;
    assert_eq!(woken.load(Ordering::Relaxed), 0, "its handler went on");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_when_it_has_just_been_approved_ends_and_answers_nothing() {
    let woken = Arc::default();
    let (desk, running) = parked(&woken).await;
    let approval = desk.asked().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let decided = desk.decides("bea", &approval, Choice::Approve);
    let cancelled = async {
        tokio::time::sleep(millis(1_000)).await;
        cancelled_on_its_way_in(&desk, running).await;
    };
    let (decided, ()) = tokio::join!(decided, cancelled);
    assert_eq!(decided.unwrap().status, Status::Approved);
    desk.close().await;
}
