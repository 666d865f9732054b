//! `genie runs cancel`: ends a run here if nobody owns it, and has it ended where it is otherwise.

use std::process::ExitCode;
use std::time::Duration;

use genie_core::approval::{Approvals, Filter, Status};
use genie_core::ids::RunId;
use genie_core::outcome::Outcome;
use genie_core::runs::Summary;
use genie_core::{Agent, Tenant};
use serde_json::json;

use crate::app::Running;
use crate::cli::complaint::Complaint;
use crate::cli::follow::{Follower, Halt};
use crate::cli::person;
use crate::cli::remote::{self, Server};
use crate::cli::run::watch::{Form, Screen};
use crate::cli::{stdout, stored, words};
use crate::config::Config;

/// Longest wait for the owner to end the run.
const OWNER_WAIT: Duration = Duration::from_secs(15);

/// What the journal says if nobody says why.
const BY_HAND: &str = "cancelled by hand";

/// What to cancel.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) run: &'a str,
    pub(super) reason: Option<&'a str>,
    pub(super) json: bool,
}

pub(super) async fn main(
    config: &Config,
    agents: &'static [&'static dyn Agent],
    wanted: Wanted<'_>,
) -> anyhow::Result<ExitCode> {
    if let Some(server) = remote::server(config)? {
        let (run, outcome) = by(&server, wanted).await?;
        return present(run, Some(outcome), wanted.json);
    }
    let reason = wanted.reason.unwrap_or(BY_HAND);
    let store = stored::look(config).await?;
    let run = stored::find_run(&store, wanted.run).await?;
    let seen = store.journal.read_run(run.run_id).await?.last().map_or(0, |last| last.number);
    if run.ended_at.is_some() {
        stored::close(store).await;
        return Err(over(&run).into());
    }
    // First the request: whoever takes the run up, here or elsewhere, ends it instead.
    store.runs.ask_to_cancel(&stored::tenant(&store), run.run_id, reason).await?;
    stored::close(store).await;
    let cancelled = if let Some(running) = stored::own(config.clone(), agents).await? {
        let cancelled = here(&running, run.run_id, reason, seen).await;
        running.drain().await;
        cancelled?
    } else {
        there(config, run.run_id, seen).await?
    };
    present(run.run_id, cancelled, wanted.json)
}

/// Has a server end the run.
async fn by(server: &Server, wanted: Wanted<'_>) -> anyhow::Result<(RunId, Outcome)> {
    if wanted.reason.is_some() {
        return Err(remote::unfit("--reason", "it notes who cancels").into());
    }
    let run = server.find_run(wanted.run).await?;
    let (_, seen) = server.told_so_far(run).await?;
    server.client.cancel(run).await.map_err(remote::complaint)?;
    let mut events = server.client.events(run, seen);
    let mut screen = Screen::new(Form::Nothing);
    match server.follow(&mut events, &mut screen).await? {
        remote::Halt::Ended(outcome, _) => Ok((run, outcome)),
        remote::Halt::Waiting(_) => anyhow::bail!("the run waits, and was to be cancelled"),
    }
}

/// Says how the run ended and gives the exit code.
fn present(run: RunId, cancelled: Option<Outcome>, as_json: bool) -> anyhow::Result<ExitCode> {
    let Some(outcome) = cancelled else {
        let wait = OWNER_WAIT.as_secs();
        let problem = format!("the process that owns the run has not ended it within {wait} s");
        let hint = "the request stands; it is heard when that process looks, or by `genie resume`";
        return Err(Complaint::no(problem).hint(hint).into());
    };
    if as_json {
        stdout::write_json(&json!({ "run_id": run, "outcome": outcome.name() }))?;
    } else {
        stdout::write(format!("run {run}: {}\n", words::ended(&outcome)).as_bytes())?;
    }
    match outcome {
        Outcome::Cancelled { .. } => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::from(crate::cli::complaint::NO)),
    }
}

/// Nobody owns the run: this process ends it.
async fn here(
    running: &Running,
    run: RunId,
    reason: &str,
    seen: u64,
) -> anyhow::Result<Option<Outcome>> {
    let kernel = running.kernel();
    let asker = running.admit(person::asker());
    // What a dead process has left has been ended by then.
    kernel.caught_up().await;
    kernel.cancel(&asker, run, reason).await;
    let system = running.system();
    let ended = end(Follower::after(system.journal().clone(), run, seen)).await?;
    if ended.is_some() {
        withdraw((&**system.approvals(), asker.tenant()), run).await?;
    }
    Ok(ended)
}

/// Another process owns the run: it finds the request when it looks next.
async fn there(config: &Config, run: RunId, seen: u64) -> anyhow::Result<Option<Outcome>> {
    let store = stored::look(config).await?;
    let ended = end(Follower::after(store.journal.clone(), run, seen)).await?;
    if ended.is_some() {
        withdraw((&*store.approvals, &stored::tenant(&store)), run).await?;
    }
    stored::close(store).await;
    Ok(ended)
}

fn over(run: &Summary) -> Complaint {
    let problem = format!("run {} has ended already: {}", run.run_id, run.status);
    Complaint::no(problem).hint(format!("`genie runs show {}` tells how", run.run_id))
}

/// Waits for the end of the run; `None` if it does not come.
async fn end(mut follower: Follower) -> anyhow::Result<Option<Outcome>> {
    let mut screen = Screen::new(Form::Nothing);
    loop {
        match follower.follow(&mut screen, Some(OWNER_WAIT)).await? {
            Some(Halt::Ended(outcome, _)) => return Ok(Some(outcome)),
            // It may still have had to be parked.
            Some(Halt::Waiting(_)) => {}
            None => return Ok(None),
        }
    }
}

/// Notes that nobody waits for the approvals of the run any more.
async fn withdraw(
    (approvals, tenant): (&dyn Approvals, &Tenant),
    run: RunId,
) -> anyhow::Result<()> {
    let filter = Filter {
        run_id: Some(run),
        status: Some(Status::Pending.name().to_owned()),
        after: None,
        limit: 1_000,
    };
    for approval in approvals.list(tenant, &filter).await? {
        if let Some(withdrawn) = approval.ended(Status::Withdrawn) {
            // Whoever decided in between decided on nothing.
            approvals.swap(tenant, &withdrawn).await?;
        }
    }
    Ok(())
}
