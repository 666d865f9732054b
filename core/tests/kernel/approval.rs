//! Approvals: on every path, whatever becomes of the run, its process and its policies meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use genie_core::approval::{
    Approval, Choice, DecideError, Filter, Refusal, Resolution, Status, Subject,
};
use genie_core::context::Request;
use genie_core::ids::RunId;
use genie_core::journal::Entry;
use genie_core::kernel::Options;
use genie_core::limits::Limits;
use genie_core::message::Message;
use genie_core::policy::{
    Facts, Judgement, Policy, PolicyError, PolicySet, Redaction, Requirement,
};
use genie_core::tool::Effects;
use genie_core::{Agent, Ask, Gather};
use serde_json::json;

use crate::disk::{Disk, Fault, Mount, Op};
use crate::life::{Life, Outside, ending, live, over, resolved, start, tool, verified};
use crate::{Answer, Desk, Part, Present, Question, agent, answer, millis, part, question, spec};

/// What a policy says of whatever contains the word `gate`.
#[derive(Clone)]
pub(crate) enum Says {
    Asks(Requirement),
    Allows,
    Denies,
    Redacts,
}

pub(crate) struct Gate(pub(crate) &'static str, pub(crate) Says);

impl Policy for Gate {
    fn id(&self) -> &'static str {
        "gate"
    }

    fn version(&self) -> &'static str {
        self.0
    }

    fn describe(&self) -> &'static str {
        "reacts to the word `gate`"
    }

    fn evaluate(&self, message: &Message, _: &Facts<'_>) -> Result<Judgement, PolicyError> {
        let (text, reason) = (message.payload().text(), "the word is there".to_owned());
        Ok(match &self.1 {
            _ if !text.contains("gate") || text.contains("redacted") => Judgement::Allow,
            Says::Allows => Judgement::Allow,
            Says::Denies => Judgement::Deny { reason },
            Says::Asks(requirement) => {
                Judgement::RequireApproval { reason, requirement: requirement.clone() }
            }
            Says::Redacts => {
                let pointer =
                    if message.kind() == "tool.call" { "/arguments/note" } else { "/text" };
                let redaction =
                    Redaction { pointer: pointer.into(), range: None, what: "gate".into() };
                Judgement::Redact { redactions: vec![redaction], reason }
            }
        })
    }
}

pub(crate) fn asks() -> Says {
    Says::Asks(Requirement::default())
}

/// The ways on which a message may be held.
const PATHS: [&str; 6] = ["root", "ask", "leg", "publish", "reply", "tool"];

/// Sends something that has to be approved on the way that it is told.
fn sender(present: &Arc<AtomicUsize>) -> &'static dyn Agent {
    let spec = spec("sender").emits::<Part<0>>().uses("pay");
    let present = present.clone();
    agent(spec, move |message, cx| {
        let present = Present::new(&present);
        Box::pin(async move {
            let _present = present;
            let asked: Question = message.decode()?;
            let requests = ["gate", "fine"].map(|text| Request::new("echo", &question(text)));
            match &*asked.text {
                "ask" => drop(cx.ask::<_, Answer>("echo", &question("gate")).await?),
                "leg" => drop(cx.ask_all(&requests, Gather::all()).await?),
                "publish" => {
                    cx.publish(&part::<0>("gate")).await?;
                    // Behind what was published, in the same queue.
                    cx.ask::<_, Answer>("taker", &question("have you?")).await?;
                }
                "tool" => drop(cx.tool("pay", json!({ "amount": 5, "note": "gate" })).await?),
                "reply" => return Ok(cx.reply(&answer("gate")).await?),
                _ => {}
            }
            Ok(cx.reply(&answer("done")).await?)
        })
    })
}

/// Answers without a word of what it was asked.
pub(crate) fn quiet() -> &'static dyn Agent {
    agent(spec("echo"), |_, cx| Box::pin(async { Ok(cx.reply(&answer("fine")).await?) }))
}

/// Takes what is published, and answers questions.
fn taker() -> &'static dyn Agent {
    agent(spec("taker").accepts::<Part<0>>(), |message, cx| {
        Box::pin(async move {
            if message.kind() == "question" {
                cx.reply(&answer("yes")).await?;
            }
            Ok(())
        })
    })
}

/// What one test of approvals looks at.
#[derive(Default)]
pub(crate) struct Scene {
    pub(crate) disk: Arc<Disk>,
    outside: Arc<Outside>,
    present: Arc<AtomicUsize>,
}

impl Scene {
    pub(crate) fn options(&self, mount: &Arc<Mount>, life: u64, gate: Gate) -> Options {
        Options {
            tools: vec![tool("pay", Effects::Once, &self.outside, mount)],
            policies: PolicySet::new(vec![Arc::new(gate)]).unwrap(),
            ..over(mount, life, &[sender(&self.present), quiet(), taker()])
        }
    }

    /// Asks for what has to be approved.
    pub(crate) async fn ask(&self, desk: &Desk, path: &str) -> RunId {
        let text = if path == "root" { "gate" } else { path };
        let ask = Ask::new("sender", &question(text));
        desk.kernel.ask(&desk.principal, ask).await.unwrap().run_id
    }

    pub(crate) fn only(&self) -> RunId {
        self.disk.runs()[0]
    }

    /// How often what had to be approved got through: handled, paid or answered.
    fn passed(&self) -> usize {
        let records = self.disk.records();
        let held = records.iter().find_map(|record| match &record.entry {
            Entry::Message { message, .. } if message.payload().text().contains("gate") => {
                Some(message.clone())
            }
            _ => None,
        });
        let held = held.unwrap();
        if held.to() == "user" {
            return usize::from(ending(&self.disk, self.only()).starts_with("completed"));
        }
        if held.to() == "tool:pay" {
            return self.outside.times("pay") as usize;
        }
        // The end of a run's own handler is not on record: the run has ended by then.
        let caused = |entry: &Entry| match entry {
            Entry::Message { message, .. } => message.causation_id() == Some(held.id()),
            Entry::Handled { message_id, .. } => *message_id == held.id(),
            _ => false,
        };
        let handled = |entry: &Entry| matches!(entry, Entry::Handled { .. }) && caused(entry);
        assert!(records.iter().filter(|record| handled(&record.entry)).count() <= 1);
        usize::from(records.iter().any(|record| caused(&record.entry)))
    }

    /// The approvals in the order in which they were asked for.
    pub(crate) async fn approvals(&self, desk: &Desk) -> Vec<Approval> {
        let filter = Filter { limit: 10, ..Filter::default() };
        desk.kernel.approvals(desk.principal.tenant(), &filter).await.unwrap()
    }
}

/// Where a run is when the decision falls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Place {
    Memory,
    OnItsWay,
    Parked,
}

/// Waits until something is asked and the run is there.
pub(crate) async fn asked(scene: &Scene, desk: &Desk, place: Place) -> Approval {
    let approval = desk.asked().await;
    let run = scene.only();
    match place {
        Place::Memory => assert_eq!(desk.kernel.runs_in_flight(), 1),
        Place::OnItsWay => {
            while !scene.disk.is_parked(run) {
                tokio::time::sleep(millis(1)).await;
            }
            assert_eq!(desk.kernel.runs_in_flight(), 1, "the run has left already");
        }
        Place::Parked => {
            tokio::time::sleep(millis(100)).await;
            assert!(scene.disk.is_parked(run));
            assert_eq!(desk.kernel.runs_in_flight(), 0);
            assert_eq!(scene.present.load(Ordering::Relaxed), 0, "a handler stays in memory");
        }
    }
    approval
}

fn park_after(place: Place) -> Limits {
    match place {
        Place::Memory => Limits { park_after: Duration::from_hours(1_000), ..Limits::default() },
        Place::OnItsWay | Place::Parked => Limits::default(),
    }
}

/// What a run ends with when what it needed is not let through.
fn refused(path: &str, code: &str) -> &'static str {
    match (path, code) {
        ("root" | "reply", "rejected") => "denied",
        ("root" | "reply", _) => "expired",
        ("leg", _) => "failed incomplete",
        (_, "rejected") => "failed rejected",
        _ => "failed approval_expired",
    }
}

#[test]
fn a_decision_counts_on_every_path_wherever_the_run_is() {
    for path in PATHS {
        for place in [Place::Memory, Place::OnItsWay, Place::Parked] {
            for choice in ["approved", "rejected", "expired"] {
                let (at, scene) = (format!("{path} {place:?} {choice}"), Scene::default());
                live(&scene.disk, Fault::None, async |mount| {
                    let limits = park_after(place);
                    let gate = Gate("1", asks());
                    let desk = start(Options { limits, ..scene.options(&mount, 0, gate) }).await;
                    scene.ask(&desk, path).await;
                    let approval = asked(&scene, &desk, place).await;
                    assert_eq!((&*approval.policy, &*approval.policy_version), ("gate", "1"));
                    match choice {
                        "approved" => drop(desk.decides("bea", &approval, Choice::Approve).await),
                        "rejected" => drop(desk.decides("bea", &approval, Choice::Reject).await),
                        // In memory, the run's own deadline would come first.
                        _ if place == Place::Memory => {
                            desk.kernel.cancel(&desk.principal, scene.only(), "x").await;
                        }
                        _ => tokio::time::sleep(Duration::from_hours(73)).await,
                    }
                    tokio::time::sleep(millis(500)).await;
                    let kept = scene.approvals(&desk).await;
                    let cancelled = choice == "expired" && place == Place::Memory;
                    let status = if cancelled { "withdrawn" } else { choice };
                    assert_eq!((kept.len(), kept[0].status.name()), (1, status), "{at}");
                    assert_eq!(desk.kernel.drain().await, 0);
                    desk.check_memory();
                })
                .lived();
                verified(&scene.disk);
                let ended = ending(&scene.disk, scene.only());
                if choice == "approved" {
                    assert!(ended.starts_with("completed"), "{at}: {ended}");
                    assert_eq!(scene.passed(), 1, "{at}");
                    continue;
                }
                let cancelled = choice == "expired" && place == Place::Memory;
                let word = if cancelled { "cancelled" } else { refused(path, choice) };
                assert!(ended.starts_with(word), "{at}: {ended}");
                assert_eq!(scene.passed(), 0, "{at}");
            }
        }
    }
}

#[test]
fn a_run_that_waits_for_a_human_goes_on_whenever_its_process_dies() {
    for path in PATHS {
        let mut number = 0;
        loop {
            let mut died = 0;
            for (fault, loses) in [
                (Fault::Before(Op::Append, number), true),
                (Fault::After(Op::Append, number), false),
                (Fault::After(Op::Swap, number), true),
                (Fault::Before(Op::Put, number), true),
                (Fault::After(Op::Put, number), false),
            ] {
                let (at, scene) = (format!("{path} {fault:?}"), Scene::default());
                let first = live(&scene.disk, fault, async |mount| {
                    let desk = start(scene.options(&mount, 0, Gate("1", asks()))).await;
                    scene.ask(&desk, path).await;
                    desk.all_ended(&scene.disk, |_| Choice::Approve).await;
                    desk.kernel.drain().await;
                });
                died += usize::from(matches!(first, Life::Died));
                if loses {
                    scene.disk.lose();
                }
                let paid = scene.outside.times("pay");
                let happened = |approval: &Approval| match approval.subject {
                    Subject::Message => Choice::Approve,
                    Subject::UnknownEffect => {
                        let resolution =
                            if paid == 0 { Resolution::Retry } else { Resolution::Happened };
                        resolved(resolution, json!("done"))
                    }
                };
                live(&scene.disk, Fault::None, async |mount| {
                    let desk = start(scene.options(&mount, 1, Gate("1", asks()))).await;
                    desk.all_ended(&scene.disk, happened).await;
                    assert_eq!(desk.kernel.drain().await, 0);
                    desk.check_memory();
                })
                .lived();
                verified(&scene.disk);
                let Some(run) = scene.disk.runs().first().copied() else { continue };
                let ended = ending(&scene.disk, run);
                if ended == "cancelled" && number < 3 {
                    continue;
                }
                assert!(ended.starts_with("completed"), "{at}: {ended}");
                assert_eq!(scene.passed(), 1, "{at}");
            }
            number += 1;
            if died == 0 {
                assert!(number > 5, "{path}: it died at {number} moments only");
                break;
            }
        }
    }
}

#[test]
fn the_policies_in_force_when_a_human_decides_have_the_last_word() {
    for path in ["root", "ask", "leg", "publish", "reply", "tool"] {
        for (says, version, asked_again, passes) in [
            (Says::Denies, "2", false, false),
            (Says::Redacts, "2", false, false),
            (Says::Allows, "2", false, true),
            (asks(), "2", true, true),
        ] {
            for known in [false, true] {
                let scene = Scene::default();
                live(&scene.disk, Fault::After(Op::Swap, 0), async |mount| {
                    let desk = start(scene.options(&mount, 0, Gate("1", asks()))).await;
                    scene.ask(&desk, path).await;
                    let approval = asked(&scene, &desk, Place::Parked).await;
                    if known {
                        let _ = desk.decides("bea", &approval, Choice::Approve).await;
                    }
                });
                live(&scene.disk, Fault::None, async |mount| {
                    let gate = Gate(version, says.clone());
                    let desk = start(scene.options(&mount, 1, gate)).await;
                    desk.all_ended(&scene.disk, |_| Choice::Approve).await;
                    let count = 1 + usize::from(asked_again);
                    assert_eq!(scene.approvals(&desk).await.len(), count, "{path} {version}");
                    desk.kernel.drain().await;
                })
                .lived();
                verified(&scene.disk);
                let ended = ending(&scene.disk, scene.only());
                assert_eq!(scene.passed(), usize::from(passes), "{path}: {ended}");
                if !passes {
                    let denied = ended == "denied" || ended.contains("policy `gate` denies it");
                    assert!(denied, "{path}: {ended}");
                }
            }
        }
    }
}

#[test]
fn a_message_that_was_approved_passes_once_whatever_policies_come_after_a_crash() {
    for path in PATHS {
        for number in 0..30 {
            let scene = Scene::default();
            live(&scene.disk, Fault::After(Op::Append, number), async |mount| {
                let desk = start(scene.options(&mount, 0, Gate("1", asks()))).await;
                scene.ask(&desk, path).await;
                desk.all_ended(&scene.disk, |_| Choice::Approve).await;
            });
            let approved = scene.disk.records().iter().any(|record| {
                matches!(&record.entry, Entry::ApprovalDecided { status: Status::Approved, .. })
            });
            let asked = scene
                .disk
                .records()
                .iter()
                .any(|record| matches!(&record.entry, Entry::ApprovalRequested { .. }));
            if !asked {
                continue;
            }
            let paid = scene.outside.times("pay");
            live(&scene.disk, Fault::None, async |mount| {
                let desk = start(scene.options(&mount, 1, Gate("2", Says::Denies))).await;
                let happened = |approval: &Approval| {
                    if approval.subject == Subject::Message {
                        return Choice::Approve;
                    }
                    let resolution =
                        if paid == 0 { Resolution::Retry } else { Resolution::Happened };
                    resolved(resolution, json!("done"))
                };
                desk.all_ended(&scene.disk, happened).await;
                desk.kernel.drain().await;
            })
            .lived();
            verified(&scene.disk);
            let ended = ending(&scene.disk, scene.only());
            assert_eq!(scene.passed(), usize::from(approved), "{path} {number}: {ended}");
        }
    }
}

#[test]
fn a_cancelled_run_withdraws_what_it_has_asked() {
    for path in PATHS {
        for place in [Place::Memory, Place::OnItsWay, Place::Parked] {
            let scene = Scene::default();
            live(&scene.disk, Fault::None, async |mount| {
                let limits = park_after(place);
                let gate = Gate("1", asks());
                let desk = start(Options { limits, ..scene.options(&mount, 0, gate) }).await;
                scene.ask(&desk, path).await;
                let approval = asked(&scene, &desk, place).await;
                let run = scene.only();
                assert!(desk.kernel.cancel(&desk.principal, run, "no longer needed").await);
                desk.ended_alone(&scene.disk).await;
                tokio::time::sleep(millis(50)).await;
                let late = desk.decides("bea", &approval, Choice::Approve).await;
                let withdrawn = Refusal::Decided { status: "withdrawn" };
                assert!(
                    matches!(&late, Err(DecideError::Refused(refusal)) if *refusal == withdrawn),
                    "{path} {place:?}: {late:?}"
                );
                assert!(!desk.kernel.cancel(&desk.principal, run, "again").await);
                assert_eq!(desk.kernel.drain().await, 0);
                desk.check_memory();
            })
            .lived();
            verified(&scene.disk);
            assert_eq!(ending(&scene.disk, scene.only()), "cancelled", "{path} {place:?}");
            assert_eq!(scene.passed(), 0);
        }
    }
}
