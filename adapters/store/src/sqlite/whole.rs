//! A small group as one text of SQL, with `BEGIN` and `COMMIT`: one trip to the driver's thread.
//!
//! A statement by itself costs a trip there and back, which takes longer than a few rows do, and
//! whoever waits for a lone run waits for all of them. The texts are few and fixed, so that they
//! are prepared once; the rows that a group has not are null and left out. What does not fit goes
//! statement by statement, by [`super::insert`].

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, future};
use genie_core::journal::chain::Head;
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
/// And only if what was written ahead is there.
const AFTER_PARTS: &str = " AND EXISTS (SELECT 1 FROM packs WHERE seq = ?)";
/// That records go where they belong: behind the head, or behind what is already written of the
/// transaction.
const AFTER_HEAD: &str = "head_seq = ?";
const AFTER_RECORD: &str = "EXISTS (SELECT 1 FROM packs WHERE seq = ?)";

/// Parameters of the rows of each table.
const OF_PACK: usize = 9;
const OF_CONTENT: usize = 7;
const OF_LINK: usize = 3;
const OF_START: usize = 10;
const OF_CHANGE: usize = 6;

/// What of a transaction is written: all of it, or a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Bounds {
    pub(super) begins: bool,
    pub(super) commits: bool,
}

/// What a text has room for. Whatever it has room for costs a statement, and each statement wakes
/// whoever waits for the text, so that none has more than it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    packs: usize,
    /// Content and links.
    content: bool,
    starts: bool,
    changes: bool,
    bounds: Bounds,
}

impl Shape {
    /// The smallest that the group fits into, if there is one.
    fn fitting((group, sealed): (&Group, &Sealed), bounds: Bounds) -> Option<Self> {
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
        let content = !(group.contents.is_empty() && group.links.is_empty());
        Some(Self { packs, content, starts: starts > 0, changes: changes > 0, bounds })
    }

    /// The statements, one after the other.
    fn statements(self) -> Vec<String> {
        let Bounds { begins, commits } = self.bounds;
        let mut statements = Vec::new();
        if begins {
            statements.push("BEGIN IMMEDIATE".to_owned());
        }
        if commits {
            let after_parts = if begins { "" } else { AFTER_PARTS };
            statements.push(format!("{MOVE_HEAD}{after_parts}"));
        }
        // A record comes only if all before it was done. The head moves with the last part.
        let follows = if begins || commits { AFTER_HEAD } else { AFTER_RECORD };
        let (columns, rows) = (pack::written!(), values(self.packs, OF_PACK));
        statements.push(format!(
            "INSERT OR FAIL INTO packs ({columns}) \
             SELECT (SELECT id FROM chains WHERE id = ? AND epoch = ? AND {follows} \
             AND NOT EXISTS (SELECT 1 FROM json_each(?) AS used WHERE NOT EXISTS \
             (SELECT 1 FROM subject_keys WHERE id = used.value AND wrapped IS NOT NULL))), given.* \
             FROM {rows} WHERE column1 IS NOT NULL"
        ));
        if self.content {
            let (contents, links) = (values(CONTENTS, OF_CONTENT), values(CONTENTS, OF_LINK));
            statements.push(format!(
                "INSERT INTO blobs (tenant, subject, sha256, bytes, content, sealed, key_id) \
                 SELECT * FROM {contents} WHERE column1 IS NOT NULL ON CONFLICT DO NOTHING"
            ));
            statements.push(format!(
                "INSERT INTO run_blobs (run_id, sha256, label) \
                 SELECT * FROM {links} WHERE column1 IS NOT NULL \
                 ON CONFLICT DO UPDATE SET label = excluded.label"
            ));
        }
        if self.starts {
            let starts = values(RUNS, OF_START);
            statements.push(format!(
                "INSERT INTO runs (run_id, status, wake_at, ended_at, owner_chain, owner_epoch, \
                 tenant, subject, agent, started_at) \
                 SELECT * FROM {starts} WHERE column1 IS NOT NULL ON CONFLICT DO NOTHING"
            ));
        }
        if self.changes {
            let changes = values(RUNS, OF_CHANGE);
            statements.push(format!(
                "UPDATE runs SET status = column2, wake_at = column3, ended_at = column4, \
                 owner_chain = column5, owner_epoch = column6 FROM {changes} \
                 WHERE runs.run_id = column1"
            ));
        }
        if commits {
            statements.push("COMMIT".to_owned());
        }
        statements
    }

    /// The parameters of the text. `base` is where the transaction began.
    fn arguments(
        self,
        owner: Owner,
        base: Head,
        (group, sealed): (&Group, &Sealed),
    ) -> Result<SqliteArguments, BoxDynError> {
        let Group { before, after, .. } = group;
        let mut to = SqliteArguments::default();
        let rows = self.packs * OF_PACK;
        to.reserve(rows + 2 * CONTENTS * OF_CONTENT + 2 * RUNS * OF_START, 0);
        if self.bounds.commits {
            move_head(&mut to, owner, base, *after)?;
            if !self.bounds.begins {
                to.add(rows::number(before.seq))?;
            }
        }
        to.add(owner.chain)?;
        to.add(owner.epoch)?;
        // The last part has moved the head when its records come.
        to.add(rows::number(if self.bounds.commits { after.seq } else { before.seq }))?;
        to.add(json_of(&sealed.keys))?;
        fill(&mut to, &sealed.packs, (self.packs, OF_PACK), pack)?;
        if self.content {
            let contents = sealed.of_contents(&group.contents);
            fill(&mut to, &contents, (CONTENTS, OF_CONTENT), content)?;
            fill(&mut to, &group.links, (CONTENTS, OF_LINK), link)?;
        }
        let (starts, changes): (Vec<&Change>, Vec<&Change>) =
            group.changes.iter().partition(|change| change.started.is_some());
        if self.starts {
            fill(&mut to, &starts, (RUNS, OF_START), |to, run| start(to, run, owner))?;
        }
        if self.changes {
            fill(&mut to, &changes, (RUNS, OF_CHANGE), |to, run| change(to, run, owner))?;
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
    /// Writes the group into the transaction that it begins, commits or is within, and which began
    /// at `base`; `false` if it fits into no text. If it cannot be written, the transaction is for
    /// the caller to take back.
    pub(super) async fn write(
        &mut self,
        connection: &mut SqliteConnection,
        (owner, base): (Owner, Head),
        (group, sealed): (&Group, &Sealed),
        bounds: Bounds,
    ) -> Result<bool, sqlx::Error> {
        let Some(shape) = Shape::fitting((group, sealed), bounds) else { return Ok(false) };
        let (statements, text) = self.0.entry(shape).or_insert_with(|| {
            let statements = shape.statements();
            (statements.len(), statements.join("; ").into())
        });
        let arguments =
            shape.arguments(owner, base, (group, sealed)).map_err(sqlx::Error::Encode)?;
        let statement = query_with(AssertSqlSafe(text.clone()), arguments);
        all_of(connection, statement, *statements).await.map(|()| true)
    }
}

/// Commits a transaction that began at `base` with nothing more than the new head.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    (owner, base): (Owner, Head),
    head: Head,
) -> Result<(), sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    move_head(&mut arguments, owner, base, head)
        .and_then(|()| arguments.add(rows::number(head.seq)))
        .map_err(sqlx::Error::Encode)?;
    let text: Arc<str> = format!("{MOVE_HEAD}{AFTER_PARTS}; COMMIT").into();
    all_of(connection, query_with(AssertSqlSafe(text), arguments), 2).await
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

fn move_head(to: &mut SqliteArguments, owner: Owner, base: Head, head: Head) -> Added {
    to.add(rows::number(head.seq))?;
    to.add(&head.hash.0[..])?;
    to.add(owner.chain)?;
    to.add(owner.epoch)?;
    to.add(rows::number(base.seq))
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
