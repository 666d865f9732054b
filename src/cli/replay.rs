//! `genie replay`: derives every verdict and transition of a run again, and compares.
//!
//! What a replay is, is decided in the kernel; here are the arguments and the words.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use genie_core::Agent;
use genie_core::ids::RunId;
use genie_core::policy::{Decision, PolicySet, Verdict};
use genie_core::replay::{self, Difference, Report, World};
use genie_store::Opened;

use super::complaint::{self, Complaint};
use super::{looking, stdout, stored};
use crate::app::Bank;
use crate::config::Config;

/// Runs whose ids are read at once.
const PAGE: u64 = 1_024;

/// Arguments of `genie replay`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run, by its id or the beginning of it.
    #[arg(required_unless_present = "all")]
    run: Option<String>,
    /// Every run.
    #[arg(long, conflicts_with = "run")]
    all: bool,
    /// Judge by the rules in this folder in place of those in force.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Print the report as JSON, a line for each run.
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(
    args: &Args,
    config: &Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    let mut judging = config.clone();
    if let Some(directory) = &args.policies {
        judging.policies = Some(directory.clone());
    }
    let installation = stored::installation(judging, agents, Bank::Answers);
    let (policies, world) = installation.world().map_err(stored::refused)?;
    let total = looking::look(config, async |opened: &Opened| {
        let mut replayed =
            Replayed { args, policies: &policies, world: &world, total: Total::default() };
        match &args.run {
            Some(named) => {
                let run = looking::run(opened, named).await?;
                replayed.run(opened, run).await?;
            }
            None => replayed.all(opened).await?,
        }
        Ok(replayed.total)
    })?;
    if args.all && !args.json {
        stdout::write(total.as_text().as_bytes())?;
    }
    Ok(if total.differing == 0 { ExitCode::SUCCESS } else { ExitCode::from(complaint::NO) })
}

/// What all runs come to.
#[derive(Default)]
struct Total {
    runs: u64,
    verdicts: u64,
    underived: u64,
    /// Decisions that come out otherwise.
    decisions: u64,
    departures: u64,
    /// Runs of which anything differs.
    differing: u64,
    /// Runs that were erased, which are not among the others.
    erased: u64,
}

struct Replayed<'a> {
    args: &'a Args,
    policies: &'a PolicySet,
    world: &'a World,
    total: Total,
}

impl Replayed<'_> {
    async fn all(&mut self, opened: &Opened) -> anyhow::Result<()> {
        let mut after = Vec::new();
        loop {
            let page = opened.checkpoints.raw_runs(&after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.run_id);
            for row in page {
                self.run(opened, RunId(uuid::Uuid::from_slice(&row.run_id)?)).await?;
            }
        }
    }

    async fn run(&mut self, opened: &Opened, run: RunId) -> anyhow::Result<()> {
        let records = opened.journal.read_run(run).await;
        let records = records.map_err(|error| Complaint::no(error.to_string()).with_hint_of())?;
        if records.is_empty() {
            let hint = "`genie runs list` shows the runs that there are";
            return Err(Complaint::usage(format!("there is no run `{run}`")).hint(hint).into());
        }
        if records.iter().any(|record| record.entry.is_erased()) {
            self.total.erased += 1;
            return self.erased(run);
        }
        let report = replay::check(&records, self.policies, self.world);
        let total = &mut self.total;
        total.runs += 1;
        total.verdicts += report.verdicts;
        total.underived += report.underived.len() as u64;
        let decisions = report.differences.iter().filter(|difference| difference.is_of_decision());
        total.decisions += decisions.count() as u64;
        total.departures += report.departures.len() as u64;
        let differs = differs(&report);
        total.differing += u64::from(differs);
        if self.args.json {
            let mut json = serde_json::to_value(&report)?;
            json["same_set"] = report.same_set().into();
            json["same_all"] = (!differs).into();
            return stdout::write(format!("{json}\n").as_bytes());
        }
        if self.args.all && !differs {
            return Ok(());
        }
        stdout::write(as_text(&report, self.args).as_bytes())
    }

    /// What was erased neither agrees nor differs.
    fn erased(&self, run: RunId) -> anyhow::Result<()> {
        if self.args.json {
            let json = serde_json::json!({ "run_id": run, "erased": true });
            return stdout::write(format!("{json}\n").as_bytes());
        }
        if self.args.all {
            return Ok(());
        }
        stdout::write(format!("run {run}: erased, so that nothing can be derived\n").as_bytes())
    }
}

/// Whether anything is otherwise: under the set of then, anything at all; under another one, what
/// is decided.
fn differs(report: &Report) -> bool {
    let differences = &report.differences;
    let differs = if report.same_set() {
        !differences.is_empty()
    } else {
        differences.iter().any(Difference::is_of_decision)
    };
    differs || !report.departures.is_empty()
}

fn as_text(report: &Report, args: &Args) -> String {
    let run = report.run_id.map_or_else(String::new, |run| run.to_string());
    let mut text = format!(
        "run {run}: {}, {} records, {} messages, {} verdicts\n",
        report.status, report.records, report.messages, report.verdicts
    );
    let mut line = |said: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{said}");
    };
    line(match report.departures.as_slice() {
        [] => format!("all {} records follow from what is before them", report.records),
        departures => {
            format!("{} records do not follow from what is before them:", departures.len())
        }
    });
    for departure in &report.departures {
        line(format!("  record {} {}", departure.number, departure.problem));
    }
    let derived = report.verdicts - report.underived.len() as u64;
    let set_now = &report.set_now;
    if report.same_set() {
        line(format!(
            "{} of {derived} verdicts come out the same (policy set {set_now})",
            report.same
        ));
    } else {
        let then = report.sets_then.join(", ");
        line(format!("judged by policy set {set_now}; in force then was {then}"));
        if args.policies.is_none() {
            line("only the program and rules of then can derive those verdicts exactly".to_owned());
        }
        line(format!("{} of {derived} verdicts come out the same", report.same));
    }
    if !report.underived.is_empty() {
        line(format!("{} cannot be derived again:", report.underived.len()));
        for verdict in &report.underived {
            line(format!("  record {} {}: {}", verdict.number, verdict.kind, verdict.reason));
        }
    }
    text.push_str(&differences(report, args));
    text
}

/// What comes out otherwise, decision by decision.
fn differences(report: &Report, args: &Args) -> String {
    let mut text = String::new();
    for decision in [Decision::Deny, Decision::RequireApproval, Decision::Redact, Decision::Allow] {
        let now = |difference: &&Difference| {
            difference.is_of_decision() && difference.now.decision == decision
        };
        let found: Vec<&Difference> = report.differences.iter().filter(now).collect();
        let (count, word) = (found.len(), word(decision));
        if count == 0 {
            continue;
        }
        let these = match count {
            1 => "this past message".to_owned(),
            _ => format!("these {count} past messages"),
        };
        let _ = writeln!(text, "{these} would now be {word}:");
        for difference in found {
            text.push_str(&described(difference));
        }
    }
    let worded = report.differences.iter().filter(|difference| !difference.is_of_decision());
    let worded: Vec<&Difference> = worded.collect();
    if !worded.is_empty() {
        let _ = writeln!(
            text,
            "{} verdicts decide the same for another reason or by another version{}",
            worded.len(),
            if args.all { "" } else { ":" }
        );
        if !args.all {
            for difference in worded {
                text.push_str(&described(difference));
            }
        }
    }
    text
}

fn described(difference: &Difference) -> String {
    let Difference { number, message_id, from, to, kind, then, now, redacted, .. } = difference;
    let left = if *redacted { " (judged by what its redaction has left)" } else { "" };
    format!(
        "  record {number} {kind}, {from} → {to}, message {message_id}{left}\n    then: {}\n    \
         now:  {}\n",
        verdict(then),
        verdict(now)
    )
}

fn verdict(verdict: &Verdict) -> String {
    let Verdict { decision, policy, policy_version, reason, .. } = verdict;
    format!("{} by {policy} ({policy_version}): {reason}", word(*decision))
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allowed",
        Decision::Redact => "redacted",
        Decision::RequireApproval => "held for approval",
        Decision::Deny => "denied",
    }
}

impl Total {
    fn as_text(&self) -> String {
        let Self { runs, verdicts, underived, decisions, departures, differing, erased } = self;
        let erased = match erased {
            0 => String::new(),
            erased => format!("; {erased} more were erased"),
        };
        format!(
            "{runs} runs, {verdicts} verdicts: {decisions} come out otherwise, {underived} cannot \
             be derived again; {departures} records do not follow from what is before them; \
             {differing} runs differ{erased}\n"
        )
    }
}
