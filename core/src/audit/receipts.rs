//! The port for receipts: whoever signs the log makes them.

use crate::async_trait;
use crate::audit::receipt::Receipt;
use crate::ids::RunId;
use crate::tenant::Tenant;

/// Why there is no receipt.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoReceipt {
    /// There is no such run.
    #[error("there is no such run")]
    NoRun,
    /// The run goes on.
    #[error("the run has not ended; a receipt proves how a run ended")]
    Open,
    /// The reason is gone, and the record of the outcome with it.
    #[error("how the run ended was erased; a receipt from before the erasure still proves it")]
    Erased,
    /// What is signed does not cover the run yet, and another process signs its log.
    #[error("no checkpoint covers the end of the run yet; try again in a minute")]
    Uncovered,
    /// The log cannot be read or signed.
    #[error("{0}")]
    Failed(String),
}

/// Where receipts come from.
#[async_trait]
pub trait Receipts: Send + Sync + 'static {
    /// The receipt of a run of this tenant that has ended; signs the log first if what is signed
    /// does not cover the run.
    async fn receipt(&self, tenant: &Tenant, run: RunId) -> Result<Receipt, NoReceipt>;
}
