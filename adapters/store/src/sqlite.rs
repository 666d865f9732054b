//! SQLite: one file in a directory that one process owns, written in WAL mode, synced on commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use genie_core::journal::chain::{Hash, Head};
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::Notify;

use crate::group::Group;
use crate::pool::{Db, Owner, Pools};
use crate::rows;
use crate::sealing::group::Sealed;
use crate::writer::{ADVANCE, Fault, HEAD, Written};

mod insert;
mod lock;
mod log;
mod whole;

use insert::Inserts;
pub(crate) use lock::{Held, Locked, lock};
use log::Log;
pub(crate) use log::copy;
use whole::Wholes;

/// The database within its directory.
const FILE: &str = "genie.db";
/// How long a statement waits for the writer of another process.
const BUSY: Duration = Duration::from_secs(5);
/// Connections that read: more than cores do not help.
const READERS: u32 = 4;
/// Statements that the writer keeps prepared: those of [`insert`] and [`whole`], and all others.
const PREPARED: usize = 256;
/// Rows that the driver's thread reads ahead: whoever reads many is woken that seldom.
const READ_AHEAD_ROWS: usize = 512;
/// Measured with benches/journal.rs: fewer, larger pages suit rows of about a kilobyte.
const PAGE_BYTES: u32 = 8_192;
/// After so many pages (32 MiB) the log begins anew once it is in the file: rarely enough that
/// pages which many groups touch are copied once or twice.
const CHECKPOINT_PAGES: &str = "4096";

/// The only chain of a file.
pub(crate) const CHAIN: i64 = 1;

/// The database of a directory.
pub(crate) fn file(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// Connects to the database of a directory, and gives its writer by itself, too; `pages_max` bounds
/// its size.
pub(crate) async fn connect(
    directory: &Path,
    create: bool,
    pages_max: Option<u32>,
) -> Result<(Pools, SqlitePool), sqlx::Error> {
    if create {
        make_private(&file(directory))?;
    }
    let options = SqliteConnectOptions::new()
        .filename(file(directory))
        .create_if_missing(create)
        .page_size(PAGE_BYTES)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        // What is deleted is overwritten: an erased key must not stay in a free part of a page.
        .pragma("secure_delete", "ON")
        .disable_statement_logging();
    let mut writing = options.clone().statement_cache_capacity(PREPARED);
    if let Some(pages) = pages_max {
        writing = writing.pragma("max_page_count", pages.to_string());
    }
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // SQLite ends a transaction by itself when the disk is full; the driver does not notice and
        // its connection is of no more use.
        .before_acquire(|connection, _| {
            let usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(usable) })
        })
        .connect_with(writing)
        .await?;
    let reading = options.pragma("query_only", "ON").create_if_missing(false);
    let reading = reading.row_buffer_size(READ_AHEAD_ROWS);
    let read = SqlitePoolOptions::new()
        .max_connections(READERS)
        .test_before_acquire(false)
        .connect_lazy_with(reading);
    let pools = Pools { read: Db::Sqlite(read), write: Db::Sqlite(write.clone()) };
    Ok((pools, write))
}

/// Makes the file for this user alone, if it is not there; its log gets the same permissions.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Takes the chain of the file for this process; the lock on the directory is held.
pub(crate) async fn own(pool: &SqlitePool, node: &str) -> Result<(Owner, Head), sqlx::Error> {
    let sql = "INSERT INTO chains (id, node, epoch, head_seq, head_hash) VALUES (1, $1, 1, 0, $2) \
               ON CONFLICT (id) DO UPDATE SET epoch = epoch + 1, node = excluded.node \
               RETURNING epoch, head_seq, head_hash";
    // A statement that gives a row commits by itself only when the driver lets go of it, and nobody
    // hears if that fails.
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let query = sqlx::query_as(sql).bind(node).bind(&Hash::ZERO.0[..]);
    let (epoch, seq, hash): (i64, i64, Vec<u8>) = query.fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok((Owner { chain: CHAIN, epoch }, rows::head(seq, &hash)?))
}

/// Writes groups to a file.
#[derive(Debug)]
pub(crate) struct SqliteSink {
    pool: SqlitePool,
    owner: Owner,
    directory: PathBuf,
    wholes: Wholes,
    inserts: Inserts,
    log: Log,
}

impl SqliteSink {
    pub(crate) fn new(pool: SqlitePool, owner: Owner, directory: PathBuf) -> Self {
        let (wholes, inserts) = (Wholes::default(), Inserts::default());
        Self { pool, owner, directory, wholes, inserts, log: Log::default() }
    }

    /// What [`copy`] is told by.
    pub(crate) fn long_log(&self) -> Arc<Notify> {
        self.log.long()
    }

    pub(crate) async fn write(&mut self, group: &Group, sealed: &Sealed) -> Result<(), Fault> {
        match self.transact(group, sealed).await {
            Ok(Written::All) => {
                self.log.wrote(group.bytes);
                Ok(())
            }
            Ok(Written::Erased) => Err(Fault::Erased),
            Ok(Written::Lost) => Err(Fault::Fenced(format!(
                "another process took over the chain in `{}`; start this one again",
                self.directory.display()
            ))),
            Err(error) => Err(self.refused(&error)),
        }
    }

    /// A refusal of the database, with what to do about it.
    pub(crate) fn refused(&self, error: &dyn std::fmt::Display) -> Fault {
        Fault::Refused(format!(
            "{error}; see that `{}` has space and nobody else locks its database, writing goes on \
             by itself",
            self.directory.display()
        ))
    }

    /// Writes the group in one transaction.
    async fn transact(&mut self, group: &Group, sealed: &Sealed) -> Result<Written, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        match self.wholes.write(&mut connection, self.owner, (group, sealed)).await {
            Ok(true) => return Ok(Written::All),
            Ok(false) => {}
            Err(error) => {
                take_back(&mut connection).await;
                // What a violation is, is found out below.
                if !is_violation(&error) {
                    return Err(error);
                }
            }
        }
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        if !self.advance(&mut transaction, group.before, group.after).await? {
            // A commit that was said to have failed may have done it already.
            let done = self.head(&mut transaction).await? == Some(group.after);
            return Ok(if done { Written::All } else { Written::Lost });
        }
        if !insert::has_keys(&mut transaction, &sealed.keys).await? {
            return Ok(Written::Erased);
        }
        self.inserts.write(&mut transaction, self.owner, group, sealed).await?;
        transaction.commit().await?;
        Ok(Written::All)
    }

    async fn advance(
        &self,
        connection: &mut SqliteConnection,
        from: Head,
        to: Head,
    ) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(ADVANCE).bind(rows::number(to.seq));
        let query = query.bind(&to.hash.0[..]).bind(self.owner.chain);
        let query = query.bind(self.owner.epoch).bind(rows::number(from.seq));
        Ok(query.execute(&mut *connection).await?.rows_affected() == 1)
    }

    /// The end of the chain as the database has it, if it is ours.
    async fn head(&self, connection: &mut SqliteConnection) -> Result<Option<Head>, sqlx::Error> {
        let query = sqlx::query_as(HEAD).bind(self.owner.chain).bind(self.owner.epoch);
        let found: Option<(i64, Vec<u8>)> = query.fetch_optional(&mut *connection).await?;
        found.map(|(seq, hash)| rows::head(seq, &hash)).transpose()
    }
}

async fn take_back(connection: &mut SqliteConnection) {
    // Fails if the transaction has not begun, or SQLite has ended it by itself.
    let _ = sqlx::query("ROLLBACK").execute(connection).await;
}

/// Whether the chain was taken over, a key was erased, or the group is in the database already.
fn is_violation(error: &sqlx::Error) -> bool {
    let kind = error.as_database_error().map(DatabaseError::kind);
    matches!(kind, Some(ErrorKind::NotNullViolation | ErrorKind::UniqueViolation))
}
