//! Standard output: data for whoever reads it, written whole or not at all.
//!
//! What is said to the user, rather than given to the next program, goes to standard error.

use std::io::{self, Write};

use anyhow::Context;
use comfy_table::{Table, presets};

/// Writes bytes as they are.
///
/// A reader that has gone, as `head` does, has what it wanted: that is not an error.
///
/// # Errors
/// If standard output cannot be written, e.g. because the disk is full.
pub(crate) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// Writes text, in colour only on a terminal that wants it.
pub(crate) fn write_styled(text: &str) -> anyhow::Result<()> {
    let choice = anstream::AutoStream::choice(&io::stdout());
    let mut bytes = anstream::AutoStream::new(Vec::new(), choice);
    bytes.write_all(text.as_bytes()).context("cannot lay out the text")?;
    write(&bytes.into_inner())
}

/// Writes a value as indented JSON with a line end.
pub(crate) fn write_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value).context("cannot write the JSON")?;
    text.push('\n');
    write(text.as_bytes())
}

/// A table without lines or colours, readable by people and by `awk`.
pub(crate) fn table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.map(str::to_uppercase));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Writes a table.
pub(crate) fn write_table(table: &Table) -> anyhow::Result<()> {
    let mut text = table.trim_fmt();
    text.push('\n');
    write(text.as_bytes())
}
