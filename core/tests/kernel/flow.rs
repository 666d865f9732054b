//! Requests, replies, denials and failures.

use genie_core::outcome::Outcome;
use genie_core::{Agent, AgentError, AgentSpec, Context, Failure, Governed, async_trait};

use crate::{Answer, Desk, Question, answer, question, text_of};

/// Answers with what it was asked.
pub(crate) struct Echo;

#[async_trait]
impl Agent for Echo {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("echo", "answers with what it was asked")
            .accepts::<Question>()
            .emits::<Answer>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let asked: Question = message.decode()?;
        match asked.text.as_str() {
            "fail" => return Err(AgentError::new("told to fail")),
            "panic" => panic!("told to panic"),
            "mute" => return Ok(()),
            _ => {}
        }
        Ok(cx.reply(&answer(asked.text)).await?)
    }
}

/// Passes the question on to the echo.
struct Front;

#[async_trait]
impl Agent for Front {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("front", "asks the echo")
            .accepts::<Question>()
            .emits::<Question>()
            .emits::<Answer>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let asked: Question = message.decode()?;
        let echoed: Answer = cx.ask("echo", &asked).await?;
        Ok(cx.reply(&answer(format!("echo says {}", echoed.text))).await?)
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_is_answered_over_two_hops() {
    let desk = Desk::with(&[&Front, &Echo]).await;
    assert_eq!(text_of(&*desk.ask("front", "hello").await), "echo says hello");
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_denied_root_message_ends_the_run_as_denied_with_policy_and_reason() {
    let desk = Desk::with(&[&Front, &Echo]).await;
    let outcome = desk.ask("front", "forbidden").await;
    let Outcome::Denied { denied } = &*outcome else { panic!("{outcome:?}") };
    assert_eq!((&*denied.policy, &*denied.reason), ("words", "the word is forbidden"));
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_errors_or_panics_denies() {
    let desk = Desk::with(&[&Front, &Echo]).await;
    for word in ["undecided", "policy crash"] {
        let outcome = desk.ask("front", word).await;
        assert!(matches!(&*outcome, Outcome::Denied { .. }), "{word}: {outcome:?}");
    }
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn failures_below_reach_the_caller_typed_and_without_waiting() {
    let desk = Desk::with(&[&Front, &Echo]).await;
    let started = tokio::time::Instant::now();
    for (word, code) in [("fail", "failed"), ("panic", "panicked"), ("mute", "no_reply")] {
        let outcome = desk.ask("front", word).await;
        let Outcome::Failed { cause } = &*outcome else { panic!("{word}: {outcome:?}") };
        assert_eq!(cause.code(), code, "{word}");
    }
    // Only the restarts' back-off takes time.
    assert!(started.elapsed() < crate::millis(100), "{:?}", started.elapsed());
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_redacted_message_is_delivered_and_journaled_redacted() {
    let desk = Desk::with(&[&Front, &Echo]).await;
    assert_eq!(text_of(&*desk.ask("front", "secret").await), "echo says [redacted:word]");
    let journal = format!("{:?}", desk.records().await);
    assert!(!journal.contains("\"secret\""), "the journal holds what was redacted");
    desk.close().await;
}

/// Calls itself through the echo's place.
struct Ring(&'static str, &'static str);

#[async_trait]
impl Agent for Ring {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new(self.0, "asks the next of the ring")
            .accepts::<Question>()
            .emits::<Question>()
            .emits::<Answer>()
    }

    async fn handle(&self, _message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let reply: Answer = cx.ask(self.1, &question("around")).await?;
        Ok(cx.reply(&reply).await?)
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_cycle_is_refused_at_once_and_named() {
    let desk = Desk::with(&[&Ring("a", "b"), &Ring("b", "c"), &Ring("c", "a")]).await;
    let outcome = desk.ask("a", "go").await;
    let Outcome::Failed { cause: Failure::Cycle { path } } = &*outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(path, "a → b → c → a");
    desk.close().await;
}
