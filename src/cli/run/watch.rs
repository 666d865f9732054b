//! Watching runs: every event is printed in the form that was asked for and journaled to a file.

use std::io::Write;

use anyhow::Context;
use genie_core::approval::ApprovalId;
use genie_core::clock::Timestamp;
use genie_core::ids::RunId;
use genie_core::journal::chain::Head;
use genie_core::journal::{self, Entry, Record};
use genie_core::tap::{Event, Tap};

use super::event::Told;
use super::journal_file::JournalFile;
use super::trees::Trees;
use crate::cli::complaint::Complaint;
use crate::cli::stdout;

/// What the last record of a run says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// The end of the chain.
    pub(crate) head: Head,
    /// How many records the run has.
    pub(crate) records: u64,
    /// How many messages it has.
    pub(crate) messages: u64,
    /// How long it took.
    pub(crate) duration_us: u64,
}

/// Why a run does not go on by itself.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// When it goes on without a decision.
    pub(crate) wake_at: Timestamp,
    /// The approvals that it waits for.
    pub(crate) approvals: Vec<ApprovalId>,
}

/// Where a run has come to a halt.
#[derive(Debug, Clone)]
pub(crate) enum Stop {
    /// At its end.
    Ended(End),
    /// At what a human must decide.
    Waiting(Waiting),
}

impl Stop {
    /// What the record says, if it is where a run halts.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        match &record.entry {
            Entry::RunEnd { records, messages, duration_us, .. } => Some(Self::Ended(End {
                head: Head { seq: record.seq, hash: record.hash },
                records: *records,
                messages: *messages,
                duration_us: *duration_us,
            })),
            // For a time alone, a run waits by itself.
            Entry::RunWaiting { wake_at, approvals, .. } if !approvals.is_empty() => {
                Some(Self::Waiting(Waiting { wake_at: *wake_at, approvals: approvals.clone() }))
            }
            _ => None,
        }
    }
}

/// What is printed while runs go on.
pub(crate) enum Form {
    /// Trees of messages on standard error.
    Tree(Trees),
    /// JSON lines on standard output.
    Events,
    /// Nothing.
    Nothing,
}

/// Prints events.
pub(crate) struct Screen {
    form: Form,
    /// Whoever read the output has gone; the run goes on for its journal.
    closed: bool,
}

impl Screen {
    pub(crate) fn new(form: Form) -> Self {
        Self { form, closed: false }
    }

    /// What people are told between the events.
    pub(crate) fn tell(&self, text: &str) {
        if matches!(self.form, Form::Tree(_)) {
            // That nobody can see it does not keep the run from going on.
            let _ = anstream::stderr().write_all(text.as_bytes());
        }
    }

    /// Takes note of the records of a run that happened before.
    pub(crate) fn recall<'e>(&mut self, entries: impl IntoIterator<Item = &'e Entry>) {
        if let Form::Tree(trees) = &mut self.form {
            trees.recall(entries);
        }
    }

    /// Whether it would help to be told what happened before.
    pub(crate) fn lacks(&self, run: RunId) -> bool {
        matches!(&self.form, Form::Tree(trees) if !trees.knows(run))
    }

    pub(crate) fn show(&mut self, told: Told<'_>) -> anyhow::Result<()> {
        match &mut self.form {
            // A tree that nobody can see does not keep the answer from whoever asked.
            Form::Tree(trees) if !self.closed => {
                let written = anstream::stderr().write_all(trees.grow(told).as_bytes());
                self.closed = written.is_err();
            }
            Form::Events => {
                if let Some(line) = told.line() {
                    stdout::write(format!("{line}\n").as_bytes())?;
                }
            }
            Form::Tree(_) | Form::Nothing => {}
        }
        Ok(())
    }
}

/// Follows the events of one run to where it halts.
pub(crate) struct Watcher {
    journal: Option<JournalFile>,
    screen: Screen,
}

impl Watcher {
    pub(super) fn new(journal: Option<JournalFile>, form: Form) -> Self {
        Self { journal, screen: Screen::new(form) }
    }

    pub(crate) async fn watch(&mut self, tap: &mut Tap, run: RunId) -> anyhow::Result<Stop> {
        loop {
            let event = tap.next().await.map_err(|error| lost(&error))?;
            let event = event.context("the run ended without its last record")?;
            // Another run may be taken up at the same time.
            if event.run_id() == run {
                self.screen.show(Told::Here(&event))?;
            }
            let Event::Recorded(record) = event else { continue };
            if let Some(journal) = &mut self.journal {
                journal.write(&record)?;
            }
            if let Some(stop) = Stop::of(&record).filter(|_| record.entry.run_id() == run) {
                return Ok(stop);
            }
        }
    }

    /// Brings the journal to the disk.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        self.journal.map_or(Ok(()), JournalFile::close)
    }
}

pub(crate) fn lost(error: &journal::Error) -> Complaint {
    let hint = "raise `journal_records_max` in the `--config` file";
    Complaint::usage(format!("the run cannot be followed: {error}")).hint(hint)
}
