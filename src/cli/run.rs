//! `genie ask`: answers a question about a bank statement, and shows how.
//!
//! Owns the arguments, the one run and its exit code. What is printed is made by the modules below;
//! what is answered is the agents' business.

use std::convert::Infallible;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use genie_agents::finance;
use genie_core::approval::Approval;
use genie_core::clock::Timestamp;
use genie_core::failure::Failure;
use genie_core::ids::RunId;
use genie_core::label::{Classification, Label};
use genie_core::outcome::Outcome;
use genie_core::principal::Principal;
use genie_core::{Agent, Ask};

use super::complaint::{self, Complaint};
use super::{audit, person, remote, stdout, stored, waits};
use crate::app::{Bank, Running};
use crate::config::{Config, duration};
use crate::storage::Storage;

pub(crate) mod answer;
mod crash;
mod demo;
pub(crate) mod draw;
pub(crate) mod event;
mod journal_file;
mod statement;
mod there;
pub(crate) mod tree;
pub(crate) mod trees;
pub(crate) mod watch;

use demo::Demo;
use draw::Page;
use journal_file::JournalFile;
use trees::Trees;
use watch::{End, Form, Stop, Waiting, Watcher};

/// What is asked when nothing is.
const DEFAULT_QUESTION: &str = "Where did I overspend compared with the previous month?";

/// The agent that reads the statement: if it fails, the file is to blame.
const READER: &str = "ingestor";

/// Arguments of `genie ask`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The question, in quotes.
    #[arg(default_value = DEFAULT_QUESTION)]
    question: String,
    /// The statement as a CSV file, or `-` for standard input. Without it: a made-up year.
    #[arg(long, value_name = "FILE")]
    statement: Option<PathBuf>,
    /// Write the journal of the run here, for `genie audit verify`; it is kept nowhere else.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Give up after this long, such as `500ms` or `10s`; `limits.run_deadline` bounds it.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    timeout: Option<Duration>,
    /// Print only the report: neither the messages nor the run's id and chain head.
    #[arg(long, short)]
    quiet: bool,
    /// Print the answer as one JSON object instead, and no messages.
    #[arg(long, conflicts_with = "events")]
    json: bool,
    /// Print every event as a line of JSON instead, while it happens.
    #[arg(long)]
    events: bool,
    /// Show what a durable run is, with a payment in place of a question.
    #[arg(long, value_name = "DEMO", conflicts_with_all = ["question", "statement", "journal"])]
    demo: Option<Demo>,
    #[command(flatten)]
    payment: demo::Payment,
}

pub(crate) fn main(
    args: &Args,
    config: Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    if config.server.is_some() {
        there::check(args)?;
    }
    if let Some(demo) = args.demo {
        return demo::main(demo, args, &config, agents);
    }
    if args.question.trim().is_empty() {
        let hint = "ask in words, such as \"How much did I spend on food?\"";
        return Err(Complaint::usage("the question is empty").hint(hint).into());
    }
    let statement = statement::read(args.statement.as_deref(), config.limits.blob_bytes_max)?;
    if let Some(server) = remote::server(&config)? {
        let finished = stored::block_on(there::conduct(args, &server, &statement))?;
        return present(args, &config, &statement.name, &finished);
    }
    let journal = args.journal.as_deref().map(JournalFile::create).transpose()?;
    let mut config = config;
    if journal.is_some() {
        // A file holds a whole chain: that of this run.
        config.storage = Storage::Memory;
    }
    let ask = finance::ask(&args.question, statement.bytes);
    let job = Job { ask, bank: Bank::Answers, journal, tell_run: false };
    let finished = stored::block_on(conduct(args, config.clone(), agents, job))?;
    present(args, &config, &statement.name, &finished)
}

/// What is to be done in a run.
struct Job {
    ask: Ask,
    bank: Bank,
    journal: Option<JournalFile>,
    /// Print the id of the run as soon as there is one.
    tell_run: bool,
}

/// A run that has come to a halt.
struct Finished {
    run_id: RunId,
    ending: Ending,
}

/// Where a run has come to a halt.
enum Ending {
    /// At its end.
    Ended(Arc<Outcome>, End),
    /// At what a human must decide.
    Waiting {
        /// When it goes on without a decision.
        wake_at: Timestamp,
        /// What must be decided.
        approvals: Vec<Approval>,
    },
}

/// Asks and watches until the run halts.
async fn conduct(
    args: &Args,
    config: Config,
    agents: &'static [&'static dyn Agent],
    job: Job,
) -> anyhow::Result<Finished> {
    let label = Label::new(Classification::Confidential).with_region(&config.home_region);
    let running = stored::installation(config, agents, job.bank).start().await;
    let running = running.map_err(stored::refused)?;
    let principal = running.admit(person::asker());
    let mut ask = job.ask.labelled(label);
    if let Some(timeout) = args.timeout {
        ask = ask.within(timeout);
    }
    let mut watcher = Watcher::new(job.journal, form_of(args));
    let mut tap = running.system().tap();
    let admitted = running.kernel().ask(&principal, ask).await;
    let admitted = admitted.map_err(|refused| Complaint::no(refused.to_string()).with_hint_of())?;
    let run_id = admitted.run_id;
    if job.tell_run {
        stdout::write(format!("{run_id}\n").as_bytes())?;
    }
    let stop = tokio::select! {
        // First, so that the key works from the moment that anything is shown.
        biased;
        never = cancel_on_interrupt(&running, &principal, run_id) => match never {},
        stop = watcher.watch(&mut tap, run_id) => stop?,
    };
    let ending = match stop {
        Stop::Ended(end) => Ending::Ended(admitted.outcome().await, end),
        Stop::Waiting(waiting) if running.keeps_runs() => parked(&running, waiting).await?,
        Stop::Waiting(_) => {
            let reason = "it waits for a human, and is kept in memory only";
            running.kernel().cancel(&principal, run_id, reason).await;
            let Stop::Ended(end) = watcher.watch(&mut tap, run_id).await? else {
                anyhow::bail!("a run that was cancelled has not ended");
            };
            Ending::Ended(admitted.outcome().await, end)
        }
    };
    running.drain().await;
    watcher.close()?;
    Ok(Finished { run_id, ending })
}

/// What a run waits for, as humans are asked.
async fn parked(running: &Running, waiting: Waiting) -> anyhow::Result<Ending> {
    let Waiting { wake_at, approvals: ids } = waiting;
    let mut approvals = Vec::with_capacity(ids.len());
    for id in ids {
        approvals
            .extend(running.kernel().approval(&running.system().tenant(person::TENANT), id).await?);
    }
    Ok(Ending::Waiting { wake_at, approvals })
}

fn form_of(args: &Args) -> Form {
    match args {
        Args { events: true, .. } => Form::Events,
        Args { json: true, .. } | Args { quiet: true, .. } => Form::Nothing,
        _ => Form::Tree(Trees::default()),
    }
}

/// Cancels the run when the user presses Ctrl-C; its journal then ends properly.
async fn cancel_on_interrupt(running: &Running, asker: &Principal, run: RunId) -> Infallible {
    if tokio::signal::ctrl_c().await.is_ok() {
        running.kernel().cancel(asker, run, "interrupted").await;
    }
    std::future::pending().await
}

/// Prints where the run halted and gives the exit code.
fn present(
    args: &Args,
    config: &Config,
    statement: &str,
    finished: &Finished,
) -> anyhow::Result<ExitCode> {
    if args.json {
        stdout::write_json(&answer::json(finished))?;
    }
    let silent = args.json || args.events;
    match &finished.ending {
        Ending::Waiting { wake_at, approvals } => {
            if !silent {
                let text = waits::text(config, finished.run_id, *wake_at, approvals);
                stdout::write_styled(&text)?;
            }
            Ok(ExitCode::from(complaint::WAITS))
        }
        Ending::Ended(outcome, end) => {
            let receipt = || receipt(args, finished.run_id, end);
            if let Outcome::Completed { kind, answer, .. } = &**outcome {
                if !silent {
                    let mut text = answer::text(kind, answer, Page::of_stdout())?;
                    if !args.quiet {
                        text.push_str(&receipt());
                    }
                    stdout::write_styled(&text)?;
                }
                return Ok(ExitCode::SUCCESS);
            }
            if !silent && !args.quiet {
                let _ = anstream::stderr().write_all(receipt().as_bytes());
            }
            Err(refusal(statement, outcome).into())
        }
    }
}

/// What to keep of the run: enough to find it and to prove its journal later.
fn receipt(args: &Args, run_id: RunId, end: &End) -> String {
    let journal = args.journal.as_ref().map(|path| format!("journal: {}\n", path.display()));
    format!(
        "run: {run_id}\nrecords: {}\n{}head: {}\n",
        end.records,
        journal.unwrap_or_default(),
        audit::head(end.head)
    )
}

/// Why there is no answer, in words for the user.
pub(crate) fn refusal(statement: &str, outcome: &Outcome) -> Complaint {
    match outcome {
        Outcome::Failed { cause: Failure::Failed { agent, reason } } if &**agent == READER => {
            Complaint::usage(format!("{statement}: {reason}")).with_hint_of()
        }
        Outcome::Failed { cause } => Complaint::no(format!("the run failed: {cause}"))
            .hint("`genie ask --events` shows what led to it"),
        Outcome::Denied { denied } => Complaint::no(format!(
            "policy `{}` ({}) denies it: {}",
            denied.policy, denied.policy_version, denied.reason
        ))
        .hint("change what the policy objects to; the denial is in the journal"),
        Outcome::Cancelled { reason } => Complaint::no(format!("the run was cancelled: {reason}")),
        Outcome::Expired { deadline_ms } => {
            Complaint::no(format!("there was no answer within {deadline_ms} ms"))
                .hint("give it longer with `--timeout`, or raise `limits.run_deadline`")
        }
        // The caller has an answer to print in this case.
        Outcome::Completed { .. } => Complaint::no("the run completed"),
    }
}
