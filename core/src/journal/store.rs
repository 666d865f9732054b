//! The port behind which records are kept.
//!
//! Appending is ordered and does not wait; durability is awaited separately, so that internal hops
//! are pipelined and only what leaves the process waits for the disk.

use std::sync::Arc;

use crate::async_trait;

use super::record::Record;

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
}

/// Where sealed records go.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Takes the next records of the chain, in order, without waiting.
    ///
    /// # Errors
    /// [`Error::Unwritable`]; the chain then does not advance.
    fn append(&self, records: &[Arc<Record>]) -> Result<(), Error>;

    /// Returns once every record up to `seq` is durable.
    async fn durable(&self, seq: u64) -> Result<(), Error>;

    /// Up to `limit` records after `seq`, in order.
    ///
    /// # Errors
    /// [`Error::Pruned`] if some of them are no longer kept.
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Record>>, Error>;
}
