//! The runs port over either database.

use std::sync::Arc;
use std::time::Duration;

use genie_core::clock::Timestamp;
use genie_core::ids::RunId;
use genie_core::runs::{Error, Progress, Query, Runs, Summary};
use genie_core::{Tenant, async_trait};

use crate::journal::LOOKING;
use crate::pool::{Db, Owner, Pools, on};
use crate::queue::Queue;
use crate::rows;

/// An unfinished run that nobody works on: parked, or of a process that lost its chain.
macro_rules! free {
    () => {
        "ended_at IS NULL AND (owner_chain IS NULL OR NOT EXISTS \
         (SELECT 1 FROM chains WHERE id = owner_chain AND epoch = owner_epoch))"
    };
}

/// Runs that are to go on, the longest due first. `$1` and `$2` are the new owner.
///
/// A run that is or was at work has no time, or one that has passed: so the index by time gives all
/// of them, however many are parked.
macro_rules! claim {
    ($due:expr) => {
        concat!(
            "WITH due AS MATERIALIZED (",
            $due,
            ") UPDATE runs SET owner_chain = $1, owner_epoch = $2 FROM due \
             WHERE runs.run_id = due.run_id RETURNING runs.run_id, runs.wake_at"
        )
    };
}

/// SQLite does not use the index for both at once.
const CLAIM_SQLITE: &str = claim!(concat!(
    "SELECT run_id, wake_at FROM runs WHERE wake_at IS NULL AND ",
    free!(),
    " UNION ALL SELECT run_id, wake_at FROM runs WHERE wake_at <= $3 AND ",
    free!(),
    " ORDER BY wake_at NULLS FIRST, run_id LIMIT $4"
));

const CLAIM_POSTGRES: &str = claim!(concat!(
    "SELECT run_id FROM runs WHERE (wake_at IS NULL OR wake_at <= $3) AND ",
    free!(),
    " ORDER BY wake_at NULLS FIRST, run_id LIMIT $4 FOR UPDATE SKIP LOCKED"
));

/// The run is due from here on, should its process die before it goes on.
const CLAIM_RUN: &str = concat!(
    "UPDATE runs SET owner_chain = $1, owner_epoch = $2, wake_at = 0 \
     WHERE run_id = $3 AND ",
    free!()
);

/// Runs at work that are to be cancelled, found by the same index. `$1` and `$2` are the owner.
const TO_CANCEL: &str = "SELECT run_id, cancel_reason FROM runs WHERE ended_at IS NULL \
     AND wake_at IS NULL AND cancel_reason IS NOT NULL AND owner_chain = $1 AND owner_epoch = $2 \
     UNION ALL SELECT run_id, cancel_reason FROM runs WHERE ended_at IS NULL \
     AND wake_at <= 0 AND cancel_reason IS NOT NULL AND owner_chain = $1 AND owner_epoch = $2";

/// Runs in a database.
#[derive(Debug)]
pub(crate) struct StoredRuns {
    pub(crate) pools: Pools,
    /// Who this process is, if it may own runs, and what it has yet to write about them.
    pub(crate) owner: Option<(Owner, Arc<Queue>)>,
    pub(crate) poll_every: Duration,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}

const SUMMARY: &str = "run_id, tenant, subject, agent, status, started_at, ended_at, wake_at";

type SummaryRow = (Vec<u8>, String, String, String, String, i64, Option<i64>, Option<i64>);

fn summary(row: SummaryRow) -> Result<Summary, Error> {
    let (run_id, tenant, subject, agent, status, started_at, ended_at, wake_at) = row;
    // Between a decision and the moment when its run is parked, a time may stand there already.
    let wake_at = wake_at.filter(|_| status == "waiting");
    Ok(Summary {
        run_id: rows::run_id(&run_id).map_err(failed)?,
        tenant: tenant.into(),
        subject: subject.into(),
        agent: agent.into(),
        status: status.into(),
        started_at: Timestamp::from_micros(started_at),
        ended_at: ended_at.map(Timestamp::from_micros),
        wake_at: wake_at.map(Timestamp::from_micros),
    })
}

/// How far the runs are whose ids follow.
macro_rules! progress {
    () => {
        "SELECT run_id, tenant, (SELECT MAX(number) FROM packs p WHERE p.run_id = u.run_id), \
         ended_at IS NOT NULL FROM runs u WHERE run_id "
    };
}

/// Run, tenant, number of its last record, whether it has ended.
type ProgressRow = (Vec<u8>, String, Option<i64>, bool);

impl StoredRuns {
    fn owner(&self) -> Result<Owner, Error> {
        let (owner, queue) = self.owner.as_ref().ok_or_else(|| failed(LOOKING))?;
        if queue.is_shut() {
            return Err(failed("this process has lost its chain and may not take runs"));
        }
        Ok(*owner)
    }

    /// Waits for what this process has yet to write, so that it sees its own runs. If it cannot
    /// write, what is there is still worth seeing.
    async fn settled(&self) {
        if let Some((_, queue)) = &self.owner {
            let _ = queue.settled().await;
        }
    }
}

#[async_trait]
impl Runs for StoredRuns {
    async fn claim(&self, now: Timestamp, max: usize) -> Result<Vec<RunId>, Error> {
        let owner = self.owner()?;
        let sql = match &self.pools.write {
            Db::Sqlite(_) => CLAIM_SQLITE,
            Db::Postgres(pool) => {
                crate::postgres::fence_the_dead(pool, owner).await.map_err(failed)?;
                CLAIM_POSTGRES
            }
        };
        let mut claimed: Vec<(Vec<u8>, Option<i64>)> = on!(&self.pools.write, pool => {
            let query = sqlx::query_as(sql).bind(owner.chain).bind(owner.epoch);
            let query = query.bind(now.as_micros()).bind(rows::number(max as u64));
            query.fetch_all(pool).await
        })
        .map_err(failed)?;
        claimed.sort_by(|(one, wake_one), (other, wake_other)| {
            (wake_one, one).cmp(&(wake_other, other))
        });
        claimed.iter().map(|(run, _)| rows::run_id(run).map_err(failed)).collect()
    }

    async fn claim_run(&self, run: RunId) -> Result<bool, Error> {
        let owner = self.owner()?;
        self.settled().await;
        let claimed = on!(&self.pools.write, pool => {
            let query = sqlx::query(CLAIM_RUN).bind(owner.chain).bind(owner.epoch);
            let query = query.bind(&run.0.as_bytes()[..]);
            query.execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(claimed.map_err(failed)? == 1)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        self.settled().await;
        let sql = "SELECT MIN(wake_at) FROM runs \
                   WHERE ended_at IS NULL AND owner_chain IS NULL";
        let (due,): (Option<i64>,) = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).fetch_one(pool).await
        })
        .map_err(failed)?;
        Ok(due.map(Timestamp::from_micros))
    }

    fn poll_every(&self) -> Option<Duration> {
        Some(self.poll_every)
    }

    async fn get(&self, tenant: &Tenant, run: RunId) -> Result<Option<Summary>, Error> {
        self.settled().await;
        let sql = format!("SELECT {SUMMARY} FROM runs WHERE run_id = $1 AND tenant = $2");
        let found: Option<SummaryRow> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
            query.bind(&run.0.as_bytes()[..]).bind(tenant.as_str()).fetch_optional(pool).await
        })
        .map_err(failed)?;
        found.map(summary).transpose()
    }

    async fn progress(&self, runs: &[RunId]) -> Result<Vec<Progress>, Error> {
        let found: Vec<ProgressRow> = match &self.pools.read {
            Db::Sqlite(pool) => {
                let sql = concat!(progress!(), "IN (SELECT unhex(value) FROM json_each($1))");
                let runs: Vec<String> = runs.iter().map(|run| run.0.simple().to_string()).collect();
                let runs = serde_json::to_string(&runs).map_err(failed)?;
                sqlx::query_as(sql).bind(runs).fetch_all(pool).await
            }
            Db::Postgres(pool) => {
                let runs: Vec<&[u8]> = runs.iter().map(|run| &run.0.as_bytes()[..]).collect();
                sqlx::query_as(concat!(progress!(), "= ANY($1)")).bind(runs).fetch_all(pool).await
            }
        }
        .map_err(failed)?;
        let progress = found.into_iter().map(|(run_id, tenant, records, has_ended)| {
            let run_id = rows::run_id(&run_id).map_err(failed)?;
            let records = records.unwrap_or_default().cast_unsigned();
            Ok(Progress { run_id, tenant: tenant.into(), records, has_ended })
        });
        progress.collect()
    }

    async fn list(&self, tenant: &Tenant, query: &Query) -> Result<Vec<Summary>, Error> {
        self.settled().await;
        let sql = format!(
            "SELECT {SUMMARY} FROM runs WHERE tenant = $1 AND ($2 IS NULL OR status = $2) \
             AND ($3 IS NULL OR run_id < $3) AND ($4 IS NULL OR subject = $4) \
             ORDER BY run_id DESC LIMIT $5"
        );
        let before = query.before.map(|run| run.0.as_bytes().to_vec());
        let found: Vec<SummaryRow> = on!(&self.pools.read, pool => {
            let statement = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(tenant.as_str());
            let statement = statement.bind(query.status.as_deref()).bind(before);
            let statement = statement.bind(query.subject.as_deref());
            statement.bind(rows::number(query.limit as u64)).fetch_all(pool).await
        })
        .map_err(failed)?;
        found.into_iter().map(summary).collect()
    }

    /// A parked run becomes due, so that some process takes it and learns of it.
    async fn ask_to_cancel(
        &self,
        tenant: &Tenant,
        run: RunId,
        reason: &str,
    ) -> Result<bool, Error> {
        self.settled().await;
        let sql = "UPDATE runs SET cancel_reason = $1, \
                   wake_at = CASE WHEN owner_chain IS NULL OR status = 'waiting' \
                   THEN 0 ELSE wake_at END \
                   WHERE run_id = $2 AND tenant = $3 AND ended_at IS NULL";
        let asked = on!(&self.pools.write, pool => {
            let query = sqlx::query(sql).bind(reason).bind(&run.0.as_bytes()[..]);
            query.bind(tenant.as_str()).execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(asked.map_err(failed)? == 1)
    }

    async fn to_cancel(&self) -> Result<Vec<(RunId, String)>, Error> {
        let owner = self.owner()?;
        let asked: Vec<(Vec<u8>, String)> = on!(&self.pools.write, pool => {
            sqlx::query_as(TO_CANCEL).bind(owner.chain).bind(owner.epoch).fetch_all(pool).await
        })
        .map_err(failed)?;
        let named = asked.into_iter().map(|(run, reason)| Ok((rows::run_id(&run)?, reason)));
        named.collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    async fn release(&self, run: RunId, until: Timestamp) -> Result<(), Error> {
        let owner = self.owner()?;
        let sql = "UPDATE runs SET owner_chain = NULL, owner_epoch = NULL, wake_at = $1 \
                   WHERE run_id = $2 AND owner_chain = $3 AND owner_epoch = $4 \
                   AND ended_at IS NULL";
        on!(&self.pools.write, pool => {
            let query = sqlx::query(sql).bind(until.as_micros()).bind(&run.0.as_bytes()[..]);
            query.bind(owner.chain).bind(owner.epoch).execute(pool).await.map(drop)
        })
        .map_err(failed)
    }
}
