//! `genie db`: the tables of the database, and what is in them.

use std::process::ExitCode;

use clap::Subcommand;
use comfy_table::{Cell, CellAlignment, Table};
use genie_store::{EntryType, OpenError, Opened, Stats, Status};
use serde_json::{Value, json};

use super::complaint::{self, Complaint};
use super::{looking, stdout, stored};
use crate::config::Config;

/// Arguments of `genie db`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the tables up to date.
    Migrate {
        /// Print the steps as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take back steps of the tables, the last ones first, with all that is in them.
    Revert {
        /// How many steps.
        #[arg(default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
        steps: u16,
        /// Really do it: what is in these tables is lost.
        #[arg(long)]
        yes: bool,
        /// Print the steps as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show which steps the database has.
    ///
    /// Exits with 1 if it is not up to date.
    Status {
        /// Print the steps as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what the database holds and what a run costs.
    Stats {
        /// Print the figures as JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn main(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Migrate { json } => migrate(json, config),
        Command::Revert { steps, yes, json } => revert(steps, yes, json, config),
        Command::Status { json } => status(json, config),
        Command::Stats { json } => stats(json, config),
    }
}

fn migrate(json: bool, config: &Config) -> anyhow::Result<ExitCode> {
    let place = looking::location(config)?;
    let (before, after) = stored::block_on(async {
        // A database that is not there yet has no steps.
        let before = match genie_store::status(&place).await {
            Err(OpenError::Missing(_)) => Ok(Vec::new()),
            before => before,
        };
        let before = before.map_err(|error| refused(&error))?;
        let after = genie_store::migrate(&place).await.map_err(|error| refused(&error))?;
        Ok((before, after))
    })?;
    let done = changed(&before, &after);
    let said = match done.as_slice() {
        [] => format!("{place} is up to date"),
        done => format!("{place} is up to date now: {}", done.join(", ")),
    };
    told(json, &said, &done, &after)
}

fn revert(steps: u16, yes: bool, json: bool, config: &Config) -> anyhow::Result<ExitCode> {
    let place = looking::location(config)?;
    let before = stored::block_on(async {
        genie_store::status(&place).await.map_err(|error| refused(&error).into())
    })?;
    let last: Vec<String> = before.iter().rev().filter(|step| step.applied).map(name).collect();
    let last = &last[..last.len().min(steps.into())];
    if last.is_empty() {
        return told(json, &format!("{place} has no tables to take back"), &[], &before);
    }
    if !yes {
        let steps = last.join(", ");
        let problem = format!("this takes back {steps} in {place}, with all runs in these tables");
        let hint = "say `--yes` if that is what you want";
        return Err(Complaint::usage(problem).hint(hint).into());
    }
    let after = stored::block_on(async {
        genie_store::revert(&place, steps.into()).await.map_err(|error| refused(&error).into())
    })?;
    let done = changed(&after, &before);
    told(json, &format!("taken back in {place}: {}", done.join(", ")), &done, &after)
}

fn status(json: bool, config: &Config) -> anyhow::Result<ExitCode> {
    let place = looking::location(config)?;
    let steps = stored::block_on(async {
        genie_store::status(&place).await.map_err(|error| refused(&error).into())
    })?;
    let good = steps.iter().all(|step| step.applied && step.known);
    if json {
        stdout::write_json(&json!({ "up_to_date": good, "steps": as_json(&steps) }))?;
    } else {
        let mut table = stdout::table(["step", "state"]);
        for step in &steps {
            table.add_row([name(step), state(step).to_owned()]);
        }
        stdout::write_table(&table)?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(complaint::NO) })
}

fn stats(json: bool, config: &Config) -> anyhow::Result<ExitCode> {
    let stats = looking::look(config, async |opened: &Opened| Ok(opened.stats().await?))?;
    if json {
        stdout::write_json(&stats_json(&stats))?;
        return Ok(ExitCode::SUCCESS);
    }
    stdout::write(
        format!("runs: {}\nbytes per run: {}\n\n", stats.runs, stats.bytes_per_run()).as_bytes(),
    )?;
    let mut tables = stdout::table(["table", "bytes", "per run"]);
    for table in &stats.tables {
        let per_run = table.bytes.checked_div(stats.runs).unwrap_or(0);
        row(&mut tables, table.name, &[table.bytes, per_run]);
    }
    stdout::write_table(&tables)?;
    stdout::write(b"\n")?;
    let mut entries = stdout::table(["record", "count", "bytes", "mean", "per run"]);
    for EntryType { name, records, bytes } in &stats.entries {
        let mean = bytes.checked_div(*records).unwrap_or(0);
        let per_run = bytes.checked_div(stats.runs).unwrap_or(0);
        row(&mut entries, name, &[*records, *bytes, mean, per_run]);
    }
    stdout::write_table(&entries)?;
    Ok(ExitCode::SUCCESS)
}

fn row(table: &mut Table, name: &str, figures: &[u64]) {
    let figure = |figure: &u64| Cell::new(figure).set_alignment(CellAlignment::Right);
    table.add_row(std::iter::once(Cell::new(name)).chain(figures.iter().map(figure)));
}

fn stats_json(stats: &Stats) -> Value {
    let tables: Vec<_> = stats
        .tables
        .iter()
        .map(|table| json!({ "table": table.name, "bytes": table.bytes }))
        .collect();
    let entries: Vec<_> = stats
        .entries
        .iter()
        .map(|entry| json!({ "record": entry.name, "count": entry.records, "bytes": entry.bytes }))
        .collect();
    json!({
        "runs": stats.runs,
        "bytes_per_run": stats.bytes_per_run(),
        "tables": tables,
        "records": entries,
    })
}

/// Says what was done.
fn told(json: bool, said: &str, done: &[String], steps: &[Status]) -> anyhow::Result<ExitCode> {
    if json {
        stdout::write_json(&json!({ "done": done, "steps": as_json(steps) }))?;
    } else {
        stdout::write(format!("{said}\n").as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(steps: &[Status]) -> Vec<Value> {
    let step = |step: &Status| {
        json!({
            "step": step.version, "name": step.name, "applied": step.applied, "known": step.known,
        })
    };
    steps.iter().map(step).collect()
}

/// The steps that a database has `after` and not `before`.
fn changed(before: &[Status], after: &[Status]) -> Vec<String> {
    let had = |step: &&Status| {
        !before.iter().any(|before| before.version == step.version && before.applied)
    };
    after.iter().filter(|step| step.applied).filter(had).map(name).collect()
}

fn name(step: &Status) -> String {
    format!("{:04} {}", step.version, step.name)
}

fn state(step: &Status) -> &'static str {
    match (step.applied, step.known) {
        (true, true) => "applied",
        (true, false) => "applied by a newer program",
        (false, _) => "not applied; `genie db migrate` does it",
    }
}

fn refused(error: &OpenError) -> Complaint {
    Complaint::usage(error.to_string()).with_hint_of()
}
