//! Approvals in memory, as long as the process lives.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Approval, ApprovalId, Approvals, Error, Filter};
use crate::async_trait;
use crate::tenant::Tenant;

/// Approvals of one process.
#[derive(Debug, Default)]
pub struct MemoryApprovals {
    kept: Mutex<Vec<Approval>>,
}

impl MemoryApprovals {
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
}
