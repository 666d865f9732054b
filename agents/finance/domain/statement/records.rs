//! The rows of a CSV text with the line each one begins at.
//!
//! Owns line numbers, the bound on a row's length and the recovery from a quote that is never
//! closed, which would otherwise swallow the rest of the file. It knows no columns.

use super::csv::{Reader, Record};
use super::error::StatementError;
use super::header::Header;

/// Most lines of one row, counting those inside its quoted fields.
const ROW_LINES_MAX: u32 = 20;
/// How often a text is read again from the line after an unclosed quote.
const RESTARTS_MAX: u32 = 1_000;
/// How many times the length of the text may be read again in all.
const REREAD_FACTOR_MAX: usize = 4;

/// What comes next in the text.
pub(super) enum Next {
    /// No more rows.
    End,
    /// A row is in the record; it begins at this line.
    Row(u32),
    /// The row that begins at this line is longer than the limit.
    TooLong(u32),
    /// A quote opened at this line is not closed in the same row.
    Unclosed(u32),
}

/// Reads one row after the other.
pub(super) struct Records<'t> {
    text: &'t str,
    reader: Reader<'t>,
    delimiter: u8,
    width: usize,
    line_len_max: usize,
    lines: Lines,
    restarts: u32,
    reread_bytes: usize,
    /// Whether the row read last was unusable and may have left the record large.
    oversized: bool,
}

/// Counts lines up to a position that only moves forward.
struct Lines {
    newline: u8,
    at: usize,
    line: u32,
}

impl Lines {
    fn line_at(&mut self, text: &str, at: usize) -> u32 {
        let passed = text.as_bytes().get(self.at..at).unwrap_or_default();
        self.line = self.line.saturating_add(count(passed, self.newline));
        self.at = self.at.max(at);
        self.line
    }
}

fn count(bytes: &[u8], wanted: u8) -> u32 {
    bytes.iter().fold(0, |count: u32, byte| count.saturating_add(u32::from(*byte == wanted)))
}

/// What ends a line: `\n`, or `\r` in files of the classic Mac, which have no `\n`.
fn newline(text: &str) -> u8 {
    if text.as_bytes().contains(&b'\n') { b'\n' } else { b'\r' }
}

/// The length of the first line with its end.
pub(super) fn line_end(text: &str) -> usize {
    let newline = newline(text);
    text.bytes().position(|byte| byte == newline).map_or(text.len(), |at| at + 1)
}

impl<'t> Records<'t> {
    /// The rows of the text behind its header.
    pub(super) fn new(text: &'t str, header: &Header, line_len_max: usize) -> Self {
        let lines = Lines {
            newline: newline(text),
            at: header.rows_at,
            line: header.line.saturating_add(1),
        };
        Self {
            text,
            reader: Reader::new(text, header.rows_at, header.delimiter),
            delimiter: header.delimiter,
            width: header.names.len(),
            line_len_max,
            lines,
            restarts: 0,
            reread_bytes: 0,
            oversized: false,
        }
    }

    /// Reads the next row into the record.
    pub(super) fn next(&mut self, record: &mut Record) -> Result<Next, StatementError> {
        if std::mem::take(&mut self.oversized) {
            *record = Record::default();
        }
        let from = self.reader.at();
        if !self.reader.read(record) {
            return Ok(Next::End);
        }
        let (start, end) = self.span(from);
        let line = self.lines.line_at(self.text, start);
        let raw = self.text.get(start..end).unwrap_or_default();
        let first_line_len = line_end_by(raw, self.lines.newline);
        let too_long = raw.len() > self.line_len_max;
        if !too_long && (first_line_len == raw.len() || self.is_well_quoted(raw, record)) {
            return Ok(Next::Row(line));
        }
        self.oversized = true;
        if first_line_len == raw.len() {
            return Ok(Next::TooLong(line));
        }
        self.restart(start + first_line_len + 1, end, line)?;
        Ok(Next::Unclosed(line))
    }

    /// Where the row that was read from `from` on begins and ends in the text, without blank lines
    /// and line ends around it.
    fn span(&self, from: usize) -> (usize, usize) {
        let end = self.reader.at();
        let raw = self.text.as_bytes().get(from..end).unwrap_or_default();
        let is_end = |byte: &&u8| matches!(**byte, b'\r' | b'\n');
        let leading = raw.iter().take_while(is_end).count();
        let trailing = raw.iter().rev().take_while(is_end).count();
        (from + leading, end.saturating_sub(trailing).max(from + leading))
    }

    /// Whether a row of several lines is meant to be one.
    ///
    /// It is not if a quote opened by mistake was closed by the first quote of a later row: then
    /// something else than the end of a field follows, or the number of columns is another.
    fn is_well_quoted(&self, raw: &str, record: &Record) -> bool {
        let lines = count(raw.as_bytes(), self.lines.newline);
        if record.len() != self.width || lines >= ROW_LINES_MAX {
            return false;
        }
        let ends_field =
            |byte: Option<u8>| byte.is_none_or(|b| b == self.delimiter || b == b'\r' || b == b'\n');
        let mut bytes = raw.bytes().peekable();
        let (mut in_quotes, mut at_field_start) = (false, true);
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' if in_quotes => {
                    in_quotes = bytes.next_if_eq(&b'"').is_some();
                    if !in_quotes && !ends_field(bytes.peek().copied()) {
                        return false;
                    }
                }
                b'"' if at_field_start => in_quotes = true,
                _ => {}
            }
            at_field_start = !in_quotes && byte == self.delimiter;
        }
        !in_quotes
    }

    fn restart(&mut self, at: usize, read_to: usize, line: u32) -> Result<(), StatementError> {
        self.restarts += 1;
        self.reread_bytes = self.reread_bytes.saturating_add(read_to.saturating_sub(at));
        let reread_max = self.text.len().saturating_mul(REREAD_FACTOR_MAX);
        if self.restarts > RESTARTS_MAX || self.reread_bytes > reread_max {
            return Err(StatementError::UnclosedQuotes { line });
        }
        self.reader = Reader::new(self.text, at, self.delimiter);
        Ok(())
    }
}

fn line_end_by(text: &str, newline: u8) -> usize {
    text.bytes().position(|byte| byte == newline).unwrap_or(text.len())
}
