//! `genie new`: a skeleton that compiles, is tested and is registered, to write into.
//!
//! Works on a checkout of the source: agents and built-in policies are code, and their registration
//! is a line that a reviewer sees.

mod agent;
mod listing;
mod name;
mod plan;
mod policy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

/// Arguments of `genie new`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write agents/NAME.rs with its test, and register it.
    Agent {
        /// What the agent is called, e.g. `greeter`: its id, its file and its module.
        name: String,
        /// The checkout to write into.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
    /// Write a policy with its tests, and put it into the chain.
    Policy {
        /// What the policy is called, e.g. `large-payment`.
        name: String,
        /// Write a rule without code, with cases that test it, rather than a check in Rust.
        #[arg(long)]
        rule: bool,
        /// The checkout to write into.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
}

pub(crate) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let (plan, next) = match &args.command {
        Command::Agent { name, dir } => agent::plan(name, dir)?,
        Command::Policy { name, rule: false, dir } => policy::plan_check(name, dir)?,
        Command::Policy { name, rule: true, dir } => policy::plan_rule(name, dir)?,
    };
    for done in plan.carry_out()? {
        anstream::eprintln!("{done}");
    }
    for command in next {
        anstream::eprintln!("next: {command}");
    }
    Ok(ExitCode::SUCCESS)
}
