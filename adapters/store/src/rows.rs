//! Rows as the databases give them, turned into the kernel's types.

use genie_core::ids::RunId;
use genie_core::journal::chain::{Hash, Head};
use genie_core::journal::restore::{Kept, Row};
use uuid::Uuid;

use crate::sealing::{self, Beside, Columns, Error, Sealing};

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

/// The columns of a record, with the hash of the one before if that is there: number in the chain,
/// the two hashes, number in the run, text; chain, run, type, hash of the text, sealed text, key.
pub(crate) type Found = (
    i64,
    Option<Vec<u8>>,
    Vec<u8>,
    i64,
    String,
    i64,
    Vec<u8>,
    Option<String>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<i64>,
);

/// The columns of [`Found`], of a table of records called `r`.
macro_rules! found {
    () => {
        "r.seq, (SELECT hash FROM records p WHERE p.chain = r.chain AND p.seq = r.seq - 1), \
         r.hash, r.number, r.body, r.chain, r.run_id, r.kind, r.body_sha256, r.sealed, r.key_id"
    };
}
pub(crate) use found;

/// The records as the kernel reads them, opened. After a gap the previous hash is zeros, which fits
/// nothing.
pub(crate) async fn opened(sealing: &Sealing, found: Vec<Found>) -> Result<Vec<Row>, Error> {
    let keys = sealing.find(found.iter().map(|found| found.10)).await?;
    found.into_iter().map(|found| Ok(row(&keys, found)?)).collect()
}

fn row(keys: &sealing::Found, found: Found) -> Result<Row, sqlx::Error> {
    let (at, before, own, number, body, chain, run_id, kind, body_sha256, sealed, key_id) = found;
    let Head { seq, hash: own } = head(at, &own)?;
    let prev_hash = before.as_deref().map(hash).transpose()?.unwrap_or(Hash::ZERO);
    let body = if key_id.is_none() && sealed.is_none() {
        Kept::Text(body)
    } else {
        let columns = Columns { clear: body.as_bytes(), sealed: sealed.as_deref(), key_id };
        let (kind, body_sha256) = (kind.as_deref(), body_sha256.as_deref());
        keys.record(&columns, &Beside { place: (chain, at), run_id: &run_id, kind, body_sha256 })
    };
    Ok(Row { seq, prev_hash, hash: own, number: number.cast_unsigned(), body })
}

/// The error for a value that this program did not write.
pub(crate) fn odd(problem: &str) -> sqlx::Error {
    sqlx::Error::Decode(problem.into())
}

/// A count or position as the databases keep it; beyond their range it stands for the last.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
