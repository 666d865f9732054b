//! Many runs at once on several threads: each has its outcome, and nothing is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use genie_core::journal::Journal;
use genie_core::journal::memory::MemoryJournal;
use genie_core::kernel::Options;
use genie_core::outcome::Outcome;
use genie_core::{Agent, Ask};

use crate::flow::Echo;
use crate::{Answer, Desk, Question, agent, options, question, spec};

/// Runs in all.
const RUNS: usize = 100_000;
/// Clients that ask one after the other.
const CLIENTS: usize = 512;

fn relay() -> &'static dyn Agent {
    agent(spec("relay"), |message, cx| {
        Box::pin(async move {
            let asked: Question = message.decode()?;
            let told: Answer = cx.ask("echo", &asked).await?;
            Ok(cx.reply(&told).await?)
        })
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_thousand_concurrent_runs_each_have_one_outcome() {
    let journal = Arc::new(MemoryJournal::keeping(1_000));
    let desk = Desk::of(Options { journal: journal.clone(), ..options(&[relay(), &Echo]) }).await;
    let desk = Arc::new(desk);
    let (next, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients = (0..CLIENTS).map(|_| {
        let (desk, next, failed) = (desk.clone(), next.clone(), failed.clone());
        async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= RUNS {
                    return;
                }
                // Every hundredth run fails.
                let text = if number.is_multiple_of(100) { "fail" } else { "hello" };
                let ask = Ask::new("relay", &question(text));
                let running = desk.kernel.ask(&desk.principal, ask).await.unwrap();
                match (&*running.outcome().await, text) {
                    (Outcome::Completed { .. }, "hello") => {}
                    (Outcome::Failed { .. }, "fail") => {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                    (other, _) => panic!("{text}: {other:?}"),
                }
            }
        }
    });
    let mut tasks = tokio::task::JoinSet::new();
    clients.for_each(|client| drop(tasks.spawn(client)));
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!(failed.load(Ordering::Relaxed), RUNS / 100);
    assert_eq!(desk.kernel.drain().await, 0);
    assert_eq!(desk.kernel.runs_in_flight(), 0);
    let handled: Vec<(u64, usize)> =
        desk.kernel.health().iter().map(|health| (health.handled, health.queued)).collect();
    assert_eq!(handled, [(RUNS as u64, 0), (RUNS as u64, 0)]);
    let last = journal.read(desk.kernel.head().seq - 1, 10).await.unwrap();
    assert_eq!(last[0].hash, desk.kernel.head().hash);
}
