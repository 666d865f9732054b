//! The command line: one file per subcommand, each with its arguments and what it does.
//!
//! Data goes to standard output, everything else to standard error.
//! Exit codes: 0 done, 1 the answer is no (denied, failed, does not verify), 2 the request makes no
//! sense.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use genie_core::Agent;

mod run;

/// An actor-based message bus that puts AI agents to work and can answer for what they did.
#[derive(Debug, Parser)]
#[command(name = "genie", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer a question about a bank statement.
    Run(run::Args),
}

/// Parses the arguments of the process and does what they say, with these agents.
#[must_use]
pub fn main(agents: &'static [&'static dyn Agent]) -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Run(args) => run::main(args, agents),
    };
    done.unwrap_or_else(|error| {
        anstream::eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
