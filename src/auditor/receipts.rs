//! Receipts within a running process: what is not signed yet is signed first.

use genie_core::async_trait;
use genie_core::audit::receipt::Receipt;
use genie_core::audit::receipts::{NoReceipt, Receipts};
use genie_core::ids::RunId;
use genie_store::Checkpoints;

use super::{Handle, proofs};

/// Receipts from the log that the auditor signs.
pub(crate) struct Signed {
    pub(crate) store: Checkpoints,
    pub(crate) auditor: Handle,
}

fn no_receipt(error: proofs::Error) -> NoReceipt {
    match error {
        proofs::Error::NoRun(_) => NoReceipt::NoRun,
        proofs::Error::Open(_) => NoReceipt::Open,
        proofs::Error::Uncovered(_) => NoReceipt::Uncovered,
        error => NoReceipt::Failed(error.to_string()),
    }
}

#[async_trait]
impl Receipts for Signed {
    async fn receipt(&self, run: RunId) -> Result<Receipt, NoReceipt> {
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
