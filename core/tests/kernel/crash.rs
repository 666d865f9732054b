//! Panics: the process lives, the caller is told, what was queued is handled all the same.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use genie_core::journal::{Entry, Record};
use genie_core::{Agent, AgentSpec, Failure};

use crate::flow::Echo;
use crate::{Answer, Desk, Part, Question, agent, answer, millis, part, question, spec, text_of};

/// Panics the first `times` times that it is called, then answers with how often it was.
fn shaky(spec: AgentSpec, times: u32) -> (&'static dyn Agent, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let agent = agent(spec, move |_, cx| {
        let call = counted.fetch_add(1, Ordering::Relaxed) + 1;
        Box::pin(async move {
            assert!(call > times, "call {call} was too much");
            Ok(cx.reply(&answer(format!("call {call}"))).await?)
        })
    });
    (agent, calls)
}

fn count(records: &[Arc<Record>], wanted: impl Fn(&Entry) -> bool) -> usize {
    records.iter().filter(|record| wanted(&record.entry)).count()
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_restarted_with_a_recorded_doubling_wait() {
    let (agent, _) = shaky(spec("shaky"), 2);
    let desk = Desk::with(&[agent]).await;
    let started = tokio::time::Instant::now();
    assert_eq!(text_of(&*desk.ask("shaky", "x").await), "call 3");
    let waited = started.elapsed();
    assert!(waited >= millis(30) && waited < millis(33), "10 ms and 20 ms, not {waited:?}");
    let records = desk.records().await;
    let restarts: Vec<(u32, u64)> = records
        .iter()
        .filter_map(|record| match &record.entry {
            Entry::Restarted { restart, backoff_ms, .. } => Some((*restart, *backoff_ms)),
            _ => None,
        })
        .collect();
    assert_eq!(restarts, [(1, 10), (2, 20)]);
    assert_eq!(desk.kernel.health()[0].restarts, 2);
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn after_the_last_restart_the_fallback_answers_and_the_incident_is_recorded() {
    let (shaky, calls) = shaky(spec("shaky").fallback("spare"), u32::MAX);
    let spare = agent(spec("spare"), |_, cx| {
        Box::pin(async move {
            let why = cx.failure().map(Failure::code).unwrap_or_default();
            Ok(cx.reply(&answer(format!("spare after {why}"))).await?)
        })
    });
    let desk = Desk::with(&[shaky, spare]).await;
    assert_eq!(text_of(&*desk.ask("shaky", "x").await), "spare after panicked");
    assert_eq!(calls.load(Ordering::Relaxed), 3, "once and two restarts");
    let records = desk.records().await;
    assert_eq!(count(&records, |entry| matches!(entry, Entry::Incident { .. })), 1);
    assert_eq!(count(&records, |entry| matches!(entry, Entry::DeadLetter { .. })), 0);
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_fallback_the_caller_is_told_and_a_dead_letter_and_an_incident_stay() {
    let (shaky, _) = shaky(spec("shaky").restarts_max(0), u32::MAX);
    let desk = Desk::with(&[shaky, &Echo]).await;
    let Failure::Panicked { agent, reason } = desk.failure("shaky", "x").await else { panic!() };
    assert_eq!((&*agent, &*reason), ("shaky", "call 1 was too much"));
    let records = desk.records().await;
    assert_eq!(count(&records, |entry| matches!(entry, Entry::Incident { .. })), 1);
    assert_eq!(count(&records, |entry| matches!(entry, Entry::DeadLetter { .. })), 1);
    assert_eq!(text_of(&*desk.ask("echo", "still here").await), "still here");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_has_sent_something_is_not_started_again() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let rash = agent(spec("rash"), move |_, cx| {
        counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let _: Answer = cx.ask("echo", &question("once")).await?;
            panic!("too late to start again")
        })
    });
    let desk = Desk::with(&[rash, &Echo]).await;
    assert_eq!(desk.failure("rash", "x").await.code(), "panicked");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_crashes_after_its_reply_has_replied_once() {
    let hasty = agent(spec("hasty").fallback("spare"), |_, cx| {
        Box::pin(async move {
            cx.reply(&answer("first")).await?;
            panic!("after the reply")
        })
    });
    let (spare, spared) = shaky(spec("spare"), 0);
    let front = agent(spec("front"), |_, cx| {
        Box::pin(async move {
            let first: Answer = cx.ask("hasty", &question("x")).await?;
            cx.sleep(millis(5)).await?;
            Ok(cx.reply(&first).await?)
        })
    });
    let desk = Desk::with(&[front, hasty, spare]).await;
    assert_eq!(text_of(&*desk.ask("front", "x").await), "first");
    assert_eq!(spared.load(Ordering::Relaxed), 0, "the fallback was asked to reply again");
    let records = desk.records().await;
    assert_eq!(count(&records, |entry| matches!(entry, Entry::Incident { .. })), 1);
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn queued_messages_survive_a_crash_and_private_state_does_not() {
    let log: Arc<Mutex<Vec<(String, u32)>>> = Arc::default();
    let (logged, crashes) = (log.clone(), AtomicU32::new(0));
    let keeper = agent(spec("keeper").accepts::<Part<0>>(), move |message, cx| {
        let crash = message.payload().text().contains("two")
            && crashes.fetch_add(1, Ordering::Relaxed) == 0;
        let log = logged.clone();
        Box::pin(async move {
            let told: Part<0> = message.decode()?;
            let seen = cx.state::<u32>();
            *seen += 1;
            assert!(!crash, "crashes at two");
            log.lock().unwrap().push((told.text, *seen));
            Ok(())
        })
    });
    let front = agent(spec("front").emits::<Part<0>>(), |message, cx| {
        Box::pin(async move {
            let _: Question = message.decode()?;
            for text in ["one", "two", "three"] {
                cx.publish(&part::<0>(text)).await?;
            }
            cx.sleep(millis(100)).await?;
            Ok(cx.reply(&answer("done")).await?)
        })
    });
    let desk = Desk::with(&[front, keeper]).await;
    desk.ask("front", "x").await;
    let expected = [("one", 1), ("two", 1), ("three", 2)];
    assert_eq!(*log.lock().unwrap(), expected.map(|(text, seen)| (text.to_owned(), seen)));
    desk.close().await;
}
