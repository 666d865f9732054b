//! Watching one run: every event is printed in the form that was asked for and journaled to a file.

use std::io::Write;

use anyhow::Context;
use genie_core::ids::RunId;
use genie_core::journal::chain::Head;
use genie_core::journal::{self, Entry, Record};
use genie_core::tap::{Event, Tap};

use super::event;
use super::journal_file::JournalFile;
use super::tree::Tree;
use crate::cli::complaint::Complaint;
use crate::cli::stdout;

/// What the last record of a run says.
pub(super) struct End {
    /// The end of the chain.
    pub(super) head: Head,
    /// How many records the run has.
    pub(super) records: u64,
    /// How many messages it has.
    pub(super) messages: u64,
    /// How long it took.
    pub(super) duration_us: u64,
}

/// What is printed while the run goes on.
pub(super) enum Form {
    /// A tree of messages on standard error.
    Tree(Tree),
    /// JSON lines on standard output.
    Events,
    /// Nothing.
    Nothing,
}

/// Follows the events of the run to its last record.
pub(super) struct Watcher {
    journal: Option<JournalFile>,
    form: Form,
    /// Whoever read the output has gone; the run goes on for its journal.
    closed: bool,
}

impl Watcher {
    pub(super) fn new(journal: Option<JournalFile>, form: Form) -> Self {
        Self { journal, form, closed: false }
    }

    pub(super) async fn watch(&mut self, tap: &mut Tap, run: RunId) -> anyhow::Result<End> {
        loop {
            let event = tap.next().await.map_err(|error| lost(&error))?;
            let event = event.context("the run ended without its last record")?;
            self.show(&event)?;
            let Event::Recorded(record) = event else { continue };
            if let Some(journal) = &mut self.journal {
                journal.write(&record)?;
            }
            if let Some(end) = end_of(&record, run) {
                return Ok(end);
            }
        }
    }

    /// Brings the journal to the disk.
    pub(super) fn close(self) -> anyhow::Result<()> {
        self.journal.map_or(Ok(()), JournalFile::close)
    }

    fn show(&mut self, event: &Event) -> anyhow::Result<()> {
        match &mut self.form {
            // A tree that nobody can see does not keep the answer from whoever asked.
            Form::Tree(tree) if !self.closed => {
                let written = anstream::stderr().write_all(tree.grow(event).as_bytes());
                self.closed = written.is_err();
            }
            Form::Events => {
                if let Some(line) = event::line(event) {
                    stdout::write(format!("{line}\n").as_bytes())?;
                }
            }
            Form::Tree(_) | Form::Nothing => {}
        }
        Ok(())
    }
}

/// The end of the run, if this is its last record.
fn end_of(record: &Record, run: RunId) -> Option<End> {
    match &record.entry {
        Entry::RunEnd { run_id, records, messages, duration_us, .. } if *run_id == run => {
            Some(End {
                head: Head { seq: record.seq, hash: record.hash },
                records: *records,
                messages: *messages,
                duration_us: *duration_us,
            })
        }
        _ => None,
    }
}

fn lost(error: &journal::Error) -> Complaint {
    let hint = "raise `journal_records_max` in the `--config` file";
    Complaint::usage(format!("the run cannot be followed: {error}")).hint(hint)
}
