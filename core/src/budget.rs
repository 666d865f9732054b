//! The port for budgets: what a key may still spend, exact however many spend it at once.
//!
//! What is about to cost something is reserved first, and settled when it is known what came of
//! it. What is reserved counts as spent until then, so that a budget is never exceeded; what
//! nobody settles, since its process died, is settled when its run ends, or given back if there is
//! no such run. Amounts are minor units of the one currency of the installation.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::async_trait;
use crate::clock::Timestamp;
use crate::ids::RunId;
use crate::tenant::Tenant;

mod memory;

pub use memory::MemoryBudgets;

/// The id of a budget: that of the key that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BudgetId(pub Uuid);

/// A budget as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Most that may be spent.
    pub limit_minor: u64,
    /// What was spent.
    pub spent_minor: u64,
    /// What is reserved.
    pub reserved_minor: u64,
}

impl Budget {
    /// What may still be reserved.
    #[must_use]
    pub fn left_minor(&self) -> u64 {
        self.limit_minor.saturating_sub(self.spent_minor).saturating_sub(self.reserved_minor)
    }
}

/// What things cost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prices {
    /// A run.
    pub run_minor: u64,
    /// A call of each tool that is not free.
    pub tools: BTreeMap<String, u64>,
}

impl Prices {
    /// A call of the tool.
    #[must_use]
    pub fn tool_minor(&self, tool: &str) -> u64 {
        self.tools.get(tool).copied().unwrap_or(0)
    }
}

/// Something that costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The same for every attempt to reserve it: the id of the run, or of the message with a call.
    pub id: Uuid,
    /// The run that it is part of.
    pub run_id: RunId,
    /// The tenant of the run.
    pub tenant: Tenant,
    /// The budgets that it is charged to, each with all of it.
    pub budgets: Vec<BudgetId>,
    /// What it costs.
    pub amount_minor: u64,
    /// When it was reserved.
    pub at: Timestamp,
}

/// What came of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// It is reserved, or was before.
    Yes,
    /// A budget has less left than it costs, or is not there; nothing is reserved.
    Short {
        /// What the scarcest has left.
        left_minor: u64,
    },
}

/// Why budgets could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store of budgets failed: {0}")]
pub struct Error(pub String);

/// Where budgets are kept.
///
/// Settling goes by run, whatever its tenant, and so only the kernel and the command line hold this
/// port; whoever handles requests asks the kernel, which wants a tenant.
#[async_trait]
pub trait Budgets: Send + Sync + 'static {
    /// Makes a budget. One with the same id stays as it is.
    async fn allot(&self, tenant: &Tenant, id: BudgetId, limit_minor: u64) -> Result<(), Error>;

    /// How a budget of the tenant stands.
    async fn get(&self, tenant: &Tenant, id: BudgetId) -> Result<Option<Budget>, Error>;

    /// Reserves a charge in all of its budgets, or in none.
    async fn reserve(&self, charge: &Charge) -> Result<Reserved, Error>;

    /// Settles a charge that is reserved at what was spent, at most at what was reserved; one that
    /// was settled stays so.
    async fn settle(&self, run: RunId, charge: Uuid, spent_minor: u64) -> Result<(), Error>;

    /// Settles what is left of a run at all that was reserved, and forgets its charges.
    async fn close(&self, run: RunId) -> Result<(), Error>;

    /// What a run of the tenant has cost, with what is reserved for it; `None` if nothing ever was.
    async fn cost(&self, tenant: &Tenant, run: RunId) -> Result<Option<u64>, Error>;

    /// The runs with charges from before a moment, with their tenants; at most 1,000.
    async fn open_runs(&self, before: Timestamp) -> Result<Vec<(Arc<str>, RunId)>, Error>;
}
