//! The statements of one group on SQLite: many rows each, in a few fixed sizes, so that they are
//! prepared once for the life of the connection. A statement costs a hop to the driver's thread.

use std::sync::Arc;

use sqlx::Arguments as _;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, query, query_with};

use crate::group::{Change, Content, Group, Link};
use crate::pack::{self, Pack};
use crate::pool::Owner;
use crate::rows;
use crate::sealing::group::{Sealed, SealedContent};
use crate::sealing::json_of;

/// What becomes of adding to the arguments of a statement.
pub(super) type Added = Result<(), BoxDynError>;

/// How many rows a statement may have. Measured with benches/journal.rs: beyond 256 it gets no
/// faster.
const SIZES: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];

/// One kind of statement in every size.
#[derive(Debug)]
struct Batch {
    /// Largest first.
    texts: [(usize, Arc<str>); SIZES.len()],
    /// Of each row.
    parameters: usize,
}

impl Batch {
    fn new(before: &str, row: &str, after: &str) -> Self {
        let text = |rows: usize| format!("{before}{}{after}", vec![row; rows].join(",")).into();
        let parameters = row.matches('?').count();
        Self { texts: SIZES.map(|rows| (rows, text(rows))), parameters }
    }

    /// Runs the statements for all rows, each of which `add` adds to the arguments.
    async fn run<T>(
        &self,
        connection: &mut SqliteConnection,
        mut rows: &[T],
        add: impl Fn(&mut SqliteArguments, &T) -> Added,
    ) -> Result<(), sqlx::Error> {
        for (size, text) in &self.texts {
            while rows.len() >= *size {
                let (chunk, rest) = rows.split_at(*size);
                let mut arguments = SqliteArguments::default();
                arguments.reserve(size * self.parameters, 0);
                for row in chunk {
                    add(&mut arguments, row).map_err(sqlx::Error::Encode)?;
                }
                let statement = query_with(AssertSqlSafe(text.clone()), arguments);
                statement.execute(&mut *connection).await?;
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
    packs: Batch,
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
            packs: Batch::new(
                concat!("INSERT OR FAIL INTO packs (", pack::written!(), ") VALUES "),
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
        self.packs.run(connection, &sealed.packs, pack).await?;
        let (starts, changes): (Vec<&Change>, Vec<&Change>) =
            group.changes.iter().partition(|change| change.started.is_some());
        self.starts.run(connection, &starts, |to, run| start(to, run, owner)).await?;
        self.changes.run(connection, &changes, |to, run| change(to, run, owner)).await?;
        decided(connection, group).await
    }
}

pub(super) fn content(
    to: &mut SqliteArguments,
    (content, sealed): &(&Content, Option<&SealedContent>),
) -> Added {
    let bytes = &content.stored.content;
    to.add(content.tenant.clone())?;
    to.add(content.subject.clone())?;
    to.add(&content.sha256.0[..])?;
    to.add(rows::number(bytes.len() as u64))?;
    let clear: &[u8] = if sealed.is_some() { &[] } else { bytes };
    to.add(clear)?;
    to.add(sealed.map(|(sealed, _)| &sealed[..]))?;
    to.add(sealed.map(|(_, key)| *key))
}

pub(super) fn link(to: &mut SqliteArguments, link: &Link) -> Added {
    to.add(&link.run.0.as_bytes()[..])?;
    to.add(&link.sha256.0[..])?;
    to.add(link.label.clone())
}

pub(super) fn pack(to: &mut SqliteArguments, pack: &Pack) -> Added {
    to.add(rows::number(pack.seq))?;
    to.add(rows::number(pack.until))?;
    to.add(&pack.run.0.as_bytes()[..])?;
    to.add(rows::number(pack.number))?;
    to.add(pack.key_id)?;
    to.add(rows::number(pack.sealed))?;
    to.add(&pack.meta[..])?;
    to.add(&pack.hashes[..])?;
    to.add(&pack.data[..])
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

pub(super) fn change(to: &mut SqliteArguments, change: &Change, owner: Owner) -> Added {
    let owner = change.owned.then_some(owner);
    to.add(&change.run.0.as_bytes()[..])?;
    to.add(change.status)?;
    to.add(change.wake_at)?;
    to.add(change.ended_at)?;
    to.add(owner.map(|owner| owner.chain))?;
    to.add(owner.map(|owner| owner.epoch))
}

pub(super) fn start(to: &mut SqliteArguments, run: &Change, owner: Owner) -> Added {
    change(to, run, owner)?;
    let Some(started) = &run.started else { return Ok(()) };
    to.add(started.tenant.clone())?;
    to.add(started.subject.clone())?;
    to.add(started.agent.clone())?;
    to.add(started.at)
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
