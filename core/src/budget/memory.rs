//! Budgets in memory, as long as the process lives.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::{Budget, BudgetId, Budgets, Charge, Error, Reserved};
use crate::async_trait;
use crate::clock::Timestamp;
use crate::ids::RunId;
use crate::tenant::Tenant;

/// Most runs of which it is known what they have cost.
const COSTS_MAX: usize = 100_000;

#[derive(Debug, Default)]
struct Kept {
    budgets: HashMap<BudgetId, (Tenant, Budget)>,
    /// The charges of each run, and whether they are settled.
    charges: HashMap<RunId, BTreeMap<Uuid, (Charge, bool)>>,
    /// What the latest runs have cost, and whose they are.
    costs: BTreeMap<RunId, (Tenant, u64)>,
}

impl Kept {
    fn settle(&mut self, charge: &Charge, spent_minor: u64) {
        for id in &charge.budgets {
            if let Some((_, budget)) = self.budgets.get_mut(id) {
                budget.reserved_minor -= charge.amount_minor;
                budget.spent_minor += spent_minor.min(charge.amount_minor);
            }
        }
        let cost = self.costs.entry(charge.run_id).or_insert((charge.tenant.clone(), 0));
        cost.1 += spent_minor.min(charge.amount_minor);
        if self.costs.len() > COSTS_MAX {
            self.costs.pop_first();
        }
    }
}

/// Budgets of one process.
#[derive(Debug, Default)]
pub struct MemoryBudgets {
    kept: Mutex<Kept>,
}

impl MemoryBudgets {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Budgets for MemoryBudgets {
    async fn allot(&self, tenant: &Tenant, id: BudgetId, limit_minor: u64) -> Result<(), Error> {
        let budget = Budget { limit_minor, ..Budget::default() };
        self.kept().budgets.entry(id).or_insert_with(|| (tenant.clone(), budget));
        Ok(())
    }

    async fn get(&self, tenant: &Tenant, id: BudgetId) -> Result<Option<Budget>, Error> {
        let kept = self.kept();
        let found = kept.budgets.get(&id).filter(|(of, _)| of == tenant);
        Ok(found.map(|(_, budget)| *budget))
    }

    async fn reserve(&self, charge: &Charge) -> Result<Reserved, Error> {
        let mut kept = self.kept();
        if kept.charges.get(&charge.run_id).is_some_and(|of_run| of_run.contains_key(&charge.id)) {
            return Ok(Reserved::Yes);
        }
        let left = charge.budgets.iter().map(|id| {
            let found = kept.budgets.get(id).filter(|(tenant, _)| *tenant == charge.tenant);
            found.map_or(0, |(_, budget)| budget.left_minor())
        });
        let left_minor = left.min().unwrap_or(u64::MAX);
        if left_minor < charge.amount_minor {
            return Ok(Reserved::Short { left_minor });
        }
        for id in &charge.budgets {
            if let Some((_, budget)) = kept.budgets.get_mut(id) {
                budget.reserved_minor += charge.amount_minor;
            }
        }
        let of_run = kept.charges.entry(charge.run_id).or_default();
        of_run.insert(charge.id, (charge.clone(), false));
        Ok(Reserved::Yes)
    }

    async fn settle(&self, run: RunId, charge: Uuid, spent_minor: u64) -> Result<(), Error> {
        let mut kept = self.kept();
        let found = kept.charges.get_mut(&run).and_then(|of_run| of_run.get_mut(&charge));
        let Some((charge, settled)) = found.filter(|(_, settled)| !settled) else { return Ok(()) };
        *settled = true;
        let charge = charge.clone();
        kept.settle(&charge, spent_minor);
        Ok(())
    }

    async fn close(&self, run: RunId) -> Result<(), Error> {
        let mut kept = self.kept();
        for (charge, settled) in kept.charges.remove(&run).unwrap_or_default().into_values() {
            if !settled {
                kept.settle(&charge, charge.amount_minor);
            }
        }
        Ok(())
    }

    async fn cost(&self, tenant: &Tenant, run: RunId) -> Result<Option<u64>, Error> {
        let kept = self.kept();
        let spent = kept.costs.get(&run).filter(|(of, _)| of == tenant).map(|(_, spent)| *spent);
        let charges = kept.charges.get(&run).into_iter().flat_map(BTreeMap::values);
        let open = charges.filter(|(charge, settled)| !settled && charge.tenant == *tenant);
        let reserved = open.map(|(charge, _)| charge.amount_minor).reduce(|one, two| one + two);
        Ok(spent.into_iter().chain(reserved).reduce(|one, two| one + two))
    }

    async fn open_runs(&self, before: Timestamp) -> Result<Vec<(Arc<str>, RunId)>, Error> {
        let kept = self.kept();
        let charges = kept.charges.values().flat_map(BTreeMap::values);
        let old = charges.filter(|(charge, _)| charge.at < before);
        let runs: BTreeSet<(Arc<str>, RunId)> =
            old.map(|(charge, _)| (charge.tenant.name(), charge.run_id)).collect();
        Ok(runs.into_iter().take(1_000).collect())
    }
}
