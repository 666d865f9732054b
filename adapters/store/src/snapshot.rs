//! The tables as they were at one moment, for whoever compares them while others go on writing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;

use crate::checkpoints::{Checkpoints, Error};
use crate::pool::{Db, Pools, on};

/// Whoever reads waits for those before: there is one connection.
const ACQUIRE: Duration = Duration::from_mins(10);

/// A pool of one connection, within one transaction for as long as it lives.
macro_rules! pool {
    ($options:ty, $pool:expr, $begin:literal) => {{
        let begun = Arc::new(AtomicBool::new(false));
        let pool = <$options>::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(ACQUIRE)
            .after_connect(move |connection, _| {
                // Another connection would see another moment.
                let again = begun.swap(true, Ordering::Relaxed);
                Box::pin(async move {
                    if again {
                        return Err(sqlx::Error::PoolClosed);
                    }
                    sqlx::raw_sql($begin).execute(connection).await.map(drop)
                })
            });
        pool.connect_with((*$pool.connect_options()).clone()).await?
    }};
}

impl Checkpoints {
    /// The tables at this moment. It must be [ended](Self::end_snapshot).
    ///
    /// # Errors
    /// A database that takes no further connection.
    pub async fn snapshot(&self) -> Result<Self, Error> {
        let read = match &self.pools.read {
            Db::Sqlite(of) => Db::Sqlite(pool!(SqlitePoolOptions, of, "BEGIN")),
            Db::Postgres(of) => Db::Postgres(pool!(
                PgPoolOptions,
                of,
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            )),
        };
        let pools = Pools { read, write: self.pools.write.clone() };
        let snapshot = Self { pools, own: self.own, sealing: self.sealing.clone() };
        // The moment is that of the first query.
        snapshot.chains().await?;
        Ok(snapshot)
    }

    /// Lets go of a snapshot, so that the database need not keep that moment any longer.
    pub async fn end_snapshot(self) {
        on!(&self.pools.read, pool => pool.close().await);
    }
}
