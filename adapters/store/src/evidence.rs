//! The tables as they are, for whoever checks them: nothing is interpreted, so that what was
//! tampered with is handed over and not refused.

use genie_core::journal::chain::Hash;
use sqlx::Row as _;

use crate::checkpoints::{Checkpoints, Error};
use crate::pool::on;
use crate::rows;

/// A record as its row has it.
#[derive(Debug, Clone)]
pub struct RawRecord {
    /// Position in the chain.
    pub seq: u64,
    /// Position within the run.
    pub number: u64,
    /// The run; 16 bytes.
    pub run_id: Vec<u8>,
    /// The hash; `None` if the column has not 32 bytes.
    pub hash: Option<Hash>,
    /// The text of the entry.
    pub body: Vec<u8>,
}

/// A run as its row has it. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRun {
    /// The run; 16 bytes.
    pub run_id: Vec<u8>,
    /// The tenant.
    pub tenant: String,
    /// Who asked.
    pub subject: String,
    /// Who was asked.
    pub agent: String,
    /// The word for how it stands.
    pub status: String,
    /// When it started.
    pub started_at: i64,
    /// When it ended.
    pub ended_at: Option<i64>,
}

/// Which content; the key of its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobKey {
    /// The tenant.
    pub tenant: String,
    /// The subject.
    pub subject: String,
    /// The hash under which it is kept.
    pub sha256: Vec<u8>,
}

/// An approval as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawApproval {
    /// The approval; 16 bytes.
    pub id: Vec<u8>,
    /// The tenant.
    pub tenant: String,
    /// The run; 16 bytes.
    pub run_id: Vec<u8>,
    /// The word for how it stands.
    pub status: String,
    /// When it was asked, in microseconds since 1970.
    pub requested_at: i64,
    /// How often it was changed.
    pub revision: i64,
    /// The approval as JSON.
    pub document: String,
}

/// That a run may load content, as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawLink {
    /// The run; 16 bytes.
    pub run_id: Vec<u8>,
    /// The hash of the content.
    pub sha256: Vec<u8>,
    /// The label as JSON.
    pub label: String,
}

const RUN: &str = "SELECT run_id, tenant, subject, agent, status, started_at, ended_at FROM runs";

type ApprovalRow = (Vec<u8>, String, Vec<u8>, String, i64, i64, String);

type RunRow = (Vec<u8>, String, String, String, String, i64, Option<i64>);

fn run((run_id, tenant, subject, agent, status, started_at, ended_at): RunRow) -> RawRun {
    RawRun { run_id, tenant, subject, agent, status, started_at, ended_at }
}

impl Checkpoints {
    /// The records of a chain after number `after`, up to number `until`, in order.
    pub async fn raw(&self, chain: i64, after: u64, until: u64) -> Result<Vec<RawRecord>, Error> {
        let sql = "SELECT seq, number, run_id, hash, body FROM records \
                   WHERE chain = $1 AND seq > $2 AND seq <= $3 ORDER BY seq";
        on!(&self.pools.read, pool => {
            let query = sqlx::query(sql).bind(chain).bind(rows::number(after));
            let found = query.bind(rows::number(until)).fetch_all(pool).await?;
            let mut records = Vec::with_capacity(found.len());
            for row in found {
                let hash: &[u8] = row.try_get_unchecked(3)?;
                let body: &[u8] = row.try_get_unchecked(4)?;
                let run_id: &[u8] = row.try_get_unchecked(2)?;
                records.push(RawRecord {
                    seq: row.try_get::<i64, _>(0)?.cast_unsigned(),
                    number: row.try_get::<i64, _>(1)?.cast_unsigned(),
                    run_id: run_id.to_vec(),
                    hash: rows::hash(hash).ok(),
                    body: body.to_vec(),
                });
            }
            Ok(records)
        })
    }

    /// The number of the last record of a chain; 0 without any.
    pub async fn last(&self, chain: i64) -> Result<u64, Error> {
        let sql = "SELECT COALESCE(MAX(seq), 0) FROM records WHERE chain = $1";
        let (last,): (i64,) = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).bind(chain).fetch_one(pool).await
        })?;
        Ok(last.cast_unsigned())
    }

    /// Up to `limit` runs after this one, in the order of their ids.
    pub async fn raw_runs(&self, after: &[u8], limit: u64) -> Result<Vec<RawRun>, Error> {
        let sql = format!("{RUN} WHERE run_id > $1 ORDER BY run_id LIMIT $2");
        let found: Vec<RunRow> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(after);
            query.bind(rows::number(limit)).fetch_all(pool).await
        })?;
        Ok(found.into_iter().map(run).collect())
    }

    /// A run.
    pub async fn raw_run(&self, run_id: &[u8]) -> Result<Option<RawRun>, Error> {
        let sql = format!("{RUN} WHERE run_id = $1");
        let found: Option<RunRow> = on!(&self.pools.read, pool => {
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(run_id).fetch_optional(pool).await
        })?;
        Ok(found.map(run))
    }

    /// Up to `limit` approvals after this one, in the order of their ids.
    pub async fn raw_approvals(&self, after: &[u8], limit: u64) -> Result<Vec<RawApproval>, Error> {
        let sql = "SELECT id, tenant, run_id, status, requested_at, revision, document \
                   FROM approvals WHERE id > $1 ORDER BY id LIMIT $2";
        let found: Vec<ApprovalRow> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(after);
            query.bind(rows::number(limit)).fetch_all(pool).await
        })?;
        let approval = |(id, tenant, run_id, status, requested_at, revision, document)| {
            RawApproval { id, tenant, run_id, status, requested_at, revision, document }
        };
        Ok(found.into_iter().map(approval).collect())
    }

    /// Up to `limit` links between runs and content after this one, in the order of the runs.
    pub async fn raw_links(
        &self,
        after: Option<&RawLink>,
        limit: u64,
    ) -> Result<Vec<RawLink>, Error> {
        let sql = "SELECT run_id, sha256, label FROM run_blobs WHERE (run_id, sha256) > ($1, $2) \
                   ORDER BY run_id, sha256 LIMIT $3";
        let (run, sha256) =
            after.map_or((&[][..], &[][..]), |after| (&after.run_id[..], &after.sha256[..]));
        let found: Vec<(Vec<u8>, Vec<u8>, String)> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(run).bind(sha256);
            query.bind(rows::number(limit)).fetch_all(pool).await
        })?;
        let link = |(run_id, sha256, label)| RawLink { run_id, sha256, label };
        Ok(found.into_iter().map(link).collect())
    }

    /// Up to `limit` keys of content after this one.
    pub async fn blob_keys(
        &self,
        after: Option<&BlobKey>,
        limit: u64,
    ) -> Result<Vec<BlobKey>, Error> {
        let first = BlobKey { tenant: String::new(), subject: String::new(), sha256: Vec::new() };
        let BlobKey { tenant, subject, sha256 } = after.unwrap_or(&first);
        let sql = "SELECT tenant, subject, sha256 FROM blobs \
                   WHERE (tenant, subject, sha256) > ($1, $2, $3) \
                   ORDER BY tenant, subject, sha256 LIMIT $4";
        let found: Vec<(String, String, Vec<u8>)> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(tenant).bind(subject).bind(&sha256[..]);
            query.bind(rows::number(limit)).fetch_all(pool).await
        })?;
        let key = |(tenant, subject, sha256)| BlobKey { tenant, subject, sha256 };
        Ok(found.into_iter().map(key).collect())
    }

    /// The content that is kept under a key.
    pub async fn blob(&self, key: &BlobKey) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT content FROM blobs WHERE tenant = $1 AND subject = $2 AND sha256 = $3";
        let found: Option<(Vec<u8>,)> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(&key.tenant).bind(&key.subject);
            query.bind(&key.sha256[..]).fetch_optional(pool).await
        })?;
        Ok(found.map(|(content,)| content))
    }
}
