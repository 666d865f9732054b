//! The port for retries over either database.

use genie_core::async_trait;
use genie_core::attempts::{Attempt, Attempts, Error};
use genie_core::clock::Timestamp;
use genie_core::ids::RunId;

use crate::pool::{Pools, on};
use crate::rows;

/// Attempts in a database.
#[derive(Debug)]
pub(crate) struct StoredAttempts {
    pub(crate) pools: Pools,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}

#[async_trait]
impl Attempts for StoredAttempts {
    async fn begin(&self, attempt: &Attempt) -> Result<Option<Attempt>, Error> {
        let insert = "INSERT INTO attempts (tenant, subject, client_key, request, run_id, at) \
                      VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
        let begun = on!(&self.pools.write, pool => {
            let query = sqlx::query(insert).bind(attempt.tenant.as_str()).bind(&*attempt.subject);
            let query = query.bind(&*attempt.key).bind(&attempt.request.0[..]);
            let query = query.bind(&attempt.run_id.0.as_bytes()[..]).bind(attempt.at.as_micros());
            query.execute(pool).await.map(|done| done.rows_affected())
        })
        .map_err(failed)?;
        if begun == 1 {
            return Ok(None);
        }
        let select = "SELECT request, run_id, at FROM attempts \
                      WHERE tenant = $1 AND subject = $2 AND client_key = $3";
        // Read where it is written, so that what has just come is there.
        let (request, run, at): (Vec<u8>, Vec<u8>, i64) = on!(&self.pools.write, pool => {
            let query = sqlx::query_as(select).bind(attempt.tenant.as_str());
            query.bind(&*attempt.subject).bind(&*attempt.key).fetch_one(pool).await
        })
        .map_err(failed)?;
        Ok(Some(Attempt {
            request: rows::hash(&request).map_err(failed)?,
            run_id: rows::run_id(&run).map_err(failed)?,
            at: Timestamp::from_micros(at),
            ..attempt.clone()
        }))
    }

    async fn swap(&self, before: RunId, next: &Attempt) -> Result<bool, Error> {
        let sql = "UPDATE attempts SET request = $1, run_id = $2, at = $3 \
                   WHERE tenant = $4 AND subject = $5 AND client_key = $6 AND run_id = $7";
        let swapped = on!(&self.pools.write, pool => {
            let query = sqlx::query(sql).bind(&next.request.0[..]);
            let query = query.bind(&next.run_id.0.as_bytes()[..]).bind(next.at.as_micros());
            let query = query.bind(next.tenant.as_str()).bind(&*next.subject).bind(&*next.key);
            let query = query.bind(&before.0.as_bytes()[..]);
            query.execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(swapped.map_err(failed)? == 1)
    }

    async fn forget(&self, before: Timestamp) -> Result<(), Error> {
        let sql = "DELETE FROM attempts WHERE at < $1";
        on!(&self.pools.write, pool => {
            sqlx::query(sql).bind(before.as_micros()).execute(pool).await.map(drop)
        })
        .map_err(failed)
    }
}
