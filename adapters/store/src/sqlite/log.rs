//! Copies SQLite's log into the file while the writer goes on, so that nobody who waits for a
//! commit waits for that, too.
//!
//! SQLite by itself copies the log at the commit that makes it too long. That commit then takes
//! tens of milliseconds, and so does everyone behind it. The writer still does that, since only it
//! can begin the log anew, but finds most of it copied.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::Notify;

/// What groups hold, as they are counted, until the log is copied: with the pages around them some
/// 10 MiB of log, a third of what it may grow to.
const COPIED_BYTES: usize = 4 << 20;

/// Counts what the writer puts into the log.
#[derive(Debug, Default)]
pub(super) struct Log {
    bytes: usize,
    long: Arc<Notify>,
}

impl Log {
    /// Takes note of a group that was written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= COPIED_BYTES {
            self.bytes = 0;
            self.long.notify_one();
        }
    }

    /// Told each time that there is enough to copy.
    pub(super) fn long(&self) -> Arc<Notify> {
        self.long.clone()
    }
}

/// Copies the log of this database each time that it is told to.
pub(crate) async fn copy(file: PathBuf, long: Arc<Notify>) {
    let mut connection = None;
    loop {
        long.notified().await;
        if let Err(error) = copied(&file, &mut connection).await {
            // The writer does it when the log is longer.
            tracing::debug!(%error, "the log was not copied");
            connection = None;
        }
    }
}

async fn copied(
    file: &PathBuf,
    connection: &mut Option<SqliteConnection>,
) -> Result<(), sqlx::Error> {
    if connection.is_none() {
        let options = SqliteConnectOptions::new().filename(file).disable_statement_logging();
        *connection = Some(options.connect().await?);
    }
    let Some(connection) = connection else { return Ok(()) };
    // Gives whether it was busy, the pages of the log, and how many of them are copied.
    let sql = "PRAGMA wal_checkpoint(PASSIVE)";
    let (_, pages, copied): (i64, i64, i64) = sqlx::query_as(sql).fetch_one(connection).await?;
    tracing::trace!(pages, copied, "the log was copied");
    Ok(())
}
