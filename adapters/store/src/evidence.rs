//! The tables as they are, for whoever checks them: nothing is interpreted, so that what was
//! tampered with is handed over and not refused.

use genie_core::journal::chain::Hash;
use genie_core::journal::restore::Kept;

use crate::checkpoints::{Checkpoints, Error};
use crate::pack::{Broken, Packed, Part};
use crate::pool::on;
use crate::rows;
use crate::sealing::cipher::Place;
use crate::sealing::{self, Columns, Content};

/// A record as its row has it; one stands for all of a row that is not as it was written.
#[derive(Debug, Clone)]
pub struct RawRecord {
    /// Position in the chain.
    pub seq: u64,
    /// Position within the run.
    pub number: u64,
    /// The run; 16 bytes.
    pub run_id: Vec<u8>,
    /// The hash of the record before, as it stands beside this one.
    pub prev_hash: Hash,
    /// The hash; `None` if its row is not as it was written.
    pub hash: Option<Hash>,
    /// SHA-256 of the text of the entry: of the text if it is in the clear, or else as it stands
    /// beside the record; `None` if its row is not as it was written.
    pub body_sha256: Option<Hash>,
    /// The text of the entry.
    pub body: Kept,
    /// The tenant and the subject for whom it is sealed, if it is.
    pub holder: Option<(String, String)>,
}

/// Content as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawContent {
    /// It is there.
    Bytes(Vec<u8>),
    /// It was erased with the key of its subject.
    Erased,
    /// It is not as it was written: why, in a clause.
    Broken(String),
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
    pub document: RawContent,
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

type ApprovalRow =
    (Vec<u8>, String, Vec<u8>, String, i64, i64, String, Option<Vec<u8>>, Option<i64>);

type RunRow = (Vec<u8>, String, String, String, String, i64, Option<i64>);

fn run((run_id, tenant, subject, agent, status, started_at, ended_at): RunRow) -> RawRun {
    RawRun { run_id, tenant, subject, agent, status, started_at, ended_at }
}

impl Checkpoints {
    /// The records of a chain after number `after`, up to number `until`, in order.
    pub async fn raw(&self, chain: i64, after: u64, until: u64) -> Result<Vec<RawRecord>, Error> {
        let found = self.packs(chain, after, until).await?;
        let keys = self.sealing.find(found.iter().map(|pack| pack.key_id)).await?;
        let mut records = Vec::new();
        for pack in &found {
            match pack.parts() {
                Ok(parts) => {
                    let wanted = |seq| seq > after && seq <= until;
                    let parts = parts.into_iter().filter(|(part, _)| wanted(part.seq));
                    records.extend(parts.map(|(part, text)| record(&keys, pack, &part, text)));
                }
                Err(problem) => records.push(broken(pack, problem)),
            }
        }
        records.sort_by_key(|record| record.seq);
        Ok(records)
    }

    /// The number of the last record of a chain; 0 without any.
    pub async fn last(&self, chain: i64) -> Result<u64, Error> {
        let sql = "SELECT COALESCE(MAX(seq), 0) FROM packs WHERE chain = $1";
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
        let sql = "SELECT id, tenant, run_id, status, requested_at, revision, document, sealed, \
                   key_id FROM approvals WHERE id > $1 ORDER BY id LIMIT $2";
        let found: Vec<ApprovalRow> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(after);
            query.bind(rows::number(limit)).fetch_all(pool).await
        })?;
        let keys = self.sealing.find(found.iter().map(|row| row.8)).await?;
        let approval = |row: ApprovalRow| {
            let (id, tenant, run_id, status, requested_at, revision, clear, sealed, key_id) = row;
            let columns = Columns { clear: clear.as_bytes(), sealed: sealed.as_deref(), key_id };
            let document = keys.open(&columns, Place::Approval { id: &id, revision }).into();
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
    pub async fn blob(&self, key: &BlobKey) -> Result<Option<RawContent>, Error> {
        let sql = "SELECT content, sealed, key_id FROM blobs \
                   WHERE tenant = $1 AND subject = $2 AND sha256 = $3";
        let found: Option<ContentRow> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(&key.tenant).bind(&key.subject);
            query.bind(&key.sha256[..]).fetch_optional(pool).await
        })?;
        let Some((content, sealed, key_id)) = found else { return Ok(None) };
        let keys = self.sealing.find([key_id]).await?;
        let theirs = keys
            .holder(key_id)
            .is_none_or(|holder| (&holder.tenant, &holder.subject) == (&key.tenant, &key.subject));
        if !theirs {
            return Ok(Some(RawContent::Broken("is sealed for someone else".to_owned())));
        }
        let columns = Columns { clear: &content, sealed: sealed.as_deref(), key_id };
        Ok(Some(keys.open(&columns, Place::Blob { sha256: &key.sha256 }).into()))
    }
}

/// A document as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawDocument {
    /// The tenant.
    pub tenant: String,
    /// Whose it is.
    pub subject: String,
    /// The hash that its content is to give.
    pub sha256: Vec<u8>,
    /// The content.
    pub content: RawContent,
}

type DocumentRow = (String, String, Vec<u8>, Vec<u8>, Option<Vec<u8>>, Option<i64>);

impl Checkpoints {
    /// The ids of documents after this one, in order.
    pub async fn document_ids(&self, after: &[u8], limit: u64) -> Result<Vec<Vec<u8>>, Error> {
        let sql = "SELECT id FROM documents WHERE id > $1 ORDER BY id LIMIT $2";
        let found: Vec<(Vec<u8>,)> = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).bind(after).bind(rows::number(limit)).fetch_all(pool).await
        })?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }

    /// The document with this id.
    pub async fn document(&self, id: &[u8]) -> Result<Option<RawDocument>, Error> {
        let sql = "SELECT tenant, subject, sha256, content, sealed, key_id FROM documents \
                   WHERE id = $1";
        let found: Option<DocumentRow> = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).bind(id).fetch_optional(pool).await
        })?;
        let Some((tenant, subject, sha256, clear, sealed, key_id)) = found else { return Ok(None) };
        let keys = self.sealing.find([key_id]).await?;
        let holder = keys.holder(key_id);
        let theirs =
            holder.is_none_or(|holder| (&holder.tenant, &holder.subject) == (&tenant, &subject));
        let content = if theirs {
            let columns = Columns { clear: &clear, sealed: sealed.as_deref(), key_id };
            keys.open(&columns, Place::Document { id }).into()
        } else {
            RawContent::Broken("is sealed for someone else".to_owned())
        };
        Ok(Some(RawDocument { tenant, subject, sha256, content }))
    }
}

impl From<Content> for RawContent {
    fn from(content: Content) -> Self {
        match content {
            Content::Text(content) => Self::Bytes(content),
            Content::Erased => Self::Erased,
            Content::Broken(problem) => Self::Broken(problem),
        }
    }
}

/// The columns of content: in the clear, sealed, its key.
type ContentRow = (Vec<u8>, Option<Vec<u8>>, Option<i64>);

fn record(keys: &sealing::Found, pack: &Packed, part: &Part<'_>, text: &[u8]) -> RawRecord {
    let holder = keys.holder(pack.key_id.filter(|_| part.is_sealed));
    RawRecord {
        seq: part.seq,
        number: part.number,
        run_id: pack.run_id.clone(),
        prev_hash: part.prev_hash,
        hash: Some(part.hash),
        body_sha256: Some(if part.is_sealed { part.sha256 } else { Hash::of(text) }),
        body: rows::body(keys, pack, part, text),
        holder: holder.map(|holder| (holder.tenant.clone(), holder.subject.clone())),
    }
}

fn broken(pack: &Packed, problem: Broken) -> RawRecord {
    RawRecord {
        seq: pack.index.seq.cast_unsigned(),
        number: pack.index.number.cast_unsigned(),
        run_id: pack.run_id.clone(),
        prev_hash: Hash::ZERO,
        hash: None,
        body_sha256: None,
        body: Kept::Broken(problem.to_owned()),
        holder: None,
    }
}
