//! `genie audit receipt`, `check-receipt` and `consistency`: proofs for someone else.

use std::path::Path;
use std::process::ExitCode;

use genie_core::audit::receipt::{self, BYTES_MAX, Checked};
use genie_core::ids::RunId;
use genie_core::outcome::Outcome;
use genie_store::Opened;
use serde_json::json;

use super::counted;
use super::keys::{self, Trusted};
use crate::auditor::keys::KeyFile;
use crate::auditor::log;
use crate::auditor::proofs::{self, Growth};
use crate::cli::complaint::{self, Complaint};
use crate::cli::{looking, remote, stdout, stored};
use crate::config::Config;
use crate::host::{SystemClock, SystemIds};

pub(super) fn receipt(
    named: &str,
    out: Option<&Path>,
    json: bool,
    config: &Config,
) -> anyhow::Result<ExitCode> {
    if let Some(server) = remote::server(config)? {
        let (run, text) = stored::block_on(server.receipt(named))?;
        return write_receipt(run, &text, out, json);
    }
    let file = keys::file(config)?;
    let (run, made) = looking::look(config, async |opened: &Opened| {
        let run = looking::run(opened, named).await?;
        Ok((run, make(opened, run, &file).await?))
    })?;
    write_receipt(run, &made.to_text(), out, json)
}

fn write_receipt(
    run: RunId,
    text: &str,
    out: Option<&Path>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    if json {
        stdout::write_json(&json!({ "run_id": run, "receipt": text }))?;
    } else {
        keys::write(text, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the receipt; signs a checkpoint first if none covers the run's end.
async fn make(opened: &Opened, run: RunId, file: &KeyFile) -> anyhow::Result<receipt::Receipt> {
    use genie_core::clock::Clock;
    let store = &opened.checkpoints;
    let made = match proofs::receipt(store, run).await {
        Err(proofs::Error::Uncovered(_)) => {
            let keys = file.load_or_make(&SystemIds)?;
            let chain = proofs::chain_of(store, run).await?;
            log::checkpoint(store, chain, file, (&keys, SystemClock.now())).await?;
            proofs::receipt(store, run).await
        }
        made => made,
    };
    made.map_err(|error| match error {
        proofs::Error::NoRun(_) | proofs::Error::Open(_) => {
            Complaint::usage(error.to_string()).with_hint_of().into()
        }
        proofs::Error::Corrupt(_) | proofs::Error::Erased(_) => {
            Complaint::no(error.to_string()).with_hint_of().into()
        }
        error => error.into(),
    })
}

pub(super) fn check_receipt(
    path: &Path,
    key: Option<&str>,
    json: bool,
    config: &Config,
) -> anyhow::Result<ExitCode> {
    let text = keys::read(path, BYTES_MAX as u64)?;
    let trusted = Trusted::of(key, config)?;
    if trusted.is_empty() {
        return Err(Trusted::complaint().into());
    }
    // The checkpoint comes behind the first empty line, and its origin first.
    let origin = text.split_once("\n\n").and_then(|(_, note)| note.lines().next());
    let checked = receipt::check(&text, &trusted.of_log(origin.unwrap_or_default()));
    if json {
        let code = if checked.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(complaint::NO) };
        stdout::write_json(&match checked {
            Ok(checked) => {
                let mut proven = serde_json::to_value(checked)?;
                proven["holds"] = true.into();
                proven
            }
            Err(error) => json!({ "holds": false, "problem": error.to_string() }),
        })?;
        return Ok(code);
    }
    let checked = checked
        .map_err(|error| Complaint::no(format!("{}: {error}", path.display())).with_hint_of())?;
    stdout::write(proven(&checked).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// What a receipt proves, in words.
fn proven(checked: &Checked) -> String {
    let rest = match &*checked.outcome {
        Outcome::Completed { kind, answer_sha256, .. } => {
            format!("answer: {kind}, SHA-256 {answer_sha256}\n")
        }
        Outcome::Denied { denied } => {
            format!("denied by: {} ({}): {}\n", denied.policy, denied.policy_version, denied.reason)
        }
        Outcome::Failed { cause } => format!("cause: {cause}\n"),
        Outcome::Cancelled { reason } => format!("reason: {reason}\n"),
        Outcome::Expired { deadline_ms } => format!("deadline: {deadline_ms} ms\n"),
    };
    format!(
        "the receipt holds: run {} {} at {}\n{rest}recorded: {}, {}; the last is record {} of {}\n\
         signed: {} with {}\n",
        checked.run_id,
        checked.outcome.name(),
        checked.at,
        counted(checked.records, "record"),
        counted(checked.messages, "message"),
        checked.seq,
        checked.size,
        checked.origin,
        counted(checked.size, "record"),
    )
}

pub(super) fn consistency(
    path: &Path,
    key: Option<&str>,
    json: bool,
    config: &Config,
) -> anyhow::Result<ExitCode> {
    let old = keys::kept(path, key, config)?;
    let trusted = Trusted::of(key, config)?;
    let number = old.origin.rsplit_once('/').and_then(|(_, number)| number.parse().ok());
    let chain: i64 = number.unwrap_or(1);
    let growth = looking::look(config, async |opened: &Opened| {
        let store = &opened.checkpoints;
        let growth = proofs::growth(store, chain, &old, &trusted.of_chain(chain)).await;
        growth.map_err(|error| Complaint::no(error.to_string()).with_hint_of().into())
    })?;
    let growth = growth.ok_or_else(|| {
        let hint = "`genie audit checkpoint` signs one";
        Complaint::usage(format!("chain {chain} has no checkpoint yet")).hint(hint)
    })?;
    let consistent = growth.refused.is_none();
    if json {
        stdout::write_json(&as_json(&growth))?;
        let code = if consistent { 0 } else { complaint::NO };
        return Ok(ExitCode::from(code));
    }
    let Growth { old, new, proof, refused, .. } = &growth;
    if let Some(refused) = refused {
        let problem = format!(
            "the log of {} does not continue that of {}: {refused}",
            counted(new.size, "record"),
            counted(old.size, "record")
        );
        let hint = "`genie audit verify --checkpoint FILE` says where the two part";
        return Err(Complaint::no(problem).hint(hint).into());
    }
    let hashes: Vec<String> = proof.iter().map(ToString::to_string).collect();
    let text = format!(
        "the log of {} continues that of {}\nold root: {}\nnew root: {}\nproof: {} hashes\n{}\n",
        counted(new.size, "record"),
        counted(old.size, "record"),
        old.root,
        new.root,
        proof.len(),
        hashes.join("\n"),
    );
    stdout::write(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn as_json(growth: &Growth) -> serde_json::Value {
    let Growth { old, new, note, proof, refused } = growth;
    json!({
        "consistent": refused.is_none(),
        "problem": refused,
        "old": { "records": old.size, "root": old.root },
        "new": { "records": new.size, "root": new.root },
        "proof": proof,
        "checkpoint": note,
    })
}
