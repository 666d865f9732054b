//! Receipts within a running process: what is not signed yet is signed first.

use std::sync::Arc;

use genie_core::audit::receipt::Receipt;
use genie_core::audit::receipts::{NoReceipt, Receipts};
use genie_core::ids::RunId;
use genie_core::runs::Runs;
use genie_core::{Tenant, async_trait};
use genie_store::Checkpoints;

use super::{Handle, proofs};

/// Receipts from the log that the auditor signs.
pub(crate) struct Signed {
    pub(crate) runs: Arc<dyn Runs>,
    pub(crate) store: Checkpoints,
    pub(crate) auditor: Handle,
}

fn no_receipt(error: proofs::Error) -> NoReceipt {
    match error {
        proofs::Error::NoRun(_) => NoReceipt::NoRun,
        proofs::Error::Open(_) => NoReceipt::Open,
        proofs::Error::Erased(_) => NoReceipt::Erased,
        proofs::Error::Uncovered(_) => NoReceipt::Uncovered,
        error => NoReceipt::Failed(error.to_string()),
    }
}

#[async_trait]
impl Receipts for Signed {
    async fn receipt(&self, tenant: &Tenant, run: RunId) -> Result<Receipt, NoReceipt> {
        let found = self.runs.get(tenant, run).await;
        if found.map_err(|error| NoReceipt::Failed(error.to_string()))?.is_none() {
            return Err(NoReceipt::NoRun);
        }
        let made = match proofs::receipt(&self.store, run).await {
            Err(proofs::Error::Uncovered(_)) => {
                let signed = self.auditor.checkpoint().await;
                signed.map_err(|error| NoReceipt::Failed(error.to_string()))?;
                proofs::receipt(&self.store, run).await
            }
            made => made,
        };
        made.map_err(no_receipt)
    }
}
