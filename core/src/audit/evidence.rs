//! The port for the log as evidence: its keys, its signed checkpoints, and whether it verifies.

use serde::{Deserialize, Serialize};

use crate::async_trait;
use crate::clock::Timestamp;
use crate::ids::RunId;
use crate::journal::chain::{Hash, Head};

/// Why there is nothing to show.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unproven {
    /// What was given to compare with is no checkpoint of this log.
    #[error("{0}")]
    Checkpoint(String),
    /// The log cannot be read or signed.
    #[error("{0}")]
    Failed(String),
}

/// A signed statement about a chain.
#[derive(Debug, Clone, Serialize)]
pub struct Signed {
    /// The chain.
    pub chain: i64,
    /// How many records it covers.
    pub records: u64,
    /// When it was signed.
    pub at: Timestamp,
    /// The signed note (C2SP tlog-checkpoint).
    pub checkpoint: String,
}

/// A chain that verifies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verified {
    /// The chain.
    pub chain: i64,
    /// How many records it has.
    pub records: u64,
    /// The root of its tree.
    pub root: Hash,
    /// Its end.
    pub head: Head,
    /// How many checkpoints were compared with it.
    pub checkpoints: u64,
    /// How many records the latest of them covers.
    pub covered: u64,
}

/// The first thing that is not as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// What was done, e.g. `edited`.
    pub fault: String,
    /// The chain.
    pub chain: Option<i64>,
    /// The first record that is not as it was written.
    pub record: Option<u64>,
    /// The run that it concerns.
    pub run: Option<RunId>,
    /// What is wrong, in a clause.
    pub problem: String,
}

/// What a log that verifies holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sound {
    /// All its records.
    pub records: u64,
    /// How many of them were erased: their hashes are checked, their contents are gone.
    pub erased: u64,
    /// Its runs.
    pub runs: u64,
    /// How many of them have not ended.
    pub open: u64,
    /// Its contents.
    pub blobs: u64,
    /// Its chains.
    pub chains: Vec<Verified>,
}

/// The log as evidence.
#[async_trait]
pub trait Evidence: Send + Sync + 'static {
    /// The verifier keys (C2SP), one for each chain.
    async fn keys(&self) -> Result<Vec<String>, Unproven>;

    /// The latest checkpoint of each chain; what this process has written since is signed first.
    async fn checkpoints(&self) -> Result<Vec<Signed>, Unproven>;

    /// Checks all of it, against a checkpoint that was kept elsewhere if one is given.
    async fn verify(&self, kept: Option<&str>) -> Result<Result<Sound, Fault>, Unproven>;
}
