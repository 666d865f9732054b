//! `genie approvals`: what waits for a human, and the human's word.
//!
//! Owns the arguments and what is looked at; how a decision is taken down and what comes of it is
//! in `decide`.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use genie_core::Agent;
use genie_core::approval::{Approval, Choice, Resolution, Status};
use genie_core::clock::{Clock, Timestamp};
use genie_core::runs::Summary;
use genie_store::Opened;
use serde_json::{Value, json};

use super::complaint::Complaint;
use super::remote::{self, Server};
use super::{stdout, stored, words};
use crate::config::Config;
use crate::host::SystemClock;

mod decide;
mod show;
mod there;

use decide::Said;
pub(crate) use show::Lines;

/// Arguments of `genie approvals`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what waits for a human.
    List {
        /// What was decided, too.
        #[arg(long)]
        all: bool,
        /// Only those that stand so.
        #[arg(long, conflicts_with = "all")]
        status: Option<StatusName>,
        /// Print the list as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show everything that there is to decide on.
    Show {
        /// The approval, or the first six or more characters of its id.
        id: String,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let what waits happen.
    ///
    /// If no other process owns the runs, this one goes on with them and shows how.
    Approve(Decide),
    /// Do not let it happen.
    Reject(Decide),
    /// Say what became of an effect that nobody knows about, after finding out.
    Resolve {
        /// The approval, or the first six or more characters of its id.
        id: String,
        /// What became of it.
        resolution: ResolutionName,
        /// What is known of its result, as JSON, if it happened.
        #[arg(long, value_name = "JSON", value_parser = parse_json)]
        result: Option<Value>,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Debug, clap::Args)]
struct Decide {
    /// The approval, or the first six or more characters of its id.
    id: String,
    #[command(flatten)]
    how: How,
}

/// Who decides, and why.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct How {
    /// Who decides, if not the user of the operating system; whoever asked may not.
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Why; needed for everything but an approval.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print how the run goes on as one JSON object, and no messages.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StatusName {
    Pending,
    Approved,
    Rejected,
    Expired,
    Withdrawn,
    Resolved,
}

/// What became of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ResolutionName {
    /// It happened; the run goes on with the result, if one is given.
    Happened,
    /// It did not; the call fails.
    DidNotHappen,
    /// It did not, or once more does no harm: it is called again.
    Retry,
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))
}

pub(crate) fn main(
    args: &Args,
    config: &Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    let (id, choice, how) = match &args.command {
        Command::List { all, status, json } => {
            let wanted = match status {
                Some(status) => status.to_possible_value().map(|name| name.get_name().to_owned()),
                None => (!all).then(|| "pending".to_owned()),
            };
            return stored::block_on(list(config, wanted.as_deref(), *json));
        }
        Command::Show { id, json } => return stored::block_on(show::main(config, id, *json)),
        Command::Approve(Decide { id, how }) => (id, Choice::Approve, how),
        Command::Reject(Decide { id, how }) => (id, Choice::Reject, how),
        Command::Resolve { id, resolution, result, how } => {
            (id, resolved(*resolution, result.as_ref())?, how)
        }
    };
    let reason = how.reason.clone().unwrap_or_default();
    if choice != Choice::Approve && reason.trim().is_empty() {
        let hint = "the journal keeps it for whoever asks why: `--reason \"…\"`";
        return Err(Complaint::usage("the decision has no reason").hint(hint).into());
    }
    if how.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(Complaint::usage("`--as` names nobody").into());
    }
    let said = Said { choice, reason, name: how.name.clone(), json: how.json };
    stored::block_on(async {
        match remote::server(config)? {
            Some(server) => there::decide(config, &server, id, said).await,
            None => decide::main(config, agents, id, said).await,
        }
    })
}

fn resolved(name: ResolutionName, result: Option<&Value>) -> anyhow::Result<Choice> {
    let resolution = match name {
        ResolutionName::Happened => Resolution::Happened,
        ResolutionName::DidNotHappen => Resolution::DidNotHappen,
        ResolutionName::Retry => Resolution::Retry,
    };
    if result.is_some() && resolution != Resolution::Happened {
        let problem = "what did not happen has no result";
        return Err(Complaint::usage(problem).hint("leave `--result` out").into());
    }
    Ok(Choice::Resolve { resolution, result: result.cloned().unwrap_or_default() })
}

/// An approval with the run that waits for it, as they stand now.
pub(crate) struct Standing {
    pub(crate) approval: Approval,
    pub(crate) run: Option<Summary>,
    /// Whether nobody waits for it any more.
    pub(crate) ended: bool,
}

impl Standing {
    /// Looks the run up.
    pub(crate) async fn of(store: &Opened, approval: Approval) -> anyhow::Result<Self> {
        let run = store.runs.get(&stored::tenant(store), approval.run_id).await?;
        let ended = run.as_ref().is_none_or(|run| run.ended_at.is_some());
        Ok(Self { approval, run, ended })
    }

    /// Takes the word of a server, which may show the approval and not the run.
    async fn of_server(server: &Server, approval: Approval) -> anyhow::Result<Self> {
        let run = match server.client.run(approval.run_id).await {
            Ok(run) => Some(run.summary),
            Err(error) if matches!(error.code(), Some("forbidden" | "not_found")) => None,
            Err(error) => return Err(remote::complaint(error).into()),
        };
        let ended = run.as_ref().is_some_and(|run| run.ended_at.is_some());
        Ok(Self { approval, run, ended })
    }

    /// The word for how it stands: nobody waits for an approval whose run has ended, nor for one
    /// whose time has passed, though nobody may have noted it down yet.
    pub(crate) fn status(&self, now: Timestamp) -> &'static str {
        match &self.approval.status {
            Status::Pending if self.ended => Status::Withdrawn.name(),
            Status::Pending if now >= self.approval.expires_at => Status::Expired.name(),
            status => status.name(),
        }
    }

    /// The approval as JSON.
    pub(crate) fn json(&self, now: Timestamp) -> Value {
        let mut object = json!(self.approval);
        object["status"] = json!(self.status(now));
        object
    }
}

async fn list(config: &Config, wanted: Option<&str>, as_json: bool) -> anyhow::Result<ExitCode> {
    if let Some(server) = remote::server(config)? {
        // The server knows which of them nobody waits for.
        let told = |approval| Standing { approval, run: None, ended: false };
        let listed: Vec<Standing> = server.approvals(None).await?.into_iter().map(told).collect();
        return write_list(&listed, wanted, as_json);
    }
    let store = match stored::try_look(config).await {
        Ok(store) => store,
        // Where nothing was ever kept, nothing waits.
        Err(stored::NotOpen::Missing(_)) => return write_list(&[], wanted, as_json),
        Err(error) => return Err(error.complaint().into()),
    };
    let mut listed = Vec::new();
    for approval in stored::all_approvals(&store, None).await? {
        listed.push(Standing::of(&store, approval).await?);
    }
    stored::close(store).await;
    write_list(&listed, wanted, as_json)
}

fn write_list(all: &[Standing], wanted: Option<&str>, as_json: bool) -> anyhow::Result<ExitCode> {
    let now = SystemClock.now();
    let wanted = |one: &&Standing| wanted.is_none_or(|status| status == one.status(now));
    let listed: Vec<&Standing> = all.iter().filter(wanted).collect();
    if as_json {
        stdout::write_json(&listed.iter().map(|one| one.json(now)).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    if listed.is_empty() {
        anstream::eprintln!("nothing waits for a human");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = stdout::table(["id", "status", "to", "asked by", "until (UTC)"]);
    for one in listed {
        let approval = &one.approval;
        let until = match approval.expires_at {
            Timestamp::NEVER => "no end".to_owned(),
            at => words::moment(at),
        };
        table.add_row([
            words::short(approval.id.0),
            one.status(now).to_owned(),
            approval.to.to_string(),
            approval.requester.to_string(),
            until,
        ]);
    }
    stdout::write_table(&table)?;
    Ok(ExitCode::SUCCESS)
}
