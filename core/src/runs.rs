//! The port for who owns which run, and for looking runs up without reading the journal.
//!
//! What a store knows of a run follows from the journal's records and is written with them. Only
//! ownership is more than that: an unfinished run belongs to one process, or to nobody while it is
//! parked, and whoever goes on with it must have claimed it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::async_trait;
use crate::clock::Timestamp;
use crate::ids::RunId;
use crate::tenant::Tenant;

mod memory;

pub use memory::MemoryRuns;

/// Why runs could not be looked up or claimed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the run store failed: {0}")]
pub struct Error(pub String);

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The run.
    pub run_id: RunId,
    /// The tenant of whoever asked.
    pub tenant: Arc<str>,
    /// Who asked.
    pub subject: Arc<str>,
    /// The agent that was asked.
    pub agent: Arc<str>,
    /// `running`, `waiting`, or how it ended.
    pub status: Arc<str>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When it goes on by itself, if it is parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Timestamp>,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The run.
    pub run_id: RunId,
    /// The tenant of whoever asked.
    pub tenant: Arc<str>,
    /// How many records it has.
    pub records: u64,
    /// Whether it has ended.
    pub has_ended: bool,
}

/// Which runs to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Only those that this subject asked for.
    pub subject: Option<String>,
    /// Only those with this status word.
    pub status: Option<String>,
    /// Only those that started before this one.
    pub before: Option<RunId>,
    /// At most so many.
    pub limit: usize,
}

/// Where runs are looked up and claimed.
///
/// Claiming goes across tenants, and so whoever holds this port does: the kernel and the operator's
/// command line. Whoever handles requests asks the kernel, which wants a tenant.
#[async_trait]
pub trait Runs: Send + Sync + 'static {
    /// Takes unfinished runs that nobody works on: those of a process that died, and parked ones
    /// that are due or decided. At most `max`, the longest due first.
    async fn claim(&self, now: Timestamp, max: usize) -> Result<Vec<RunId>, Error>;

    /// Takes one parked run, due or not; `false` if it has ended or someone works on it.
    async fn claim_run(&self, run: RunId) -> Result<bool, Error>;

    /// When the next parked run is due.
    async fn next_due(&self) -> Result<Option<Timestamp>, Error>;

    /// How often to look whether another process has made a run due; `None` if there is none.
    fn poll_every(&self) -> Option<Duration>;

    /// The run, if it is of this tenant.
    async fn get(&self, tenant: &Tenant, run: RunId) -> Result<Option<Summary>, Error>;

    /// How far these runs are, of whatever tenants, as far as they are in the store.
    async fn progress(&self, runs: &[RunId]) -> Result<Vec<Progress>, Error>;

    /// The tenant's runs, newest first.
    async fn list(&self, tenant: &Tenant, query: &Query) -> Result<Vec<Summary>, Error>;

    /// Asks whichever process works on the run to cancel it; `false` if it has ended.
    async fn ask_to_cancel(&self, tenant: &Tenant, run: RunId, reason: &str)
    -> Result<bool, Error>;

    /// The runs of this process that someone has asked to cancel, until they have ended.
    async fn to_cancel(&self) -> Result<Vec<(RunId, String)>, Error>;

    /// Lets go of a run that was claimed and that this process cannot go on with: nobody owns it
    /// then, and nobody takes it before `until`, unless a decision or a cancellation makes it due.
    async fn release(&self, run: RunId, until: Timestamp) -> Result<(), Error>;

    /// Takes note that a run was parked, for adapters that do not see the journal's records.
    fn parked(&self, _run: RunId, _wake_at: Timestamp) {}
}
