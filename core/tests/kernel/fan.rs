//! Fan-out and fan-in: the slowest leg is the whole time, a lost one is named and costs no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use genie_core::context::Request;
use genie_core::gather::Gathered;
use genie_core::ids::RunId;
use genie_core::journal::chain::Head;
use genie_core::journal::{self, Journal, Record, Text};
use genie_core::kernel::Options;
use genie_core::limits::Limits;
use genie_core::{Agent, AgentError, AgentSpec, Ask, Failure, Gather, async_trait};
use tokio::time::Instant;

use crate::flow::Echo;
use crate::{
    Answer, Desk, Part, Present, Question, agent, answer, dead, millis, options, part, question,
    slow, spec, text_of,
};

/// What a gather gave, in words: `a: x, b: x | c (why)`.
fn told(gathered: &Gathered) -> String {
    let arrived = gathered
        .arrived
        .iter()
        .map(|message| message.decode::<Answer>().map(|answer| answer.text).unwrap_or_default());
    let missing =
        gathered.missing.iter().map(|missing| format!("{} ({})", missing.leg, missing.reason));
    let (arrived, missing): (Vec<String>, Vec<String>) = (arrived.collect(), missing.collect());
    format!("{} | {}", arrived.join(", "), missing.join(", "))
}

/// Asks every leg `x` and answers with what came.
fn scatter(legs: &'static [&'static str], gather: Gather) -> &'static dyn Agent {
    agent(spec("front"), move |_, cx| {
        Box::pin(async move {
            let requests: Vec<Request> =
                legs.iter().map(|leg| Request::new(leg, &question("x"))).collect();
            let gathered = cx.ask_all(&requests, gather).await?;
            Ok(cx.reply(&answer(told(&gathered))).await?)
        })
    })
}

async fn check(legs: &[&'static dyn Agent], front: &'static dyn Agent, ms: u64, expected: &str) {
    let mut agents = vec![front];
    agents.extend(legs);
    let desk = Desk::with(&agents).await;
    let started = Instant::now();
    let outcome = desk.ask("front", "x").await;
    let took = started.elapsed();
    assert!(took >= millis(ms) && took <= millis(ms + 1), "took {took:?}, not {ms} ms");
    match &*outcome {
        genie_core::outcome::Outcome::Failed { cause } => assert_eq!(cause.to_string(), expected),
        outcome => assert_eq!(text_of(outcome), expected),
    }
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn three_legs_of_50_ms_take_50_ms() {
    let legs = [slow("a", millis(50)), slow("b", millis(50)), slow("c", millis(50))];
    let front = scatter(&["a", "b", "c"], Gather::all());
    check(&legs, front, 50, "a: x, b: x, c: x | ").await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_leg_costs_its_deadline_and_is_named() {
    let gather = Gather::all().deadline(millis(100)).partial(true);
    let expected = "a: x | b (it did not answer in time)";
    check(&[slow("a", millis(5)), dead("b")], scatter(&["a", "b"], gather), 100, expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_leg_is_missing_at_once_with_its_cause() {
    let fails = agent(spec("b"), |_, _| Box::pin(async { Err(AgentError::new("no luck")) }));
    let gather = Gather::all().deadline(millis(100)).partial(true);
    let expected = "a: x | b (agent `b` failed: no luck), c (nobody receives `c`; `genie agents` \
                    lists who is registered)";
    check(&[slow("a", millis(5)), fails], scatter(&["a", "b", "c"], gather), 5, expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_gather_that_cannot_be_met_any_more_fails_at_once() {
    let fails = agent(spec("b"), |_, _| Box::pin(async { Err(AgentError::new("no luck")) }));
    let expected = "the gather is incomplete: `a`: the other legs had settled the gather; \
                    `b`: agent `b` failed: no luck";
    let gather = Gather::all().deadline(millis(100));
    check(&[dead("a"), fails], scatter(&["a", "b"], gather), 0, expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_quorum_and_the_first_answer_do_not_wait_for_the_rest() {
    let legs = || [slow("a", millis(30)), slow("b", millis(10)), slow("c", millis(20))];
    let rest = "the other legs had settled the gather";
    let quorum = scatter(&["a", "b", "c"], Gather::all().quorum(2));
    check(&legs(), quorum, 20, &format!("b: x, c: x | a ({rest})")).await;
    let first = scatter(&["a", "b", "c"], Gather::first());
    check(&legs(), first, 10, &format!("b: x | a ({rest}), c ({rest})")).await;
}

#[tokio::test(start_paused = true)]
async fn a_gather_that_waits_for_ever_may_say_so() {
    let gather = Gather::all().deadline(Duration::MAX);
    check(&[slow("a", millis(5))], scatter(&["a"], gather), 5, "a: x | ").await;
}

#[tokio::test(start_paused = true)]
async fn a_late_leg_does_no_harm_to_the_next_call() {
    let front = agent(spec("front"), |_, cx| {
        Box::pin(async move {
            let both =
                |text| [Request::new("a", &question(text)), Request::new("b", &question(text))];
            let first = cx.ask_all(&both("1"), Gather::first()).await?;
            let second = cx.ask_all(&both("2"), Gather::all()).await?;
            Ok(cx.reply(&answer(format!("{} / {}", told(&first), told(&second)))).await?)
        })
    });
    let expected = "a: 1 | b (the other legs had settled the gather) / a: 2, b: 2 | ";
    // `b` is still busy with the first call for 40 ms, then takes 50 ms for the second.
    check(&[slow("a", millis(10)), slow("b", millis(50))], front, 100, expected).await;
}

#[tokio::test(start_paused = true)]
async fn only_the_addressee_can_answer_a_request() {
    // The liar hears of the question and publishes answers of its own before the true one comes.
    let liar = agent(spec("liar").accepts::<Part<0>>(), |_, cx| {
        Box::pin(async move {
            cx.publish(&answer("a lie")).await?;
            Ok(())
        })
    });
    let front = agent(spec("front").emits::<Part<0>>().collects::<Answer>(), |_, cx| {
        Box::pin(async move {
            cx.publish(&part::<0>("somebody asks")).await?;
            let told: Answer = cx.ask("a", &question("x")).await?;
            Ok(cx.reply(&told).await?)
        })
    });
    check(&[slow("a", millis(10)), liar], front, 10, "a: x").await;
}

/// Asked for an analysis, publishes it; gathers parts one and two that others make of it.
fn collector(gather: Gather) -> &'static dyn Agent {
    let spec = spec("front").emits::<Part<0>>().collects::<Part<1>>().collects::<Part<2>>();
    agent(spec, move |_, cx| {
        Box::pin(async move {
            cx.publish(&part::<0>("analysis")).await?;
            let gathered = cx.collect(&["part.one", "part.two"], gather).await?;
            Ok(cx.reply(&answer(told(&gathered))).await?)
        })
    })
}

fn maker<const N: usize>(id: &'static str, wait: Duration) -> &'static dyn Agent {
    let spec = AgentSpec::new(id, "makes a part").accepts::<Part<0>>().emits::<Part<N>>();
    agent(spec, move |message, cx| {
        Box::pin(async move {
            let made: Part<0> = message.decode()?;
            tokio::time::sleep(wait).await;
            cx.publish(&part::<N>(&format!("{id} of {}", made.text))).await?;
            Ok(())
        })
    })
}

#[tokio::test(start_paused = true)]
async fn what_others_publish_is_gathered_at_the_pace_of_the_slowest() {
    let legs = [maker::<1>("one", millis(50)), maker::<2>("two", millis(50))];
    check(&legs, collector(Gather::all()), 50, "one of analysis, two of analysis | ").await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_does_not_come_is_named_at_the_deadline() {
    let expected = "one of analysis | part.two (it did not come in time)";
    let legs = [maker::<1>("one", millis(1)), maker::<2>("two", Duration::from_secs(20))];
    let gather = Gather::all().deadline(millis(80)).partial(true);
    check(&legs, collector(gather), 80, expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_nobody_can_make_any_more_is_missing_at_once_with_its_cause() {
    let spec = AgentSpec::new("two", "fails").accepts::<Part<0>>().emits::<Part<2>>();
    let fails = agent(spec, |_, _| Box::pin(async { Err(AgentError::new("no luck")) }));
    let gather = Gather::all().deadline(millis(80)).partial(true);
    let expected = "one of analysis | part.two (agent `two` failed: no luck)";
    check(&[maker::<1>("one", millis(5)), fails], collector(gather), 5, expected).await;
    let expected = "one of analysis | part.two (nobody in this run can send it any more)";
    check(&[maker::<1>("one", millis(5))], collector(gather), 5, expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_gather_in_vain_below_another_ends_before_it() {
    // The middle waits in vain for part three, goes on without it, and makes part one after all.
    let spec = AgentSpec::new("middle", "waits in vain")
        .accepts::<Part<0>>()
        .emits::<Part<1>>()
        .collects::<Part<3>>();
    let middle = agent(spec, |_, cx| {
        Box::pin(async move {
            cx.collect(&["part.three"], Gather::all().partial(true)).await?;
            cx.publish(&part::<1>("one in the end")).await?;
            Ok(())
        })
    });
    let gather = Gather::all().deadline(millis(80));
    let legs = [middle, maker::<2>("two", millis(5))];
    check(&legs, collector(gather), 5, "one in the end, two of analysis | ").await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_a_handler_gives_up_leaves_no_trace() {
    // The middle gives up waiting for the dead leg by itself. The front, which waits for what
    // nobody sends, must still be told at once when the middle is done.
    let spec = AgentSpec::new("middle", "is impatient").accepts::<Part<0>>().emits::<Question>();
    let middle = agent(spec, |_, cx| {
        Box::pin(async move {
            let asked = question("x");
            let waiting = cx.ask::<Question, Answer>("sleeper", &asked);
            assert!(tokio::time::timeout(millis(10), waiting).await.is_err());
            Ok(())
        })
    });
    let gather = Gather::all().deadline(millis(500)).partial(true);
    let expected = " | part.one (nobody in this run can send it any more), \
                    part.two (nobody in this run can send it any more)";
    check(&[middle, slow("sleeper", millis(30))], collector(gather), 30, expected).await;
}

/// A journal that keeps nothing.
struct Forgetful(AtomicUsize);

#[async_trait]
impl Journal for Forgetful {
    fn head(&self) -> Head {
        Head::EMPTY
    }

    fn append(&self, records: &[Arc<Record>], _texts: &[Text<'_>]) -> Result<(), journal::Error> {
        self.0.fetch_add(records.len(), Ordering::Relaxed);
        Ok(())
    }

    async fn durable(&self, _seq: u64) -> Result<(), journal::Error> {
        Ok(())
    }

    async fn read(&self, _: u64, _: usize) -> Result<Vec<Arc<Record>>, journal::Error> {
        Ok(Vec::new())
    }

    async fn read_run(&self, _: RunId) -> Result<Vec<Arc<Record>>, journal::Error> {
        Ok(Vec::new())
    }

    fn is_durable(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_gathers_with_a_dead_leg_leave_nothing_behind() {
    const GATHERS_PER_RUN: usize = 100;
    const RUNS: usize = 1_000;
    let at_work = Arc::new(AtomicUsize::new(0));
    let (fronts, deads) = (at_work.clone(), at_work.clone());
    let front = agent(spec("front"), move |_, cx| {
        let present = Present::new(&fronts);
        Box::pin(async move {
            let _present = present;
            let requests =
                [Request::new("echo", &question("x")), Request::new("dead", &question("x"))];
            let gather = Gather::all().deadline(millis(1)).partial(true);
            for _ in 0..GATHERS_PER_RUN {
                let gathered = cx.ask_all(&requests, gather).await?;
                if gathered.arrived.len() != 1 || gathered.missing[0].leg != "dead" {
                    return Err(AgentError::new("a gather was not labelled"));
                }
            }
            Ok(cx.reply(&answer("all labelled")).await?)
        })
    });
    let dead = agent(spec("dead"), move |_, _| {
        let present = Present::new(&deads);
        Box::pin(async move {
            let _present = present;
            std::future::pending().await
        })
    });
    let journal = Arc::new(Forgetful(AtomicUsize::new(0)));
    let agents = [front, &Echo, dead];
    let desk = Desk::of(Options { journal, ..options(&agents) }).await;
    for _ in 0..RUNS {
        let outcome = desk.outcome(Ask::new("front", &question("x"))).await;
        assert_eq!(text_of(&outcome), "all labelled");
        tokio::time::sleep(millis(1)).await;
        assert_eq!(at_work.load(Ordering::Relaxed), 0, "a handler outlives its run");
        assert_eq!(desk.kernel.runs_in_flight(), 0);
        assert!(desk.kernel.health().iter().all(|health| health.queued == 0));
    }
    assert_eq!(desk.kernel.drain().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_gather_without_partial_results_names_what_is_missing() {
    let desk = Desk::with(&[
        scatter(&["a", "b"], Gather::all().deadline(millis(10))),
        slow("a", millis(1)),
        dead("b"),
    ])
    .await;
    let Failure::Incomplete { reason } = desk.failure("front", "x").await else { panic!() };
    assert_eq!(reason, "`b`: it did not answer in time");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_quick_subscriber_publishes_waits_for_a_collector_that_is_told_later() {
    let front = agent(
        spec("front").emits::<Part<0>>().emits::<Part<1>>().collects::<Part<3>>(),
        |_, cx| {
            Box::pin(async move {
                cx.publish(&part::<0>("chore")).await?;
                cx.publish(&part::<0>("chore")).await?;
                cx.publish(&part::<1>("news")).await?;
                let gathered = cx.collect(&["part.three"], Gather::all()).await?;
                let summary: Part<3> = gathered.arrived[0].decode()?;
                Ok(cx.reply(&answer(summary.text)).await?)
            })
        },
    );
    let quick = AgentSpec::new("quick", "answers at once").accepts::<Part<1>>();
    let quick = agent(quick.emits::<Part<2>>(), |_, cx| {
        Box::pin(async move {
            cx.publish(&part::<2>("quick")).await?;
            Ok(())
        })
    });
    // Its queue is full when the news come, so that whoever is behind it is told later.
    let busy = AgentSpec::new("busy", "does chores").accepts::<Part<0>>().accepts::<Part<1>>();
    let busy = agent(busy, |_, cx| {
        Box::pin(async move {
            cx.sleep(millis(10)).await?;
            Ok(())
        })
    });
    let late = AgentSpec::new("late", "collects").accepts::<Part<1>>().collects::<Part<2>>();
    let late = agent(late.emits::<Part<3>>(), |_, cx| {
        Box::pin(async move {
            let gathered = cx.collect(&["part.two"], Gather::all()).await?;
            let told: Part<2> = gathered.arrived[0].decode()?;
            cx.publish(&part::<3>(&told.text)).await?;
            Ok(())
        })
    });
    let limits = Limits { queued_per_activation_max: 1, ..Limits::default() };
    let desk = Desk::limited(&[front, quick, busy, late], limits).await;
    assert_eq!(text_of(&*desk.ask("front", "x").await), "quick");
    desk.close().await;
}
