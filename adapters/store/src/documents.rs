//! The documents port over either database. Content is sealed for the subject that it is of.

use std::sync::Arc;

use genie_core::blob::Blob;
use genie_core::clock::Timestamp;
use genie_core::document::{Document, DocumentId, Documents, Error, Query};
use genie_core::{Tenant, async_trait};

use crate::pool::{Db, Pools, on};
use crate::rows;
use crate::sealing::cipher::Place;
use crate::sealing::{Columns, Content, Sealing};

/// How often a key may be erased while a document is written with it.
const SEALED_MAX: usize = 8;

/// Documents in a database.
#[derive(Debug)]
pub(crate) struct StoredDocuments {
    pub(crate) pools: Pools,
    pub(crate) sealing: Arc<Sealing>,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}

const ROW: &str = "id, subject, sha256, bytes, created_at";

type Row = (Vec<u8>, String, Vec<u8>, i64, i64);
type Whole = (Vec<u8>, String, Vec<u8>, i64, i64, Vec<u8>, Option<Vec<u8>>, Option<i64>);

fn document(tenant: &Tenant, (id, subject, sha256, bytes, at): Row) -> Result<Document, Error> {
    Ok(Document {
        id: DocumentId(uuid::Uuid::from_slice(&id).map_err(failed)?),
        tenant: tenant.clone(),
        subject: subject.into(),
        blob: Blob { sha256: rows::hash(&sha256).map_err(failed)?, bytes: bytes.cast_unsigned() },
        created_at: Timestamp::from_micros(at),
    })
}

/// Content as it is written.
struct Written<'a> {
    clear: &'a [u8],
    sealed: Option<Vec<u8>>,
    key_id: Option<i64>,
}

/// What came of an attempt to write.
enum Tried {
    Kept,
    Full,
    /// The key was erased meanwhile.
    Erased,
}

impl StoredDocuments {
    async fn written<'a>(
        &self,
        document: &Document,
        content: &'a [u8],
    ) -> Result<Written<'a>, Error> {
        if self.sealing.current().await.map_err(failed)?.is_none() {
            return Ok(Written { clear: content, sealed: None, key_id: None });
        }
        let sealer = self.sealing.sealer(document.tenant.as_str(), &document.subject).await;
        let sealer = sealer.map_err(failed)?;
        let place = Place::Document { id: document.id.0.as_bytes() };
        let sealed = sealer.cipher.seal(&sealer.holder, place, content).map_err(failed)?;
        Ok(Written { clear: &[], sealed: Some(sealed), key_id: Some(sealer.id) })
    }

    /// Asks whether a key is still there, and keeps it, and other writers with it, until the end
    /// of the transaction: so that they are counted one after the other.
    fn live(&self) -> &'static str {
        match &self.pools.write {
            Db::Sqlite(_) => "SELECT id FROM subject_keys WHERE id = $1 AND wrapped IS NOT NULL",
            Db::Postgres(_) => {
                "SELECT id FROM subject_keys WHERE id = $1 AND wrapped IS NOT NULL FOR UPDATE"
            }
        }
    }

    async fn insert(
        &self,
        document: &Document,
        written: &Written<'_>,
        count_max: usize,
    ) -> Result<Tried, sqlx::Error> {
        let count = "SELECT COUNT(*) FROM documents WHERE tenant = $1 AND subject = $2";
        let sql = "INSERT INTO documents \
                   (id, tenant, subject, sha256, bytes, created_at, content, sealed, key_id) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        on!(&self.pools.write, pool => {
            let mut transaction = pool.begin_with(self.pools.begin()).await?;
            if let Some(key) = written.key_id {
                let live: Option<(i64,)> = sqlx::query_as(self.live()).bind(key)
                    .fetch_optional(&mut *transaction).await?;
                if live.is_none() {
                    return Ok(Tried::Erased);
                }
            }
            let query = sqlx::query_as(count).bind(document.tenant.as_str());
            let query = query.bind(&*document.subject);
            let (count,): (i64,) = query.fetch_one(&mut *transaction).await?;
            if count.cast_unsigned() >= count_max as u64 {
                return Ok(Tried::Full);
            }
            let query = sqlx::query(sql).bind(&document.id.0.as_bytes()[..]);
            let query = query.bind(document.tenant.as_str()).bind(&*document.subject);
            let query = query.bind(&document.blob.sha256.0[..]);
            let query = query.bind(rows::number(document.blob.bytes));
            let query = query.bind(document.created_at.as_micros()).bind(written.clear);
            let query = query.bind(written.sealed.as_deref()).bind(written.key_id);
            query.execute(&mut *transaction).await?;
            transaction.commit().await?;
        });
        Ok(Tried::Kept)
    }
}

#[async_trait]
impl Documents for StoredDocuments {
    async fn put(
        &self,
        document: &Document,
        content: &[u8],
        count_max: usize,
    ) -> Result<bool, Error> {
        for _ in 0..SEALED_MAX {
            let written = self.written(document, content).await?;
            match self.insert(document, &written, count_max).await.map_err(failed)? {
                Tried::Kept => return Ok(true),
                Tried::Full => return Ok(false),
                Tried::Erased => {}
            }
        }
        Err(Error(format!("the key of `{}` is erased over and over", document.subject)))
    }

    async fn list(&self, tenant: &Tenant, query: &Query) -> Result<Vec<Document>, Error> {
        let sql = format!(
            "SELECT {ROW} FROM documents WHERE tenant = $1 AND ($2 IS NULL OR subject = $2) \
             AND ($3 IS NULL OR id < $3) ORDER BY id DESC LIMIT $4"
        );
        let before = query.before.map(|before| before.0.as_bytes().to_vec());
        let found: Vec<Row> = on!(&self.pools.read, pool => {
            let statement = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(tenant.as_str());
            let statement = statement.bind(query.subject.as_deref()).bind(before);
            statement.bind(rows::number(query.limit as u64)).fetch_all(pool).await
        })
        .map_err(failed)?;
        found.into_iter().map(|row| document(tenant, row)).collect()
    }

    async fn get(
        &self,
        tenant: &Tenant,
        subject: Option<&str>,
        id: DocumentId,
    ) -> Result<Option<(Document, Vec<u8>)>, Error> {
        let sql = format!(
            "SELECT {ROW}, content, sealed, key_id FROM documents \
             WHERE id = $1 AND tenant = $2 AND ($3 IS NULL OR subject = $3)"
        );
        let found: Option<Whole> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(&id.0.as_bytes()[..]);
            query.bind(tenant.as_str()).bind(subject).fetch_optional(pool).await
        })
        .map_err(failed)?;
        let Some((row_id, subject, sha256, bytes, at, clear, sealed, key_id)) = found else {
            return Ok(None);
        };
        let document = document(tenant, (row_id, subject, sha256, bytes, at))?;
        let keys = self.sealing.find([key_id]).await.map_err(failed)?;
        let theirs = keys.holder(key_id).is_none_or(|holder| {
            (&*holder.tenant, &*holder.subject) == (tenant.as_str(), &*document.subject)
        });
        if !theirs {
            let problem = "is sealed for someone else; restore it from a backup";
            return Err(Error(format!("document `{id}` {problem}")));
        }
        let columns = Columns { clear: &clear, sealed: sealed.as_deref(), key_id };
        let content = match keys.open(&columns, Place::Document { id: id.0.as_bytes() }) {
            Content::Text(content) => content,
            Content::Erased => return Ok(None),
            Content::Broken(problem) => {
                return Err(Error(format!("document `{id}` {problem}; restore it from a backup")));
            }
        };
        if Blob::of(&content) != document.blob {
            let problem = "is not what its hash says; restore it from a backup";
            return Err(Error(format!("document `{id}` {problem}")));
        }
        Ok(Some((document, content)))
    }

    async fn delete(
        &self,
        tenant: &Tenant,
        subject: Option<&str>,
        id: DocumentId,
    ) -> Result<bool, Error> {
        let sql = "DELETE FROM documents \
                   WHERE id = $1 AND tenant = $2 AND ($3 IS NULL OR subject = $3)";
        let deleted = on!(&self.pools.write, pool => {
            let query = sqlx::query(sql).bind(&id.0.as_bytes()[..]).bind(tenant.as_str());
            query.bind(subject).execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(deleted.map_err(failed)? == 1)
    }
}
