//! Bounds: each is reached as a typed refusal or failure, never as a hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use genie_core::blob::Blob;
use genie_core::ids::RunId;
use genie_core::journal::chain::Head;
use genie_core::journal::memory::MemoryJournal;
use genie_core::journal::{self, Entry, Journal, Record, Text};
use genie_core::kernel::Options;
use genie_core::limits::Limits;
use genie_core::outcome::Outcome;
use genie_core::{Agent, AgentSpec, Ask, Failure, Refused, async_trait};
use tokio::time::Instant;

use crate::flow::Echo;
use crate::{
    Answer, Desk, Part, Question, agent, answer, dead, identity, millis, options, part, question,
    slow, spec, text_of,
};

fn limit_of(failure: &Failure) -> (&str, u64) {
    match failure {
        Failure::Limit { limit, value } => (limit, *value),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_sends_too_many_messages_is_told_the_limit() {
    // Publishes to itself, for ever.
    let spec = spec("loop").accepts::<Part<0>>().emits::<Part<0>>();
    let endless = agent(spec, |message, cx| {
        Box::pin(async move {
            cx.publish(&part::<0>("again")).await?;
            if message.kind() == "question" {
                cx.collect(&[], genie_core::Gather::all()).await?;
                let told: Answer = cx.ask("echo", &question("x")).await?;
                cx.reply(&told).await?;
            }
            Ok(())
        })
    });
    let greedy = agent(crate::spec("greedy"), |_, cx| {
        Box::pin(async move {
            loop {
                let _: Answer = cx.ask("echo", &question("more")).await?;
            }
        })
    });
    let limits = Limits { messages_per_run_max: 50, ..Limits::default() };
    let desk = Desk::limited(&[endless, greedy, &Echo], limits).await;
    assert_eq!(limit_of(&desk.failure("greedy", "x").await), ("messages_per_run_max", 50));
    desk.ask("loop", "x").await;
    let records = desk.records().await;
    for run in [0, 1] {
        let starts: Vec<usize> = (0..records.len())
            .filter(|at| matches!(records[*at].entry, Entry::RunStarted { .. }))
            .collect();
        let run_id = records[starts[run]].entry.run_id();
        let messages = records.iter().filter(|record| {
            record.entry.run_id() == run_id && matches!(record.entry, Entry::Message { .. })
        });
        assert!(messages.count() <= 50);
    }
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_waits_for_room_and_loses_nothing() {
    let handled = Arc::new(AtomicUsize::new(0));
    let counted = handled.clone();
    let sink = agent(AgentSpec::new("sink", "is slow").accepts::<Part<0>>(), move |_, cx| {
        let counted = counted.clone();
        Box::pin(async move {
            cx.sleep(millis(1)).await?;
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    });
    let source = agent(spec("source").emits::<Part<0>>(), |_, cx| {
        Box::pin(async move {
            for _ in 0..100 {
                cx.publish(&part::<0>("drop")).await?;
            }
            cx.sleep(millis(50)).await?;
            Ok(cx.reply(&answer("sent")).await?)
        })
    });
    let limits = Limits { queued_per_activation_max: 4, ..Limits::default() };
    let desk = Desk::limited(&[source, sink], limits).await;
    assert_eq!(text_of(&*desk.ask("source", "x").await), "sent");
    assert_eq!(handled.load(Ordering::Relaxed), 100);
    desk.close().await;
}

/// Floods the other one once, and swallows what comes from it.
fn flooder<const IN: usize, const OUT: usize>(id: &'static str) -> &'static dyn Agent {
    let spec = AgentSpec::new(id, "floods").accepts::<Part<0>>().accepts::<Part<IN>>();
    agent(spec.emits::<Part<OUT>>(), |message, cx| {
        Box::pin(async move {
            if message.kind() == "part.zero" {
                cx.sleep(millis(1)).await?;
                for _ in 0..10 {
                    cx.publish(&part::<OUT>("flood")).await?;
                }
            }
            Ok(())
        })
    })
}

#[tokio::test(start_paused = true)]
async fn two_agents_that_flood_each_other_end_typed_and_at_once() {
    let front = agent(spec("front").emits::<Part<0>>().collects::<Part<3>>(), |_, cx| {
        Box::pin(async move {
            cx.publish(&part::<0>("go")).await?;
            let gather = genie_core::Gather::all();
            let failure = cx.collect(&["part.three"], gather).await.unwrap_err();
            Ok(cx.reply(&answer(failure.code())).await?)
        })
    });
    let limits = Limits { queued_per_activation_max: 2, ..Limits::default() };
    let desk = Desk::limited(&[front, flooder::<2, 1>("a"), flooder::<1, 2>("b")], limits).await;
    let started = Instant::now();
    assert_eq!(text_of(&*desk.ask("front", "x").await), "incomplete");
    assert!(started.elapsed() <= millis(2), "{:?}", started.elapsed());
    let records = desk.records().await;
    let of =
        |wanted: fn(&Entry) -> bool| records.iter().filter(|record| wanted(&record.entry)).count();
    let full = |entry: &Entry| {
        matches!(entry, Entry::Handled { failure: Some(Failure::Limit { .. }), .. })
    };
    assert_eq!(of(full), 1, "the other one goes on once there is room");
    assert_eq!(of(|entry| matches!(entry, Entry::DeadLetter { .. })), 2);
    desk.close().await;
}

/// Called by a publication, asks the other one.
fn crosser(id: &'static str, other: &'static str) -> &'static dyn Agent {
    agent(spec(id).accepts::<Part<0>>().emits::<Part<1>>(), move |message, cx| {
        Box::pin(async move {
            if message.kind() == "question" {
                return Ok(cx.reply(&answer("at your service")).await?);
            }
            // Both are at work by now.
            cx.sleep(millis(1)).await?;
            let told: Answer = cx.ask(other, &question("x")).await?;
            cx.publish(&part::<1>(&told.text)).await?;
            Ok(())
        })
    })
}

#[tokio::test(start_paused = true)]
async fn two_agents_that_wait_for_each_other_from_two_chains_are_told_at_once() {
    let front = agent(spec("front").emits::<Part<0>>().collects::<Part<1>>(), |_, cx| {
        Box::pin(async move {
            cx.publish(&part::<0>("go")).await?;
            let gathered = cx.collect(&["part.one"], genie_core::Gather::all()).await?;
            let told = gathered.payload::<Part<1>>().map(|part| part.text);
            Ok(cx.reply(&answer(told.unwrap_or_default())).await?)
        })
    });
    let desk = Desk::with(&[front, crosser("a", "b"), crosser("b", "a")]).await;
    let started = Instant::now();
    // One of the two calls is refused as a cycle; so the other one can be answered.
    assert_eq!(text_of(&*desk.ask("front", "x").await), "at your service");
    assert!(started.elapsed() < millis(5), "{:?}", started.elapsed());
    let cycles = desk.records().await;
    let cycles = cycles.iter().filter(|record| {
        matches!(&record.entry, Entry::Handled { failure: Some(Failure::Cycle { .. }), .. })
    });
    assert_eq!(cycles.count(), 1);
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn waiting_for_room_takes_no_place_from_other_runs() {
    // One place each for handlers of `a` and `b`; in one run `a` floods `b`, in the other `b` `a`.
    let front = agent(spec("front").emits::<Part<0>>().emits::<Part<1>>(), |message, cx| {
        Box::pin(async move {
            let asked: Question = message.decode()?;
            if asked.text == "a" {
                cx.publish(&part::<0>("go")).await?;
            } else {
                cx.publish(&part::<1>("go")).await?;
            }
            cx.sleep(Duration::from_secs(5)).await?;
            Ok(cx.reply(&answer("done")).await?)
        })
    });
    let sends = |id: &'static str| {
        let spec = AgentSpec::new(id, "floods the other once").concurrency_max(1);
        let spec = if id == "a" {
            spec.accepts::<Part<0>>().accepts::<Part<3>>().emits::<Part<2>>()
        } else {
            spec.accepts::<Part<1>>().accepts::<Part<2>>().emits::<Part<3>>()
        };
        agent(spec, |message, cx| {
            Box::pin(async move {
                tokio::time::sleep(millis(1)).await;
                for _ in 0..5 {
                    match message.kind() {
                        "part.zero" => cx.publish(&part::<2>("x")).await?,
                        "part.one" => cx.publish(&part::<3>("x")).await?,
                        _ => return Ok(()),
                    };
                }
                Ok(())
            })
        })
    };
    let limits = Limits { queued_per_activation_max: 1, ..Limits::default() };
    let desk = Desk::limited(&[front, sends("a"), sends("b")], limits).await;
    let (one, two) = tokio::join!(desk.ask("front", "a"), desk.ask("front", "b"));
    assert_eq!((text_of(&one), text_of(&two)), ("done".into(), "done".into()));
    for record in desk.records().await {
        if let Entry::Handled { failure: Some(failure), agent, .. } = &record.entry {
            panic!("`{agent}` failed: {failure}");
        }
    }
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_beyond_those_that_may_be_in_flight_is_refused_as_overloaded() {
    let limits = Limits { runs_in_flight_max: 2, ..Limits::default() };
    let desk = Desk::limited(&[slow("a", millis(10))], limits).await;
    let ask = || desk.kernel.ask(&desk.principal, Ask::new("a", &question("x")));
    let (one, two) = (ask().await.unwrap(), ask().await.unwrap());
    let refused = ask().await.unwrap_err();
    assert_eq!(refused, Refused::Overloaded { limit: "runs_in_flight_max", retry_after_ms: 1_000 });
    assert_eq!(
        (one.outcome().await.name(), two.outcome().await.name()),
        ("completed", "completed")
    );
    assert_eq!(ask().await.unwrap().outcome().await.name(), "completed");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn new_runs_wait_outside_while_too_much_is_queued_at_an_agent() {
    let limits = Limits { queued_per_agent_max: 1, ..Limits::default() };
    let one_at_a_time = spec("front").emits::<Part<0>>();
    let front = agent(one_at_a_time, |_, cx| {
        Box::pin(async move {
            cx.publish(&part::<0>("one")).await?;
            cx.publish(&part::<0>("two")).await?;
            cx.sleep(millis(30)).await?;
            Ok(cx.reply(&answer("done")).await?)
        })
    });
    let busy = AgentSpec::new("busy", "is slow").accepts::<Part<0>>();
    let busy = agent(busy, |_, cx| Box::pin(async move { Ok(cx.sleep(millis(10)).await?) }));
    let desk = Desk::limited(&[front, busy], limits).await;
    let running =
        desk.kernel.ask(&desk.principal, Ask::new("front", &question("x"))).await.unwrap();
    tokio::time::sleep(millis(5)).await;
    let refused = desk.kernel.ask(&desk.principal, Ask::new("front", &question("x"))).await;
    assert!(
        matches!(refused, Err(Refused::Overloaded { limit: "queued_per_agent_max", .. })),
        "{refused:?}"
    );
    assert_eq!(running.outcome().await.name(), "completed", "an admitted run may always finish");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn content_beyond_its_bounds_is_refused_and_takes_no_room() {
    let keeper = agent(spec("keeper"), |_, cx| {
        Box::pin(async move {
            let bytes = |count: usize| Arc::new("x".repeat(count));
            // JSON adds two quotation marks.
            let over_one = cx.store(bytes(99)).await.unwrap_err();
            let first = cx.store(bytes(90)).await?;
            let over_all = cx.store(bytes(80)).await.unwrap_err();
            let second = cx.store(bytes(50)).await?;
            let kept: Arc<String> = cx.load(&second).await?;
            let text = format!("{} {} {} {}", over_one, first.bytes, over_all, kept.len());
            Ok(cx.reply(&answer(text)).await?)
        })
    });
    let limits = Limits { blob_bytes_max: 100, blobs_per_run_bytes_max: 150, ..Limits::default() };
    let desk = Desk::limited(&[keeper], limits).await;
    assert_eq!(
        text_of(&*desk.ask("keeper", "x").await),
        "the limit `blob_bytes_max` of 100 is reached 92 \
         the limit `blobs_per_run_bytes_max` of 150 is reached 50"
    );
    let ask = |bytes: usize| Ask::new("keeper", &question("x")).with_content(vec![b'x'; bytes]);
    let refused = desk.kernel.ask(&desk.principal, ask(101)).await.unwrap_err();
    assert_eq!(refused.to_string(), "content exceeds the 100 bytes allowed");
    let two = ask(100).with_content(vec![b'y'; 100]);
    let outcome = desk.outcome(two).await;
    let Outcome::Failed { cause } = &*outcome else { panic!("{outcome:?}") };
    assert_eq!(limit_of(cause), ("blobs_per_run_bytes_max", 150));
    let unknown = agent(spec("unknown"), |_, cx| {
        Box::pin(async move {
            cx.load_bytes(&Blob::of(b"nobody's")).await.map(drop).map_err(Into::into)
        })
    });
    desk.close().await;
    let desk = Desk::with(&[unknown]).await;
    assert_eq!(desk.failure("unknown", "x").await.code(), "failed");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_and_a_run_that_take_too_long_end_at_their_deadlines() {
    let hangs =
        agent(spec("hangs").handler_deadline(millis(20)), |_, _| Box::pin(std::future::pending()));
    let desk = Desk::with(&[hangs, dead("dead")]).await;
    let started = Instant::now();
    let failure = desk.failure("hangs", "x").await;
    assert_eq!(failure, Failure::HandlerDeadline { agent: "hangs".into(), deadline_ms: 20 });
    assert!(started.elapsed() <= millis(21));
    let outcome = desk.outcome(Ask::new("dead", &question("x")).within(millis(40))).await;
    assert!(matches!(*outcome, Outcome::Expired { deadline_ms: 40 }), "{outcome:?}");
    assert!(started.elapsed() <= millis(62), "{:?}", started.elapsed());
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_runs_end_refuses_new_ones_and_cancels_what_is_left() {
    let limits = Limits { drain: millis(100), ..Limits::default() };
    let desk = Desk::limited(&[slow("a", millis(50)), dead("dead")], limits).await;
    let ask = |to| desk.kernel.ask(&desk.principal, Ask::new(to, &question("x")));
    let (quick, stuck) = (ask("a").await.unwrap(), ask("dead").await.unwrap());
    let kernel = desk.kernel.clone();
    let (left, refused) = tokio::join!(kernel.drain(), async {
        tokio::time::sleep(millis(10)).await;
        ask("a").await.unwrap_err()
    });
    assert_eq!((left, refused), (1, Refused::Draining));
    assert_eq!(quick.outcome().await.name(), "completed");
    let outcome = stuck.outcome().await;
    let Outcome::Cancelled { reason } = &*outcome else { panic!("{outcome:?}") };
    assert_eq!(reason, "the installation is shutting down");
    desk.check().await;
}

/// A journal that refuses to write, or is slow to say that it has, as told.
struct Disk {
    kept: MemoryJournal,
    refuses: AtomicBool,
    sync: Duration,
}

impl Disk {
    fn syncing_in(sync: Duration) -> Arc<Self> {
        Arc::new(Self { kept: MemoryJournal::keeping(10_000), refuses: false.into(), sync })
    }
}

#[async_trait]
impl Journal for Disk {
    fn head(&self) -> Head {
        self.kept.head()
    }

    fn append(&self, records: &[Arc<Record>], texts: &[Text<'_>]) -> Result<(), journal::Error> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(journal::Error::Unwritable("the disk is full".into()));
        }
        self.kept.append(records, texts)
    }

    async fn durable(&self, _seq: u64) -> Result<(), journal::Error> {
        tokio::time::sleep(self.sync).await;
        Ok(())
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Record>>, journal::Error> {
        self.kept.read(after, limit).await
    }

    async fn read_run(&self, run: RunId) -> Result<Vec<Arc<Record>>, journal::Error> {
        self.kept.read_run(run).await
    }

    fn is_durable(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_on_without_a_journal_and_every_run_gets_its_end_later() {
    let journal = Disk::syncing_in(Duration::ZERO);
    let front = agent(spec("front"), |_, cx| {
        Box::pin(async move {
            cx.sleep(millis(10)).await?;
            let told: Answer = cx.ask("echo", &question("x")).await?;
            Ok(cx.reply(&told).await?)
        })
    });
    let desk = Desk::of(Options { journal: journal.clone(), ..options(&[front, &Echo]) }).await;
    let ask = || desk.kernel.ask(&desk.principal, Ask::new("front", &question("x")));
    let running = ask().await.unwrap();
    journal.refuses.store(true, Ordering::Relaxed);
    let never_started = ask().await.unwrap();
    for running in [running, never_started] {
        let outcome = running.outcome().await;
        let Outcome::Failed { cause } = &*outcome else { panic!("{outcome:?}") };
        assert_eq!(cause.code(), "journal", "{cause}");
    }
    journal.refuses.store(false, Ordering::Relaxed);
    assert_eq!(ask().await.unwrap().outcome().await.name(), "completed");
    let records = desk.records().await;
    let ends = records.iter().filter(|record| matches!(record.entry, Entry::RunEnd { .. }));
    assert_eq!(ends.count(), 2, "of the run that was cut off and of the one after");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_the_disk_and_no_deadline_or_caller_can_lose_it() {
    let journal = Disk::syncing_in(millis(100));
    let hasty = agent(spec("hasty").handler_deadline(millis(20)), |_, cx| {
        Box::pin(async move { Ok(cx.reply(&answer("in time")).await?) })
    });
    let desk = Desk::of(Options { journal, ..options(&[hasty, dead("dead")]) }).await;
    let started = Instant::now();
    assert_eq!(text_of(&*desk.ask("hasty", "x").await), "in time");
    assert!(started.elapsed() >= millis(100), "given out before it was durable");
    let running = desk.kernel.ask(&desk.principal, Ask::new("dead", &question("x"))).await.unwrap();
    let cancelled = desk.kernel.cancel(&desk.principal, running.run_id, "enough");
    // Whoever cancels goes away at once.
    let _ = tokio::time::timeout(millis(1), cancelled).await;
    assert_eq!(running.outcome().await.name(), "cancelled");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_outlasts_the_drain_holds_neither_run_nor_asker() {
    let journal = Disk::syncing_in(Duration::from_hours(1));
    let limits = Limits { drain: millis(100), ..Limits::default() };
    let desk = Desk::of(Options { journal, limits, ..options(&[&Echo]) }).await;
    let ask = Ask::new("echo", &question("x"));
    let running = desk.kernel.ask(&desk.principal, ask).await.unwrap();
    desk.kernel.drain().await;
    let outcome = running.outcome().await;
    let Outcome::Failed { cause } = &*outcome else { panic!("{outcome:?}") };
    assert_eq!(cause.code(), "journal", "nothing is claimed that may not be durable");
    desk.check().await;
}

/// Blobs in a store that does not answer.
struct Stuck;

#[async_trait]
impl genie_core::blob::Blobs for Stuck {
    async fn put(
        &self,
        _: &genie_core::blob::Scope,
        _: Blob,
        _: Arc<genie_core::blob::Stored>,
    ) -> Result<(), genie_core::blob::Error> {
        std::future::pending().await
    }

    async fn get(
        &self,
        _: &genie_core::blob::Scope,
        _: Blob,
    ) -> Result<Option<Arc<genie_core::blob::Stored>>, genie_core::blob::Error> {
        std::future::pending().await
    }

    fn release(&self, _: genie_core::ids::RunId) {}
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_asker_goes_away_while_content_is_stored_still_ends() {
    let desk = Desk::of(Options { blobs: Arc::new(Stuck), ..options(&[&Echo]) }).await;
    let principal = desk.authority.admit(identity("acme"));
    let ask = Ask::new("echo", &question("x")).with_content(b"abc".to_vec()).within(millis(50));
    let gone = tokio::time::timeout(millis(10), desk.kernel.ask(&principal, ask)).await;
    assert!(gone.is_err());
    assert_eq!(desk.kernel.runs_in_flight(), 1);
    tokio::time::sleep(millis(50)).await;
    assert_eq!(desk.kernel.runs_in_flight(), 0);
    desk.close().await;
}
