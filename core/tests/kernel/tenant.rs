//! Two tenants over one kernel: each gets at its own things, and the other's are not there.

use std::sync::Arc;

use genie_core::Ask;
use genie_core::approval::{Choice, DecideError, Filter};
use genie_core::budget::BudgetId;
use genie_core::ids::RunId;
use genie_core::kernel::Options;
use genie_core::ours::OurEvents;
use genie_core::policy::PolicySet;
use genie_core::principal::Principal;
use genie_core::runs::Query;
use uuid::Uuid;

use crate::approval::{Gate, asks, quiet};
use crate::{Desk, identity, millis, options, question};

/// The runs whose events there are, until nothing happens any more.
async fn seen(mut events: OurEvents) -> Vec<RunId> {
    let mut runs = Vec::new();
    while let Ok(next) = tokio::time::timeout(millis(50), events.next()).await {
        let event = next.unwrap().unwrap();
        assert_eq!(&*event.subject, "ann");
        runs.push(event.it.run_id());
    }
    runs.dedup();
    runs
}

/// Asks for something that a human must let through, and waits until one is asked.
async fn held(desk: &Desk, by: &Principal) -> RunId {
    let running = desk.kernel.ask(by, Ask::new("echo", &question("gate"))).await.unwrap();
    let waits = Filter { run_id: Some(running.run_id), limit: 1, ..Filter::default() };
    while desk.kernel.approvals(by.tenant(), &waits).await.unwrap().is_empty() {
        tokio::time::sleep(millis(1)).await;
    }
    running.run_id
}

/// What `who` finds of the run, which is `theirs` or somebody else's.
async fn check(desk: &Desk, who: &Principal, run: RunId, theirs: bool) {
    let (kernel, tenant) = (&desk.kernel, who.tenant());
    assert_eq!(kernel.run(tenant, run).await.unwrap().is_some(), theirs);
    let listed = kernel.runs(tenant, &Query { limit: 9, ..Query::default() }).await.unwrap();
    assert_eq!(listed.iter().any(|listed| listed.run_id == run), theirs);
    assert_eq!(!kernel.records(tenant, run).await.unwrap().is_empty(), theirs);
    let stretch = kernel.log_of(tenant).read(1, 0, 1_000).await.unwrap();
    assert!(stretch.is_end);
    assert_eq!(stretch.last, kernel.head().seq);
    assert_eq!(stretch.records.iter().any(|of| of.it.entry.run_id() == run), theirs);
    let filter = Filter { limit: 9, ..Filter::default() };
    let approvals = kernel.approvals(tenant, &filter).await.unwrap();
    assert_eq!(approvals.iter().any(|approval| approval.run_id == run), theirs);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_gets_its_own_runs_records_events_and_approvals_and_nothing_of_anothers() {
    let policies = PolicySet::new(vec![Arc::new(Gate("1", asks()))]).unwrap();
    let desk = Desk::of(Options { policies, ..options(&[quiet()]) }).await;
    let kernel = &desk.kernel;
    let (ours, theirs) = (desk.principal.clone(), desk.authority.admit(identity("globex")));
    let from_now_on = kernel.events(theirs.tenant(), None).await.unwrap();
    let (our_run, their_run) = (held(&desk, &ours).await, held(&desk, &theirs).await);

    for (who, own, other) in [(&ours, our_run, their_run), (&theirs, their_run, our_run)] {
        check(&desk, who, own, true).await;
        check(&desk, who, other, false).await;
        let all = kernel.events(who.tenant(), Some(0)).await.unwrap();
        assert_eq!(seen(all).await, [own]);
    }
    assert_eq!(seen(from_now_on).await, [their_run]);

    let filter = Filter { limit: 9, ..Filter::default() };
    let waits = kernel.approvals(ours.tenant(), &filter).await.unwrap()[0].id;
    assert!(kernel.approval(ours.tenant(), waits).await.unwrap().is_some());
    assert!(kernel.approval(theirs.tenant(), waits).await.unwrap().is_none());
    let mut stranger = identity("globex");
    stranger.roles.insert("approver".to_owned());
    let stranger = desk.authority.admit(stranger);
    let decided = kernel.decide(&stranger, waits, None, (Choice::Approve, "why not")).await;
    assert!(matches!(decided, Err(DecideError::NotFound(id)) if id == waits), "{decided:?}");

    let budget = BudgetId(Uuid::from_u128(1));
    kernel.allot(ours.tenant(), budget, 100).await.unwrap();
    assert!(kernel.budget(ours.tenant(), budget).await.unwrap().is_some());
    assert!(kernel.budget(theirs.tenant(), budget).await.unwrap().is_none());

    assert!(!kernel.cancel(&theirs, our_run, "not mine").await);
    assert!(kernel.cancel(&ours, our_run, "done").await);
    assert!(kernel.cancel(&theirs, their_run, "done").await);
    desk.close().await;
}
