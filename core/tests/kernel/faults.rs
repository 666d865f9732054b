//! A store that fails at any call: the run fails with the reason or goes on, and never hangs.

use std::collections::BTreeSet;
use std::sync::Arc;

use genie_core::approval::{Approval, Choice, Resolution, Subject};
use genie_core::kernel::Options;
use genie_core::policy::PolicySet;
use genie_core::tool::Effects;
use genie_core::{Agent, Ask};
use serde_json::{Value, json};

use crate::disk::{Disk, Fault, Mount, Op};
use crate::life::{Outside, ending, live, over, resolved, start, tool, verified};
use crate::{Answer, Words, agent, millis, question, slow, spec};

/// Stores, loads, pays, asks what a human must see, and sleeps for long.
fn busy() -> &'static dyn Agent {
    agent(spec("busy").uses("pay"), |_, cx| {
        Box::pin(async move {
            let blob = cx.store(Arc::new("content".to_owned())).await?;
            let content = cx.load::<String>(&blob).await?;
            cx.tool("pay", json!({ "amount": 5 })).await?;
            let told: Answer = cx.ask("echo", &question(&format!("approval of {content}"))).await?;
            cx.sleep(millis(8_000)).await?;
            Ok(cx.reply(&told).await?)
        })
    })
}

fn made(mount: &Arc<Mount>, outside: &Arc<Outside>, life: u64) -> Options {
    Options {
        tools: vec![tool("pay", Effects::Once, outside, mount)],
        policies: PolicySet::new(vec![Arc::new(Words)]).unwrap(),
        ..over(mount, life, &[busy(), slow("echo", millis(1))])
    }
}

fn decide(approval: &Approval) -> Choice {
    match approval.subject {
        Subject::Message => Choice::Approve,
        Subject::UnknownEffect => resolved(Resolution::Happened, Value::Null),
    }
}

/// Lets `count` operations fail from one on, for an hour; then everything works.
fn check(op: Op, first: u64, count: u64) -> (bool, String) {
    let (disk, outside) = (Arc::new(Disk::default()), Arc::new(Outside::default()));
    let at = format!("{op:?} {first} and {count} more");
    let met = live(&disk, Fault::Fails(op, first, count), async |mount| {
        let desk = start(made(&mount, &outside, 0)).await;
        let ask = Ask::new("busy", &question("x"));
        let running = desk.kernel.ask(&desk.principal, ask).await.unwrap();
        let told = async {
            let hour = std::time::Duration::from_hours(1);
            tokio::time::timeout(hour, running.outcome()).await
        };
        let deciding = async {
            loop {
                for approval in desk.pending().await {
                    let _ = desk.decides("bea", &approval, decide(&approval)).await;
                }
                tokio::time::sleep(millis(700)).await;
            }
        };
        let told = tokio::select! { told = told => told.ok(), () = deciding => unreachable!() };
        let met = mount.count(op) > first;
        mount.mend();
        // What a process could not record of a run's end it records as soon as it can.
        desk.ask("echo", "y").await;
        desk.all_ended(&disk, decide).await;
        assert_eq!(desk.kernel.drain().await, 0, "{at}");
        desk.check_memory();
        let told = told.map(|told| told.name());
        (met, told)
    })
    .lived();
    verified(&disk);
    assert!(outside.times("pay") <= 1, "{at}");
    let busy = disk.runs()[0];
    (met.0, format!("{:?}: {}", met.1, ending(&disk, busy)))
}

#[test]
fn a_store_that_fails_at_any_call_makes_a_run_fail_with_the_reason_or_wait() {
    let ops = [
        Op::Append,
        Op::Durable,
        Op::Read,
        Op::Put,
        Op::Get,
        Op::Swap,
        Op::Store,
        Op::Load,
        Op::Claim,
    ];
    for op in ops {
        for count in [1, 3, u64::MAX / 2] {
            let mut endings = BTreeSet::new();
            for first in 0.. {
                let (met, ended) = check(op, first, count);
                let fine = ended.contains("completed")
                    || ended.contains("failed journal")
                    || ended.contains("the blob store failed")
                    || (count > 1 && ended.contains("expired"));
                assert!(fine, "{op:?} {first} and {count} more: {ended}");
                endings.insert(ended);
                if !met {
                    break;
                }
            }
            assert!(endings.iter().any(|ended| ended.contains("completed")), "{op:?} {count}");
        }
    }
}
