//! The journal as a file: one JSON object a line, in the order of the chain.
//!
//! A line is `{"seq":N,"prev_hash":"…","hash":"…","body":{…}}` without spaces; the text of `body`
//! is exactly what was hashed.
//!
//! A record that was erased has `"erased":{"run_id":"…","kind":"…","body_sha256":"…"}` for `body`.
//!
//! A file may leave out records of other runs, or go over to another chain: then a line
//! `{"after":{"chain":N,"seq":N,"hash":"…"}}` names the record that the next one follows.

use std::io::{self, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::chain::{Hash, Head};
use super::record::{Entry, Record};
use super::restore::{Kept, Row};
use crate::ids::RunId;

/// Writes one record as a line.
pub fn write(record: &Record, out: &mut impl Write) -> io::Result<()> {
    let Record { seq, prev_hash, hash, .. } = record;
    if let Entry::Erased { run_id, kind, body_sha256 } = &record.entry {
        let erased = Erased { run_id: *run_id, kind: kind.clone(), body_sha256: *body_sha256 };
        return writeln!(out, "{}", render_erased(*seq, *prev_hash, *hash, &erased)?);
    }
    let body = record.text()?;
    writeln!(
        out,
        "{{\"seq\":{seq},\"prev_hash\":\"{prev_hash}\",\"hash\":\"{hash}\",\"body\":{body}}}"
    )
}

/// Writes a record as a store keeps it.
pub fn write_row(row: &Row, out: &mut impl Write) -> io::Result<()> {
    let Row { seq, prev_hash, hash, body, .. } = row;
    match body {
        Kept::Text(body) => writeln!(
            out,
            "{{\"seq\":{seq},\"prev_hash\":\"{prev_hash}\",\"hash\":\"{hash}\",\"body\":{body}}}"
        ),
        Kept::Erased { run_id, kind, body_sha256 } => {
            let erased = Erased { run_id: *run_id, kind: kind.clone(), body_sha256: *body_sha256 };
            writeln!(out, "{}", render_erased(*seq, *prev_hash, *hash, &erased)?)
        }
        Kept::Broken(problem) => Err(io::Error::other(format!("record {seq} {problem}"))),
    }
}

/// What a line has in place of a text that was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Erased {
    pub(crate) run_id: RunId,
    pub(crate) kind: Arc<str>,
    pub(crate) body_sha256: Hash,
}

/// The text that a line of an erased record must have.
pub(crate) fn render_erased(
    seq: u64,
    prev_hash: Hash,
    hash: Hash,
    erased: &Erased,
) -> Result<String, serde_json::Error> {
    let erased = serde_json::to_string(erased)?;
    Ok(format!(
        "{{\"seq\":{seq},\"prev_hash\":\"{prev_hash}\",\"hash\":\"{hash}\",\"erased\":{erased}}}"
    ))
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
