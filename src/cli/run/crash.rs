//! `genie ask --demo crash`: kills a process in the middle of a payment and goes on with its run.
//!
//! The process is another one of this program, and the kill is a real one; what is shown after it
//! is read from the disk.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::builder::styling::Style;
use genie_core::Agent;
use genie_core::ids::RunId;
use uuid::Uuid;

use super::watch::Screen;
use super::{Args, Ending, Finished, form_of, parked, present};
use crate::cli::complaint::Complaint;
use crate::cli::follow::{Follower, Halt};
use crate::cli::story::Story;
use crate::cli::{stored, words};
use crate::config::Config;
use crate::storage::Storage;

/// Longest wait for the bank to book.
const BOOKED_WAIT: Duration = Duration::from_secs(15);
/// How often the bank's ledger is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Longest wait for the run to go on: a dead process's lease on PostgreSQL has to end first.
const RESUME_WAIT: Duration = Duration::from_secs(30);

const PHASE: Style = Style::new().bold();

pub(super) fn main(
    args: &Args,
    config: &Config,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    let screen = Screen::new(form_of(args));
    let ledger = config.storage.payments();
    screen.tell(&phase("1. A process makes a payment of ₹2,500.00 to Asha Traders."));
    let mut child = begin()?;
    let run = killed_in_the_middle(&mut child, &ledger)?;
    let pid = child.id();
    screen.tell(&format!(
        "{}The bank has booked the payment; the process knows nothing of it yet.\n",
        phase(&format!("2. Process {pid} was killed (SIGKILL)."))
    ));
    let (finished, before) = stored::block_on(go_on(config, agents, run, screen))?;
    if matches!(form_of(args), super::watch::Form::Tree(_)) {
        let booked = bookings(&ledger, run);
        let lines = |count| words::counted(count, "line");
        anstream::eprintln!(
            "{}",
            phase("5. The bank's ledger shows what really happened.").trim_end()
        );
        let place = ledger.display();
        anstream::eprintln!("{place}: {} before, {} now", lines(before), lines(booked));
    }
    present(args, config, "the demo", &finished)
}

/// Starts another process of this program, with a bank that books and never answers.
fn begin() -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).arg("--silent-bank");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().context("cannot start another process of this program")
}

/// Waits until the bank has booked for the run of the process, and kills the process.
fn killed_in_the_middle(child: &mut Child, ledger: &Path) -> anyhow::Result<RunId> {
    let run = first_line(child);
    let deadline = Instant::now() + BOOKED_WAIT;
    let mut booked = false;
    while let Some(run) = run.filter(|_| !booked && Instant::now() < deadline) {
        if child.try_wait()?.is_some() {
            break;
        }
        booked = bookings(ledger, run) > 0;
        std::thread::sleep(LOOK_EVERY);
    }
    let killed = child.kill();
    child.wait().context("cannot wait for the process")?;
    let Some(run) = run.filter(|_| booked) else {
        let problem = "the process ended before the bank had booked";
        let hint = "what it says above is why; `genie runs list` shows its run";
        return Err(Complaint::usage(problem).hint(hint).into());
    };
    killed.map(|()| run).context("cannot kill the process")
}

/// The run that the process tells of.
fn first_line(child: &mut Child) -> Option<RunId> {
    let mut line = String::new();
    BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
    Uuid::try_parse(line.trim()).ok().map(RunId)
}

/// How many lines of the bank's ledger are the run's.
fn bookings(ledger: &Path, run: RunId) -> usize {
    let text = std::fs::read_to_string(ledger).unwrap_or_default();
    let run = format!("\"run_id\":\"{run}\"");
    text.lines().filter(|line| line.contains(&run)).count()
}

/// Shows what is on record of the run, takes it up and follows it to where it halts. Gives how
/// many bookings there were before, too.
async fn go_on(
    config: &Config,
    agents: &'static [&'static dyn Agent],
    run: RunId,
    mut screen: Screen,
) -> anyhow::Result<(Finished, usize)> {
    let store = stored::look(config).await?;
    let records = store.journal.read_run(run).await?;
    stored::close(store).await;
    let story = Story::of_records(&records);
    screen.tell(&phase("3. This is on record."));
    screen.tell(&format!(
        "run {run}: {}, no outcome\n{}",
        words::counted(records.len(), "record"),
        story.effects_text()
    ));
    let before = bookings(&config.storage.payments(), run);

    screen.tell(&phase("4. Another process takes the run up."));
    if let Storage::Database(_) = &config.storage {
        screen.tell("First the lease of the dead one must end, which takes up to 10 s.\n");
    }
    screen.recall(records.iter().map(|record| &record.entry));
    let Some(running) = stored::own(config.clone(), agents).await? else {
        let problem = "another process has taken the runs meanwhile";
        return Err(Complaint::usage(problem)
            .hint("`genie runs show` tells how it goes on")
            .into());
    };
    let seen = records.last().map_or(0, |record| record.number);
    let mut follower = Follower::after(running.system().journal().clone(), run, seen);
    let halt = follower.follow_here(running.kernel(), &mut screen, RESUME_WAIT).await?;
    let ending = match halt {
        Some(Halt::Ended(outcome, end)) => Ending::Ended(outcome.into(), end),
        Some(Halt::Waiting(waiting)) => parked(&running, waiting).await?,
        None => {
            running.drain().await;
            let wait = RESUME_WAIT.as_secs();
            let problem = format!("the run did not go on within {wait} s");
            let hint = format!("try `{}`", crate::cli::waits::command(config, "resume"));
            return Err(Complaint::no(problem).hint(hint).into());
        }
    };
    running.drain().await;
    Ok((Finished { run_id: run, ending }, before))
}

fn phase(text: &str) -> String {
    format!("\n{PHASE}{text}{PHASE:#}\n")
}
