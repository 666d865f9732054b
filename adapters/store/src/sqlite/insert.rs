//! The statements of one group on SQLite: many rows each, in a few fixed sizes, so that they are
//! prepared once for the life of the connection. A statement costs a hop to the driver's thread.

use std::sync::Arc;

use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, query};

use crate::group::{Change, Content, Group, Link, Row};
use crate::pool::Owner;
use crate::rows;

pub(super) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// How many rows a statement may have. Measured with benches/journal.rs: beyond 256 it gets no
/// faster.
const SIZES: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];

/// One kind of statement in every size.
#[derive(Debug)]
struct Batch {
    /// Largest first.
    texts: [(usize, Arc<str>); SIZES.len()],
}

impl Batch {
    fn new(before: &str, row: &str, after: &str) -> Self {
        let text = |rows: usize| format!("{before}{}{after}", vec![row; rows].join(",")).into();
        Self { texts: SIZES.map(|rows| (rows, text(rows))) }
    }

    /// Runs the statements for all rows, each of which `bind` adds.
    async fn run<T>(
        &self,
        connection: &mut SqliteConnection,
        mut rows: &[T],
        bind: impl Fn(Statement, &T) -> Statement,
    ) -> Result<(), sqlx::Error> {
        for (size, text) in &self.texts {
            while rows.len() >= *size {
                let (chunk, rest) = rows.split_at(*size);
                let statement = query(AssertSqlSafe(text.clone()));
                chunk.iter().fold(statement, &bind).execute(&mut *connection).await?;
                rows = rest;
            }
        }
        Ok(())
    }
}

/// The statements of a group.
#[derive(Debug)]
pub(super) struct Inserts {
    contents: Batch,
    links: Batch,
    records: Batch,
    starts: Batch,
    changes: Batch,
}

impl Default for Inserts {
    fn default() -> Self {
        Self {
            contents: Batch::new(
                "INSERT INTO blobs (tenant, subject, sha256, bytes, content) VALUES ",
                "(?,?,?,?,?)",
                " ON CONFLICT DO NOTHING",
            ),
            links: Batch::new(
                "INSERT INTO run_blobs (run_id, sha256, label) VALUES ",
                "(?,?,?)",
                " ON CONFLICT DO UPDATE SET label = excluded.label",
            ),
            records: Batch::new(
                "INSERT INTO records (chain, seq, run_id, number, hash, body) VALUES ",
                "(1,?,?,?,?,?)",
                "",
            ),
            starts: Batch::new(
                "INSERT INTO runs (run_id, status, wake_at, ended_at, owner_chain, owner_epoch, \
                 tenant, subject, agent, started_at) VALUES ",
                "(?,?,?,?,?,?,?,?,?,?)",
                " ON CONFLICT DO NOTHING",
            ),
            changes: Batch::new(
                "WITH changed (run_id, status, wake_at, ended_at, owner_chain, owner_epoch) AS \
                 (VALUES ",
                "(?,?,?,?,?,?)",
                ") UPDATE runs SET status = changed.status, wake_at = changed.wake_at, \
                 ended_at = changed.ended_at, owner_chain = changed.owner_chain, \
                 owner_epoch = changed.owner_epoch FROM changed \
                 WHERE runs.run_id = changed.run_id",
            ),
        }
    }
}

impl Inserts {
    /// Writes what is in the group.
    pub(super) async fn write(
        &self,
        connection: &mut SqliteConnection,
        owner: Owner,
        group: &Group,
    ) -> Result<(), sqlx::Error> {
        self.contents.run(connection, &group.contents, content).await?;
        self.links.run(connection, &group.links, link).await?;
        self.records.run(connection, &group.rows, record).await?;
        let (starts, changes): (Vec<&Change>, Vec<&Change>) =
            group.changes.iter().partition(|change| change.started.is_some());
        let bind = |statement, run: &&Change| start(change(statement, run, owner), run);
        self.starts.run(connection, &starts, bind).await?;
        let bind = |statement, run: &&Change| change(statement, run, owner);
        self.changes.run(connection, &changes, bind).await?;
        decided(connection, group).await
    }
}

pub(super) fn content(statement: Statement, content: &Content) -> Statement {
    let bytes = &content.stored.content;
    let statement = statement.bind(content.tenant.clone()).bind(content.subject.clone());
    statement.bind(&content.sha256.0[..]).bind(rows::number(bytes.len() as u64)).bind(&bytes[..])
}

pub(super) fn link(statement: Statement, link: &Link) -> Statement {
    statement.bind(&link.run.0.as_bytes()[..]).bind(&link.sha256.0[..]).bind(link.label.clone())
}

pub(super) fn record(statement: Statement, row: &Row) -> Statement {
    let statement = statement.bind(rows::number(row.seq)).bind(&row.run.0.as_bytes()[..]);
    let statement = statement.bind(rows::number(row.number)).bind(&row.hash.0[..]);
    statement.bind(row.body.clone())
}

pub(super) fn change(statement: Statement, change: &Change, owner: Owner) -> Statement {
    let owner = change.owned.then_some(owner);
    let statement = statement.bind(&change.run.0.as_bytes()[..]).bind(change.status);
    let statement = statement.bind(change.wake_at).bind(change.ended_at);
    statement.bind(owner.map(|owner| owner.chain)).bind(owner.map(|owner| owner.epoch))
}

pub(super) fn start(statement: Statement, change: &Change) -> Statement {
    let Some(started) = &change.started else { return statement };
    let statement = statement.bind(started.tenant.clone()).bind(started.subject.clone());
    statement.bind(started.agent.clone()).bind(started.at)
}

/// Makes runs due whose approvals were decided before they were parked.
async fn decided(connection: &mut SqliteConnection, group: &Group) -> Result<(), sqlx::Error> {
    let sql = "UPDATE runs SET wake_at = 0 WHERE run_id = $1 AND EXISTS \
               (SELECT 1 FROM approvals WHERE id = $2 AND status <> 'pending')";
    for change in &group.changes {
        for approval in &change.awaits {
            let statement = query(sql).bind(&change.run.0.as_bytes()[..]);
            statement.bind(&approval.0.as_bytes()[..]).execute(&mut *connection).await?;
        }
    }
    Ok(())
}
