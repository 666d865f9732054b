//! The log as evidence within a running process: keys, checkpoints and a verification that leaves
//! the other cores to whoever works.

use std::sync::Arc;

use genie_core::async_trait;
use genie_core::audit::checkpoint::Checkpoint;
use genie_core::audit::evidence::{Evidence, Fault, Signed, Sound, Unproven, Verified};
use genie_core::ids::Ids;
use genie_store::Checkpoints;

use super::Handle;
use super::inspect::{self, Known, inspect};
use super::keys::KeyFile;

/// What the auditor of this process can show.
pub(crate) struct Shown {
    pub(crate) store: Checkpoints,
    pub(crate) auditor: Handle,
    pub(crate) key: KeyFile,
    pub(crate) ids: Arc<dyn Ids>,
}

fn failed(error: impl std::fmt::Display) -> Unproven {
    Unproven::Failed(error.to_string())
}

impl Shown {
    /// The installation's keys under the name of the log that a checkpoint is of.
    fn opened(&self, kept: &str) -> Result<Checkpoint, Unproven> {
        let origin = kept.lines().next().unwrap_or_default();
        let trusted = self.key.trusted().map_err(failed)?;
        let named: Vec<_> = trusted.iter().filter_map(|key| key.named(origin).ok()).collect();
        Checkpoint::open(kept, &named).map_err(|error| Unproven::Checkpoint(error.to_string()))
    }
}

#[async_trait]
impl Evidence for Shown {
    async fn keys(&self) -> Result<Vec<String>, Unproven> {
        let keys = self.key.load_or_make(&*self.ids).map_err(failed)?;
        let mut shown = Vec::new();
        for chain in self.store.chains().await.map_err(failed)? {
            let named = keys.of_chain(chain.chain).map_err(failed)?;
            shown.extend(named.first().map(|key| key.verifier().to_string()));
        }
        Ok(shown)
    }

    async fn checkpoints(&self) -> Result<Vec<Signed>, Unproven> {
        self.auditor.checkpoint().await.map_err(failed)?;
        let mut signed = Vec::new();
        for chain in self.store.chains().await.map_err(failed)? {
            let latest = self.store.latest_checkpoint(chain.chain).await.map_err(failed)?;
            signed.extend(latest.map(|latest| Signed {
                chain: chain.chain,
                records: latest.size,
                at: latest.at,
                checkpoint: latest.note,
            }));
        }
        Ok(signed)
    }

    async fn verify(&self, kept: Option<&str>) -> Result<Result<Sound, Fault>, Unproven> {
        let known = Known {
            keys: self.key.trusted().map_err(failed)?,
            checkpoint: kept.map(|kept| self.opened(kept)).transpose()?,
            at_once: Some(1),
            ..Known::default()
        };
        match inspect(&self.store, &known, |_, _| {}).await {
            Ok(report) => Ok(Ok(sound(&report))),
            Err(inspect::Error::Found(fault)) => Ok(Err(Fault {
                fault: fault.deed.word().to_owned(),
                chain: fault.chain,
                record: fault.record,
                run: fault.run,
                problem: fault.problem,
            })),
            Err(inspect::Error::Store(error)) => Err(failed(error)),
        }
    }
}

fn sound(report: &inspect::Report) -> Sound {
    let verified = |chain: &inspect::Verified| Verified {
        chain: chain.chain,
        records: chain.tree.size,
        root: chain.tree.root,
        head: chain.head,
        checkpoints: chain.checkpoints,
        covered: chain.covered,
    };
    Sound {
        records: report.records,
        erased: report.erased,
        runs: report.runs,
        open: report.open.len() as u64,
        blobs: report.blobs,
        chains: report.chains.iter().map(verified).collect(),
    }
}
