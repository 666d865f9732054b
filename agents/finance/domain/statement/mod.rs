//! Reading bank statements: bytes in, a ledger and an account of every unusable row out.
//!
//! Owns the order of the steps: size, encoding, header, rows, whole-file date order. A bad row
//! never loses the file, and a file that cannot be used says why and what to do about it. What
//! the rows mean (merchants, categories) is for others.

mod csv;
mod dates;
mod decode;
mod error;
mod header;
pub(crate) mod layout;
mod records;
mod rows;

use std::borrow::Cow;

use super::ledger::Ledger;
use super::money::Currency;

pub use error::StatementError;
pub use layout::{LayoutName, LayoutNameError};

/// Bounds of a parse and the currency of files that name none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseOptions {
    /// Currency of the amounts, unless the file has a currency column; default `INR`.
    pub currency: Currency,
    /// Largest file accepted, in bytes; default 64 MiB.
    pub bytes_max: usize,
    /// Most data rows accepted, usable or not; default 1,000,000.
    pub rows_max: u32,
    /// Longest row accepted, in bytes; a longer one is rejected. Default 64 KiB.
    pub line_len_max: usize,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self {
            currency: Currency::INR,
            bytes_max: 64 * 1024 * 1024,
            rows_max: 1_000_000,
            line_len_max: 64 * 1024,
        }
    }
}

/// The text of a statement, as [`parse`] reads it.
///
/// # Errors
/// Bytes that are no text.
pub fn text(bytes: &[u8]) -> Result<Cow<'_, str>, StatementError> {
    decode::decode(bytes)
}

/// Parses a statement in any of the layouts of [`LayoutName`].
///
/// Accepts UTF-8 with or without a byte order mark, UTF-16 and Windows-1252, and up to 30 lines
/// of the bank's own text before the header. Whether `03/04/2026` is in March or April is decided
/// once for the whole file: by the dates that can be read one way only, else by the layout.
///
/// # Errors
/// If the file as a whole is unusable; rows that are unusable are in the ledger's `rejects`.
pub fn parse(bytes: &[u8], options: &ParseOptions) -> Result<Ledger, StatementError> {
    if bytes.len() > options.bytes_max {
        let (bytes, bytes_max) = (bytes.len(), options.bytes_max);
        return Err(StatementError::TooLarge { bytes, bytes_max });
    }
    let text = decode::decode(bytes)?;
    if text.trim().is_empty() {
        return Err(StatementError::Empty);
    }
    let header = header::find(&text, options)?;
    let default = header.layout.dates.order();
    let pass = rows::read_all(&text, &header, default, options)?;
    let order = pass.evidence.order().unwrap_or(default);
    let ledger = if order == default {
        pass.ledger
    } else {
        rows::read_all(&text, &header, order, options)?.ledger
    };
    match ledger.rejects.first() {
        _ if !ledger.entries.is_empty() => Ok(ledger),
        Some(first) => Err(StatementError::AllRejected {
            count: ledger.rejected_count,
            first: Box::new(first.clone()),
        }),
        None => Err(StatementError::HeaderOnly { line: header.line }),
    }
}

/// Whether a file that begins so, or has just these bytes, may be a statement.
///
/// # Errors
/// If it is something else than text; what it is, and what to do about it.
pub fn sniff(head: &[u8]) -> Result<(), StatementError> {
    decode::decode(head).map(drop)
}

#[cfg(test)]
mod tests;
