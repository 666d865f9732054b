//! Tools: what they are given, what they do, and what is done about it when nobody knows.

use std::sync::Arc;
use std::time::Duration;

use genie_core::approval::{Resolution, Subject};
use genie_core::budget::{BudgetId, MemoryBudgets, Prices};
use genie_core::journal::Entry;
use genie_core::journal::steps::Effect;
use genie_core::kernel::{Kernel, Options};
use genie_core::limits::Limits;
use genie_core::principal::Identity;
use genie_core::tool::{Effects, Tool, ToolError};
use genie_core::{Agent, Ask, Failure};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::disk::{Disk, Fault};
use crate::life::{Doing, Outside, live, over, resolved, start, verified};
use crate::{Desk, agent, answer, identity, millis, options, question, spec, text_of};

/// Calls `pay` with the arguments that it is asked for and says what came of it.
fn payer() -> &'static dyn Agent {
    agent(spec("payer").uses("pay"), |message, cx| {
        Box::pin(async move {
            let asked: crate::Question = message.decode()?;
            let (tool, arguments) = asked.text.split_once(' ').unwrap();
            // Split, so that policy has nothing against the question itself.
            let arguments = serde_json::from_str(&arguments.replace('|', "")).unwrap();
            let said = match cx.tool(tool, arguments).await {
                Ok(given) => format!("gave {given}"),
                Err(Failure::Denied(_)) => "denied".to_owned(),
                Err(failure) => format!("{}: {failure}", failure.code()),
            };
            Ok(cx.reply(&answer(said)).await?)
        })
    })
}

/// A desk with one tool that does this on its calls, counted from 1.
async fn desk<F>(effects: Effects, outside: &Arc<Outside>, answer: F) -> Desk
where
    F: Fn(u32) -> Result<Value, ToolError> + Send + Sync + 'static,
{
    let pay = Doing { name: "pay", effects, outside: outside.clone(), mount: None, answer };
    Desk::of(Options { tools: vec![Arc::new(pay)], ..options(&[payer()]) }).await
}

/// What one call comes to, and how often the tool was called.
async fn check<F>(effects: Effects, asked: &str, does: F) -> (String, u32)
where
    F: Fn(u32) -> Result<Value, ToolError> + Send + Sync + 'static,
{
    let outside = Arc::new(Outside::default());
    let desk = desk(effects, &outside, does).await;
    let said = text_of(&*desk.ask("payer", asked).await);
    assert!(outside.keys("pay") <= 1, "the attempts have different keys");
    desk.close().await;
    (said, outside.times("pay"))
}

#[tokio::test(start_paused = true)]
async fn what_a_tool_must_not_be_given_never_reaches_it() {
    for (asked, expected) in [
        (
            "pay {}",
            "bad_arguments: the tool `pay` cannot be called so: the arguments: \
                    \"amount\" is a required property",
        ),
        (
            "pay {\"amount\":\"much\"}",
            "bad_arguments: the tool `pay` cannot be called so: \
                    /amount: \"much\" is not of type \"integer\"",
        ),
        (
            "pay {\"amount\":-1}",
            "bad_arguments: the tool `pay` cannot be called so: /amount: -1 \
                    is less than the minimum of 0",
        ),
        (
            "steal {\"amount\":1}",
            "no_recipient: nobody receives `tool `steal``; \
                    `genie agents` lists who is registered",
        ),
        ("pay {\"amount\":1,\"note\":\"for|bidden\"}", "denied"),
    ] {
        let (said, times) = check(Effects::Once, asked, |_| Ok(json!("paid"))).await;
        assert_eq!((&*said, times), (expected, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_the_agent_does_not_declare_is_not_called() {
    let outside = Arc::new(Outside::default());
    let sly = agent(spec("sly"), |_, cx| {
        Box::pin(async move {
            cx.tool("pay", json!({ "amount": 1 })).await?;
            Ok(())
        })
    });
    let pay = Doing {
        name: "pay",
        effects: Effects::None,
        outside: outside.clone(),
        mount: None,
        answer: |_| Ok(json!("paid")),
    };
    let desk = Desk::of(Options { tools: vec![Arc::new(pay)], ..options(&[sly]) }).await;
    let failure = desk.failure("sly", "x").await.to_string();
    assert_eq!(failure, "agent `sly` failed: its spec does not declare that it uses `pay`");
    assert_eq!(outside.times("pay"), 0);
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_uses_a_tool_which_is_not_there_stops_the_start() {
    let started = Kernel::start(options(&[payer()])).await;
    let error = started.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("`payer`") && error.contains("`pay`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_result_that_policy_denies_does_not_reach_the_agent_but_has_happened() {
    for (text, code) in [("forbidden", "denied"), ("approval", "rejected"), ("secret", "denied")] {
        let outside = Arc::new(Outside::default());
        let desk = desk(Effects::Once, &outside, move |_| Ok(json!({ "text": text }))).await;
        let said = text_of(&*desk.ask("payer", "pay {\"amount\":1}").await);
        assert!(said.starts_with(code), "{said}");
        let done = desk.records().await.into_iter().filter(|record| {
            matches!(&record.entry, Entry::Effect { effect: Effect::Done { .. }, .. })
        });
        assert_eq!((done.count(), outside.times("pay")), (1, 1), "{text}");
        desk.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_be_repeated_is_tried_three_times_and_what_failed_for_certain_once() {
    let call = "pay {\"amount\":1}";
    for effects in [Effects::None, Effects::Idempotent] {
        let lost = || Err(ToolError::Unknown("the line is dead".into()));
        let never = check(effects, call, move |_| lost()).await;
        assert_eq!(never, ("tool: the tool `pay` failed: the line is dead".to_owned(), 3));
        let third = move |times| if times < 3 { lost() } else { Ok(json!(times)) };
        assert_eq!(check(effects, call, third).await, ("gave 3".to_owned(), 3));
        let panics = |times| {
            if times < 2 {
                std::panic::resume_unwind(Box::new("broken".to_owned()));
            }
            Ok(json!(times))
        };
        assert_eq!(check(effects, call, panics).await, ("gave 2".to_owned(), 2));
    }
    for effects in [Effects::None, Effects::Idempotent, Effects::Once] {
        let fails = |_| Err(ToolError::Failed("no money".into()));
        let failed = check(effects, call, fails).await;
        assert_eq!(failed, ("tool: the tool `pay` failed: no money".to_owned(), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_must_happen_once_and_may_have_is_put_to_a_human() {
    type Does = fn(u32) -> Result<Value, ToolError>;
    let ways: [(&str, Does); 2] = [
        ("the line is dead", |times| {
            if times < 2 {
                Err(ToolError::Unknown("the line is dead".into()))
            } else {
                Ok(json!(2))
            }
        }),
        ("broken", |times| {
            if times < 2 {
                std::panic::resume_unwind(Box::new("broken".to_owned()));
            }
            Ok(json!(2))
        }),
    ];
    for (reason, does) in ways {
        for (resolution, result, expected, times) in [
            (Resolution::Happened, json!(7), "gave 7", 1),
            (Resolution::Happened, Value::Null, "gave null", 1),
            (
                Resolution::DidNotHappen,
                Value::Null,
                "tool: the tool `pay` failed: a human has found out that it did not happen",
                1,
            ),
            (Resolution::Retry, Value::Null, "gave 2", 2),
        ] {
            let outside = Arc::new(Outside::default());
            let desk = desk(Effects::Once, &outside, does).await;
            let (outcome, ()) = tokio::join!(desk.ask("payer", "pay {\"amount\":1}"), async {
                let approval = desk.asked().await;
                assert_eq!((approval.subject, &*approval.reason), (Subject::UnknownEffect, reason));
                assert_eq!(approval.arguments["arguments"], json!({ "amount": 1 }));
                tokio::time::sleep(std::time::Duration::from_hours(1_000)).await;
                assert_eq!(desk.kernel.runs_in_flight(), 0, "it stays in memory");
                let plain = desk.decides("bea", &approval, genie_core::approval::Choice::Approve);
                assert!(plain.await.is_err());
                let choice = resolved(resolution, result.clone());
                desk.decides("bea", &approval, choice).await.unwrap();
            });
            assert_eq!(text_of(&outcome), expected);
            assert_eq!((outside.times("pay"), outside.keys("pay")), (times, 1));
            desk.close().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_approved_and_then_got_lost_is_put_to_a_human_by_itself() {
    let outside = Arc::new(Outside::default());
    let lost = |times: u32| match times {
        1 | 2 => Err(ToolError::Unknown("the line is dead".into())),
        _ => Ok(json!("paid")),
    };
    let desk = desk(Effects::Once, &outside, lost).await;
    let (outcome, subjects) =
        tokio::join!(desk.ask("payer", "pay {\"amount\":1,\"note\":\"app|roval\"}"), async {
            let mut subjects = Vec::new();
            for _ in 0..3 {
                let approval = desk.asked().await;
                subjects.push(approval.subject);
                // Long enough that the run leaves the memory each time.
                tokio::time::sleep(std::time::Duration::from_mins(10)).await;
                let choice = match approval.subject {
                    Subject::Message => genie_core::approval::Choice::Approve,
                    Subject::UnknownEffect => resolved(Resolution::Retry, Value::Null),
                };
                desk.decides("bea", &approval, choice).await.unwrap();
            }
            subjects
        });
    assert_eq!(text_of(&outcome), "gave \"paid\"");
    assert_eq!(subjects, [Subject::Message, Subject::UnknownEffect, Subject::UnknownEffect]);
    assert_eq!((outside.times("pay"), outside.keys("pay")), (3, 1));
    desk.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_hangs_is_given_up_at_its_deadline() {
    struct Hangs(Effects);
    #[genie_core::async_trait]
    impl genie_core::tool::Tool for Hangs {
        fn spec(&self) -> genie_core::tool::ToolSpec {
            let spec = genie_core::tool::ToolSpec::new::<crate::life::Arguments>("pay", "hangs");
            spec.effects(self.0).deadline(crate::millis(50))
        }

        async fn call(&self, _: genie_core::tool::Attempt<'_>) -> Result<Value, ToolError> {
            std::future::pending().await
        }
    }
    let call = "pay {\"amount\":1}";
    for effects in [Effects::None, Effects::Idempotent] {
        let tools: Vec<Arc<dyn genie_core::tool::Tool>> = vec![Arc::new(Hangs(effects))];
        let desk = Desk::of(Options { tools, ..options(&[payer()]) }).await;
        let began = tokio::time::Instant::now();
        let said = text_of(&*desk.ask("payer", call).await);
        assert_eq!(said, "tool: the tool `pay` failed: it did not answer within 50 ms");
        // Three attempts, and waits of 100 ms and 200 ms between them.
        let took = began.elapsed();
        assert!(took >= crate::millis(450) && took < crate::millis(460), "{took:?}");
        desk.close().await;
    }
    let tools: Vec<Arc<dyn genie_core::tool::Tool>> = vec![Arc::new(Hangs(Effects::Once))];
    let desk = Desk::of(Options { tools, ..options(&[payer()]) }).await;
    let (outcome, ()) = tokio::join!(desk.ask("payer", call), async {
        let approval = desk.asked().await;
        assert_eq!(&*approval.reason, "it did not answer within 50 ms");
        let choice = resolved(Resolution::DidNotHappen, Value::Null);
        desk.decides("bea", &approval, choice).await.unwrap();
    });
    assert!(text_of(&outcome).starts_with("tool: "));
    desk.close().await;
}

#[test]
fn a_call_that_no_budget_pays_is_not_made_and_its_agent_is_told_so_whenever_it_runs() {
    let (disk, outside) = (Arc::new(Disk::default()), Arc::new(Outside::default()));
    let payer = agent(spec("payer").uses("pay"), |_, cx| {
        Box::pin(async move {
            let failure = cx.tool("pay", json!({ "amount": 1 })).await.unwrap_err();
            // The run leaves the memory meanwhile, and its handler begins anew.
            cx.sleep(Duration::from_hours(1)).await?;
            Ok(cx.reply(&answer(format!("{}: {failure}", failure.code()))).await?)
        })
    });
    live(&disk, Fault::None, async |mount| {
        let answer = |_| Ok(json!("paid"));
        let (name, effects) = ("pay", Effects::Once);
        let pay = Doing { name, effects, outside: outside.clone(), mount: None, answer };
        let (budgets, id) = (Arc::new(MemoryBudgets::default()), BudgetId(Uuid::from_u128(5)));
        let prices = Prices { run_minor: 0, tools: [("pay".to_owned(), 50)].into() };
        let limits = Limits { run_deadline: Duration::from_hours(2), ..Limits::default() };
        let tools: Vec<Arc<dyn Tool>> = vec![Arc::new(pay)];
        let options = Options { tools, budgets, prices, limits, ..over(&mount, 0, &[payer]) };
        let mut desk = start(options).await;
        desk.kernel.allot(desk.principal.tenant(), id, 20).await.unwrap();
        let identity = Identity { budgets: [id].into(), ..identity("acme") };
        desk.principal = desk.authority.admit(identity);
        let running =
            desk.kernel.ask(&desk.principal, Ask::new("payer", &question("x"))).await.unwrap();
        tokio::time::sleep(millis(100)).await;
        assert!(disk.is_parked(running.run_id));
        let said = text_of(&*running.outcome().await);
        let expected = "budget_exhausted: the tool `pay` costs 50, and the budget of the \
                        credential has 20 left (minor units)";
        assert_eq!(said, expected);
        desk.kernel.drain().await;
    })
    .lived();
    verified(&disk);
    assert_eq!(outside.times("pay"), 0);
    let effects: Vec<Effect> = disk
        .records()
        .iter()
        .filter_map(|record| match &record.entry {
            Entry::Effect { effect, .. } => Some(effect.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(effects, [Effect::Unpaid { price_minor: 50, left_minor: 20 }]);
}
