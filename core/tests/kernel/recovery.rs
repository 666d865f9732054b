//! A process that dies at any moment: the next one goes on with its runs, to the same end.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use genie_core::approval::{Resolution, Subject};
use genie_core::context::Request;
use genie_core::journal::Entry;
use genie_core::kernel::Options;
use genie_core::outcome::Outcome;
use genie_core::tool::Effects;
use genie_core::{Agent, AgentSpec, Ask, Failure, Gather};
use serde_json::{Value, json};

use crate::disk::{Disk, Fault, Mount, Op};
use crate::life::{Life, Outside, ending, live, over, resolved, start, tool, verified};
use crate::{Answer, Part, Question, agent, answer, millis, part, question, slow, spec, text_of};

/// Publishes what it is asked as a part before it answers.
fn leg(id: &'static str) -> &'static dyn Agent {
    agent(spec(id).emits::<Part<0>>(), move |message, cx| {
        Box::pin(async move {
            let asked: Question = message.decode()?;
            cx.sleep(millis(3)).await?;
            cx.publish(&part::<0>(id)).await?;
            Ok(cx.reply(&answer(format!("{id}: {}", asked.text))).await?)
        })
    })
}

/// Counts what it is told and says how much that was.
fn keeper() -> &'static dyn Agent {
    agent(spec("keeper").accepts::<Part<0>>(), |message, cx| {
        Box::pin(async move {
            *cx.state::<u32>() += 1;
            let told = *cx.state::<u32>();
            if message.kind() == "question" {
                cx.reply(&answer(format!("told {told} times"))).await?;
            }
            Ok(())
        })
    })
}

/// Makes a part of what it is told.
fn maker() -> &'static dyn Agent {
    let spec = AgentSpec::new("maker", "makes parts").accepts::<Part<1>>().emits::<Part<2>>();
    agent(spec, |message, cx| {
        Box::pin(async move {
            let told: Part<1> = message.decode()?;
            cx.publish(&part::<2>(&format!("made of {}", told.text))).await?;
            Ok(())
        })
    })
}

/// Does one of everything and says what came of it.
fn front() -> &'static dyn Agent {
    let spec = spec("front").emits::<Part<1>>().collects::<Part<2>>();
    let spec = spec.uses("look").uses("put").uses("pay");
    agent(spec, |_, cx| {
        Box::pin(async move {
            let (now, random) = (cx.now()?, cx.random()?);
            let blob = cx.store(Arc::new(format!("{now} {random}"))).await?;
            let legs = ["left", "right"].map(|leg| Request::new(leg, &question("go")));
            let gathered = cx.ask_all(&legs, Gather::all()).await?;
            let mut said: Vec<String> = Vec::new();
            for reply in &gathered.arrived {
                said.push(reply.decode::<Answer>()?.text);
            }
            cx.publish(&part::<1>("clay")).await?;
            let made = cx.collect(&["part.two"], Gather::all()).await?;
            said.push(made.payload::<Part<2>>().map(|part| part.text).unwrap_or_default());
            let kept = cx.load::<String>(&blob).await?;
            said.push((*kept == format!("{now} {random}")).to_string());
            cx.sleep(millis(20)).await?;
            for name in ["look", "put", "pay"] {
                said.push(match cx.tool(name, json!({ "amount": 5 })).await {
                    Ok(given) => format!("{name} {given}"),
                    Err(Failure::Tool { .. }) => format!("{name} not"),
                    Err(failure) => return Err(failure.into()),
                });
            }
            let told: Answer = cx.ask("keeper", &question(&random.to_string())).await?;
            said.push(told.text);
            Ok(cx.reply(&answer(said.join(", "))).await?)
        })
    })
}

fn reference(mount: &Arc<Mount>, outside: &Arc<Outside>, life: u64) -> Options {
    let agents = [front(), leg("left"), leg("right"), keeper(), maker()];
    let tools = [("look", Effects::None), ("put", Effects::Idempotent), ("pay", Effects::Once)];
    let tools = tools.map(|(name, effects)| tool(name, effects, outside, mount)).to_vec();
    Options { tools, ..over(mount, life, &agents) }
}

/// How a reference run went whose first process met a fault.
struct Gone {
    disk: Arc<Disk>,
    outside: Arc<Outside>,
    ending: Option<String>,
    /// Whether a human had to say what became of the payment.
    doubted: bool,
    died: bool,
    counts: [u64; 2],
}

/// Runs the reference through a fault; the second process asks a human what became of an effect in
/// doubt, who knows.
fn through(fault: Fault, loses: bool, again: bool) -> Gone {
    let (disk, outside) = (Arc::new(Disk::default()), Arc::new(Outside::default()));
    let first = live(&disk, fault, async |mount| {
        let desk = start(reference(&mount, &outside, 0)).await;
        let outcome = desk.outcome(Ask::new("front", &question("x"))).await;
        assert!(disk.is_synced(), "the outcome was told before it was durable");
        assert_eq!(desk.kernel.drain().await, 0);
        let counts = [mount.count(Op::Append), mount.count(Op::Durable)];
        (text_of(&outcome), counts)
    });
    if loses {
        disk.lose();
    }
    let paid = outside.times("pay");
    let doubted = AtomicBool::new(false);
    live(&disk, Fault::None, async |mount| {
        let desk = start(reference(&mount, &outside, 1)).await;
        let decide = |approval: &genie_core::approval::Approval| {
            assert_eq!((approval.subject, &*approval.to), (Subject::UnknownEffect, "tool:pay"));
            doubted.store(true, Ordering::Relaxed);
            match (paid, again) {
                (0, true) => resolved(Resolution::Retry, Value::Null),
                (0, false) => resolved(Resolution::DidNotHappen, Value::Null),
                _ => resolved(Resolution::Happened, json!("done")),
            }
        };
        desk.all_ended(&disk, decide).await;
        assert_eq!(desk.kernel.drain().await, 0);
        desk.check_memory();
    })
    .lived();
    verified(&disk);
    let run = disk.runs().first().copied();
    let (died, counts) = match first {
        Life::Died => (true, [0, 0]),
        Life::Lived((_, counts)) => (false, counts),
    };
    let ending = run.map(|run| ending(&disk, run));
    Gone { disk, outside, ending, doubted: doubted.into_inner(), died, counts }
}

/// Whether the request itself had got on record.
fn has_root(disk: &Disk) -> bool {
    disk.records().iter().any(|record| matches!(record.entry, Entry::Message { .. }))
}

/// Crashes at every operation of a kind, before and after it, with and without loss.
fn check(op: Op, operations: u64, uncrashed: &str) -> HashSet<&'static str> {
    let mut seen = HashSet::new();
    for number in 0..operations {
        for (fault, name) in
            [(Fault::Before(op, number), "before"), (Fault::After(op, number), "after")]
        {
            for (loses, again) in [(false, false), (true, true)] {
                let at = format!("{name} {op:?} {number}, loss: {loses}");
                let gone = through(fault, loses, again);
                assert!(gone.died, "{at}: it did not die");
                assert!(gone.outside.times("pay") <= 1, "{at}: paid twice");
                assert!(gone.outside.keys("put") <= 1, "{at}: put under two keys");
                let Some(ending) = gone.ending else {
                    seen.insert("nothing left");
                    continue;
                };
                if ending == "cancelled" {
                    assert!(!has_root(&gone.disk), "{at}: cancelled");
                    seen.insert("cancelled");
                } else if gone.doubted && gone.outside.times("pay") == 0 {
                    // The human said that it did not happen, and so the answer says.
                    assert!(ending.starts_with("completed"), "{at}: {ending}");
                    seen.insert("not paid");
                } else {
                    assert_eq!(ending, uncrashed, "{at}");
                    seen.insert(if gone.doubted { "doubted" } else { "the same" });
                }
            }
        }
    }
    seen
}

#[test]
fn a_run_ends_alike_whatever_its_process_was_about_to_record_when_it_died() {
    let calm = through(Fault::None, false, false);
    let uncrashed = calm.ending.unwrap();
    assert!(!calm.died && !calm.doubted && uncrashed.starts_with("completed"), "{uncrashed}");
    let seen = check(Op::Append, calm.counts[0], &uncrashed);
    let all = ["nothing left", "cancelled", "not paid", "doubted", "the same"];
    assert_eq!(seen, HashSet::from(all));
}

#[test]
fn a_run_ends_alike_whatever_its_process_was_about_to_sync_when_it_died() {
    let calm = through(Fault::None, false, false);
    let seen = check(Op::Durable, calm.counts[1], &calm.ending.unwrap());
    assert!(seen.contains("the same") && seen.contains("not paid"), "{seen:?}");
}

#[test]
fn a_run_ends_alike_although_every_process_dies_soon() {
    let calm = through(Fault::None, false, false);
    for step in [7, 11, 16] {
        let (disk, outside) = (Arc::new(Disk::default()), Arc::new(Outside::default()));
        let mut lives = 0;
        loop {
            let fault = Fault::After(Op::Append, step);
            let life = live(&disk, fault, async |mount| {
                let desk = start(reference(&mount, &outside, lives)).await;
                if lives == 0 {
                    desk.ask("front", "x").await;
                }
                let happened = |_: &_| {
                    if outside.times("pay") > 0 {
                        resolved(Resolution::Happened, json!("done"))
                    } else {
                        resolved(Resolution::Retry, Value::Null)
                    }
                };
                desk.all_ended(&disk, happened).await;
            });
            lives += 1;
            assert!(lives < 60, "it gets no further");
            if let Life::Lived(()) = life {
                break;
            }
        }
        assert!(lives > 2);
        verified(&disk);
        assert_eq!(ending(&disk, disk.runs()[0]), *calm.ending.as_ref().unwrap());
        assert_eq!((outside.times("pay"), outside.keys("put")), (1, 1), "step {step}");
    }
}

#[test]
fn a_handler_that_does_something_else_after_a_crash_fails_naming_both() {
    for (first, second, step, recorded, asked) in [
        ("now", "random", 0, "now", "random"),
        ("ask", "now", 0, "question to echo", "now"),
        ("now", "ask", 0, "now", "question to echo"),
        ("ask", "other", 0, "question to echo", "another question to echo"),
        ("ask", "tool", 0, "question to echo", "tool.call to tool:look"),
        ("sleep", "now", 0, "sleep", "now"),
    ] {
        let (disk, outside) = (Arc::new(Disk::default()), Arc::new(Outside::default()));
        let does = move |what: &'static str| {
            agent(spec("fickle").uses("look"), move |_, cx| {
                Box::pin(async move {
                    match what {
                        "now" => drop(cx.now()?),
                        "random" => drop(cx.random()?),
                        "sleep" => cx.sleep(millis(1)).await?,
                        "tool" => drop(cx.tool("look", json!({ "amount": 1 })).await?),
                        text => drop(cx.ask::<_, Answer>("echo", &question(text)).await?),
                    }
                    cx.sleep(millis(1_000)).await?;
                    Ok(cx.reply(&answer("done")).await?)
                })
            })
        };
        let made = |mount: &Arc<Mount>, life, what| {
            let tools = vec![tool("look", Effects::None, &outside, mount)];
            Options { tools, ..over(mount, life, &[does(what), slow("echo", millis(1))]) }
        };
        let life = live(&disk, Fault::None, async |mount| {
            let desk = start(made(&mount, 0, first)).await;
            let ask = Ask::new("fickle", &question("x"));
            let _running = desk.kernel.ask(&desk.principal, ask).await.unwrap();
            tokio::time::sleep(millis(100)).await;
            mount.die();
            std::future::pending::<()>().await;
        });
        assert!(matches!(life, Life::Died));
        live(&disk, Fault::None, async |mount| {
            let desk = start(made(&mount, 1, second)).await;
            desk.all_ended(&disk, |_| unreachable!()).await;
            desk.kernel.drain().await;
        })
        .lived();
        verified(&disk);
        let outcome = disk.outcome(disk.runs()[0]).unwrap();
        let expected = Failure::Nondeterministic {
            agent: "fickle".into(),
            step,
            recorded: recorded.to_owned(),
            asked: asked.to_owned(),
        };
        match &*outcome {
            Outcome::Failed { cause } => assert_eq!(*cause, expected),
            other => panic!("{first} then {second}: {other:?}"),
        }
    }
}

#[test]
fn a_panic_that_would_have_been_forgiven_is_so_after_a_crash_too() {
    let calls = Arc::new(AtomicBool::new(true));
    let shaky = || {
        let first = calls.clone();
        agent(spec("shaky"), move |_, cx| {
            let first = first.swap(false, Ordering::Relaxed);
            Box::pin(async move {
                assert!(!first, "the first call is too much");
                Ok(cx.reply(&answer("fine")).await?)
            })
        })
    };
    // The appends are: start, root, end of the handler, restart, reply, end.
    for number in 2..4 {
        calls.store(true, Ordering::Relaxed);
        let disk = Arc::new(Disk::default());
        live(&disk, Fault::After(Op::Append, number), async |mount| {
            start(over(&mount, 0, &[shaky()])).await.ask("shaky", "x").await;
        });
        live(&disk, Fault::None, async |mount| {
            let desk = start(over(&mount, 1, &[shaky()])).await;
            desk.all_ended(&disk, |_| unreachable!()).await;
        })
        .lived();
        verified(&disk);
        let ended = ending(&disk, disk.runs()[0]);
        assert!(ended.starts_with("completed"), "after append {number}: {ended}");
    }
}
