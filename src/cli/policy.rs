//! `genie policy`: looks at the rules before they are in force, and asks them about one message.
//!
//! Owns arguments, files and words; what the reports hold is decided in the policies.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use genie_core::Agent;
use genie_core::message::USER;
use genie_core::policy::{Decision, Policy, Requirement};
use genie_core::registry::Registry;
use genie_core::spec::KindSpec;
use genie_core::specimen::Specimen;
use genie_core::tool::{ToolCall, ToolResult};
use genie_policies::report::{CheckReport, Explanation, TestReport};
use genie_policies::rules::RuleFile;
use genie_policies::{LoadError, Problem, Source, Surroundings, source};
use serde::Serialize;

use super::complaint::{self, Complaint};
use super::run::tree::duration;
use super::{stdout, words};
use crate::config::Config;

/// Largest message or rule file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1_024 * 1_024;

/// Arguments of `genie policy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find what is wrong with rules, with file and line.
    ///
    /// Exits with 1 if anything is.
    Check {
        /// Files of rules, or folders of them; without any, the rules in force.
        paths: Vec<PathBuf>,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run the cases of rules: messages with the decision that they must get.
    ///
    /// Exits with 1 if a case comes out otherwise.
    Test {
        /// A folder with `rules/` and `cases/`; without one, what is in force.
        dir: Option<PathBuf>,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what each policy thinks of one message.
    ///
    /// Exits with 1 if the message is denied.
    Explain {
        /// A file with the message as JSON, or `-` for standard input, e.g.
        /// {"kind":"audit.request","to":"auditor","principal":{"tenant":"acme","subject":"asha"}}.
        message: PathBuf,
        /// A folder of rules to ask in place of those in force.
        #[arg(long, value_name = "DIR")]
        policies: Option<PathBuf>,
        /// Print the explanation as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the policies in the order in which they are asked.
    List {
        /// A folder of rules in place of those in force.
        dir: Option<PathBuf>,
        /// Print the list as JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn main(
    args: &Args,
    config: &Config,
    agents: &[&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    let in_force = |dir: &Option<PathBuf>| load(dir.as_deref().or(config.policies.as_deref()));
    let good = match &args.command {
        Command::Check { paths, json } if paths.is_empty() => check(&in_force(&None)?, *json)?,
        Command::Check { paths, json } => check(&load_all(paths)?, *json)?,
        Command::Test { dir, json } => test(&in_force(dir)?, *json)?,
        Command::Explain { message, policies, json } => {
            let specimen = read_message(message)?;
            let surroundings = surroundings(&specimen, config, agents)?;
            let set = in_force(policies)?.policy_set()?;
            let explanation = genie_policies::explain(&set, &specimen, &surroundings)?;
            write_explanation(&explanation, *json)?;
            explanation.decision != Decision::Deny
        }
        Command::List { dir, json } => list(&in_force(dir)?, *json)?,
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(complaint::NO) })
}

/// The rules and cases of a folder, or those that are compiled in.
fn load(dir: Option<&Path>) -> Result<Source, LoadError> {
    dir.map_or_else(|| Ok(Source::embedded()), Source::load_dir)
}

/// The rules and cases of all these files and folders together.
fn load_all(paths: &[PathBuf]) -> anyhow::Result<Source> {
    let mut all = Source { rules: Vec::new(), cases: Vec::new() };
    for path in paths {
        if path.is_dir() {
            let source = Source::load_dir(path)?;
            all.rules.extend(source.rules);
            all.cases.extend(source.cases);
        } else {
            all.rules.push(source::File { name: path.display().to_string(), text: read(path)? });
        }
    }
    Ok(all)
}

fn check(source: &Source, json: bool) -> anyhow::Result<bool> {
    let report = genie_policies::check(source);
    if json {
        stdout::write_json(&report)?;
    } else if report.is_sound() {
        write_rules(&report)?;
        warn_of_untested(&report.untested);
    } else {
        write_problems(&report.problems)?;
        anstream::eprintln!("{} found", counted(report.problems.len(), "problem"));
    }
    Ok(report.is_sound())
}

fn write_rules(report: &CheckReport) -> anyhow::Result<()> {
    let mut table = stdout::table(["rule", "decision", "kinds", "where"]);
    for file in &report.files {
        for rule in &file.rules {
            let kinds = if rule.kinds.is_empty() { "all".into() } else { rule.kinds.join(" ") };
            let place = format!("{}:{}", file.file, rule.line);
            table.add_row([rule.id.clone(), word(rule.decision), kinds, place]);
        }
    }
    stdout::write_table(&table)
}

fn test(source: &Source, json: bool) -> anyhow::Result<bool> {
    let report = genie_policies::test(source);
    if json {
        stdout::write_json(&report)?;
        return Ok(report.passed());
    }
    write_problems(&report.problems)?;
    write_cases(&report)?;
    warn_of_untested(&report.untested);
    let failed = report.cases.iter().filter(|case| !case.passed).count();
    let passed = report.cases.len() - failed;
    anstream::eprintln!("{} passed, {failed} failed", counted(passed, "case"));
    Ok(report.passed())
}

fn write_cases(report: &TestReport) -> anyhow::Result<()> {
    if report.cases.is_empty() {
        return Ok(());
    }
    let mut table = stdout::table(["result", "policy", "case", "expected", "decided", "where"]);
    for case in &report.cases {
        table.add_row([
            if case.passed { "pass" } else { "FAIL" }.to_owned(),
            case.rule.clone(),
            case.name.clone(),
            word(case.expected),
            word(case.actual),
            format!("{}:{}", case.file, case.line),
        ]);
    }
    stdout::write_table(&table)
}

fn write_problems(problems: &[Problem]) -> anyhow::Result<()> {
    for problem in problems {
        stdout::write(format!("{problem}\n").as_bytes())?;
    }
    Ok(())
}

fn warn_of_untested(rules: &[String]) {
    for rule in rules {
        anstream::eprintln!("warning: no case tests the rule `{rule}`");
    }
}

fn write_explanation(explanation: &Explanation, json: bool) -> anyhow::Result<()> {
    if json {
        return stdout::write_json(explanation);
    }
    let Explanation { decision, policy, policy_version, reason, .. } = explanation;
    let needs =
        explanation.approval.as_ref().map(|approval| format!("needs {}\n", needs(approval)));
    let needs = needs.unwrap_or_default();
    let verdict = format!("{} by {policy} {policy_version}: {reason}\n{needs}\n", word(*decision));
    stdout::write(verdict.as_bytes())?;
    let mut table = stdout::table(["policy", "version", "decision", "reason"]);
    for step in &explanation.steps {
        table.add_row([&step.policy, &step.version, &word(step.decision), &step.reason]);
    }
    stdout::write_table(&table)
}

#[derive(Serialize)]
struct Listed<'s> {
    policy: &'s str,
    version: &'s str,
    description: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<&'s Requirement>,
}

fn list(source: &Source, json: bool) -> anyhow::Result<bool> {
    let set = source.policy_set()?;
    let listed = set.list();
    let files = source.rule_files().map_err(LoadError::Unsound)?;
    let rules: Vec<_> = files.iter().flat_map(RuleFile::rules).collect();
    let approval = |policy: &str| rules.iter().find(|rule| rule.id() == policy)?.requirement();
    let listed = listed.map(|(policy, version, description, _)| {
        let approval = approval(policy);
        Listed { policy, version, description, approval }
    });
    if json {
        stdout::write_json(&listed.collect::<Vec<_>>())?;
        return Ok(true);
    }
    let mut table = stdout::table(["policy", "version", "what it is for"]);
    for one in listed {
        let needs = one.approval.map(|approval| format!(" It takes {}.", needs(approval)));
        let purpose = one.description.to_owned() + &needs.unwrap_or_default();
        table.add_row([one.policy, one.version, &purpose]);
    }
    stdout::write_table(&table)?;
    Ok(true)
}

/// What the kernel would know of the recipient and the kind of the message.
fn surroundings(
    specimen: &Specimen,
    config: &Config,
    agents: &[&'static dyn Agent],
) -> anyhow::Result<Surroundings> {
    let registry = Registry::new(agents)?;
    let mut surroundings = Surroundings::among(specimen, registry.specs());
    surroundings.home_region.clone_from(&config.home_region);
    surroundings.limits = config.limits;
    // The kernel declares the kinds of tool calls itself.
    for kind in [KindSpec::of::<ToolCall>(), KindSpec::of::<ToolResult>()] {
        if kind.name() == specimen.kind {
            surroundings.kind.get_or_insert(kind);
        }
    }
    if specimen.to == USER {
        surroundings.recipient.clearance = config.user_clearance.clone();
    } else if registry.recipient(&specimen.to).is_none() {
        anstream::eprintln!(
            "note: no agent is called `{}`; it is taken to have the default clearance",
            specimen.to
        );
    }
    Ok(surroundings)
}

fn read_message(path: &Path) -> anyhow::Result<Specimen> {
    let text = read(path)?;
    let problem = |error| format!("`{}` is not a message: {error}", path.display());
    serde_json::from_str(&text).map_err(|error| {
        let hint = "give at least the kind and the recipient: {\"kind\":\"…\",\"to\":\"…\"}";
        Complaint::usage(problem(error)).hint(hint).into()
    })
}

/// The text of a file, or of standard input if the path is `-`.
fn read(path: &Path) -> anyhow::Result<String> {
    let cannot = || format!("cannot read `{}`", path.display());
    let mut text = String::new();
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).with_context(cannot)?)
    };
    reader.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).with_context(cannot)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        let problem = format!("`{}` has more than {FILE_BYTES_MAX} bytes", path.display());
        return Err(Complaint::usage(problem).into());
    }
    Ok(text)
}

/// What an approval needs: `2 treasurers within 24 h, but not whoever asked`.
fn needs(approval: &Requirement) -> String {
    let (who, within) = (words::people(approval), duration(approval.expires_ms * 1_000));
    let not = if approval.requester_may { "" } else { ", but not whoever asked" };
    format!("{who} within {within}{not}")
}

/// The word for a decision, as rules and cases write it.
fn word(decision: Decision) -> String {
    match decision {
        Decision::Allow => "allow",
        Decision::Redact => "redact",
        Decision::RequireApproval => "require_approval",
        Decision::Deny => "deny",
    }
    .to_owned()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
