//! Addresses: by id, by capability, by kind; nobody there is an answer, not a wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use genie_core::context::Request;
use genie_core::{AgentSpec, Failure, Gather};

use crate::flow::Echo;
use crate::{
    Answer, Desk, Part, Question, agent, answer, millis, part, question, slow, spec, text_of,
};

#[tokio::test(start_paused = true)]
async fn an_agent_is_reached_by_a_capability_that_it_declares() {
    let skilled = agent(spec("skilled").capability("forecasting"), |_, cx| {
        Box::pin(async move { Ok(cx.reply(&answer("sunny")).await?) })
    });
    let front = agent(spec("front"), |_, cx| {
        Box::pin(async move {
            let told: Answer = cx.ask("forecasting", &question("weather")).await?;
            Ok(cx.reply(&told).await?)
        })
    });
    let desk = Desk::with(&[front, skilled]).await;
    assert_eq!(text_of(&*desk.ask("front", "x").await), "sunny");
    assert_eq!(text_of(&*desk.ask("forecasting", "x").await), "sunny");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_to_nobody_is_a_typed_failure_at_once() {
    let front = agent(spec("front").emits::<Part<0>>(), |message, cx| {
        Box::pin(async move {
            let asked: Question = message.decode()?;
            match asked.text.as_str() {
                "ask" => drop(cx.ask::<_, Answer>("nobody", &question("x")).await?),
                "kind" => drop(cx.ask::<_, Answer>("echo", &part::<0>("x")).await?),
                _ => drop(cx.publish(&part::<0>("x")).await?),
            }
            Ok(())
        })
    });
    let desk = Desk::with(&[front, &Echo]).await;
    let started = tokio::time::Instant::now();
    for (how, whom) in [("ask", "nobody"), ("kind", "echo: part.zero"), ("publish", "part.zero")] {
        assert_eq!(desk.failure("front", how).await, Failure::NoRecipient { to: whom.into() });
    }
    assert!(started.elapsed().is_zero());
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_sends_and_gathers_only_what_its_spec_declares() {
    let front =
        agent(AgentSpec::new("front", "declares little").accepts::<Question>(), |message, cx| {
            Box::pin(async move {
                let asked: Question = message.decode()?;
                match asked.text.as_str() {
                    "ask" => drop(cx.ask::<_, Answer>("echo", &question("x")).await?),
                    "ask_all" => {
                        let requests = [Request::new("echo", &question("x"))];
                        drop(cx.ask_all(&requests, Gather::all()).await?);
                    }
                    "publish" => drop(cx.publish(&part::<0>("x")).await?),
                    "collect" => drop(cx.collect(&["part.zero"], Gather::all()).await?),
                    _ => cx.reply(&answer("x")).await?,
                }
                Ok(())
            })
        });
    let desk = Desk::with(&[front, &Echo]).await;
    for how in ["ask", "ask_all", "publish", "collect", "reply"] {
        let failure = desk.failure("front", how).await.to_string();
        assert!(failure.contains("its spec does not declare that it"), "{how}: {failure}");
    }
    desk.close().await;
}

/// Counts down by asking itself.
fn countdown(spec: AgentSpec) -> &'static dyn genie_core::Agent {
    agent(spec, |message, cx| {
        Box::pin(async move {
            let asked: Question = message.decode()?;
            let left: u32 = asked.text.parse().unwrap_or(0);
            *cx.state::<u32>() += 1;
            if left == 0 {
                return Ok(cx.reply(&answer("0")).await?);
            }
            let below: Answer = cx.ask("countdown", &question(&(left - 1).to_string())).await?;
            let calls = *cx.state::<u32>();
            Ok(cx.reply(&answer(format!("{left}({calls}) {}", below.text))).await?)
        })
    })
}

#[tokio::test(start_paused = true)]
async fn only_an_agent_that_declares_itself_reentrant_may_call_itself() {
    let desk = Desk::with(&[countdown(spec("countdown").reentrant())]).await;
    // Each level is an activation of its own, with a state of its own.
    assert_eq!(text_of(&*desk.ask("countdown", "3").await), "3(1) 2(1) 1(1) 0");
    desk.close().await;
    let desk = Desk::with(&[countdown(spec("countdown"))]).await;
    let cycle = Failure::Cycle { path: "countdown → countdown".into() };
    assert_eq!(desk.failure("countdown", "3").await, cycle);
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reentrant_agent_with_a_full_queue_below_is_waited_for() {
    // Level 0 fills the queue of level 1, of which it can only say so by looking at level 1.
    let spec = spec("wide").reentrant();
    let wide = agent(spec, |message, cx| {
        Box::pin(async move {
            let asked: Question = message.decode()?;
            if asked.text == "leaf" {
                tokio::time::sleep(millis(1)).await;
                return Ok(cx.reply(&answer("leaf")).await?);
            }
            let leaves: Vec<Request> =
                (0..6).map(|_| Request::new("wide", &question("leaf"))).collect();
            let gathered = cx.ask_all(&leaves, Gather::all()).await?;
            Ok(cx.reply(&answer(gathered.arrived.len().to_string())).await?)
        })
    });
    let limits = genie_core::limits::Limits { queued_per_activation_max: 2, ..Default::default() };
    let desk = Desk::limited(&[wide], limits).await;
    assert_eq!(text_of(&*desk.ask("wide", "root").await), "6");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_publication_reaches_each_subscriber_once() {
    let heard = Arc::new(AtomicUsize::new(0));
    let counted = heard.clone();
    let twice = spec("twice").accepts::<Part<0>>().accepts::<Part<0>>();
    let listener = agent(twice, move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(()) })
    });
    let front = agent(spec("front").emits::<Part<0>>(), |_, cx| {
        Box::pin(async move {
            let published = cx.publish(&part::<0>("x")).await?;
            cx.sleep(millis(1)).await?;
            Ok(cx.reply(&answer(published.delivered.to_string())).await?)
        })
    });
    let desk = Desk::with(&[front, listener, slow("other", millis(1))]).await;
    assert_eq!(text_of(&*desk.ask("front", "x").await), "1");
    assert_eq!(heard.load(Ordering::Relaxed), 1);
    desk.close().await;
}
