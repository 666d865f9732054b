//! `genie runs`: which runs there are, how they stand, what happened in them, and their end.
//!
//! Owns the arguments, the list and the events; `show` and `cancel` are files of their own.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use genie_core::Agent;
use genie_core::journal::{Entry, Record};
use genie_core::runs::{Query, Summary};
use genie_core::tap::Event;

use super::complaint::Complaint;
use super::remote::{self, Server};
use super::run::event;
use super::run::tree::duration;
use super::story::Story;
use super::{stdout, stored, words};
use crate::config::Config;

mod cancel;
mod show;

/// How often to look for new records.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The words for how a run stands.
const STATUSES: [&str; 7] =
    ["running", "waiting", "completed", "denied", "failed", "cancelled", "expired"];

/// Arguments of `genie runs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List runs, the newest first.
    List {
        /// Only those that stand so.
        #[arg(long, value_parser = STATUSES)]
        status: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u16,
        /// Print the list as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show how a run stands, what was sent in it, what it waits for and how it ended.
    Show {
        /// The run, or the beginning of its id.
        run: String,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// End a run before its end.
    ///
    /// If another process owns it, that process is asked to, and waited for.
    Cancel {
        /// The run, or the beginning of its id.
        run: String,
        /// Why; the journal keeps it. A server notes who cancels, and takes no other reason.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Print how it ended as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the events of a run as lines of JSON, as `genie ask --events` does.
    Events {
        /// The run, or the beginning of its id.
        run: String,
        /// Wait for further events until the run has ended.
        #[arg(long)]
        follow: bool,
        /// Only those after the event with this id.
        #[arg(long, value_name = "SEQ")]
        after: Option<u64>,
    },
}

pub(crate) fn main(
    args: &Args,
    config: &Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List { status, limit, json } => {
            stored::block_on(list(config, status.clone(), usize::from(*limit), *json))
        }
        Command::Show { run, json } => stored::block_on(show::main(config, run, *json)),
        Command::Cancel { run, reason, json } => {
            if reason.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
                return Err(Complaint::usage("the reason is empty").into());
            }
            let wanted = cancel::Wanted { run, reason: reason.as_deref(), json: *json };
            stored::block_on(cancel::main(config, agents, wanted))
        }
        Command::Events { run, follow, after } => {
            stored::block_on(events(config, run, *follow, *after))
        }
    }
}

async fn list(
    config: &Config,
    status: Option<String>,
    limit: usize,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let (runs, more) = match remote::server(config)? {
        Some(server) => server.runs(status, limit).await?,
        None => listed(config, status, limit).await?,
    };
    if json {
        stdout::write_json(&runs)?;
        return Ok(ExitCode::SUCCESS);
    }
    if runs.is_empty() {
        anstream::eprintln!("there are no such runs");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = stdout::table(["run", "status", "agent", "started (UTC)"]);
    for run in &runs {
        let started = words::moment(run.started_at);
        table.add_row([
            run.run_id.to_string(),
            run.status.to_string(),
            run.agent.to_string(),
            started,
        ]);
    }
    stdout::write_table(&table)?;
    if more {
        anstream::eprintln!("there are more; `--limit N` shows them");
    }
    Ok(ExitCode::SUCCESS)
}

/// At most so many runs of the database, and whether there are more.
async fn listed(
    config: &Config,
    status: Option<String>,
    limit: usize,
) -> anyhow::Result<(Vec<Summary>, bool)> {
    match stored::try_look(config).await {
        Ok(store) => {
            // One more tells whether there are more.
            let query = Query { status, limit: limit.saturating_add(1), ..Query::default() };
            let mut runs = store.runs.list(&stored::tenant(&store), &query).await?;
            stored::close(store).await;
            let more = runs.len() > limit;
            runs.truncate(limit);
            Ok((runs, more))
        }
        // Where nothing was ever kept, there are none.
        Err(stored::NotOpen::Missing(_)) => Ok((Vec::new(), false)),
        Err(error) => Err(error.complaint().into()),
    }
}

/// How long a run took or takes, if that is known.
fn took(run: &Summary) -> Option<String> {
    run.ended_at.map(|ended| duration(ended.micros_since(run.started_at)))
}

/// As [`events`], of a server.
async fn told(
    server: &Server,
    run: &str,
    follow: bool,
    after: Option<u64>,
) -> anyhow::Result<ExitCode> {
    let run = server.find_run(run).await?;
    let client = &server.client;
    let mut events =
        if follow { client.events(run, after) } else { client.events_so_far(run, after) };
    while let Some(event) = events.next().await.map_err(remote::complaint)? {
        stdout::write(format!("{}\n", event::line_of(&event)).as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints events, and waits for more if it is told to.
async fn events(
    config: &Config,
    run: &str,
    follow: bool,
    after: Option<u64>,
) -> anyhow::Result<ExitCode> {
    if let Some(server) = remote::server(config)? {
        return told(&server, run, follow, after).await;
    }
    let store = stored::look(config).await?;
    let run = stored::find_run(&store, run).await?;
    let records = store.journal.read_run(run.run_id).await?;
    let mut seen = after.map_or(0, |after| number_of(&records, after));
    let mut records = records;
    loop {
        for record in records.iter().filter(|record| record.number > seen) {
            let event = Event::Recorded(record.clone());
            let outcome = matches!(record.entry, Entry::Outcome { .. });
            let outcome = if outcome { Story::of_records(&records).outcome } else { None };
            if let Some(line) = event::line_with(&event, outcome.as_ref()) {
                stdout::write(format!("{line}\n").as_bytes())?;
            }
        }
        let last = records.last();
        seen = seen.max(last.map_or(0, |record| record.number));
        let ended = last.is_some_and(|record| matches!(record.entry, Entry::RunEnd { .. }));
        if !follow || ended {
            stored::close(store).await;
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        records = store.journal.read_run(run.run_id).await?;
    }
}

/// The number within the run of the record with this id; of the last before it if the run has none.
///
/// Ids count along a chain, and a run that changed hands is on several: the last one counts.
fn number_of(records: &[Arc<Record>], id: u64) -> u64 {
    let exact = records.iter().rev().find(|record| record.seq == id);
    let before = || records.iter().rev().find(|record| record.seq < id);
    exact.or_else(before).map_or(0, |record| record.number)
}
