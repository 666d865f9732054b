//! `genie resume`: goes on with the runs that a process left unfinished.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use genie_core::Agent;
use genie_core::ids::RunId;
use genie_core::journal::{Entry, Record};
use genie_core::outcome::Outcome;
use genie_core::runs::{Query, Summary};
use genie_core::tap::Event;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::complaint::{self, Complaint};
use super::person::TENANT;
use super::run::answer;
use super::run::event::Told;
use super::run::trees::Trees;
use super::run::watch::{Form, Screen, lost};
use super::{stdout, stored, waits, words};
use crate::app::Running;
use crate::config::Config;
use crate::storage::Storage;

/// How long runs of a process that died may still seem to be at work: its lease on PostgreSQL, and
/// a little more.
const LEASE_WAIT: Duration = Duration::from_secs(12);
/// When to say what is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// What is waited for.
const ELSEWHERE: &str = "runs are at work in another process, or it died and its lease has not \
                         ended; waiting for that, up to 12 s\n";
/// How often to look whether that has ended.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many records are read at a time.
const PAGE: usize = 256;

/// Arguments of `genie resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print only what became of the runs.
    #[arg(long, short)]
    quiet: bool,
    /// Print what became of the runs as one JSON object instead, and no messages.
    #[arg(long, conflicts_with = "events")]
    json: bool,
    /// Print every event as a line of JSON instead, while it happens.
    #[arg(long)]
    events: bool,
}

pub(crate) fn main(
    args: &Args,
    config: &Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    stored::block_on(resume(args, config, agents))
}

async fn resume(
    args: &Args,
    config: &Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    // Only to look: going on with nothing makes no database.
    let store = stored::try_look(config).await;
    match store {
        Ok(store) => stored::close(store).await,
        Err(stored::NotOpen::Missing(_)) => return report(args, config, &Left::default()),
        Err(stored::NotOpen::Older(_)) => {}
        Err(stored::NotOpen::Other(complaint)) => return Err(complaint.into()),
    }
    let form = match args {
        Args { events: true, .. } => Form::Events,
        Args { json: true, .. } | Args { quiet: true, .. } => Form::Nothing,
        _ => Form::Tree(Trees::default()),
    };
    let Some(running) = stored::own(config.clone(), agents).await? else {
        let problem = "another genie process owns the runs, and goes on with them itself";
        return Err(Complaint::usage(problem)
            .hint("`genie runs list` shows how they stand")
            .into());
    };
    let mut left = Left::default();
    let watched = watch(&running, config, Screen::new(form), &mut left).await;
    let kernel = running.kernel();
    let waiting = kernel.runs(&running.system().tenant(TENANT), &query("waiting")).await;
    running.drain().await;
    watched?;
    left.waiting = waiting?;
    report(args, config, &left)
}

fn query(status: &str) -> Query {
    Query { status: Some(status.to_owned()), limit: 1_000, ..Query::default() }
}

/// What became of the runs.
#[derive(Default)]
struct Left {
    /// Those that were gone on with, and how they ended if they did.
    taken_up: BTreeMap<RunId, Option<Arc<Outcome>>>,
    /// Those that wait for a human or a time.
    waiting: Vec<Summary>,
}

impl Left {
    /// The word for how a run stands.
    fn word(&self, run: RunId, outcome: Option<&Outcome>) -> &'static str {
        let waits = || self.waiting.iter().any(|waiting| waiting.run_id == run);
        match outcome {
            Some(outcome) => outcome.name(),
            None if waits() => "waiting",
            None => "running",
        }
    }

    fn note(&mut self, record: &Record) {
        match &record.entry {
            Entry::RunResumed { run_id, .. } => {
                self.taken_up.insert(*run_id, None);
            }
            Entry::Outcome { run_id, outcome, .. } => {
                self.taken_up.insert(*run_id, Some(outcome.clone()));
            }
            _ => {}
        }
    }
}

/// Shows everything that is recorded until nothing is in flight.
async fn watch(
    running: &Running,
    config: &Config,
    mut screen: Screen,
    left: &mut Left,
) -> anyhow::Result<()> {
    let (system, kernel) = (running.system(), running.kernel());
    let mut seen = system.journal().head().seq;
    let mut tap = system.tap();
    // What was recorded between the start and the tap is in the journal only.
    loop {
        let records = system.journal().read(seen, PAGE).await?;
        let Some(last) = records.last() else { break };
        seen = last.seq;
        for record in records {
            show(running, &mut screen, left, &Event::Recorded(record)).await?;
        }
    }
    let mut quiet = Box::pin(at_rest(running, config));
    let mut elsewhere = Box::pin(tokio::time::sleep(PATIENCE));
    let shared = matches!(config.storage, Storage::Database(_));
    let mut until = None;
    while until.is_none_or(|until| seen < until) {
        tokio::select! {
            biased;
            event = tap.next() => {
                let Some(event) = event.map_err(|error| lost(&error))? else { break };
                if let Event::Recorded(record) = &event {
                    if record.seq <= seen {
                        continue;
                    }
                    seen = record.seq;
                }
                show(running, &mut screen, left, &event).await?;
            }
            rested = &mut quiet, if until.is_none() => until = Some(rested?),
            () = &mut elsewhere, if shared && !elsewhere.is_elapsed() => {
                if kernel.runs_in_flight() == 0 {
                    screen.tell(ELSEWHERE);
                }
            }
            _ = tokio::signal::ctrl_c() => {
                screen.tell("interrupted: what has not ended stays on record\n");
                break;
            }
        }
    }
    Ok(())
}

/// Returns the number of the last record once nothing is in flight and nothing is to be expected.
async fn at_rest(running: &Running, config: &Config) -> anyhow::Result<u64> {
    let (kernel, tenant) = (running.kernel(), running.system().tenant(TENANT));
    kernel.caught_up().await;
    let patience = Instant::now() + LEASE_WAIT;
    loop {
        kernel.idle().await;
        let shared = matches!(config.storage, Storage::Database(_));
        let elsewhere = shared && !kernel.runs(&tenant, &query("running")).await?.is_empty();
        if !elsewhere || Instant::now() > patience {
            return Ok(kernel.head().seq);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn show(
    running: &Running,
    screen: &mut Screen,
    left: &mut Left,
    event: &Event,
) -> anyhow::Result<()> {
    if let Event::Recorded(record) = event {
        left.note(record);
        let run = record.entry.run_id();
        if screen.lacks(run) {
            let records = running.system().journal().read_run(run).await?;
            let before = records.iter().filter(|before| before.number < record.number);
            screen.recall(before.map(|before| &before.entry));
        }
    }
    screen.show(Told::Here(event))
}

/// Says what became of the runs and gives the exit code.
fn report(args: &Args, config: &Config, left: &Left) -> anyhow::Result<ExitCode> {
    let failed = |outcome: &Arc<Outcome>| matches!(**outcome, Outcome::Failed { .. });
    let failed = left.taken_up.values().flatten().any(failed);
    let code = if failed { ExitCode::from(complaint::NO) } else { ExitCode::SUCCESS };
    if args.json {
        stdout::write_json(&as_json(left))?;
    } else if !args.events {
        stdout::write_styled(&as_text(config, left))?;
    }
    Ok(code)
}

fn as_json(left: &Left) -> Value {
    let ended = left.taken_up.iter().map(|(run, outcome)| {
        let mut object = outcome.as_deref().map_or_else(|| json!({}), answer::outcome_json);
        object["run_id"] = json!(run);
        object["outcome"] = json!(left.word(*run, outcome.as_deref()));
        object
    });
    json!({ "resumed": ended.collect::<Vec<_>>(), "waiting": left.waiting })
}

fn as_text(config: &Config, left: &Left) -> String {
    let mut text = String::new();
    if left.taken_up.is_empty() {
        text.push_str("nothing to resume\n");
    }
    for (run, outcome) in &left.taken_up {
        let became = outcome.as_ref().map(|outcome| words::ended(outcome));
        let became = became.unwrap_or_else(|| left.word(*run, None).to_owned());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "run {run}: {became}");
    }
    if !left.waiting.is_empty() {
        let waiting = words::counted(left.waiting.len(), "run");
        let _ = writeln!(text, "\nwaiting: {waiting}");
        for run in &left.waiting {
            let until = run.wake_at.map(words::until).unwrap_or_default();
            let _ = writeln!(text, "run {}: {until}", run.run_id);
        }
        let list = waits::command(config, "approvals list");
        let _ = writeln!(text, "`{list}` shows what must be decided");
    }
    text
}
