//! PostgreSQL: one database that many processes share, each writing a chain of its own.
//!
//! The driver (sqlx 0.9.0) leaves Nagle's algorithm on, so that a group between about 64 KiB and a
//! megabyte may wait 40 ms for an acknowledgement over TCP; over a Unix socket it does not
//! (`?host=/var/run/postgresql` in the URL; benches/journal.rs shows the difference).

use std::time::Duration;

use genie_core::journal::chain::Head;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, Postgres};
use sqlx::{ConnectOptions as _, Connection as _, Transaction};

use crate::group::Group;
use crate::pool::Owner;
use crate::rows;
use crate::sealing::group::Sealed;
use crate::writer::{ADVANCE, Fault, HEAD, Written};

mod insert;
mod lease;

pub(crate) use lease::{fence_the_dead, heartbeat, own, release};

/// Connections of one process beside the one that writes the journal.
const CONNECTIONS_MAX: u32 = 8;
/// How long to wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// A connection whose other end is gone may never answer; the head of the chain then says whether
/// the group was written.
const GROUP_MAX: Duration = Duration::from_secs(30);

/// Connects to the database that the URL names.
pub(crate) async fn connect(url: &str) -> Result<(PgPool, PgConnectOptions), sqlx::Error> {
    // Compiling a statement takes longer than any of these runs.
    let options = url.parse::<PgConnectOptions>()?.options([("jit", "off")]);
    let options = options.disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE)
        .connect_with(options.clone())
        .await?;
    Ok((pool, options))
}

/// Writes groups over a connection of its own.
#[derive(Debug)]
pub(crate) struct PostgresSink {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    owner: Owner,
}

impl PostgresSink {
    pub(crate) fn new(options: PgConnectOptions, owner: Owner) -> Self {
        Self { options, connection: None, owner }
    }

    pub(crate) async fn write(&mut self, group: &Group, sealed: &Sealed) -> Result<(), Fault> {
        // A connection that failed is not used again.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect_writer(&self.options).await.map_err(|error| refused(&error))?,
        };
        let transaction = transact(&mut connection, self.owner, (group, sealed));
        let Ok(written) = tokio::time::timeout(GROUP_MAX, transaction).await else {
            return Err(refused(&format!("no answer in {} s", GROUP_MAX.as_secs())));
        };
        let written = written.map_err(|error| refused(&error))?;
        self.connection = Some(connection);
        match written {
            Written::All => Ok(()),
            Written::Erased => Err(Fault::Erased),
            Written::Lost => Err(Fault::Fenced(lost(self.owner))),
        }
    }
}

/// What is to be said once the chain is another's.
fn lost(owner: Owner) -> String {
    format!(
        "another process took over chain {}, since this one did not renew its lease in time; \
         start it again",
        owner.chain
    )
}

/// A refusal of the database, with what to do about it.
pub(crate) fn refused(error: &dyn std::fmt::Display) -> Fault {
    Fault::Refused(format!(
        "PostgreSQL: {error}; see that it runs, takes connections and has space, writing goes on \
         by itself"
    ))
}

/// A connection on which a commit is durable, even where the server's default says otherwise, and
/// on which every row is looked up by its key, however few the planner believes there are: a table
/// that has just grown has no statistics yet.
async fn connect_writer(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let sql = "SELECT set_config('synchronous_commit', 'on', false) \
               WHERE current_setting('synchronous_commit') = 'off'";
    sqlx::query(sql).execute(&mut connection).await?;
    let sql = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off";
    sqlx::raw_sql(sql).execute(&mut connection).await?;
    Ok(connection)
}

/// Writes the group in one transaction.
async fn transact(
    connection: &mut PgConnection,
    owner: Owner,
    (group, sealed): (&Group, &Sealed),
) -> Result<Written, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    if !advance(&mut transaction, owner, group).await? {
        // A commit whose answer was lost has done it already.
        let head = head(&mut transaction, owner).await?;
        return Ok(if head == Some(group.after) { Written::All } else { Written::Lost });
    }
    if !insert::has_keys(&mut transaction, &sealed.keys).await? {
        return Ok(Written::Erased);
    }
    insert::write(&mut transaction, owner, group, sealed).await?;
    transaction.commit().await?;
    Ok(Written::All)
}

async fn advance(
    transaction: &mut Transaction<'_, Postgres>,
    owner: Owner,
    group: &Group,
) -> Result<bool, sqlx::Error> {
    let query = sqlx::query(ADVANCE).bind(rows::number(group.after.seq));
    let query = query.bind(&group.after.hash.0[..]).bind(owner.chain).bind(owner.epoch);
    let query = query.bind(rows::number(group.before.seq));
    Ok(query.execute(&mut **transaction).await?.rows_affected() == 1)
}

/// The end of the chain as the database has it, if it is ours.
async fn head(
    transaction: &mut Transaction<'_, Postgres>,
    owner: Owner,
) -> Result<Option<Head>, sqlx::Error> {
    let query = sqlx::query_as(HEAD).bind(owner.chain).bind(owner.epoch);
    let found: Option<(i64, Vec<u8>)> = query.fetch_optional(&mut **transaction).await?;
    found.map(|(seq, hash)| rows::head(seq, &hash)).transpose()
}
