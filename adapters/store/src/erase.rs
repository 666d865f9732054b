//! Erases the personal data of a subject: destroys the keys that it is sealed with, and what is
//! kept of it in the clear. Hashes, counts and times stay, so that the log still verifies.

use std::time::Duration;

use genie_core::Tenant;
use genie_core::ids::RunId;
use genie_core::journal::restore;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Postgres, Sqlite, Transaction};
use uuid::Uuid;

use crate::open::Opened;
use crate::pack::{self, Packed};
use crate::pool::{Db, Pools};
use crate::rows;
use crate::sealing::{NOW_POSTGRES, NOW_SQLITE};

/// Rows of records that are read at once: a few megabytes.
const PAGE: i64 = 64;
/// Most unfinished runs that a refusal names.
const NAMED_MAX: i64 = 5;
/// How often, and how long after each other, the log of a SQLite file is asked to be emptied while
/// someone reads in it.
const TRIES: u32 = 50;
const TRY_EVERY: Duration = Duration::from_millis(100);

/// What was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Keys; 0 if nothing was sealed since the last erasure.
    pub keys: u64,
    /// Records whose texts are gone.
    pub records: u64,
    /// Contents, documents among them.
    pub blobs: u64,
    /// Approvals.
    pub approvals: u64,
    /// Accounts, with their sessions.
    pub accounts: u64,
    /// Keys that let the subject in, with their budgets.
    pub api_keys: u64,
    /// Whether the write-ahead log of a SQLite file may still hold the wrapped key, since a process
    /// kept reading in it. Erasing once more, when that is done, empties it.
    pub in_log: bool,
}

/// Why nothing was erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// Nothing is kept of the subject.
    #[error(
        "nothing is kept of `{subject}` in the tenant `{tenant}`; `genie runs list` shows who asked"
    )]
    Unknown {
        /// The tenant.
        tenant: String,
        /// The subject.
        subject: String,
    },
    /// Runs of the subject go on.
    #[error(
        "{count} runs of `{subject}` have not ended, such as {}; end them with `genie runs cancel \
         RUN` or let them end first", .runs.iter().map(|run| format!("`{run}`"))
            .collect::<Vec<_>>().join(", ")
    )]
    Unfinished {
        /// The subject.
        subject: String,
        /// How many.
        count: u64,
        /// Some of them.
        runs: Vec<RunId>,
    },
    /// The database.
    #[error("nothing was erased: the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// The records of a subject.
const PACKS: &str = concat!(
    "SELECT ",
    pack::packed!(),
    " FROM packs WHERE run_id IN (SELECT run_id FROM runs WHERE tenant = $1 AND subject = $2) \
     AND (chain, seq) > ($3, $4) ORDER BY chain, seq LIMIT $5"
);
const EMPTY: &str = "UPDATE packs SET key_id = $1, sealed = $2, meta = $3, hashes = $4, \
                     data = $5 WHERE chain = $6 AND seq = $7";
const LIVE: &str = "SELECT id FROM subject_keys \
                    WHERE tenant = $1 AND subject = $2 AND wrapped IS NOT NULL";
const UNFINISHED: &str = "SELECT run_id, COUNT(*) OVER () FROM runs \
                          WHERE tenant = $1 AND subject = $2 AND ended_at IS NULL \
                          ORDER BY run_id LIMIT $3";
const KNOWN: &str = "SELECT (SELECT COUNT(*) FROM runs WHERE tenant = $1 AND subject = $2) \
                     + (SELECT COUNT(*) FROM blobs WHERE tenant = $1 AND subject = $2) \
                     + (SELECT COUNT(*) FROM documents WHERE tenant = $1 AND subject = $2) \
                     + (SELECT COUNT(*) FROM attempts WHERE tenant = $1 AND subject = $2) \
                     + (SELECT COUNT(*) FROM subject_keys WHERE tenant = $1 AND subject = $2)";
const API_KEYS: &str = "(SELECT id FROM api_keys WHERE tenant = $1 AND subject = $2)";
const OF_SUBJECT: &str = "(SELECT run_id FROM runs WHERE tenant = $1 AND subject = $2)";

impl Opened {
    /// Erases the personal data of a subject. Whoever reads it from then on, in any process, is
    /// told that it was erased. The same subject may come again.
    ///
    /// # Errors
    /// [`EraseError`]; nothing is erased then.
    pub async fn erase(&self, tenant: &Tenant, subject: &str) -> Result<Erased, EraseError> {
        let mut erased = destroy(self.pools(), tenant.as_str(), subject).await?;
        if let Db::Sqlite(pool) = &self.pools().write {
            erased.in_log = !empty_log(pool).await?;
        }
        Ok(erased)
    }
}

/// Moves what is in the write-ahead log into the file and cuts the log off; `false` if someone
/// keeps reading in it.
pub(crate) async fn empty_log(pool: &SqlitePool) -> Result<bool, sqlx::Error> {
    for _ in 0..TRIES {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let (busy, _, _): (i64, i64, i64) = sqlx::query_as(sql).fetch_one(pool).await?;
        if busy == 0 {
            return Ok(true);
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
    Ok(false)
}

/// A transaction on either database.
enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Evaluates the expression with the connection of the transaction.
macro_rules! within {
    ($tx:expr, $connection:ident => $body:expr) => {
        match $tx {
            Tx::Sqlite(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
            Tx::Postgres(transaction) => {
                let $connection = &mut **transaction;
                $body
            }
        }
    };
}

/// An erasure that is under way.
struct Erasing<'a> {
    tx: Tx,
    now: &'static str,
    tenant: &'a str,
    subject: &'a str,
    /// The key that the erased rows name.
    key: Option<i64>,
    erased: Erased,
}

/// All of it in one transaction. The key is locked first: whoever writes with it is done before,
/// and its run is then seen here, or finds the key erased.
async fn destroy(pools: &Pools, tenant: &str, subject: &str) -> Result<Erased, EraseError> {
    let (tx, now) = match &pools.write {
        Db::Sqlite(pool) => (Tx::Sqlite(pool.begin_with(pools.begin()).await?), NOW_SQLITE),
        Db::Postgres(pool) => (Tx::Postgres(pool.begin().await?), NOW_POSTGRES),
    };
    let erased = Erased::default();
    let mut erasing = Erasing { tx, now, tenant, subject, key: None, erased };
    erasing.lock().await?;
    erasing.refuse_unfinished().await?;
    erasing.delete_account().await?;
    erasing.delete_api_keys().await?;
    erasing.refuse_unknown().await?;
    erasing.delete_attempts().await?;
    erasing.count_sealed().await?;
    erasing.empty_records().await?;
    erasing.empty_approvals().await?;
    erasing.delete_content().await?;
    erasing.destroy_key().await?;
    let Erasing { tx, erased, .. } = erasing;
    match tx {
        Tx::Sqlite(transaction) => transaction.commit().await?,
        Tx::Postgres(transaction) => transaction.commit().await?,
    }
    Ok(erased)
}

impl Erasing<'_> {
    /// A number that a query about the subject gives.
    async fn number(&mut self, sql: &str) -> Result<i64, sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        let (tenant, subject) = (self.tenant, self.subject);
        let (number,): (i64,) = within!(&mut self.tx, connection => {
            sqlx::query_as(sql).bind(tenant).bind(subject).fetch_one(connection).await
        })?;
        Ok(number)
    }

    /// Runs a statement about the subject; gives how many rows it changed.
    async fn change(&mut self, sql: &str) -> Result<u64, sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        let (tenant, subject) = (self.tenant, self.subject);
        within!(&mut self.tx, connection => {
            let query = sqlx::query(sql).bind(tenant).bind(subject);
            query.execute(connection).await.map(|done| done.rows_affected())
        })
    }

    async fn lock(&mut self) -> Result<(), sqlx::Error> {
        let sql = match &self.tx {
            Tx::Sqlite(_) => LIVE.to_owned(),
            Tx::Postgres(_) => format!("{LIVE} FOR UPDATE"),
        };
        let (sql, tenant, subject) = (AssertSqlSafe(sql), self.tenant, self.subject);
        let key: Option<(i64,)> = within!(&mut self.tx, connection => {
            sqlx::query_as(sql).bind(tenant).bind(subject).fetch_optional(connection).await
        })?;
        self.key = key.map(|(id,)| id);
        Ok(())
    }

    async fn refuse_unfinished(&mut self) -> Result<(), EraseError> {
        let (tenant, subject) = (self.tenant, self.subject);
        let open: Vec<(Vec<u8>, i64)> = within!(&mut self.tx, connection => {
            let query = sqlx::query_as(UNFINISHED).bind(tenant).bind(subject);
            query.bind(NAMED_MAX).fetch_all(connection).await
        })?;
        let Some((_, count)) = open.first() else { return Ok(()) };
        let runs = open.iter().map(|(run, _)| rows::run_id(run));
        let (count, runs) = (count.cast_unsigned(), runs.collect::<Result<_, _>>()?);
        Err(EraseError::Unfinished { subject: subject.to_owned(), count, runs })
    }

    async fn refuse_unknown(&mut self) -> Result<(), EraseError> {
        let came_in = self.erased.accounts + self.erased.api_keys;
        if came_in > 0 || self.number(KNOWN).await? > 0 {
            return Ok(());
        }
        let (tenant, subject) = (self.tenant.to_owned(), self.subject.to_owned());
        Err(EraseError::Unknown { tenant, subject })
    }

    /// Deletes the account whose holder the subject is, which has the account's id, and its
    /// sessions.
    async fn delete_account(&mut self) -> Result<(), sqlx::Error> {
        let id = Uuid::try_parse(self.subject).ok().filter(|id| id.to_string() == self.subject);
        let Some(id) = id else { return Ok(()) };
        let (id, tenant) = (id.as_bytes().to_vec(), self.tenant);
        let sessions = "DELETE FROM sessions WHERE account IN \
                        (SELECT id FROM accounts WHERE id = $1 AND tenant = $2)";
        let account = "DELETE FROM accounts WHERE id = $1 AND tenant = $2";
        for sql in [sessions, account] {
            self.erased.accounts = within!(&mut self.tx, connection => {
                let query = sqlx::query(sql).bind(&id).bind(tenant);
                query.execute(connection).await.map(|done| done.rows_affected())
            })?;
        }
        Ok(())
    }

    /// Deletes the keys that let the subject in, whoever made them, with what they may spend: none
    /// of their runs goes on. Keys that were made with them, for whomever, are worth nothing
    /// without them, and so may lose what they have reserved of these budgets.
    async fn delete_api_keys(&mut self) -> Result<(), sqlx::Error> {
        self.change(&format!("DELETE FROM charges WHERE budget IN {API_KEYS}")).await?;
        self.change(&format!("DELETE FROM budgets WHERE id IN {API_KEYS}")).await?;
        let keys = "DELETE FROM api_keys WHERE tenant = $1 AND subject = $2";
        self.erased.api_keys = self.change(keys).await?;
        Ok(())
    }

    /// Forgets which requests the subject has sent: their own texts tell them apart.
    async fn delete_attempts(&mut self) -> Result<(), sqlx::Error> {
        self.change("DELETE FROM attempts WHERE tenant = $1 AND subject = $2").await.map(drop)
    }

    async fn count_sealed(&mut self) -> Result<(), sqlx::Error> {
        let Some(key) = self.key else { return Ok(()) };
        let sql = "SELECT CAST(COALESCE(SUM(sealed), 0) AS BIGINT) FROM packs WHERE key_id = $1";
        let (count,): (i64,) = within!(&mut self.tx, connection => {
            sqlx::query_as(sql).bind(key).fetch_one(connection).await
        })?;
        self.erased.records = count.cast_unsigned();
        Ok(())
    }

    /// The key for rows that are in the clear: the one that is about to be erased, or one that
    /// never was and says that there was an erasure.
    async fn mark(&mut self) -> Result<i64, sqlx::Error> {
        if let Some(key) = self.key {
            return Ok(key);
        }
        let now = self.now;
        let sql = format!(
            "INSERT INTO subject_keys \
             (tenant, subject, generation, kek_id, created_at, erased_at) \
             SELECT $1, $2, COALESCE(MAX(generation), 0) + 1, '', {now}, {now} \
             FROM subject_keys WHERE tenant = $1 AND subject = $2 RETURNING id"
        );
        let key = self.number(&sql).await?;
        self.key = Some(key);
        Ok(key)
    }

    /// Empties what is in the clear of the subject's records.
    async fn empty_records(&mut self) -> Result<(), sqlx::Error> {
        let (tenant, subject) = (self.tenant, self.subject);
        let (mut chain, mut seq) = (0, 0);
        loop {
            let page: Vec<Packed> = within!(&mut self.tx, connection => {
                let query = sqlx::query_as(PACKS).bind(tenant).bind(subject);
                query.bind(chain).bind(seq).bind(PAGE).fetch_all(connection).await
            })?;
            let Some(last) = page.last() else { return Ok(()) };
            (chain, seq) = (last.index.chain, last.index.seq);
            for row in page {
                let Some((pack, emptied)) = row.emptied(personal) else { continue };
                let key = self.mark().await?;
                let (sealed, place) = (rows::number(pack.sealed), (row.index.chain, row.index.seq));
                within!(&mut self.tx, connection => {
                    let query = sqlx::query(EMPTY).bind(key).bind(sealed).bind(&pack.meta);
                    let query = query.bind(&pack.hashes[..]).bind(&pack.data[..]);
                    query.bind(place.0).bind(place.1).execute(connection).await.map(drop)
                })?;
                self.erased.records += emptied;
            }
        }
    }

    async fn empty_approvals(&mut self) -> Result<(), sqlx::Error> {
        let clear = format!(
            "SELECT COUNT(*) FROM approvals WHERE key_id IS NULL AND run_id IN {OF_SUBJECT}"
        );
        if self.number(&clear).await? > 0 {
            self.mark().await?;
        }
        let Some(key) = self.key else { return Ok(()) };
        let (tenant, subject) = (self.tenant, self.subject);
        let sql = AssertSqlSafe(format!(
            "UPDATE approvals SET document = '', sealed = NULL, key_id = $3 \
             WHERE run_id IN {OF_SUBJECT} AND (key_id IS NULL OR key_id = $3)"
        ));
        self.erased.approvals = within!(&mut self.tx, connection => {
            let query = sqlx::query(sql).bind(tenant).bind(subject).bind(key);
            query.execute(connection).await.map(|done| done.rows_affected())
        })?;
        Ok(())
    }

    async fn delete_content(&mut self) -> Result<(), sqlx::Error> {
        self.change(&format!("DELETE FROM run_blobs WHERE run_id IN {OF_SUBJECT}")).await?;
        let content = "DELETE FROM blobs WHERE tenant = $1 AND subject = $2";
        self.erased.blobs = self.change(content).await?;
        let documents = "DELETE FROM documents WHERE tenant = $1 AND subject = $2";
        self.erased.blobs += self.change(documents).await?;
        let reasons = "UPDATE runs SET cancel_reason = NULL \
                       WHERE tenant = $1 AND subject = $2 AND cancel_reason IS NOT NULL";
        self.change(reasons).await.map(drop)
    }

    async fn destroy_key(&mut self) -> Result<(), sqlx::Error> {
        let now = self.now;
        let sql = format!(
            "UPDATE subject_keys SET wrapped = NULL, erased_at = {now} \
             WHERE tenant = $1 AND subject = $2 AND wrapped IS NOT NULL"
        );
        self.erased.keys = self.change(&sql).await?;
        Ok(())
    }
}

/// The type of an entry that is not structure. What is no entry at all is nobody's evidence and
/// goes, too.
fn personal(text: &[u8]) -> Option<String> {
    match restore::entry_of(str::from_utf8(text).unwrap_or_default()) {
        Ok(entry) if entry.is_structure() => None,
        Ok(entry) => Some(entry.kind().to_owned()),
        Err(_) => Some("unknown".to_owned()),
    }
}
