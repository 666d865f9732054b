//! Takes a decision down and lets the run go on: here if nobody owns it, where it is otherwise.

use std::process::ExitCode;
use std::time::Duration;

use genie_core::Agent;
use genie_core::approval::{self, Approval, Choice, DecideError, Refusal, Resolution, Status};
use genie_core::clock::Clock;
use genie_core::outcome::Outcome;
use genie_core::principal::Identity;
use serde_json::json;

use super::Standing;
use crate::app::Running;
use crate::cli::complaint::{self, Complaint};
use crate::cli::follow::{Follower, Halt};
use crate::cli::person;
use crate::cli::run::draw::Page;
use crate::cli::run::trees::Trees;
use crate::cli::run::watch::{Form, Screen};
use crate::cli::run::{answer, refusal};
use crate::cli::{stdout, stored, waits, words};
use crate::config::Config;
use crate::host::SystemClock;

/// Longest wait for another process to go on with the run.
const OWNER_WAIT: Duration = Duration::from_secs(15);

/// What a human says.
pub(super) struct Said {
    pub(super) choice: Choice,
    pub(super) reason: String,
    pub(super) name: Option<String>,
    pub(super) json: bool,
}

impl Said {
    /// Where the run is shown while it goes on.
    pub(super) fn screen(&self) -> Screen {
        Screen::new(if self.json { Form::Nothing } else { Form::Tree(Trees::default()) })
    }
}

pub(super) async fn main(
    config: &Config,
    agents: &'static [&'static dyn Agent],
    id: &str,
    said: Said,
) -> anyhow::Result<ExitCode> {
    // First only to look, so that what makes no sense changes nothing.
    let store = stored::look(config).await?;
    let approval = stored::find_approval(&store, id).await?;
    let standing = Standing::of(&store, approval).await?;
    let by = person::decider(said.name.as_deref(), &standing.approval.requirement.role);
    check(&standing, &by, &said)?;
    let records = store.journal.read_run(standing.approval.run_id).await?;
    stored::close(store).await;

    let mut screen = said.screen();
    screen.recall(records.iter().map(|record| &record.entry));
    let seen = records.last().map_or(0, |record| record.number);
    let scene = Scene { config, said: &said, by, seen };
    match stored::own(config.clone(), agents).await? {
        Some(running) => here(&scene, &running, &standing.approval, &mut screen).await,
        None => there(&scene, &standing.approval, &mut screen).await,
    }
}

/// What both ways need.
struct Scene<'a> {
    config: &'a Config,
    said: &'a Said,
    by: Identity,
    /// The number of the run's last record before the decision.
    seen: u64,
}

/// Refuses early what the kernel would refuse, and what nobody waits for.
fn check(standing: &Standing, by: &Identity, said: &Said) -> Result<(), Complaint> {
    let run = standing.run.as_ref().filter(|run| run.ended_at.is_some());
    if let Some(run) = run.filter(|_| !standing.approval.status.is_final()) {
        let problem = format!("nobody waits for it any more: the run is {}", run.status);
        let hint = format!("`genie runs show {}` tells how it ended", run.run_id);
        return Err(Complaint::no(problem).hint(hint));
    }
    let now = SystemClock.now();
    let decided = standing.approval.decide(by, said.choice.clone(), &said.reason, now);
    decided.map(drop).map_err(|refused| unheard(&DecideError::Refused(refused)))
}

/// Why a decision does not count, with what to do.
fn unheard(error: &DecideError) -> Complaint {
    let complaint = Complaint::no(error.to_string());
    match error {
        DecideError::Refused(Refusal::Requester(_)) => complaint
            .with_hint_of()
            .hint("name another person with `--as NAME`; the journal keeps the name"),
        DecideError::Refused(Refusal::Again(..)) => {
            complaint.with_hint_of().hint("name the next person with `--as NAME`")
        }
        DecideError::Refused(Refusal::Unfit(_)) => {
            complaint.hint("`genie approvals show` tells what is asked")
        }
        _ => complaint.with_hint_of(),
    }
}

/// Nobody owns the run: this process goes on with it.
async fn here(
    scene: &Scene<'_>,
    running: &Running,
    approval: &Approval,
    screen: &mut Screen,
) -> anyhow::Result<ExitCode> {
    let principal = running.admit(scene.by.clone());
    let said = (scene.said.choice.clone(), scene.said.reason.as_str());
    let kernel = running.kernel();
    let decided = kernel.decide(&principal, approval.id, Some(approval.digest), said).await;
    let went_on = match decided {
        Ok(decided) if decided.status.is_final() => {
            let journal = running.system().journal().clone();
            let mut follower = Follower::after(journal, approval.run_id, scene.seen);
            let halt = follower.follow_here(kernel, screen, OWNER_WAIT).await;
            halt.map(|halt| (decided, halt))
        }
        Ok(decided) => Ok((decided, None)),
        Err(error) => Err(unheard(&error).into()),
    };
    let (decided, halt) = match went_on {
        Ok(went_on) => went_on,
        Err(error) => {
            running.drain().await;
            return Err(error);
        }
    };
    let next = match &halt {
        Some(Halt::Waiting(waiting)) => {
            let mut next = Vec::new();
            for id in &waiting.approvals {
                next.extend(kernel.approval(principal.tenant(), *id).await?);
            }
            next
        }
        _ => Vec::new(),
    };
    running.drain().await;
    present((scene.config, scene.said), &decided, halt, &next)
}

/// Another process owns the run: it finds the decision when it looks next.
async fn there(
    scene: &Scene<'_>,
    approval: &Approval,
    screen: &mut Screen,
) -> anyhow::Result<ExitCode> {
    let store = stored::look(scene.config).await?;
    let said = (scene.said.choice.clone(), scene.said.reason.as_str());
    let now = SystemClock.now();
    let tenant = stored::tenant(&store);
    let decided = approval::decide(
        (&*store.approvals, &tenant),
        &scene.by,
        approval.id,
        Some(approval.digest),
        said,
        now,
    );
    let decided = decided.await.map_err(|error| unheard(&error))?;
    let mut halt = None;
    let mut next = Vec::new();
    if decided.status.is_final() {
        screen.tell("the decision is stored; the process that owns the runs goes on with it\n");
        let mut follower = Follower::after(store.journal.clone(), approval.run_id, scene.seen);
        halt = follower.follow(screen, Some(OWNER_WAIT)).await?;
        if let Some(Halt::Waiting(waiting)) = &halt {
            for id in &waiting.approvals {
                next.extend(store.approvals.get(&tenant, *id).await?);
            }
        }
    }
    stored::close(store).await;
    present((scene.config, scene.said), &decided, halt, &next)
}

/// Says what came of the decision and gives the exit code.
pub(super) fn present(
    (config, said): (&Config, &Said),
    decided: &Approval,
    halt: Option<Halt>,
    next: &[Approval],
) -> anyhow::Result<ExitCode> {
    let run = decided.run_id;
    let quiet = said.json;
    if quiet {
        let mut object = match &halt {
            Some(Halt::Ended(outcome, _)) => {
                let mut object = answer::outcome_json(outcome);
                object["outcome"] = json!(outcome.name());
                object
            }
            Some(Halt::Waiting(waiting)) => {
                json!({ "outcome": "waiting", "wake_at": waiting.wake_at, "approvals": next })
            }
            None => json!({ "outcome": null }),
        };
        object["run_id"] = json!(run);
        object["approval"] = json!(decided);
        stdout::write_json(&object)?;
    }
    match halt {
        None if decided.status == Status::Pending => {
            if !quiet {
                let (done, of) = (decided.decisions.len(), words::people(&decided.requirement));
                stdout::write(format!("{done} of {of}; the run waits for the next\n").as_bytes())?;
            }
            Ok(ExitCode::from(complaint::WAITS))
        }
        None => {
            let status = words::command_hint(config, run);
            anstream::eprintln!("the decision is stored; {status}");
            Ok(ExitCode::SUCCESS)
        }
        Some(Halt::Waiting(waiting)) => {
            if !quiet {
                let text = waits::text(config, run, waiting.wake_at, next);
                stdout::write_styled(&text)?;
            }
            Ok(ExitCode::from(complaint::WAITS))
        }
        Some(Halt::Ended(outcome, _)) => ended(said, &outcome),
    }
}

/// The end of the run: what the human wanted, or not.
fn ended(said: &Said, outcome: &Outcome) -> anyhow::Result<ExitCode> {
    let quiet = said.json;
    if let Outcome::Completed { kind, answer, .. } = outcome {
        if !quiet {
            stdout::write_styled(&answer::text(kind, answer, Page::of_stdout())?)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let stopped = match &said.choice {
        Choice::Reject | Choice::Resolve { resolution: Resolution::DidNotHappen, .. } => true,
        Choice::Approve | Choice::Resolve { .. } => false,
    };
    if stopped {
        if !quiet {
            stdout::write(format!("the run ended: {}\n", words::ended(outcome)).as_bytes())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if quiet {
        return Ok(ExitCode::from(complaint::NO));
    }
    Err(refusal("the statement", outcome).into())
}
