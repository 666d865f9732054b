//! Rows as the databases give them, turned into the kernel's types.

use genie_core::ids::RunId;
use genie_core::journal::chain::{Hash, Head};
use genie_core::journal::restore::Row;
use uuid::Uuid;

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

/// A record with the hash of the one before, if that is there: number in the chain, the two hashes,
/// number in the run, text.
pub(crate) type Found = (i64, Option<Vec<u8>>, Vec<u8>, i64, String);

/// The record as the kernel reads it. After a gap the previous hash is zeros, which fits nothing.
pub(crate) fn row((seq, before, own, number, body): Found) -> Result<Row, sqlx::Error> {
    let Head { seq, hash: own } = head(seq, &own)?;
    let prev_hash = before.as_deref().map(hash).transpose()?.unwrap_or(Hash::ZERO);
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
