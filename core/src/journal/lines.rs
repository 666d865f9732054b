//! The journal as a file: one JSON object a line, in the order of the chain.
//!
//! A line is `{"seq":N,"prev_hash":"…","hash":"…","body":{…}}` without spaces; the text of `body`
//! is exactly what was hashed.
//!
//! A file may leave out records of other runs, or go over to another chain: then a line
//! `{"after":{"chain":N,"seq":N,"hash":"…"}}` names the record that the next one follows.

use std::io::{self, Write};

use serde_json::value::RawValue;

use super::chain::{Hash, Head};
use super::record::Record;
use super::restore::Row;

/// Writes one record as a line.
pub fn write(record: &Record, out: &mut impl Write) -> io::Result<()> {
    let Record { seq, prev_hash, hash, .. } = record;
    let body = record.text()?;
    writeln!(
        out,
        "{{\"seq\":{seq},\"prev_hash\":\"{prev_hash}\",\"hash\":\"{hash}\",\"body\":{body}}}"
    )
}

/// Writes a record as a store keeps it.
pub fn write_row(row: &Row, out: &mut impl Write) -> io::Result<()> {
    let Row { seq, prev_hash, hash, body, .. } = row;
    writeln!(
        out,
        "{{\"seq\":{seq},\"prev_hash\":\"{prev_hash}\",\"hash\":\"{hash}\",\"body\":{body}}}"
    )
}

/// Writes that the next record follows this one of a chain, which is left out.
pub fn write_after(chain: i64, head: Head, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", render_after(chain, head))
}

/// The text that a line which names the record before must have.
pub(crate) fn render_after(chain: i64, Head { seq, hash }: Head) -> String {
    format!("{{\"after\":{{\"chain\":{chain},\"seq\":{seq},\"hash\":\"{hash}\"}}}}")
}

/// The text that a line with these fields must have.
pub(crate) fn render(seq: u64, prev_hash: Hash, hash: Hash, body: &RawValue) -> String {
    format!(
        "{{\"seq\":{seq},\"prev_hash\":\"{prev_hash}\",\"hash\":\"{hash}\",\"body\":{}}}",
        body.get()
    )
}
