//! The statements of one group on SQLite: many rows each, in a few fixed sizes, so that they are
//! prepared once for the life of the connection. A statement costs a hop to the driver's thread.

use std::sync::Arc;

use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, query};

use crate::group::{Change, Content, Group, Link, Row};
use crate::pool::Owner;
use crate::rows;
use crate::sealing::group::{Sealed, SealedContent, SealedRow};
use crate::sealing::json_of;

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
                "INSERT INTO blobs (tenant, subject, sha256, bytes, content, sealed, key_id) \
                 VALUES ",
                "(?,?,?,?,?,?,?)",
                " ON CONFLICT DO NOTHING",
            ),
            links: Batch::new(
                "INSERT INTO run_blobs (run_id, sha256, label) VALUES ",
                "(?,?,?)",
                " ON CONFLICT DO UPDATE SET label = excluded.label",
            ),
            records: Batch::new(
                "INSERT INTO records (chain, seq, run_id, number, hash, body, kind, body_sha256, \
                 sealed, key_id) VALUES ",
                "(1,?,?,?,?,?,?,?,?,?)",
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
        sealed: &Sealed,
    ) -> Result<(), sqlx::Error> {
        self.contents.run(connection, &sealed.of_contents(&group.contents), content).await?;
        self.links.run(connection, &group.links, link).await?;
        self.records.run(connection, &sealed.of_rows(&group.rows), record).await?;
        let (starts, changes): (Vec<&Change>, Vec<&Change>) =
            group.changes.iter().partition(|change| change.started.is_some());
        let bind = |statement, run: &&Change| start(change(statement, run, owner), run);
        self.starts.run(connection, &starts, bind).await?;
        let bind = |statement, run: &&Change| change(statement, run, owner);
        self.changes.run(connection, &changes, bind).await?;
        decided(connection, group).await
    }
}

pub(super) fn content(
    statement: Statement,
    (content, sealed): &(&Content, Option<&SealedContent>),
) -> Statement {
    let bytes = &content.stored.content;
    let statement = statement.bind(content.tenant.clone()).bind(content.subject.clone());
    let statement = statement.bind(&content.sha256.0[..]).bind(rows::number(bytes.len() as u64));
    let clear: &[u8] = if sealed.is_some() { &[] } else { bytes };
    let statement = statement.bind(clear);
    statement.bind(sealed.map(|(sealed, _)| &sealed[..])).bind(sealed.map(|(_, key)| *key))
}

pub(super) fn link(statement: Statement, link: &Link) -> Statement {
    statement.bind(&link.run.0.as_bytes()[..]).bind(&link.sha256.0[..]).bind(link.label.clone())
}

pub(super) fn record(
    statement: Statement,
    (row, sealed): &(&Row, Option<&SealedRow>),
) -> Statement {
    let statement = statement.bind(rows::number(row.seq)).bind(&row.run.0.as_bytes()[..]);
    let statement = statement.bind(rows::number(row.number)).bind(&row.hash.0[..]);
    let statement = match sealed {
        Some(_) => statement.bind(""),
        None => statement.bind(row.body.clone()),
    };
    let statement = statement.bind(sealed.map(|sealed| sealed.kind.clone()));
    let statement = statement.bind(sealed.map(|sealed| &sealed.body_sha256.0[..]));
    let statement = statement.bind(sealed.map(|sealed| &sealed.sealed[..]));
    statement.bind(sealed.map(|sealed| sealed.key_id))
}

/// Whether none of the keys was erased since the group was sealed with them. The transaction is the
/// only one that writes, so that none is until it ends.
pub(super) async fn has_keys(
    connection: &mut SqliteConnection,
    keys: &[i64],
) -> Result<bool, sqlx::Error> {
    if keys.is_empty() {
        return Ok(true);
    }
    let sql = "SELECT COUNT(*) FROM subject_keys WHERE wrapped IS NOT NULL \
               AND id IN (SELECT value FROM json_each(?))";
    let (live,): (i64,) = sqlx::query_as(sql).bind(json_of(keys)).fetch_one(connection).await?;
    Ok(live == rows::number(keys.len() as u64))
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
