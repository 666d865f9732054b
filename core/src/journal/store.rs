//! The port behind which records are kept.
//!
//! Appending is ordered and does not wait; durability is awaited separately, so that internal hops
//! are pipelined and only what leaves the process waits for the disk.

use std::sync::Arc;

use crate::async_trait;

use super::chain::{Hash, Head};
use super::record::Record;
use super::restore::Corrupt;
use crate::ids::RunId;

/// Why the journal cannot be written or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The store refuses writes; nothing may go on without a record.
    #[error("the journal store refuses to write: {0}")]
    Unwritable(String),
    /// Records that were asked for are no longer kept.
    #[error("records before {first} are no longer kept")]
    Pruned {
        /// The first record that still is.
        first: u64,
    },
    /// The store cannot be read.
    #[error("the journal store cannot be read: {0}")]
    Unreadable(String),
    /// A record is not as it was written.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// The JSON text of an entry, exactly as hashed, and its SHA-256.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// The text.
    pub json: &'a [u8],
    /// The hash.
    pub sha256: Hash,
}

impl<'a> Text<'a> {
    /// The text with its hash.
    #[must_use]
    pub fn of(json: &'a [u8]) -> Self {
        Self { json, sha256: Hash::of(json) }
    }
}

/// Where sealed records go: one chain, which this process alone writes.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// The end of the chain, as it was when the store was opened.
    fn head(&self) -> Head;

    /// Takes the next records of the chain, in order, without waiting, with the texts of their
    /// entries.
    ///
    /// # Errors
    /// [`Error::Unwritable`]; the chain then does not advance.
    fn append(&self, records: &[Arc<Record>], texts: &[Text<'_>]) -> Result<(), Error>;

    /// Returns once every record up to `seq` is durable.
    ///
    /// # Errors
    /// [`Error::Unwritable`] if it will never be.
    async fn durable(&self, seq: u64) -> Result<(), Error>;

    /// Whether the store keeps up. While it does not, no new run is admitted and no handler starts.
    fn has_room(&self) -> bool {
        true
    }

    /// Returns once the store keeps up again.
    async fn room(&self) {}

    /// Up to `limit` records of this chain after `seq`, in order.
    ///
    /// # Errors
    /// [`Error::Pruned`] if some of them are no longer kept.
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Record>>, Error>;

    /// Every record of a run in its order, on whatever chain, also those not yet durable.
    async fn read_run(&self, run: RunId) -> Result<Vec<Arc<Record>>, Error>;

    /// Up to `limit` records of a chain after `seq`, in order: of this one or, where others share
    /// the store, of another, as far as they are durable. Nothing of a chain that is not there.
    ///
    /// # Errors
    /// As [`Self::read`].
    async fn read_chain(
        &self,
        chain: i64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Record>>, Error> {
        if chain == self.chain() { self.read(after, limit).await } else { Ok(Vec::new()) }
    }

    /// The chain with the smallest number above this one; `None` if there is none.
    async fn next_chain(&self, chain: i64) -> Result<Option<i64>, Error> {
        Ok(Some(self.chain()).filter(|own| *own > chain))
    }

    /// The number of the chain: a record is known by it and by its own number.
    fn chain(&self) -> i64 {
        1
    }

    /// Whether records outlive the process, so that a parked run need not be kept in memory.
    fn is_durable(&self) -> bool;
}
