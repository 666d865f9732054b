//! `genie data`: made-up data with known contents, for demos, tests and load.
//!
//! Owns the arguments and the files; what a statement holds is for the finance domain.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Subcommand, value_parser};
use genie_agents::finance::domain::generate::{self, MONTHS_MAX, ROWS_MAX, Spec};
use genie_agents::finance::domain::statement::LayoutName;

use super::stdout;

/// Arguments of `genie data`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a bank statement; the same arguments give the same bytes.
    Statement(Statement),
}

#[derive(Debug, clap::Args)]
struct Statement {
    /// Fixes every choice; the same seed in two layouts gives the same payments.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Length of the period in calendar months, from January 2025.
    #[arg(
        long,
        default_value_t = 12,
        value_name = "N",
        value_parser = value_parser!(u32).range(1..=i64::from(MONTHS_MAX)),
    )]
    months: u32,
    /// Columns and styles of the file.
    #[arg(long, default_value = "plain", value_parser = layouts())]
    layout: LayoutName,
    /// Add everyday spending until the statement has this many rows.
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parser!(u32).range(1..=i64::from(ROWS_MAX)),
    )]
    rows: Option<u32>,
    /// Write the statement here rather than to standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write what is true of the statement here: a JSON array of line, kind and note.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

/// The names of the layouts, for the help, the errors and the reading of the argument.
fn layouts() -> impl TypedValueParser<Value = LayoutName> {
    PossibleValuesParser::new(LayoutName::ALL.map(LayoutName::as_str)).try_map(|name| {
        let mut layouts = LayoutName::ALL.into_iter();
        layouts
            .find(|layout| layout.as_str() == name)
            .ok_or_else(|| format!("there is no layout `{name}`"))
    })
}

pub(crate) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let Command::Statement(statement) = &args.command;
    write_statement(statement)?;
    Ok(ExitCode::SUCCESS)
}

fn write_statement(args: &Statement) -> anyhow::Result<()> {
    let generated = generate::statement(&Spec {
        months: args.months,
        rows: args.rows,
        ..Spec::of_2025(args.seed, args.layout)
    });
    if let Some(path) = &args.truth {
        let mut text = serde_json::to_string_pretty(&generated.truth)?;
        text.push('\n');
        write_file(path, text.as_bytes())?;
        let count = generated.truth.len();
        anstream::eprintln!("wrote {count} labels to `{}`", path.display());
    }
    let Some(path) = &args.output else {
        return stdout::write(&generated.bytes);
    };
    write_file(path, &generated.bytes)?;
    let count = generated.ledger.entries.len();
    anstream::eprintln!("wrote {count} rows to `{}`", path.display());
    Ok(())
}

fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
}
