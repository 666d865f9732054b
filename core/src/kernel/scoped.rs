//! What a tenant has: runs, records, events, approvals and budgets, and never another's.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Kernel, Shared};
use crate::approval::{self, Approval, ApprovalId, Filter};
use crate::budget::{self, Budget, BudgetId};
use crate::ids::RunId;
use crate::journal::{self, Entry, Record};
use crate::ours::{OurEvents, OurRecords, Ours};
use crate::runs::{self, Query, Summary};
use crate::tenant::Tenant;

impl Shared {
    /// Whether the run is of the tenant, at work here, parked or on record.
    pub(super) async fn is_of(&self, tenant: &Tenant, run: RunId) -> Result<bool, runs::Error> {
        let live = self.runs.get(&run).map(|run| run.principal.tenant() == tenant);
        let here = || self.parked.get(&run).map(|parked| parked.tenant == *tenant);
        if let Some(is_ours) = live.or_else(here) {
            return Ok(is_ours);
        }
        Ok(self.run_index.get(tenant, run).await?.is_some())
    }
}

impl Kernel {
    /// The run, if it is of this tenant; also one of another process over the same store.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn run(&self, tenant: &Tenant, run: RunId) -> Result<Option<Summary>, runs::Error> {
        self.shared.run_index.get(tenant, run).await
    }

    /// How many records those of the runs have that this process does not work on, and so would not
    /// see grow: of each that is of the tenant beside it. Nothing if no other process can write.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn grown_elsewhere(
        &self,
        runs: &[(Tenant, RunId)],
    ) -> Result<Vec<(RunId, u64)>, runs::Error> {
        let shared = &self.shared;
        let away = runs.iter().filter(|(_, run)| !shared.runs.contains_key(run));
        let asked: HashSet<(RunId, &str)> =
            away.map(|(tenant, run)| (*run, tenant.as_str())).collect();
        if asked.is_empty() || shared.run_index.poll_every().is_none() {
            return Ok(Vec::new());
        }
        let ids: Vec<RunId> = asked.iter().map(|(run, _)| *run).collect();
        let mut progress = shared.run_index.progress(&ids).await?;
        progress.retain(|run| asked.contains(&(run.run_id, &*run.tenant)));
        Ok(progress.into_iter().map(|run| (run.run_id, run.records)).collect())
    }

    /// The tenant's runs, newest first.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn runs(&self, tenant: &Tenant, query: &Query) -> Result<Vec<Summary>, runs::Error> {
        self.shared.run_index.list(tenant, query).await
    }

    /// Every record of a run of this tenant in its order; nothing of another tenant's.
    ///
    /// # Errors
    /// A journal that cannot be read.
    pub async fn records(
        &self,
        tenant: &Tenant,
        run: RunId,
    ) -> Result<Vec<Arc<Record>>, journal::Error> {
        let records = self.shared.writer.store().read_run(run).await?;
        let whose = records.iter().find_map(|record| match &record.entry {
            Entry::RunStarted { tenant, .. } => Some(tenant.clone()),
            _ => None,
        });
        let is_ours = if let Some(whose) = whose {
            *whose == *tenant.as_str()
        } else {
            // A journal in memory may have dropped its beginning.
            let known = self.shared.is_of(tenant, run).await;
            known.map_err(|error| journal::Error::Unreadable(error.to_string()))?
        };
        Ok(if is_ours { records } else { Vec::new() })
    }

    /// Reads the tenant's records, also those of other processes over the same store.
    #[must_use]
    pub fn log_of(&self, tenant: &Tenant) -> OurRecords {
        OurRecords::new(self.shared.writer.store().clone(), self.ours(tenant))
    }

    /// Observes what the tenant's runs record from now on, or have recorded after a record.
    ///
    /// # Errors
    /// [`journal::Error::Pruned`] if some of it is no longer kept.
    pub async fn events(
        &self,
        tenant: &Tenant,
        after: Option<u64>,
    ) -> Result<OurEvents, journal::Error> {
        if let Some(seq) = after {
            self.shared.writer.store().read(seq, 1).await?;
        }
        let tap = self.shared.tap_after(after.unwrap_or(self.head().seq));
        Ok(OurEvents::new(tap, self.ours(tenant)))
    }

    fn ours(&self, tenant: &Tenant) -> Ours {
        Ours::of(tenant.clone(), self.shared.run_index.clone())
    }

    /// The approval with this id, if it is of this tenant.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn approval(
        &self,
        tenant: &Tenant,
        id: ApprovalId,
    ) -> Result<Option<Approval>, approval::Error> {
        self.shared.approvals.get(tenant, id).await
    }

    /// The tenant's approvals, oldest first.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn approvals(
        &self,
        tenant: &Tenant,
        filter: &Filter,
    ) -> Result<Vec<Approval>, approval::Error> {
        self.shared.approvals.list(tenant, filter).await
    }

    /// Makes a budget of the tenant. One with the same id stays as it is.
    ///
    /// # Errors
    /// A store that does not take it.
    pub async fn allot(
        &self,
        tenant: &Tenant,
        id: BudgetId,
        limit_minor: u64,
    ) -> Result<(), budget::Error> {
        self.shared.budgets.allot(tenant, id, limit_minor).await
    }

    /// What a run of the tenant has cost its budgets; `None` if it was charged to none.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn cost(&self, tenant: &Tenant, run: RunId) -> Result<Option<u64>, budget::Error> {
        self.shared.budgets.cost(tenant, run).await
    }

    /// How a budget of the tenant stands.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn budget(
        &self,
        tenant: &Tenant,
        id: BudgetId,
    ) -> Result<Option<Budget>, budget::Error> {
        self.shared.budgets.get(tenant, id).await
    }
}
