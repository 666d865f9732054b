//! A small group as one text of SQL, with `BEGIN` and `COMMIT`: one trip to the driver's thread.
//!
//! A statement by itself costs a trip there and back, which takes longer than a few rows do, and
//! whoever waits for a lone run waits for all of them. The texts are few and fixed, so that they
//! are prepared once; the rows that a group has not are null and left out. What does not fit goes
//! statement by statement, by [`super::insert`].

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, future};
use sqlx::error::BoxDynError;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments as _, AssertSqlSafe, Executor as _, Sqlite, query_with};

use super::insert::{Added, change, content, link, pack, start};
use crate::group::{Change, Group};
use crate::pack;
use crate::pool::Owner;
use crate::rows;
use crate::sealing::group::Sealed;
use crate::sealing::json_of;

/// Rows of records that a text has room for, the smallest first.
const PACKS: [usize; 3] = [1, 2, 4];
/// Contents and links that a text has room for, and runs that start or change, if it has any.
const CONTENTS: usize = 8;
const RUNS: usize = 2;

/// Moves the end of the chain, if it is ours and where the transaction found it.
const MOVE_HEAD: &str = "UPDATE chains SET head_seq = ?, head_hash = ? \
                         WHERE id = ? AND epoch = ? AND head_seq = ?";

/// Parameters of the rows of each table.
const OF_PACK: usize = 9;
const OF_CONTENT: usize = 7;
const OF_LINK: usize = 3;
const OF_START: usize = 10;
const OF_CHANGE: usize = 6;

/// What a text has room for. Whatever it has room for costs a statement, and each statement wakes
/// whoever waits for the text, so that none has more than it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    packs: usize,
    contents: usize,
    links: usize,
    starts: usize,
    changes: usize,
}

impl Shape {
    /// The smallest that the group fits into, if there is one.
    fn fitting(group: &Group, sealed: &Sealed) -> Option<Self> {
        let starts = group.changes.iter().filter(|change| change.started.is_some()).count();
        let changes = group.changes.len() - starts;
        let fits = group.contents.len().max(group.links.len()) <= CONTENTS
            && starts.max(changes) <= RUNS
            && group.changes.iter().all(|change| change.awaits.is_empty());
        // It is the records that say whether the chain is ours.
        if !fits || sealed.packs.is_empty() {
            return None;
        }
        let packs = PACKS.into_iter().find(|packs| *packs >= sealed.packs.len())?;
        let room = |rows: usize, most: usize| if rows == 0 { 0 } else { most };
        Some(Self {
            packs,
            contents: room(group.contents.len(), CONTENTS),
            links: room(group.links.len(), CONTENTS),
            starts: room(starts, RUNS),
            changes: room(changes, RUNS),
        })
    }

    /// The statements, one after the other.
    fn statements(self) -> Vec<String> {
        let mut statements = vec!["BEGIN IMMEDIATE".to_owned(), MOVE_HEAD.to_owned()];
        let (columns, rows) = (pack::written!(), values(self.packs, OF_PACK));
        statements.push(format!(
            "INSERT OR FAIL INTO packs ({columns}) \
             SELECT (SELECT id FROM chains WHERE id = ? AND epoch = ? AND head_seq = ? \
             AND NOT EXISTS (SELECT 1 FROM json_each(?) AS used WHERE NOT EXISTS \
             (SELECT 1 FROM subject_keys WHERE id = used.value AND wrapped IS NOT NULL))), given.* \
             FROM {rows} WHERE column1 IS NOT NULL"
        ));
        if self.contents > 0 {
            let contents = values(self.contents, OF_CONTENT);
            statements.push(format!(
                "INSERT INTO blobs (tenant, subject, sha256, bytes, content, sealed, key_id) \
                 SELECT * FROM {contents} WHERE column1 IS NOT NULL ON CONFLICT DO NOTHING"
            ));
        }
        if self.links > 0 {
            let links = values(self.links, OF_LINK);
            statements.push(format!(
                "INSERT INTO run_blobs (run_id, sha256, label) \
                 SELECT * FROM {links} WHERE column1 IS NOT NULL \
                 ON CONFLICT DO UPDATE SET label = excluded.label"
            ));
        }
        if self.starts > 0 {
            let starts = values(self.starts, OF_START);
            statements.push(format!(
                "INSERT INTO runs (run_id, status, wake_at, ended_at, owner_chain, owner_epoch, \
                 tenant, subject, agent, started_at) \
                 SELECT * FROM {starts} WHERE column1 IS NOT NULL ON CONFLICT DO NOTHING"
            ));
        }
        if self.changes > 0 {
            let changes = values(self.changes, OF_CHANGE);
            statements.push(format!(
                "UPDATE runs SET status = column2, wake_at = column3, ended_at = column4, \
                 owner_chain = column5, owner_epoch = column6 FROM {changes} \
                 WHERE runs.run_id = column1"
            ));
        }
        statements.push("COMMIT".to_owned());
        statements
    }

    /// The parameters of the text.
    fn arguments(
        self,
        owner: Owner,
        (group, sealed): (&Group, &Sealed),
    ) -> Result<SqliteArguments, BoxDynError> {
        let Group { before, after, .. } = group;
        let mut to = SqliteArguments::default();
        let rows = self.packs * OF_PACK;
        to.reserve(rows + 2 * CONTENTS * OF_CONTENT + 2 * RUNS * OF_START, 0);
        to.add(rows::number(after.seq))?;
        to.add(&after.hash.0[..])?;
        to.add(owner.chain)?;
        to.add(owner.epoch)?;
        to.add(rows::number(before.seq))?;
        // The head has been moved when the records come: they come only if it was.
        to.add(owner.chain)?;
        to.add(owner.epoch)?;
        to.add(rows::number(after.seq))?;
        to.add(json_of(&sealed.keys))?;
        fill(&mut to, &sealed.packs, (self.packs, OF_PACK), pack)?;
        if self.contents > 0 {
            let contents = sealed.of_contents(&group.contents);
            fill(&mut to, &contents, (self.contents, OF_CONTENT), content)?;
        }
        if self.links > 0 {
            fill(&mut to, &group.links, (self.links, OF_LINK), link)?;
        }
        let (starts, changes): (Vec<&Change>, Vec<&Change>) =
            group.changes.iter().partition(|change| change.started.is_some());
        if self.starts > 0 {
            fill(&mut to, &starts, (self.starts, OF_START), |to, run| start(to, run, owner))?;
        }
        if self.changes > 0 {
            fill(&mut to, &changes, (self.changes, OF_CHANGE), |to, run| change(to, run, owner))?;
        }
        Ok(to)
    }
}

/// The texts that were needed so far. If the chain is no longer ours, a key that the group was
/// sealed with is erased, or the group is written already, a constraint of the records is violated
/// and nothing is written.
#[derive(Debug, Default)]
pub(super) struct Wholes(HashMap<Shape, (usize, Arc<str>)>);

impl Wholes {
    /// Writes the group in a transaction of its own; `false` if it fits into no text. If it cannot
    /// be written, the transaction is for the caller to take back.
    pub(super) async fn write(
        &mut self,
        connection: &mut SqliteConnection,
        owner: Owner,
        (group, sealed): (&Group, &Sealed),
    ) -> Result<bool, sqlx::Error> {
        let Some(shape) = Shape::fitting(group, sealed) else { return Ok(false) };
        let (statements, text) = self.0.entry(shape).or_insert_with(|| {
            let statements = shape.statements();
            (statements.len(), statements.join("; ").into())
        });
        let arguments = shape.arguments(owner, (group, sealed)).map_err(sqlx::Error::Encode)?;
        let statement = query_with(AssertSqlSafe(text.clone()), arguments);
        all_of(connection, statement, *statements).await.map(|()| true)
    }
}

/// Runs the statements of a text. Who waits is done with the last of them, while the driver still
/// puts them away. If one fails, the transaction is for the caller to take back.
async fn all_of(
    connection: &mut SqliteConnection,
    text: Query<'_, Sqlite, SqliteArguments>,
    statements: usize,
) -> Result<(), sqlx::Error> {
    connection.fetch_many(text).take(statements).try_for_each(|_| future::ok(())).await
}

fn values(rows: usize, parameters: usize) -> String {
    let row = format!("({})", vec!["?"; parameters].join(","));
    format!("(VALUES {}) AS given", vec![row; rows].join(","))
}

/// Adds the rows that there are, and null for the others.
fn fill<T>(
    to: &mut SqliteArguments,
    there: &[T],
    (rows, parameters): (usize, usize),
    add: impl Fn(&mut SqliteArguments, &T) -> Added,
) -> Added {
    for row in there {
        add(to, row)?;
    }
    for _ in 0..rows.saturating_sub(there.len()) * parameters {
        to.add(None::<i64>)?;
    }
    Ok(())
}
