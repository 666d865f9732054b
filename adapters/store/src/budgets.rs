//! The port for budgets over either database.

use std::collections::BTreeSet;
use std::sync::Arc;

use genie_core::budget::{Budget, BudgetId, Budgets, Charge, Error, Reserved};
use genie_core::clock::Timestamp;
use genie_core::ids::RunId;
use genie_core::{Tenant, async_trait};
use uuid::Uuid;

use crate::pool::{Pools, on};
use crate::rows;

/// Most runs that are looked up at once.
const RUNS_MAX: i64 = 1_000;

/// Budgets in a database.
#[derive(Debug)]
pub(crate) struct StoredBudgets {
    pub(crate) pools: Pools,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}

/// An amount as a column holds it: beyond what fits, the most that does.
fn minor(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

fn budget((limit, spent, reserved): (i64, i64, i64)) -> Budget {
    Budget {
        limit_minor: limit.unsigned_abs(),
        spent_minor: spent.unsigned_abs(),
        reserved_minor: reserved.unsigned_abs(),
    }
}

/// Moves a charge from what is reserved to what is spent, in each of its budgets.
const SETTLE: &str = "UPDATE budgets SET reserved_minor = reserved_minor - $1, \
                      spent_minor = spent_minor + $2 WHERE id = $3";

impl StoredBudgets {
    /// Settles the open charges of a run, or one of them, at most at `most`; forgets all of the
    /// run's if that is asked for.
    async fn settled(
        &self,
        run: RunId,
        (charge, most): (Option<Uuid>, i64),
    ) -> Result<(), sqlx::Error> {
        let run = run.0.as_bytes().to_vec();
        let charge = charge.map(|charge| charge.as_bytes().to_vec());
        let open = "UPDATE charges SET settled = 1 WHERE run_id = $1 AND settled = 0 \
                    AND ($2 IS NULL OR id = $2) RETURNING budget, amount_minor, id, tenant";
        let cost = "INSERT INTO costs (run_id, tenant, spent_minor) VALUES ($1, $2, $3) \
                    ON CONFLICT (run_id) \
                    DO UPDATE SET spent_minor = costs.spent_minor + excluded.spent_minor";
        let forget = "DELETE FROM charges WHERE run_id = $1";
        on!(&self.pools.write, pool => {
            let mut transaction = pool.begin_with(self.pools.begin()).await?;
            let query = sqlx::query_as(open).bind(&run).bind(&charge);
            let mut open: Vec<(Vec<u8>, i64, Vec<u8>, String)> =
                query.fetch_all(&mut *transaction).await?;
            // In order, so that no two wait for each other.
            open.sort();
            let mut settled = BTreeSet::new();
            for (budget, amount, id, tenant) in open {
                let spent = most.min(amount);
                let query = sqlx::query(SETTLE).bind(amount).bind(spent).bind(budget);
                query.execute(&mut *transaction).await?;
                // Each of its budgets is charged all of it; the run costs it once.
                if settled.insert(id) {
                    let query = sqlx::query(cost).bind(&run).bind(tenant).bind(spent);
                    query.execute(&mut *transaction).await?;
                }
            }
            if charge.is_none() {
                sqlx::query(forget).bind(&run).execute(&mut *transaction).await?;
            }
            transaction.commit().await
        })
    }

    /// Reserves a charge; `false` if a budget has too little, and then nothing is.
    async fn reserved(&self, charge: &Charge) -> Result<bool, sqlx::Error> {
        let insert = "INSERT INTO charges (run_id, id, budget, tenant, amount_minor, at, settled) \
                      VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT DO NOTHING";
        let take = "UPDATE budgets SET reserved_minor = reserved_minor + $1 \
                    WHERE id = $2 AND tenant = $3 \
                    AND limit_minor - spent_minor - reserved_minor >= $1";
        let amount = minor(charge.amount_minor);
        on!(&self.pools.write, pool => {
            let mut transaction = pool.begin_with(self.pools.begin()).await?;
            for budget in &charge.budgets {
                let query = sqlx::query(insert).bind(&charge.run_id.0.as_bytes()[..]);
                let query = query.bind(&charge.id.as_bytes()[..]).bind(&budget.0.as_bytes()[..]);
                let query = query.bind(charge.tenant.as_str()).bind(amount);
                let query = query.bind(charge.at.as_micros());
                if query.execute(&mut *transaction).await?.rows_affected() == 0 {
                    // Reserved before, in all of them.
                    continue;
                }
                let query = sqlx::query(take).bind(amount).bind(&budget.0.as_bytes()[..]);
                let taken = query.bind(charge.tenant.as_str()).execute(&mut *transaction).await?;
                if taken.rows_affected() == 0 {
                    transaction.rollback().await?;
                    return Ok(false);
                }
            }
            transaction.commit().await?;
        });
        Ok(true)
    }
}

#[async_trait]
impl Budgets for StoredBudgets {
    async fn allot(&self, tenant: &Tenant, id: BudgetId, limit_minor: u64) -> Result<(), Error> {
        let sql = "INSERT INTO budgets (id, tenant, limit_minor, spent_minor, reserved_minor) \
                   VALUES ($1, $2, $3, 0, 0) ON CONFLICT DO NOTHING";
        on!(&self.pools.write, pool => {
            let query = sqlx::query(sql).bind(&id.0.as_bytes()[..]).bind(tenant.as_str());
            query.bind(minor(limit_minor)).execute(pool).await.map(drop)
        })
        .map_err(failed)
    }

    async fn get(&self, tenant: &Tenant, id: BudgetId) -> Result<Option<Budget>, Error> {
        let sql = "SELECT limit_minor, spent_minor, reserved_minor FROM budgets \
                   WHERE id = $1 AND tenant = $2";
        let found: Option<(i64, i64, i64)> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(&id.0.as_bytes()[..]);
            query.bind(tenant.as_str()).fetch_optional(pool).await
        })
        .map_err(failed)?;
        Ok(found.map(budget))
    }

    async fn reserve(&self, charge: &Charge) -> Result<Reserved, Error> {
        if self.reserved(charge).await.map_err(failed)? {
            return Ok(Reserved::Yes);
        }
        let mut left_minor = u64::MAX;
        for id in &charge.budgets {
            let found = self.get(&charge.tenant, *id).await?;
            left_minor = left_minor.min(found.map_or(0, |budget| budget.left_minor()));
        }
        Ok(Reserved::Short { left_minor })
    }

    async fn settle(&self, run: RunId, charge: Uuid, spent_minor: u64) -> Result<(), Error> {
        self.settled(run, (Some(charge), minor(spent_minor))).await.map_err(failed)
    }

    async fn close(&self, run: RunId) -> Result<(), Error> {
        self.settled(run, (None, i64::MAX)).await.map_err(failed)
    }

    async fn cost(&self, tenant: &Tenant, run: RunId) -> Result<Option<u64>, Error> {
        let sql = "SELECT (SELECT spent_minor FROM costs WHERE run_id = $1 AND tenant = $2), \
                   (SELECT CAST(SUM(amount_minor) AS BIGINT) FROM \
                   (SELECT DISTINCT id, amount_minor FROM charges \
                   WHERE run_id = $1 AND tenant = $2 AND settled = 0) AS open)";
        let (spent, reserved): (Option<i64>, Option<i64>) = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(&run.0.as_bytes()[..]);
            query.bind(tenant.as_str()).fetch_one(pool).await
        })
        .map_err(failed)?;
        let parts = spent.into_iter().chain(reserved).map(i64::unsigned_abs);
        Ok(parts.reduce(|one, two| one + two))
    }

    async fn open_runs(&self, before: Timestamp) -> Result<Vec<(Arc<str>, RunId)>, Error> {
        let sql = "SELECT DISTINCT tenant, run_id FROM charges WHERE at < $1 \
                   ORDER BY run_id LIMIT $2";
        let found: Vec<(String, Vec<u8>)> = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).bind(before.as_micros()).bind(RUNS_MAX).fetch_all(pool).await
        })
        .map_err(failed)?;
        let run = |(tenant, run): (String, Vec<u8>)| {
            Ok((tenant.into(), rows::run_id(&run).map_err(failed)?))
        };
        found.into_iter().map(run).collect()
    }
}
