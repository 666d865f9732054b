//! `genie run`: answers a question about a bank statement.

use std::process::ExitCode;

use genie_core::Agent;

/// Arguments of `genie run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The question.
    question: Option<String>,
}

pub(crate) fn main(_args: Args, _agents: &'static [&'static dyn Agent]) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
