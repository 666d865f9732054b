//! `genie run`: answers a question about a bank statement, and shows how.
//!
//! Owns the arguments, the one run and its exit code. What is printed is made by the modules below;
//! what is answered is the agents' business.

use std::convert::Infallible;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use genie_agents::finance;
use genie_core::Agent;
use genie_core::failure::Failure;
use genie_core::ids::RunId;
use genie_core::label::{Classification, Label};
use genie_core::outcome::Outcome;
use genie_core::principal::{Identity, Principal};

use super::complaint::Complaint;
use super::{audit, stdout};
use crate::app::{App, Running};
use crate::config::{Config, duration};

mod answer;
mod draw;
mod event;
mod journal_file;
mod statement;
mod tree;
mod watch;

use draw::Page;
use journal_file::JournalFile;
use statement::Statement;
use tree::Tree;
use watch::{End, Form, Watcher};

/// What is asked when nothing is.
const DEFAULT_QUESTION: &str = "Where did I overspend compared with the previous month?";

/// The agent that reads the statement: if it fails, the file is to blame.
const READER: &str = "ingestor";

/// Arguments of `genie run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The question, in quotes.
    #[arg(default_value = DEFAULT_QUESTION)]
    question: String,
    /// The statement as a CSV file, or `-` for standard input. Without it: a made-up year.
    #[arg(long, value_name = "FILE")]
    statement: Option<PathBuf>,
    /// Write the journal of the run here, for `genie audit verify`.
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
}

pub(crate) fn main(
    args: &Args,
    config: Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    if args.question.trim().is_empty() {
        let hint = "ask in words, such as \"How much did I spend on food?\"";
        return Err(Complaint::usage("the question is empty").hint(hint).into());
    }
    let statement = statement::read(args.statement.as_deref(), config.limits.blob_bytes_max)?;
    let journal = args.journal.as_deref().map(JournalFile::create).transpose()?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the threads of the run")?;
    let name = statement.name.clone();
    let finished = runtime.block_on(run(args, config, agents, statement, journal))?;
    present(args, &name, &finished)
}

/// A run that has ended.
struct Finished {
    run_id: RunId,
    outcome: Arc<Outcome>,
    end: End,
}

async fn run(
    args: &Args,
    config: Config,
    agents: &'static [&'static dyn Agent],
    statement: Statement,
    journal: Option<JournalFile>,
) -> anyhow::Result<Finished> {
    let label = Label::new(Classification::Confidential).with_region(&config.home_region);
    let running = App::build(config).agents(agents).start().await?;
    let principal = running.admit(operator());
    let mut ask = finance::ask(&args.question, statement.bytes).labelled(label);
    if let Some(timeout) = args.timeout {
        ask = ask.within(timeout);
    }
    let mut watcher = Watcher::new(journal, form_of(args));
    let mut tap = running.kernel().tap();
    let admitted = running.kernel().ask(&principal, ask).await;
    let admitted = admitted.map_err(|refused| Complaint::no(refused.to_string()).with_hint_of())?;
    let run_id = admitted.run_id;
    let end = tokio::select! {
        // First, so that the key works from the moment that anything is shown.
        biased;
        never = cancel_on_interrupt(&running, &principal, run_id) => match never {},
        end = watcher.watch(&mut tap, run_id) => end?,
    };
    let outcome = admitted.outcome().await;
    running.drain().await;
    watcher.close()?;
    Ok(Finished { run_id, outcome, end })
}

fn form_of(args: &Args) -> Form {
    match args {
        Args { events: true, .. } => Form::Events,
        Args { json: true, .. } | Args { quiet: true, .. } => Form::Nothing,
        _ => Form::Tree(Tree::default()),
    }
}

/// Whoever sits at this machine: the operating system has let them in already.
fn operator() -> Identity {
    let set = |word: &str| [word.to_owned()].into();
    Identity {
        tenant: "local".to_owned(),
        subject: "operator".to_owned(),
        roles: set("user"),
        scopes: set("finance:ask"),
        consents: set("statement-analysis"),
    }
}

/// Cancels the run when the user presses Ctrl-C; its journal then ends properly.
async fn cancel_on_interrupt(running: &Running, asker: &Principal, run: RunId) -> Infallible {
    if tokio::signal::ctrl_c().await.is_ok() {
        running.kernel().cancel(asker, run, "interrupted").await;
    }
    std::future::pending().await
}

/// Prints how the run ended and gives the exit code.
fn present(args: &Args, statement: &str, finished: &Finished) -> anyhow::Result<ExitCode> {
    if args.json {
        stdout::write_json(&answer::json(finished))?;
    }
    if let Outcome::Completed { answer, .. } = &*finished.outcome {
        if !args.json && !args.events {
            let mut text = answer::report(answer, Page::of_stdout())?;
            if !args.quiet {
                text.push_str(&receipt(args, finished));
            }
            stdout::write_styled(&text)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !args.json && !args.events && !args.quiet {
        let _ = anstream::stderr().write_all(receipt(args, finished).as_bytes());
    }
    Err(refusal(statement, &finished.outcome).into())
}

/// What to keep of the run: enough to find it and to prove its journal later.
fn receipt(args: &Args, finished: &Finished) -> String {
    let (run_id, end) = (finished.run_id, &finished.end);
    let journal = args.journal.as_ref().map(|path| format!("journal: {}\n", path.display()));
    format!(
        "run: {run_id}\nrecords: {}\n{}head: {}\n",
        end.records,
        journal.unwrap_or_default(),
        audit::head(end.head)
    )
}

/// Why there is no answer, in words for the user.
fn refusal(statement: &str, outcome: &Outcome) -> Complaint {
    match outcome {
        Outcome::Failed { cause: Failure::Failed { agent, reason } } if &**agent == READER => {
            Complaint::usage(format!("{statement}: {reason}")).with_hint_of()
        }
        Outcome::Failed { cause } => Complaint::no(format!("the run failed: {cause}"))
            .hint("`genie run --events` shows what led to it"),
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
