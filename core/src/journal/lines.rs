//! The journal as a file: one JSON object a line, in the order of the chain.
//!
//! A line is `{"seq":N,"prev_hash":"…","hash":"…","body":{…}}` without spaces; the text of `body`
//! is exactly what was hashed.

use std::io::{self, Write};

use serde_json::value::RawValue;

use super::chain::Hash;
use super::record::Record;

/// Writes one record as a line.
pub fn write(record: &Record, out: &mut impl Write) -> io::Result<()> {
    let Record { seq, prev_hash, hash, .. } = record;
    let body = record.text()?;
    writeln!(
        out,
        "{{\"seq\":{seq},\"prev_hash\":\"{prev_hash}\",\"hash\":\"{hash}\",\"body\":{body}}}"
    )
}

/// The text that a line with these fields must have.
pub(crate) fn render(seq: u64, prev_hash: Hash, hash: Hash, body: &RawValue) -> String {
    format!(
        "{{\"seq\":{seq},\"prev_hash\":\"{prev_hash}\",\"hash\":\"{hash}\",\"body\":{}}}",
        body.get()
    )
}
