//! Approvals in memory, as long as the process lives.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Approval, ApprovalId, Approvals, Error, Filter};
use crate::async_trait;
use crate::ids::RunId;
use crate::journal::Entry;
use crate::journal::memory::MemoryJournal;
use crate::tenant::Tenant;

/// Approvals of one process.
#[derive(Debug, Default)]
pub struct MemoryApprovals {
    kept: Mutex<Vec<Approval>>,
    journal: Option<Arc<MemoryJournal>>,
}

impl MemoryApprovals {
    /// Approvals of the runs that this journal records; without one, no run is known to have ended.
    #[must_use]
    pub fn over(journal: Arc<MemoryJournal>) -> Self {
        Self { kept: Mutex::default(), journal: Some(journal) }
    }

    /// The runs that have ended.
    fn ended(&self) -> BTreeSet<RunId> {
        let records = self.journal.as_ref().map(|journal| journal.kept()).unwrap_or_default();
        let ended = records.iter().filter_map(|record| match &record.entry {
            Entry::Outcome { run_id, .. } => Some(*run_id),
            _ => None,
        });
        ended.collect()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Approval>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Approvals for MemoryApprovals {
    async fn put(&self, tenant: &Tenant, approval: &Approval) -> Result<(), Error> {
        approval.check_tenant(tenant)?;
        let mut kept = self.kept();
        if !kept.iter().any(|held| held.id == approval.id) {
            kept.push(approval.clone());
        }
        Ok(())
    }

    async fn get(&self, tenant: &Tenant, id: ApprovalId) -> Result<Option<Approval>, Error> {
        let kept = self.kept();
        Ok(kept.iter().find(|held| held.id == id && *held.tenant == *tenant.as_str()).cloned())
    }

    async fn list(&self, tenant: &Tenant, filter: &Filter) -> Result<Vec<Approval>, Error> {
        let kept = self.kept();
        let ours = |held: &&Approval| {
            *held.tenant == *tenant.as_str()
                && filter.run_id.is_none_or(|run| held.run_id == run)
                && filter.status.as_ref().is_none_or(|status| held.status.name() == status)
        };
        let mut listed: Vec<Approval> = kept.iter().filter(ours).cloned().collect();
        listed.sort_by_key(|approval| (approval.requested_at, approval.id));
        if let Some(after) = filter.after {
            let at = listed.iter().position(|approval| approval.id == after);
            listed.drain(..at.map_or(listed.len(), |at| at + 1));
        }
        listed.truncate(filter.limit);
        Ok(listed)
    }

    async fn swap(&self, tenant: &Tenant, next: &Approval) -> Result<bool, Error> {
        next.check_tenant(tenant)?;
        if next.was_decided_on() && self.ended().contains(&next.run_id) {
            return Ok(false);
        }
        let mut kept = self.kept();
        let held = kept.iter_mut().find(|held| held.id == next.id);
        let Some(held) =
            held.filter(|held| held.tenant == next.tenant && held.revision + 1 == next.revision)
        else {
            return Ok(false);
        };
        *held = next.clone();
        Ok(true)
    }

    async fn of_ended_runs(&self, max: usize) -> Result<Vec<Approval>, Error> {
        let mut left = self.kept().clone();
        left.retain(|held| !held.status.is_final());
        if !left.is_empty() {
            let ended = self.ended();
            left.retain(|held| ended.contains(&held.run_id));
            left.truncate(max);
        }
        Ok(left)
    }
}
