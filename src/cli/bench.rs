//! `genie bench`: measures this build against its budgets.

use std::process::{Command, ExitCode};

use anyhow::Context as _;
use comfy_table::{Cell, CellAlignment, Table, presets};
use genie_core::Agent;
use serde_json::Value;

use super::complaint::Complaint;
use crate::bench::{Effort, Figure, SCENARIOS, WAITING, measure};
use crate::config::Config;
use crate::storage::Storage;

/// Arguments of `genie bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these scenarios: bus, finance, gather, denied, parked, statement, soak, durable (also
    /// with PostgreSQL, if `--database` names one), recovery, waiting, conversation, audit, http.
    scenarios: Vec<String>,
    /// Seconds for each measured throughput.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Runs of the soak.
    #[arg(long, default_value_t = 100_000)]
    soak_runs: u64,
    /// Print the figures as JSON, one scenario a line.
    #[arg(long)]
    json: bool,
    /// Measure in this process instead of one for each scenario.
    #[arg(long, hide = true)]
    here: bool,
    /// Serve what the HTTP interface is compared with.
    #[arg(long, hide = true)]
    bare: bool,
}

pub(crate) fn main(
    args: &Args,
    config: &Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    if args.bare {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(crate::bench::bare()).map(|()| ExitCode::SUCCESS);
    }
    let unknown = args.scenarios.iter().find(|name| !SCENARIOS.contains(&name.as_str()));
    if let Some(unknown) = unknown {
        let problem = format!("`{unknown}` is not a scenario");
        return Err(Complaint::usage(problem).hint(format!("try {}", SCENARIOS.join(", "))).into());
    }
    let wanted =
        |name: &&&str| args.scenarios.is_empty() || args.scenarios.iter().any(|s| s == **name);
    let mut all_met = true;
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["figure", "measured", "unit", "budget", ""]);
    for name in SCENARIOS.iter().filter(wanted) {
        if args.here {
            let figures = measure_here(name, args, config, agents)?;
            anstream::println!("{}", as_json(name, &figures));
            continue;
        }
        anstream::eprintln!("measuring {name} …");
        let line = measure_apart(name, args, config)?;
        if args.json {
            anstream::println!("{line}");
        }
        let report: Value = serde_json::from_str(&line).context("the child's report")?;
        for figure in report["figures"].as_array().into_iter().flatten() {
            all_met &= figure["met"] != false;
            table.add_row(row(figure));
        }
    }
    if !args.json && !args.here {
        anstream::println!("{table}");
    }
    Ok(if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure_here(
    name: &str,
    args: &Args,
    config: &Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<Vec<Figure>> {
    let effort = Effort { seconds: args.seconds, soak_runs: args.soak_runs };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(name, effort, agents, &config.storage))
}

/// Measures in a child process, so that no scenario leaves its memory to the next.
fn measure_apart(name: &str, args: &Args, config: &Config) -> anyhow::Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    if let Storage::Database(url) = &config.storage {
        // Not as an argument, which everyone on the machine can read.
        command.env("GENIE_DATABASE", url);
    }
    if name == WAITING {
        // What is freed is given back at once, so that what is resident is what is held.
        command.env("MIMALLOC_PURGE_DELAY", "0");
    }
    let output = command
        .args(["bench", name, "--here"])
        .args(["--seconds", &args.seconds.to_string()])
        .args(["--soak-runs", &args.soak_runs.to_string()])
        .stderr(std::process::Stdio::inherit())
        .output()?;
    anyhow::ensure!(output.status.success(), "the scenario `{name}` failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn as_json(name: &str, figures: &[Figure]) -> Value {
    let figures: Vec<Value> = figures
        .iter()
        .map(|figure| {
            let mut value = serde_json::to_value(figure).unwrap_or_default();
            value["met"] = figure.met().into();
            value
        })
        .collect();
    serde_json::json!({ "scenario": name, "figures": figures })
}

fn row(figure: &Value) -> Vec<Cell> {
    let number = |value: &Value| shown(value.as_f64().unwrap_or(0.0));
    let budget = match (&figure["budget"]["at_least"], &figure["budget"]["at_most"]) {
        (Value::Null, Value::Null) => String::new(),
        (Value::Null, most) => format!("≤ {}", number(most)),
        (least, _) => format!("≥ {}", number(least)),
    };
    let verdict = match figure["met"].as_bool() {
        Some(true) => "met",
        Some(false) => "NOT MET",
        None => "",
    };
    vec![
        Cell::new(figure["name"].as_str().unwrap_or_default()),
        Cell::new(number(&figure["value"])).set_alignment(CellAlignment::Right),
        Cell::new(figure["unit"].as_str().unwrap_or_default()),
        Cell::new(budget),
        Cell::new(verdict),
    ]
}

/// A figure with three significant digits, thousands grouped.
fn shown(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut grouped = if value < 0.0 { "-" } else { "" }.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_figure_is_grouped_by_thousands_whatever_its_sign() {
        let figures = [0.0, 99.994, -3.5, 100.4, -140.0, 1_234.0, -123_456.7, 1e6];
        let expected = ["0.00", "99.99", "-3.50", "100", "-140", "1,234", "-123,457", "1,000,000"];
        assert_eq!(figures.map(shown), expected);
    }
}
