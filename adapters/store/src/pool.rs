//! The connections to either database, and the one way to run the same query on both.
//!
//! Both understand `$1`, `CAST`, `ON CONFLICT`, `UPDATE … FROM` and `RETURNING`, so a query is
//! written once unless the databases differ in it.

use sqlx::{PgPool, SqlitePool};

/// A pool of one of the databases.
#[derive(Debug, Clone)]
pub(crate) enum Db {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Evaluates the expression with the pool that is there; a macro, since the drivers' queries are
/// different types.
macro_rules! on {
    ($db:expr, $pool:ident => $body:expr) => {
        match $db {
            $crate::pool::Db::Sqlite($pool) => $body,
            $crate::pool::Db::Postgres($pool) => $body,
        }
    };
}
pub(crate) use on;

/// Where to read and where to write. SQLite takes one writer at a time, so there is one connection
/// for all of them, which they await in turn.
#[derive(Debug, Clone)]
pub(crate) struct Pools {
    pub(crate) read: Db,
    pub(crate) write: Db,
}

impl Pools {
    /// How a transaction that writes begins.
    pub(crate) fn begin(&self) -> &'static str {
        match self.write {
            // A transaction that begins as a reader may be refused when it turns into a writer.
            Db::Sqlite(_) => "BEGIN IMMEDIATE",
            Db::Postgres(_) => "BEGIN",
        }
    }

    pub(crate) async fn close(&self) {
        on!(&self.read, pool => pool.close().await);
        on!(&self.write, pool => pool.close().await);
    }
}

/// A chain as this process owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) chain: i64,
    pub(crate) epoch: i64,
}
