//! Who decides on an approval, and when: one decision counts, once.

use std::sync::Arc;
use std::time::Duration;

use genie_core::Ask;
use genie_core::approval::{Approval, Choice, DecideError, Refusal, Resolution, Status};
use genie_core::kernel::Options;
use genie_core::limits::Limits;
use genie_core::policy::{PolicySet, Requirement};
use tokio::time::Instant;

use crate::approval::{Gate, Place, Says, Scene, asked, asks, quiet};
use crate::disk::{Fault, Op};
use crate::life::{BEGIN, Life, ending, live, resolved, start, verified};
use crate::{Desk, millis, options, question};

/// Decides on one fresh approval and gives what each decision came to.
fn decisions(
    requirement: &Requirement,
    decide: impl AsyncFnOnce(&Desk, &Approval, Instant) -> Vec<Result<Approval, DecideError>>,
) -> (Vec<String>, String) {
    let scene = Scene::default();
    let said = live(&scene.disk, Fault::None, async |mount| {
        let gate = Gate("1", Says::Asks(requirement.clone()));
        let began = Instant::now();
        let desk = start(scene.options(&mount, 0, gate)).await;
        scene.ask(&desk, "ask").await;
        let approval = asked(&scene, &desk, Place::Parked).await;
        let said = decide(&desk, &approval, began).await;
        desk.ended_alone(&scene.disk).await;
        desk.kernel.drain().await;
        said
    })
    .lived();
    verified(&scene.disk);
    let said = said.into_iter().map(|said| match said {
        Ok(approval) => approval.status.name().to_owned(),
        Err(error) => error.to_string(),
    });
    (said.collect(), ending(&scene.disk, scene.only()))
}

#[test]
fn only_who_may_decide_decides_and_only_once() {
    let two = Requirement { quorum: 2, ..Requirement::default() };
    let (said, ended) = decisions(&two, async |desk, approval, _| {
        let decide = async |by, choice| desk.decides(by, approval, choice).await;
        let wrong = genie_core::journal::chain::Hash::of(b"something else");
        let nobody = desk.authority.admit(crate::identity("acme"));
        let stranger = {
            let mut identity = crate::identity("globex");
            identity.roles.insert("approver".to_owned());
            desk.authority.admit(identity)
        };
        let approve = || (Choice::Approve, "yes");
        let (kernel, bea) = (&desk.kernel, desk.approver("bea"));
        let resolve = resolved(Resolution::Happened, serde_json::Value::Null);
        vec![
            decide("ann", Choice::Approve).await,
            kernel.decide(&nobody, approval.id, None, approve()).await,
            kernel.decide(&stranger, approval.id, None, approve()).await,
            kernel.decide(&bea, approval.id, Some(wrong), approve()).await,
            decide("bea", resolve).await,
            decide("bea", Choice::Approve).await,
            decide("bea", Choice::Approve).await,
            decide("cat", Choice::Approve).await,
            decide("dan", Choice::Reject).await,
        ]
    });
    let id = &said[2];
    assert!(id.starts_with("there is no approval"), "{id}");
    let others: Vec<&str> = [0, 1, 3, 4, 5, 6, 7, 8].iter().map(|at| &*said[*at]).collect();
    let expected = [
        "`ann` asked for this and may not decide on it; someone else must",
        "deciding needs the role `approver`",
        "the digest is not that of what waits; read the approval again",
        "only an unknown effect can be resolved",
        "pending",
        "`bea` has decided already; 1 more must",
        "approved",
        "the approval is approved already; it can be decided once",
    ];
    assert_eq!(others, expected);
    assert!(ended.starts_with("completed"), "{ended}");
}

#[test]
fn a_decision_at_the_very_moment_of_expiry_is_too_late_and_one_before_is_not() {
    let hour = Requirement { expires_ms: 3_600_000, ..Requirement::default() };
    for (before, expected) in [(1, "approved"), (0, "the approval expired at")] {
        let (said, ended) = decisions(&hour, async |desk, approval, began| {
            // The first life begins at whole milliseconds and lives in whole milliseconds.
            let now = BEGIN.plus(began.elapsed());
            let left = approval.expires_at.micros_since(now) / 1_000 - before;
            tokio::time::sleep(millis(left)).await;
            vec![desk.decides("bea", approval, Choice::Approve).await]
        });
        assert!(said[0].starts_with(expected), "{before} ms before: {}", said[0]);
        let word = if before == 1 { "completed" } else { "failed approval_expired" };
        assert!(ended.starts_with(word), "{before} ms before: {ended}");
    }
}

#[test]
fn what_a_run_had_asked_is_withdrawn_if_its_process_died_before_it_could() {
    for fault in [Fault::After(Op::Append, 3), Fault::Before(Op::Swap, 0)] {
        let scene = Scene::default();
        let died = live(&scene.disk, fault, async |mount| {
            let limits = Limits { park_after: Duration::from_hours(1_000), ..Limits::default() };
            let desk =
                start(Options { limits, ..scene.options(&mount, 0, Gate("1", asks())) }).await;
            scene.ask(&desk, "ask").await;
            asked(&scene, &desk, Place::Memory).await;
            desk.kernel.cancel(&desk.principal, scene.only(), "no longer needed").await;
            std::future::pending::<()>().await;
        });
        assert!(matches!(died, Life::Died));
        assert_eq!(ending(&scene.disk, scene.only()), "cancelled", "{fault:?}");
        live(&scene.disk, Fault::None, async |mount| {
            let desk = start(scene.options(&mount, 1, Gate("1", asks()))).await;
            tokio::time::sleep(millis(1)).await;
            let kept = scene.approvals(&desk).await;
            let kept: Vec<&str> = kept.iter().map(|approval| approval.status.name()).collect();
            assert_eq!(kept, ["withdrawn"], "{fault:?}");
            desk.kernel.drain().await;
        })
        .lived();
        verified(&scene.disk);
    }
}

#[test]
fn what_a_run_had_asked_is_withdrawn_once_the_store_takes_it() {
    let scene = Scene::default();
    live(&scene.disk, Fault::Fails(Op::Swap, 0, 3), async |mount| {
        let desk = start(scene.options(&mount, 0, Gate("1", asks()))).await;
        scene.ask(&desk, "ask").await;
        asked(&scene, &desk, Place::Parked).await;
        desk.kernel.cancel(&desk.principal, scene.only(), "no longer needed").await;
        tokio::time::sleep(millis(10)).await;
        assert_eq!(desk.pending().await.len(), 1);
        tokio::time::sleep(Duration::from_mins(3)).await;
        assert_eq!(scene.approvals(&desk).await[0].status, Status::Withdrawn);
        desk.kernel.drain().await;
    })
    .lived();
    verified(&scene.disk);
}

#[test]
fn nobody_decides_for_an_ended_run_though_its_request_could_not_be_withdrawn() {
    let scene = Scene::default();
    // That of the end.
    live(&scene.disk, Fault::Fails(Op::Swap, 0, 1), async |mount| {
        let desk = start(scene.options(&mount, 0, Gate("1", asks()))).await;
        scene.ask(&desk, "ask").await;
        asked(&scene, &desk, Place::Parked).await;
        desk.kernel.cancel(&desk.principal, scene.only(), "no longer needed").await;
        tokio::time::sleep(millis(10)).await;
        let approval = desk.pending().await.remove(0);
        let late = desk.decides("bea", &approval, Choice::Approve).await;
        let withdrawn = Refusal::Decided { status: "withdrawn" };
        let is_refused =
            matches!(&late, Err(DecideError::Refused(refusal)) if *refusal == withdrawn);
        assert!(is_refused, "{late:?}");
        // Whoever looks it up then sees why.
        assert_eq!(scene.approvals(&desk).await[0].status, Status::Withdrawn);
        desk.kernel.drain().await;
    })
    .lived();
    verified(&scene.disk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_decide_at_once_one_wins() {
    let policies = PolicySet::new(vec![Arc::new(Gate("1", asks()))]).unwrap();
    let desk = Desk::of(Options { policies, ..options(&[quiet()]) }).await;
    let desk = Arc::new(desk);
    for round in 0..1_000 {
        let ask = Ask::new("echo", &question("gate"));
        let running = desk.kernel.ask(&desk.principal, ask).await.unwrap();
        let approval = loop {
            if let Some(approval) = desk.pending().await.pop() {
                break approval;
            }
            tokio::task::yield_now().await;
        };
        let mut deciding = tokio::task::JoinSet::new();
        for (by, choice) in [("bea", Choice::Approve), ("cat", Choice::Reject)] {
            let (desk, approval) = (desk.clone(), approval.clone());
            deciding.spawn(async move { desk.decides(by, &approval, choice).await });
        }
        let (mut won, mut lost) = (Vec::new(), 0);
        while let Some(decided) = deciding.join_next().await {
            match decided.unwrap() {
                Ok(approval) => won.push(approval.status.name()),
                Err(DecideError::Refused(Refusal::Decided { .. })) => lost += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!((won.len(), lost), (1, 1), "round {round}");
        let ended = running.outcome().await;
        let expected = if won[0] == "approved" { "completed" } else { "denied" };
        assert_eq!(ended.name(), expected, "round {round}");
    }
    assert_eq!(desk.kernel.drain().await, 0);
    desk.check().await;
}
