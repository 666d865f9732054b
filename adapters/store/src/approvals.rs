//! The approvals port over either database: each a JSON document, swapped by its revision.

use genie_core::approval::{Approval, ApprovalId, Approvals, Error, Filter};
use genie_core::async_trait;

use crate::pool::{Pools, on};
use crate::rows;

/// Approvals in a database.
#[derive(Debug)]
pub(crate) struct StoredApprovals {
    pub(crate) pools: Pools,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}

fn read(document: &str) -> Result<Approval, Error> {
    serde_json::from_str(document).map_err(failed)
}

#[async_trait]
impl Approvals for StoredApprovals {
    async fn put(&self, approval: &Approval) -> Result<(), Error> {
        let document = serde_json::to_string(approval).map_err(failed)?;
        let sql = "INSERT INTO approvals \
                   (id, tenant, run_id, status, requested_at, revision, document) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
        on!(&self.pools.write, pool => {
            let query = sqlx::query(sql).bind(&approval.id.0.as_bytes()[..]);
            let query = query.bind(&*approval.tenant).bind(&approval.run_id.0.as_bytes()[..]);
            let query = query.bind(approval.status.name()).bind(approval.requested_at.as_micros());
            let query = query.bind(rows::number(approval.revision)).bind(document);
            query.execute(pool).await.map(drop)
        })
        .map_err(failed)
    }

    async fn get(&self, tenant: &str, id: ApprovalId) -> Result<Option<Approval>, Error> {
        let sql = "SELECT document FROM approvals WHERE id = $1 AND tenant = $2";
        let found: Option<(String,)> = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).bind(&id.0.as_bytes()[..]).bind(tenant).fetch_optional(pool).await
        })
        .map_err(failed)?;
        found.map(|(document,)| read(&document)).transpose()
    }

    async fn list(&self, tenant: &str, filter: &Filter) -> Result<Vec<Approval>, Error> {
        let sql = "SELECT document FROM approvals WHERE tenant = $1 \
                   AND ($2 IS NULL OR run_id = $2) AND ($3 IS NULL OR status = $3) \
                   AND ($4 IS NULL OR (requested_at, id) > \
                   (SELECT requested_at, id FROM approvals WHERE id = $4 AND tenant = $1)) \
                   ORDER BY requested_at, id LIMIT $5";
        let run = filter.run_id.map(|run| run.0.as_bytes().to_vec());
        let after = filter.after.map(|after| after.0.as_bytes().to_vec());
        let found: Vec<(String,)> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(tenant).bind(run).bind(filter.status.as_deref());
            query.bind(after).bind(rows::number(filter.limit as u64)).fetch_all(pool).await
        })
        .map_err(failed)?;
        found.iter().map(|(document,)| read(document)).collect()
    }

    /// Both rows change in one transaction. The run's is touched whatever its status, so that a
    /// writer which parks it in the meantime waits, and then sees the decision.
    async fn swap(&self, next: &Approval) -> Result<bool, Error> {
        let Some(before) = next.revision.checked_sub(1) else { return Ok(false) };
        let document = serde_json::to_string(next).map_err(failed)?;
        let sql = "UPDATE approvals SET document = $1, status = $2, revision = $3 \
                   WHERE id = $4 AND tenant = $5 AND revision = $6";
        let due = "UPDATE runs SET wake_at = 0 WHERE run_id = $1 AND ended_at IS NULL";
        on!(&self.pools.write, pool => {
            let mut transaction = pool.begin_with(self.pools.begin()).await.map_err(failed)?;
            let query = sqlx::query(sql).bind(document).bind(next.status.name());
            let query = query.bind(rows::number(next.revision)).bind(&next.id.0.as_bytes()[..]);
            let query = query.bind(&*next.tenant).bind(rows::number(before));
            let swapped = query.execute(&mut *transaction).await.map_err(failed)?;
            if swapped.rows_affected() != 1 {
                return Ok(false);
            }
            if next.status.is_final() {
                let query = sqlx::query(due).bind(&next.run_id.0.as_bytes()[..]);
                query.execute(&mut *transaction).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)?;
        });
        Ok(true)
    }
}
