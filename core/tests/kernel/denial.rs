//! Refusals: typed, at once, on record, and the same wherever a message goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use genie_core::Refused;
use genie_core::journal::Entry;
use genie_core::kernel::{Kernel, Options};
use genie_core::outcome::Outcome;
use genie_core::policy::{Decision, Requirement};
use genie_core::specimen::Specimen;
use genie_core::{Agent, Ask, Failure};
use serde_json::json;

use crate::{Answer, Desk, Part, Question, agent, answer, identity, options, part, question, spec};

/// Says what its question hints at, in a word that policy may not like.
fn unsaid(hint: &str) -> &'static str {
    match hint {
        "f" => "forbidden",
        "a" => "approval",
        "m" => "misplaced",
        _ => "harmless",
    }
}

/// Replies with the word hinted at.
fn teller() -> &'static dyn Agent {
    agent(spec("teller"), |message, cx| {
        Box::pin(async move {
            let hint: Question = message.decode()?;
            Ok(cx.reply(&answer(unsaid(&hint.text))).await?)
        })
    })
}

/// Asks the teller: the hint itself (`reply`), or already the word hinted at (`hop`).
fn asker(id: &'static str, says_it: bool) -> &'static dyn Agent {
    agent(spec(id), move |message, cx| {
        Box::pin(async move {
            let hint: Question = message.decode()?;
            let text = if says_it { unsaid(&hint.text) } else { &hint.text };
            let told: Answer = cx.ask("teller", &question(text)).await?;
            Ok(cx.reply(&told).await?)
        })
    })
}

/// Publishes the word hinted at.
fn publisher() -> &'static dyn Agent {
    agent(spec("publisher").emits::<Part<0>>(), |message, cx| {
        Box::pin(async move {
            let hint: Question = message.decode()?;
            cx.publish(&part::<0>(unsaid(&hint.text))).await?;
            Ok(cx.reply(&answer("published")).await?)
        })
    })
}

/// Counts what it is told.
fn listener(heard: Arc<AtomicU32>) -> &'static dyn Agent {
    agent(spec("listener").accepts::<Part<0>>(), move |_, _| {
        heard.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(()) })
    })
}

fn everyone(heard: &Arc<AtomicU32>) -> Vec<&'static dyn Agent> {
    let listener = listener(heard.clone());
    vec![teller(), asker("reply", false), asker("hop", true), publisher(), listener]
}

#[tokio::test(start_paused = true)]
async fn a_denial_is_typed_and_immediate_at_every_place() {
    let heard = Arc::default();
    let desk = Desk::with(&everyone(&heard)).await;
    let started = tokio::time::Instant::now();
    for (to, text) in [("teller", "forbidden"), ("teller", "f")] {
        let outcome = desk.ask(to, text).await;
        let Outcome::Denied { denied } = &*outcome else { panic!("{text}: {outcome:?}") };
        assert_eq!((&*denied.policy, &*denied.reason), ("words", "the word is forbidden"));
    }
    for to in ["reply", "hop", "publisher"] {
        let Failure::Denied(denied) = desk.failure(to, "f").await else { panic!("{to}") };
        assert_eq!((&*denied.policy, &*denied.policy_version), ("words", "1"), "{to}");
    }
    assert!(started.elapsed().is_zero(), "{:?}", started.elapsed());
    assert_eq!(heard.load(Ordering::Relaxed), 0, "a denied message was delivered");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_nobody_gives_expires_and_says_so_wherever_it_was_needed() {
    let heard = Arc::default();
    let desk = Desk::with(&everyone(&heard)).await;
    let patience = Requirement::default().expires_ms;
    for (to, text) in [("teller", "approval"), ("teller", "a")] {
        let outcome = desk.ask(to, text).await;
        let expired =
            matches!(*outcome, Outcome::Expired { deadline_ms } if deadline_ms == patience);
        assert!(expired, "{to} {text}: {outcome:?}");
    }
    for (to, text) in [("reply", "a"), ("hop", "a"), ("publisher", "a")] {
        let failure = desk.failure(to, text).await;
        assert_eq!(failure.code(), "approval_expired", "{to} {text}");
    }
    assert_eq!(desk.kernel.runs_in_flight(), 0);
    assert_eq!(heard.load(Ordering::Relaxed), 0);
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_redaction_that_cannot_be_applied_denies_on_record_without_the_payload() {
    let heard = Arc::default();
    let desk = Desk::with(&everyone(&heard)).await;
    let outcome = desk.ask("teller", "misplaced").await;
    assert!(matches!(&*outcome, Outcome::Denied { .. }), "{outcome:?}");
    let records = desk.records().await;
    assert!(records.iter().any(|record| matches!(
        &record.entry,
        Entry::Verdict { verdict, original_sha256: Some(_), .. }
            if verdict.decision == Decision::Deny
    )));
    assert!(!String::from_utf8(desk.file().await).unwrap().contains("misplaced\"}"));
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_over_content_denies_the_run() {
    let desk = Desk::with(&[teller()]).await;
    let ask = Ask::new("teller", &question("x")).with_content(b"a policy crash".to_vec());
    let outcome = desk.outcome(ask).await;
    assert!(matches!(&*outcome, Outcome::Denied { .. }), "{outcome:?}");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn only_a_principal_that_this_kernel_admitted_may_ask() {
    let desk = Desk::with(&[teller()]).await;
    let elsewhere =
        Options { ids: Arc::new(genie_core::ids::SeededIds::new(8)), ..options(&[teller()]) };
    let (other, authority) = Kernel::start(elsewhere).await.unwrap();
    let foreign = authority.admit(identity("acme"));
    let specimen = Specimen::new("question", "teller", json!({})).message().unwrap();
    for forged in [&foreign, specimen.principal()] {
        let refused = desk.kernel.ask(forged, Ask::new("teller", &question("x"))).await;
        assert_eq!(refused.unwrap_err(), Refused::ForeignPrincipal);
    }
    other.drain().await;
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_request_is_refused_at_the_door() {
    let desk = Desk::with(&[teller()]).await;
    let too_deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    let cases = [
        (Ask::new("nobody", &question("x")), "agent `nobody` does not take `question`"),
        (Ask::from_json("teller", "unknown", "{}"), "agent `teller` does not take `unknown`"),
        (Ask::from_json("teller", "question", "{\"text\":"), "the payload is not a valid"),
        (Ask::from_json("teller", "question", &too_deep), "the payload is not a valid"),
    ];
    for (ask, expected) in cases {
        let refused = desk.kernel.ask(&desk.principal, ask).await.unwrap_err().to_string();
        assert!(refused.starts_with(expected), "{refused}");
    }
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_payload_from_outside_is_read_alike_by_policy_handler_and_journal() {
    let desk = Desk::with(&[teller()]).await;
    // Line breaks would split the journal's line; of two equal keys each reader could take another.
    let twice = "{\n  \"text\": \"forbidden\",\r\n  \"text\": \"f\"\n}";
    let outcome = desk.outcome(Ask::from_json("teller", "question", twice)).await;
    let Outcome::Denied { .. } = &*outcome else { panic!("{outcome:?}") };
    let messages = desk.records().await;
    let sent = messages.iter().find_map(|record| match &record.entry {
        Entry::Message { message, .. } => Some(message.payload().text().to_owned()),
        _ => None,
    });
    assert_eq!(sent.unwrap(), r#"{"text":"f"}"#);
    desk.close().await;
}
