//! The journal file of a run: records as JSON lines, written while the run goes on.
//!
//! Refuses to replace a file that is not a journal, so that a slip of the hand costs no data.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::Context;
use genie_core::journal::{Record, lines};

use crate::cli::complaint::Complaint;

/// What every journal file begins with.
const BEGINNING: &str = "{\"seq\":1,\"prev_hash\":";

/// A journal file that is being written.
#[derive(Debug)]
pub(super) struct JournalFile {
    name: String,
    out: BufWriter<File>,
}

impl JournalFile {
    /// Begins a journal file, replacing an earlier journal of that name.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        if !may_replace(path).with_context(|| format!("cannot read `{name}`"))? {
            let problem = format!("`{name}` is there already and is not a journal");
            return Err(Complaint::usage(problem).hint("give `--journal` another name").into());
        }
        let file = File::create(path).with_context(|| format!("cannot write `{name}`"))?;
        Ok(Self { name, out: BufWriter::new(file) })
    }

    /// Adds the next record.
    pub(super) fn write(&mut self, record: &Record) -> anyhow::Result<()> {
        lines::write(record, &mut self.out).with_context(|| format!("cannot write `{}`", self.name))
    }

    /// Brings everything to the disk.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        let flushed = self.out.flush();
        flushed.with_context(|| format!("cannot write `{}`", self.name))?;
        // A pipe or a terminal has no disk to wait for.
        let _ = self.out.get_ref().sync_all();
        Ok(())
    }
}

/// Whether there is nothing at `path` yet, or nothing of value, or an earlier journal.
fn may_replace(path: &Path) -> std::io::Result<bool> {
    let metadata = match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        metadata => metadata?,
    };
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(true);
    }
    let mut beginning = Vec::new();
    let start = File::open(path)?.take(BEGINNING.len() as u64);
    BufReader::new(start).read_until(b'\n', &mut beginning)?;
    Ok(beginning == BEGINNING.as_bytes())
}
