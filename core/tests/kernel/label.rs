//! Labels: what is derived is never less protected than what it is derived from.

use std::sync::Arc;

use genie_core::blob::Blob;
use genie_core::journal::Entry;
use genie_core::label::{Classification, Label, PERSONAL};
use genie_core::{Agent, AgentSpec, Ask, Gather};

use crate::{Answer, Desk, Part, Question, agent, answer, part, question, spec, text_of};

const CONTENT: &[u8] = b"the name of somebody";

/// Reads the content and answers.
fn reader(cleared: bool) -> &'static dyn Agent {
    let spec = spec("reader");
    let spec = if cleared {
        spec.cleared_for(Classification::Confidential).cleared_for_category(PERSONAL)
    } else {
        spec.cleared_for(Classification::Confidential)
    };
    agent(spec, |_, cx| {
        Box::pin(async move {
            cx.load_bytes(&Blob::of(CONTENT)).await?;
            Ok(cx.reply(&answer("read")).await?)
        })
    })
}

/// The label of the message from an agent, by the journal.
async fn label_of(desk: &Desk, from: &str, kind: &str) -> Label {
    let records = desk.records().await;
    let found = records.iter().rev().find_map(|record| match &record.entry {
        Entry::Message { message, .. } if message.from() == from && message.kind() == kind => {
            Some(message.label().clone())
        }
        _ => None,
    });
    found.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_reply_carries_the_join_of_the_question_and_of_the_content_read() {
    let desk = Desk::with(&[reader(true)]).await;
    let label = Label::new(Classification::Confidential).with_region("in").with_category("tax");
    let reader_lacks_nothing = Ask::new("reader", &question("x"))
        .labelled(Label::new(Classification::Confidential).with_region("in"))
        .with_content(CONTENT.to_vec());
    assert_eq!(text_of(&*desk.outcome(reader_lacks_nothing).await), "read");
    let joined = label_of(&desk, "reader", "answer").await;
    let expected =
        Label::new(Classification::Confidential).with_region("in").with_category(PERSONAL);
    assert_eq!(joined, expected, "the category comes from inspecting the content");
    let not_cleared_for_tax =
        Ask::new("reader", &question("x")).labelled(label).with_content(CONTENT.to_vec());
    assert_eq!(desk.outcome(not_cleared_for_tax).await.name(), "failed");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn every_message_of_a_run_is_at_least_as_protected_as_its_root() {
    let front = agent(spec("front").emits::<Part<0>>().collects::<Part<1>>(), |_, cx| {
        Box::pin(async move {
            cx.publish(&part::<0>("go")).await?;
            cx.collect(&["part.one"], Gather::all()).await?;
            let told: Answer = cx.ask("shaky", &question("x")).await?;
            Ok(cx.reply(&told).await?)
        })
    });
    let subscriber = AgentSpec::new("subscriber", "passes it on").accepts::<Part<0>>();
    let subscriber = agent(subscriber.emits::<Part<1>>(), |_, cx| {
        Box::pin(async move {
            cx.publish(&part::<1>("on")).await?;
            Ok(())
        })
    });
    let shaky = agent(spec("shaky").fallback("spare").restarts_max(0), |_, _| {
        Box::pin(async { panic!("as it does") })
    });
    let spare = agent(spec("spare"), |_, cx| {
        Box::pin(async move { Ok(cx.reply(&answer("spare")).await?) })
    });
    let desk = Desk::with(&[front, subscriber, shaky, spare]).await;
    let root = Label::new(Classification::Public).with_region("in");
    let ask = Ask::new("front", &question("x")).labelled(root.clone());
    assert_eq!(text_of(&*desk.outcome(ask.with_content(CONTENT.to_vec())).await), "spare");
    let root = root.with_category(PERSONAL);
    let mut messages = 0;
    for record in desk.records().await {
        if let Entry::Message { message, .. } = &record.entry {
            messages += 1;
            assert!(message.label().covers(&root), "{} from {}", message.kind(), message.from());
        }
    }
    assert_eq!(messages, 7, "root, two parts, ask, fallback, its reply, answer");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_stores_is_labelled_by_what_it_has_seen_and_kept_from_the_uncleared() {
    let keeper = agent(spec("keeper").cleared_for(Classification::Restricted), |_, cx| {
        Box::pin(async move {
            let blob = cx.store(Arc::new("derived".to_owned())).await?;
            let bytes = serde_json::to_string(&blob).unwrap_or_default();
            Ok(cx.reply(&answer(bytes)).await?)
        })
    });
    let curious = agent(spec("curious"), |message, cx| {
        Box::pin(async move {
            let asked: Question = message.decode()?;
            let blob: Blob = serde_json::from_str(&asked.text).unwrap();
            let kept: Arc<String> = cx.load(&blob).await?;
            Ok(cx.reply(&answer(&**kept)).await?)
        })
    });
    let front = agent(spec("front").cleared_for(Classification::Restricted), |_, cx| {
        Box::pin(async move {
            let kept: Answer = cx.ask("keeper", &question("x")).await?;
            let told: Answer = cx.ask("curious", &question(&kept.text)).await?;
            Ok(cx.reply(&told).await?)
        })
    });
    let desk = Desk::with(&[front, keeper, curious]).await;
    let ask =
        |classification| Ask::new("front", &question("x")).labelled(Label::new(classification));
    assert_eq!(text_of(&*desk.outcome(ask(Classification::Internal)).await), "derived");
    let outcome = desk.outcome(ask(Classification::Confidential)).await;
    let genie_core::outcome::Outcome::Failed { cause } = &*outcome else { panic!("{outcome:?}") };
    assert!(cause.to_string().contains("`curious` failed: it is not cleared"), "{cause}");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn content_bound_to_another_region_is_kept_from_an_agent_here() {
    let desk = Desk::with(&[reader(true)]).await;
    for (region, outcome) in [("in", "completed"), ("eu", "failed")] {
        let label = Label::default().with_region(region);
        let ask = Ask::new("reader", &question("x")).labelled(label).with_content(CONTENT.to_vec());
        assert_eq!(desk.outcome(ask).await.name(), outcome, "{region}");
    }
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn content_that_inspection_finds_personal_is_kept_from_the_uncleared() {
    let desk = Desk::with(&[reader(false)]).await;
    let ask = Ask::new("reader", &question("x")).with_content(CONTENT.to_vec());
    assert_eq!(desk.outcome(ask).await.name(), "failed");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_serves_one_run_after_the_other_brings_nothing_along() {
    let counting = agent(spec("counting").cleared_for(Classification::Confidential), |_, cx| {
        Box::pin(async move {
            let counted = cx.state::<u32>();
            *counted += 1;
            let counted = counted.to_string();
            Ok(cx.reply(&answer(counted)).await?)
        })
    });
    let desk = Desk::with(&[counting]).await;
    let confidential = Label::new(Classification::Confidential).with_region("in");
    for label in [confidential, Label::new(Classification::Public)] {
        let ask = Ask::new("counting", &question("x")).labelled(label.clone());
        assert_eq!(text_of(&*desk.outcome(ask).await), "1");
        assert_eq!(label_of(&desk, "counting", "answer").await, label);
    }
    desk.close().await;
}
