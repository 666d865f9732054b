//! Rows as the databases give them, turned into the kernel's types.

use genie_core::ids::RunId;
use genie_core::journal::chain::{Hash, Head};
use genie_core::journal::restore::{Kept, Row};
use uuid::Uuid;

use crate::pack::{Broken, Index, Packed, Part};
use crate::sealing::{self, Beside, Error, Sealing};

/// A hash of 32 bytes.
pub(crate) fn hash(bytes: &[u8]) -> Result<Hash, sqlx::Error> {
    let bytes = bytes.try_into().map_err(|_| odd("a hash has not 32 bytes"))?;
    Ok(Hash(bytes))
}

/// The end of a chain.
pub(crate) fn head(seq: i64, bytes: &[u8]) -> Result<Head, sqlx::Error> {
    Ok(Head { seq: seq.cast_unsigned(), hash: hash(bytes)? })
}

/// A run's id of 16 bytes.
pub(crate) fn run_id(bytes: &[u8]) -> Result<RunId, sqlx::Error> {
    Uuid::from_slice(bytes).map(RunId).map_err(|_| odd("the id of a run has not 16 bytes"))
}

/// The records of these rows that are `wanted`, as the kernel reads them, opened. What is not as it
/// was written is handed over as such.
pub(crate) async fn opened(
    sealing: &Sealing,
    packs: &[Packed],
    wanted: impl Fn(u64) -> bool,
) -> Result<Vec<Row>, Error> {
    let keys = sealing.find(packs.iter().map(|pack| pack.key_id)).await?;
    let mut rows = Vec::new();
    for pack in packs {
        match pack.parts() {
            Ok(parts) => {
                let wanted = parts.into_iter().filter(|(part, _)| wanted(part.seq));
                rows.extend(wanted.map(|(part, text)| row(&keys, pack, &part, text)));
            }
            Err(problem) => rows.push(broken(&pack.index, problem)),
        }
    }
    Ok(rows)
}

fn row(keys: &sealing::Found, pack: &Packed, part: &Part<'_>, text: &[u8]) -> Row {
    let Part { seq, number, prev_hash, hash, .. } = *part;
    Row { seq, prev_hash, hash, number, body: body(keys, pack, part, text) }
}

/// Takes the hash of the record before from there, where that is the record before; of another one
/// by `other`.
pub(crate) fn link(rows: &mut [Row], other: impl Fn(&Row) -> Hash) {
    let mut before: Option<(u64, Hash)> = None;
    for row in rows {
        row.prev_hash = match before {
            Some((seq, hash)) if row.seq.checked_sub(1) == Some(seq) => hash,
            Some(_) => other(row),
            None => row.prev_hash,
        };
        before = Some((row.seq, row.hash));
    }
}

/// What stands for the records of a row that is not as it was written.
fn broken(index: &Index, problem: Broken) -> Row {
    let (seq, number) = (index.seq.cast_unsigned(), index.number.cast_unsigned());
    let (prev_hash, hash) = (Hash::ZERO, Hash::ZERO);
    Row { seq, prev_hash, hash, number, body: Kept::Broken(problem.to_owned()) }
}

/// The text of a record, or what has become of it.
pub(crate) fn body(keys: &sealing::Found, pack: &Packed, part: &Part<'_>, text: &[u8]) -> Kept {
    if !part.is_sealed {
        return String::from_utf8(text.to_vec())
            .map_or_else(|_| Kept::Broken("is not UTF-8 text".to_owned()), Kept::Text);
    }
    let sealed = (!text.is_empty()).then_some(text);
    let (place, run_id) = ((pack.index.chain, number(part.seq)), &pack.run_id[..]);
    let (kind, body_sha256) = (part.kind, part.sha256);
    keys.record((sealed, pack.key_id), &Beside { place, run_id, kind, body_sha256 })
}

/// The error for a value that this program did not write.
pub(crate) fn odd(problem: &str) -> sqlx::Error {
    sqlx::Error::Decode(problem.into())
}

/// A count or position as the databases keep it; beyond their range it stands for the last.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
