//! `genie ask --demo`: a payment that waits for a human, and one whose process is killed in it.

use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use genie_agents::demo::{self, messages::Requested};
use genie_core::{Agent, tool::Effects};

use super::{Args, Job, conduct, crash, present};
use crate::app::Bank;
use crate::cli::complaint::Complaint;
use crate::cli::stored;
use crate::config::{Config, duration};

/// What to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Demo {
    /// A payment of ₹25,000.00, which policy lets nobody make without a human's approval.
    Approval,
    /// A payment of ₹2,500.00, whose process is killed after the bank has booked it and before
    /// that is on record; another goes on with it.
    Crash,
}

/// Arguments of the demos.
#[derive(Debug, clap::Args)]
pub(crate) struct Payment {
    /// Whether the bank of the demo books every order, or each idempotency key once.
    #[arg(long, value_name = "EFFECTS", default_value = "once", requires = "demo")]
    effects: BankEffects,
    /// How long the payer thinks first.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, hide = true)]
    delay: Option<Duration>,
    /// Have the bank book and never answer; prints the id of the run first.
    #[arg(long, hide = true)]
    silent_bank: bool,
}

/// What a repetition does at the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BankEffects {
    /// It pays again.
    Once,
    /// The bank books each key once.
    Idempotent,
}

pub(super) fn main(
    demo: Demo,
    args: &Args,
    config: &Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    if config.storage.location().is_none() {
        let problem = "a demo shows what outlives a process, and memory does not";
        return Err(Complaint::usage(problem).hint("leave `--memory` out").into());
    }
    if demo == Demo::Crash && !args.payment.silent_bank {
        return crash::main(args, config, agents);
    }
    let bank = if args.payment.silent_bank { Bank::FallsSilent } else { Bank::Answers };
    let request = request(demo, &args.payment);
    let tell_run = args.payment.silent_bank;
    let job = Job { ask: demo::ask(&request), bank, journal: None, tell_run };
    let finished = stored::block_on(conduct(args, config.clone(), agents, job))?;
    present(args, config, "the demo", &finished)
}

/// What the payer is asked.
fn request(demo: Demo, args: &Payment) -> Requested {
    let (amount_minor, reason) = match demo {
        Demo::Approval => (2_500_000, "invoice 2041"),
        Demo::Crash => (250_000, "invoice 2042"),
    };
    Requested {
        payee: "Asha Traders".to_owned(),
        amount_minor,
        reason: reason.to_owned(),
        effects: match args.effects {
            BankEffects::Once => Effects::Once,
            BankEffects::Idempotent => Effects::Idempotent,
        },
        delay_ms: args.delay.map_or(0, |delay| u64::try_from(delay.as_millis()).unwrap_or(0)),
    }
}
