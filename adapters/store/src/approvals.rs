//! The approvals port over either database: each a JSON document, swapped by its revision.

use std::sync::Arc;

use genie_core::approval::{Approval, ApprovalId, Approvals, Error, Filter};
use genie_core::{Tenant, async_trait};

use crate::pool::{Pools, on};
use crate::rows;
use crate::sealing::cipher::Place;
use crate::sealing::{Columns, Content, Sealing, live};

/// How often an approval is sealed anew because its key was erased meanwhile.
const SEALED_MAX: u32 = 8;

/// Approvals in a database.
#[derive(Debug)]
pub(crate) struct StoredApprovals {
    pub(crate) pools: Pools,
    pub(crate) sealing: Arc<Sealing>,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}

/// An approval as its row has it: id, revision, text, sealed text, key.
type Found = (Vec<u8>, i64, String, Option<Vec<u8>>, Option<i64>);

/// The columns that hold an approval.
struct Written {
    document: String,
    sealed: Option<Vec<u8>>,
    key_id: Option<i64>,
}

impl StoredApprovals {
    async fn opened(&self, found: Vec<Found>) -> Result<Vec<Approval>, Error> {
        let keys = self.sealing.find(found.iter().map(|found| found.4)).await.map_err(failed)?;
        let mut approvals = Vec::with_capacity(found.len());
        for (id, revision, document, sealed, key_id) in found {
            let columns = Columns { clear: document.as_bytes(), sealed: sealed.as_deref(), key_id };
            match keys.open(&columns, Place::Approval { id: &id, revision }) {
                Content::Text(text) => {
                    approvals.push(serde_json::from_slice(&text).map_err(failed)?);
                }
                // Erased between the two queries.
                Content::Erased => {}
                Content::Broken(problem) => {
                    return Err(Error(format!(
                        "an approval {problem}; run `genie audit verify`, and restore it from a \
                         backup"
                    )));
                }
            }
        }
        Ok(approvals)
    }

    /// The approval as it is written: sealed for whoever asked for the run.
    async fn written(&self, approval: &Approval) -> Result<Written, Error> {
        let document = serde_json::to_string(approval).map_err(failed)?;
        if self.sealing.current().await.map_err(failed)?.is_none() {
            return Ok(Written { document, sealed: None, key_id: None });
        }
        let sealer = self.sealing.sealer(&approval.tenant, &approval.requester).await;
        let sealer = sealer.map_err(failed)?;
        let id = approval.id.0.as_bytes();
        let place = Place::Approval { id, revision: rows::number(approval.revision) };
        let sealed = sealer.cipher.seal(&sealer.holder, place, document.as_bytes());
        let sealed = Some(sealed.map_err(failed)?);
        Ok(Written { document: String::new(), sealed, key_id: Some(sealer.id) })
    }

    /// Puts it in; `false` if its key was erased meanwhile.
    async fn insert(&self, approval: &Approval, written: &Written) -> Result<bool, sqlx::Error> {
        let sql = "INSERT INTO approvals \
                   (id, tenant, run_id, status, requested_at, revision, document, sealed, key_id) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
        on!(&self.pools.write, pool => {
            let mut transaction = pool.begin_with(self.pools.begin()).await?;
            if let Some(key) = written.key_id {
                let found: Option<(i64,)> = sqlx::query_as(live(&self.pools)).bind(key)
                    .fetch_optional(&mut *transaction).await?;
                if found.is_none() {
                    return Ok(false);
                }
            }
            let query = sqlx::query(sql).bind(&approval.id.0.as_bytes()[..]);
            let query = query.bind(&*approval.tenant).bind(&approval.run_id.0.as_bytes()[..]);
            let query = query.bind(approval.status.name()).bind(approval.requested_at.as_micros());
            let query = query.bind(rows::number(approval.revision)).bind(&written.document);
            let query = query.bind(written.sealed.as_deref()).bind(written.key_id);
            query.execute(&mut *transaction).await?;
            transaction.commit().await?;
        });
        Ok(true)
    }

    /// Puts `next` in the place of the revision before it, and makes its run due if it is final.
    /// `None` if its key was erased meanwhile. A decision for a run that has ended changes nothing.
    ///
    /// Both rows change in one transaction. The run's is touched whatever its status, so that a
    /// writer which parks it in the meantime waits, and then sees the decision.
    async fn update(
        &self,
        (next, before): (&Approval, u64),
        written: &Written,
    ) -> Result<Option<bool>, sqlx::Error> {
        let sql = "UPDATE approvals SET document = $1, status = $2, revision = $3, sealed = $4, \
                   key_id = $5 WHERE id = $6 AND tenant = $7 AND revision = $8 \
                   AND ($9 = 0 OR NOT EXISTS (SELECT 1 FROM runs \
                   WHERE runs.run_id = approvals.run_id AND runs.ended_at IS NOT NULL))";
        let due = "UPDATE runs SET wake_at = 0 \
                   WHERE run_id = $1 AND tenant = $2 AND ended_at IS NULL";
        on!(&self.pools.write, pool => {
            let mut transaction = pool.begin_with(self.pools.begin()).await?;
            if let Some(key) = written.key_id {
                let found: Option<(i64,)> = sqlx::query_as(live(&self.pools)).bind(key)
                    .fetch_optional(&mut *transaction).await?;
                if found.is_none() {
                    return Ok(None);
                }
            }
            let query = sqlx::query(sql).bind(&written.document).bind(next.status.name());
            let query = query.bind(rows::number(next.revision)).bind(written.sealed.as_deref());
            let query = query.bind(written.key_id).bind(&next.id.0.as_bytes()[..]);
            let query = query.bind(&*next.tenant).bind(rows::number(before));
            let query = query.bind(i64::from(next.was_decided_on()));
            if query.execute(&mut *transaction).await?.rows_affected() != 1 {
                return Ok(Some(false));
            }
            if next.status.is_final() {
                let query = sqlx::query(due).bind(&next.run_id.0.as_bytes()[..]);
                let query = query.bind(&*next.tenant);
                query.execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(Some(true))
    }
}

fn over_and_over(approval: &Approval) -> Error {
    Error(format!("the key of `{}` is erased over and over", approval.requester))
}

#[async_trait]
impl Approvals for StoredApprovals {
    async fn put(&self, tenant: &Tenant, approval: &Approval) -> Result<(), Error> {
        approval.check_tenant(tenant)?;
        for _ in 0..SEALED_MAX {
            let written = self.written(approval).await?;
            if self.insert(approval, &written).await.map_err(failed)? {
                return Ok(());
            }
        }
        Err(over_and_over(approval))
    }

    async fn get(&self, tenant: &Tenant, id: ApprovalId) -> Result<Option<Approval>, Error> {
        let sql = "SELECT id, revision, document, sealed, key_id FROM approvals \
                   WHERE id = $1 AND tenant = $2";
        let found: Option<Found> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(&id.0.as_bytes()[..]);
            query.bind(tenant.as_str()).fetch_optional(pool).await
        })
        .map_err(failed)?;
        let Some(found) = found else { return Ok(None) };
        let approval = self.opened(vec![found]).await?.pop();
        let erased = || Error(format!("approval `{id}` was erased with the data of its requester"));
        approval.map(Some).ok_or_else(erased)
    }

    /// Those that were erased are not among them.
    async fn list(&self, tenant: &Tenant, filter: &Filter) -> Result<Vec<Approval>, Error> {
        let sql = "SELECT id, revision, document, sealed, key_id FROM approvals a \
                   WHERE tenant = $1 \
                   AND ($2 IS NULL OR run_id = $2) AND ($3 IS NULL OR status = $3) \
                   AND ($4 IS NULL OR (requested_at, id) > \
                   (SELECT requested_at, id FROM approvals WHERE id = $4 AND tenant = $1)) \
                   AND (key_id IS NULL OR NOT EXISTS (SELECT 1 FROM subject_keys k \
                   WHERE k.id = a.key_id AND k.erased_at IS NOT NULL)) \
                   ORDER BY requested_at, id LIMIT $5";
        let run = filter.run_id.map(|run| run.0.as_bytes().to_vec());
        let after = filter.after.map(|after| after.0.as_bytes().to_vec());
        let found: Vec<Found> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(tenant.as_str()).bind(run);
            let query = query.bind(filter.status.as_deref());
            query.bind(after).bind(rows::number(filter.limit as u64)).fetch_all(pool).await
        })
        .map_err(failed)?;
        self.opened(found).await
    }

    async fn swap(&self, tenant: &Tenant, next: &Approval) -> Result<bool, Error> {
        next.check_tenant(tenant)?;
        let Some(before) = next.revision.checked_sub(1) else { return Ok(false) };
        for _ in 0..SEALED_MAX {
            let written = self.written(next).await?;
            let swapped = self.update((next, before), &written).await.map_err(failed)?;
            if let Some(swapped) = swapped {
                return Ok(swapped);
            }
        }
        Err(over_and_over(next))
    }

    /// Those that were erased are not among them.
    async fn of_ended_runs(&self, max: usize) -> Result<Vec<Approval>, Error> {
        let sql = "SELECT id, revision, document, sealed, key_id FROM approvals a \
                   WHERE status = 'pending' AND EXISTS \
                   (SELECT 1 FROM runs r WHERE r.run_id = a.run_id AND r.ended_at IS NOT NULL) \
                   AND (key_id IS NULL OR NOT EXISTS (SELECT 1 FROM subject_keys k \
                   WHERE k.id = a.key_id AND k.erased_at IS NOT NULL)) LIMIT $1";
        let found: Vec<Found> = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).bind(rows::number(max as u64)).fetch_all(pool).await
        })
        .map_err(failed)?;
        self.opened(found).await
    }
}
