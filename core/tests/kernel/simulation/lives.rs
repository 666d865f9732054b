//! Processes that die at random and humans who decide at random, over one disk and one outside.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use genie_core::Ask;
use genie_core::approval::{Approval, Choice, Resolution, Status, Subject};
use genie_core::ids::{MessageId, RunId};
use genie_core::journal::{Entry, Record, lines};
use genie_core::kernel::Options;
use genie_core::limits::Limits;
use genie_core::outcome::Outcome;
use genie_core::policy::{Decision, PolicySet};
use genie_core::tool::Effects;
use serde_json::json;

use super::check::nothing_happened_twice;
use super::world::World;
use super::{Dice, limits};
use crate::disk::{Disk, Fault, Mount, Op};
use crate::life::{Outside, live, over, resolved, start, tool, verified};
use crate::{Desk, Hops, Lenient, Words, millis, question};

/// Lives that may end early; the last one does not.
const LIVES: u64 = 4;

fn fault(dice: &Dice) -> Fault {
    let ops = [Op::Durable, Op::Read, Op::Put, Op::Get, Op::Swap, Op::Store, Op::Claim];
    let op = if dice.chance(70) { Op::Append } else { ops[dice.index(ops.len())] };
    let number = dice.below(if op == Op::Append { 120 } else { 8 });
    match dice.below(8) {
        0 => Fault::None,
        1 => Fault::Fails(op, number, dice.below(20)),
        2..5 => Fault::Before(op, number),
        _ => Fault::After(op, number),
    }
}

fn made(
    world: &Arc<World>,
    mount: &Arc<Mount>,
    outside: &Arc<Outside>,
    (seed, life): (u64, u64),
) -> Options {
    let dice = Dice::new(seed ^ 0x5bd1);
    let tools = [("look", Effects::None), ("put", Effects::Idempotent), ("pay", Effects::Once)];
    let policies = PolicySet::new(vec![Arc::new(Words), Arc::new(Hops), Arc::new(Lenient)]);
    Options {
        tools: tools.map(|(name, effects)| tool(name, effects, outside, mount)).to_vec(),
        policies: policies.unwrap(),
        limits: Limits { park_after: millis(dice.below(40)), ..limits(&dice) },
        ..over(mount, life, &World::agents(world, &dice))
    }
}

/// What a human says, if anything at all.
fn says(dice: &Dice, approval: &Approval) -> Choice {
    match (approval.subject, dice.below(4)) {
        (Subject::Message, 0) => Choice::Reject,
        (Subject::Message, _) => Choice::Approve,
        (Subject::UnknownEffect, 0) => resolved(Resolution::Happened, json!("done")),
        (Subject::UnknownEffect, 1) => resolved(Resolution::DidNotHappen, json!(null)),
        (Subject::UnknownEffect, _) => resolved(Resolution::Retry, json!(null)),
    }
}

/// Decides now and then on what waits; `always` once nobody else will.
async fn human(desk: &Desk, dice: &Dice, always: bool) {
    for round in 0.. {
        // Patient at last, so that a run that waits for days is not asked after a million times.
        let rest = if round < 1_000 { dice.between(1, 60) } else { 600_000 };
        tokio::time::sleep(millis(rest)).await;
        for approval in desk.pending().await {
            if always || dice.chance(40) {
                let _ = desk.decides("bea", &approval, says(dice, &approval)).await;
            }
        }
    }
}

async fn client(desk: &Desk, world: &World, dice: Dice) -> Option<(RunId, Arc<Outcome>)> {
    tokio::time::sleep(millis(dice.below(60))).await;
    let to = world.names[dice.index(world.names.len())];
    let ask = Ask::new(to, &question(&dice.text()));
    let running = desk.kernel.ask(&desk.principal, ask).await.ok()?;
    let run_id = running.run_id;
    let (outcome, ()) = tokio::join!(running.outcome(), async {
        if dice.chance(20) {
            tokio::time::sleep(millis(dice.below(80))).await;
            desk.kernel.cancel(&desk.principal, run_id, "at random").await;
        }
    });
    Some((run_id, outcome))
}

/// One life in which clients ask, until they have their answers or the process dies.
async fn one_life(
    world: &Arc<World>,
    desk: &Desk,
    seed: u64,
    told: &std::cell::RefCell<Vec<(RunId, Arc<Outcome>)>>,
) {
    let dice = Dice::new(seed);
    let clients = (0..dice.between(1, 6)).map(|number| {
        let dice = Dice::new(seed ^ (number + 1).wrapping_mul(0xd1b5_4a32_d192_ed03));
        async move {
            let asked = client(desk, world, dice).await;
            told.borrow_mut().extend(asked);
        }
    });
    let given_up = tokio::time::sleep(millis(2_000));
    tokio::select! {
        biased;
        _ = futures::future::join_all(clients) => {}
        () = human(desk, &dice, false) => {}
        () = given_up => {}
    }
}

/// Plays one seed and checks it; gives the journal as a file.
pub(super) fn simulate(seed: u64) -> Vec<u8> {
    let dice = Dice::new(seed);
    let world = World::of(seed, &dice, true);
    let (disk, outside) = (Arc::new(Disk::default()), Arc::new(Outside::default()));
    let told = std::cell::RefCell::default();
    for life in 0..LIVES {
        live(&disk, fault(&dice), async |mount| {
            let desk = start(made(&world, &mount, &outside, (seed, life))).await;
            one_life(&world, &desk, seed.wrapping_mul(31) ^ life, &told).await;
        });
        if dice.chance(50) {
            disk.lose();
        }
        // What a handler saw after its process had died, or in a past that is lost, it did not see.
        let kept = let_through(&disk.records());
        world.seen.lock().unwrap().retain(|seen| kept.contains(&seen.message));
    }
    live(&disk, Fault::None, async |mount| {
        let desk = start(made(&world, &mount, &outside, (seed, LIVES))).await;
        let dice = Dice::new(seed ^ 0xface);
        tokio::select! {
            biased;
            () = desk.ended_alone(&disk) => {}
            () = human(&desk, &dice, true) => {}
        }
        assert_eq!(desk.kernel.drain().await, 0, "runs were left in flight");
        desk.check_memory();
        assert!(desk.pending().await.is_empty(), "what an ended run has asked is pending");
    })
    .lived();
    assert_eq!(world.at_work.load(Ordering::Relaxed), 0, "handlers outlive their process");
    verified(&disk);
    let records = disk.records();
    nothing_happened_twice(&records);
    only_what_was_let_through_arrived(&records, &world);
    effects_happened_as_often_as_they_may(&records, &outside);
    for (run, outcome) in told.into_inner() {
        let recorded = disk.outcome(run).map(|outcome| outcome.name());
        let unsure = matches!(&*outcome, Outcome::Failed { cause } if cause.code() == "journal"
            || cause.code() == "run_ended");
        assert!(unsure || recorded == Some(outcome.name()), "{recorded:?} but told {outcome:?}");
    }
    let mut file = Vec::new();
    for record in &records {
        lines::write(record, &mut file).unwrap();
    }
    file
}

/// Each message with whom it is for; none is there twice.
fn messages(records: &[Arc<Record>]) -> HashMap<MessageId, String> {
    let mut messages = HashMap::new();
    for record in records {
        if let Entry::Message { message, .. } = &record.entry {
            let known = messages.insert(message.id(), message.to().to_owned());
            assert!(known.is_none(), "message {} is recorded twice", message.id());
        }
    }
    messages
}

/// What reached a handler was for it, and was allowed or approved.
fn only_what_was_let_through_arrived(records: &[Arc<Record>], world: &World) {
    let (addressed, passed) = (messages(records), let_through(records));
    for seen in world.seen.lock().unwrap().iter() {
        let to = addressed.get(&seen.message).map(String::as_str);
        assert_eq!(to, Some(seen.by), "{seen:?} was for someone else");
        assert!(passed.contains(&seen.message), "{seen:?} was not let through");
    }
}

/// The messages that were allowed or approved.
fn let_through(records: &[Arc<Record>]) -> HashSet<MessageId> {
    let mut passed: HashSet<MessageId> = HashSet::new();
    for record in records {
        match &record.entry {
            Entry::Verdict { message_id, verdict, .. }
                if matches!(verdict.decision, Decision::Allow | Decision::Redact) =>
            {
                passed.insert(*message_id);
            }
            Entry::ApprovalDecided { message_id, status: Status::Approved, .. } => {
                passed.insert(*message_id);
            }
            _ => {}
        }
    }
    passed
}

/// What must happen once was done once, and once more for each time that a human said so.
fn effects_happened_as_often_as_they_may(records: &[Arc<Record>], outside: &Outside) {
    let mut may: HashMap<String, u32> = HashMap::new();
    for record in records {
        if let Entry::ApprovalDecided { message_id, status, .. } = &record.entry
            && matches!(status, Status::Resolved { resolution: Resolution::Retry, .. })
        {
            *may.entry(message_id.0.to_string()).or_default() += 1;
        }
    }
    for ((tool, key), times) in outside.calls.lock().unwrap().iter() {
        let may = 1 + may.get(key).copied().unwrap_or(0);
        assert!(*tool != "pay" || *times <= may, "{key}: paid {times} times, allowed {may}");
    }
}
