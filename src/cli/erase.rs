//! `genie erase`: destroys what is kept of one person, and leaves the proofs.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use genie_core::Tenant;
use genie_store::{EraseError, Erased, Opened};
use serde_json::json;

use super::complaint::Complaint;
use super::person::TENANT;
use super::{looking, stdout, words};
use crate::config::Config;

/// Arguments of `genie erase`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who asked for the runs, as `genie runs show` names them.
    subject: String,
    /// The tenant of the subject.
    #[arg(long, default_value = TENANT)]
    tenant: String,
    /// Do not ask: there is no way back.
    #[arg(long)]
    yes: bool,
    /// Print what was erased as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    let place = looking::location(config)?;
    let Args { subject, tenant, .. } = args;
    if !args.yes && !confirmed(&format!("`{subject}` of the tenant `{tenant}` in {place}"))? {
        return Err(Complaint::no("nothing was erased").into());
    }
    let erased = looking::look(config, async |opened: &Opened| {
        let tenant = Tenant::of_operator(&*opened.runs, tenant);
        opened.erase(&tenant, subject).await.map_err(|error| refused(&error).into())
    })?;
    if args.json {
        let Erased { keys, records, blobs, approvals, accounts, api_keys, in_log } = erased;
        stdout::write_json(&json!({
            "tenant": tenant, "subject": subject, "keys": keys, "records": records,
            "blobs": blobs, "approvals": approvals, "accounts": accounts, "api_keys": api_keys,
            "in_log": in_log,
        }))?;
    } else {
        stdout::write(as_text(subject, erased).as_bytes())?;
    }
    if erased.in_log {
        anstream::eprintln!(
            "warning: a process kept reading, so that the log beside the database may still hold \
             the key; run this once more when it is done"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn as_text(subject: &str, erased: Erased) -> String {
    let Erased { keys, records, blobs, approvals, accounts, api_keys, .. } = erased;
    if keys + records + blobs + approvals + accounts + api_keys == 0 {
        return format!("nothing was left to erase of {subject}\n");
    }
    let counted = |count: u64, noun| words::counted(usize::try_from(count).unwrap_or(0), noun);
    format!(
        "erased {subject}: {}, {}, {}, {}, {}; hashes, times and counts stay, and `genie audit \
         verify` still checks them\n",
        counted(records, "record"),
        counted(blobs, "blob"),
        counted(approvals, "approval"),
        counted(accounts, "account"),
        counted(api_keys, "API key"),
    )
}

/// Asks on a terminal; elsewhere nobody can answer.
fn confirmed(whom: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        let problem = format!("this destroys for good what was said by and for {whom}");
        return Err(Complaint::usage(problem).hint("say `--yes` if that is what you want").into());
    }
    let question = format!("This destroys for good what was said by and for {whom}. Go on? [y/N] ");
    anstream::stderr().write_all(question.as_bytes())?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn refused(error: &EraseError) -> Complaint {
    match error {
        EraseError::Unknown { .. } => Complaint::usage(error.to_string()).with_hint_of(),
        EraseError::Unfinished { .. } | EraseError::Database(_) => {
            Complaint::no(error.to_string()).with_hint_of()
        }
    }
}
