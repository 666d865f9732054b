//! A small group as one text of SQL, with `BEGIN` and `COMMIT`: one trip to the driver's thread.
//!
//! A statement by itself costs a trip there and back, which takes longer than a few rows do, and
//! whoever waits for a lone run waits for all of them. The texts are few and fixed, so that they
//! are prepared once; the rows that a group has not are null and left out. What does not fit goes
//! statement by statement, by [`super::insert`].

use std::sync::Arc;

use sqlx::Arguments as _;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, query, query_with};

use super::insert::{Added, change, content, link, record, start};
use crate::group::{Change, Group};
use crate::pool::Owner;
use crate::rows;
use crate::sealing::group::Sealed;
use crate::sealing::json_of;

/// Records that a text has room for, the smallest first: close enough to each other that few rows
/// are left out, since each of those costs about a third of one that is written.
const RECORDS: [usize; 14] = [2, 4, 8, 16, 24, 32, 40, 48, 56, 68, 80, 96, 112, 128];
/// Contents and links that a text has room for, and runs that start or change, if it has any.
const CONTENTS: usize = 8;
const RUNS: usize = 2;

/// Parameters of the rows of each table.
const OF_RECORD: usize = 9;
const OF_CONTENT: usize = 7;
const OF_LINK: usize = 3;
const OF_START: usize = 10;
const OF_CHANGE: usize = 6;

/// The transaction of a group up to a size. If the chain is no longer ours, a key that the group
/// was sealed with is erased, or the group is written already, a constraint of the records is
/// violated and nothing is written.
#[derive(Debug)]
pub(super) struct Whole {
    records: usize,
    /// Whether there is room for more than records.
    more: bool,
    /// Of each of the texts.
    parameters: usize,
    /// One for each of [`Bounds`].
    texts: [Arc<str>; 4],
}

/// What of a transaction a text is: all of it, or a part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) begins: bool,
    pub(super) commits: bool,
}

impl Bounds {
    const ALL: [Self; 4] = [
        Self { begins: false, commits: false },
        Self { begins: false, commits: true },
        Self { begins: true, commits: false },
        Self { begins: true, commits: true },
    ];

    /// Its place among [`Self::ALL`].
    fn place(self) -> usize {
        2 * usize::from(self.begins) + usize::from(self.commits)
    }

    fn around(self, statements: &str) -> Arc<str> {
        let begin = if self.begins { "BEGIN IMMEDIATE; " } else { "" };
        let commit = if self.commits { "COMMIT; " } else { "" };
        format!("{begin}{statements}{commit}SELECT 1").into()
    }
}

/// The texts, the smallest first.
#[derive(Debug)]
pub(super) struct Wholes([Whole; 2 * RECORDS.len()]);

impl Default for Wholes {
    fn default() -> Self {
        Self(std::array::from_fn(|at| Whole::new(RECORDS[at / 2], at % 2 == 1)))
    }
}

impl Wholes {
    /// The text that the group fits into, if there is one.
    pub(super) fn fitting(&self, group: &Group) -> Option<&Whole> {
        let starts = group.changes.iter().filter(|change| change.started.is_some()).count();
        let changes = group.changes.len() - starts;
        let fits = group.contents.len().max(group.links.len()) <= CONTENTS
            && starts.max(changes) <= RUNS
            && group.changes.iter().all(|change| change.awaits.is_empty());
        // It is the records that say whether the chain is ours.
        if !fits || group.rows.is_empty() {
            return None;
        }
        let more =
            !(group.changes.is_empty() && group.contents.is_empty() && group.links.is_empty());
        self.0.iter().find(|whole| whole.records >= group.rows.len() && whole.more == more)
    }
}

fn values(rows: usize, parameters: usize) -> String {
    let row = format!("({})", vec!["?"; parameters].join(","));
    format!("(VALUES {}) AS given", vec![row; rows].join(","))
}

/// The statements for what is beside the records.
fn beside() -> String {
    let (contents, links) = (values(CONTENTS, OF_CONTENT), values(CONTENTS, OF_LINK));
    let (starts, changes) = (values(RUNS, OF_START), values(RUNS, OF_CHANGE));
    format!(
        "INSERT INTO blobs (tenant, subject, sha256, bytes, content, sealed, key_id) \
         SELECT * FROM {contents} WHERE column1 IS NOT NULL ON CONFLICT DO NOTHING; \
         INSERT INTO run_blobs (run_id, sha256, label) \
         SELECT * FROM {links} WHERE column1 IS NOT NULL \
         ON CONFLICT DO UPDATE SET label = excluded.label; \
         INSERT INTO runs (run_id, status, wake_at, ended_at, owner_chain, owner_epoch, \
         tenant, subject, agent, started_at) \
         SELECT * FROM {starts} WHERE column1 IS NOT NULL ON CONFLICT DO NOTHING; \
         UPDATE runs SET status = column2, wake_at = column3, ended_at = column4, \
         owner_chain = column5, owner_epoch = column6 FROM {changes} \
         WHERE runs.run_id = column1; "
    )
}

impl Whole {
    fn new(records: usize, more: bool) -> Self {
        let rows = values(records, OF_RECORD);
        let more_text = if more { beside() } else { String::new() };
        // A row comes only if all before it was done.
        let text = format!(
            "UPDATE chains SET head_seq = ?, head_hash = ? \
             WHERE id = ? AND epoch = ? AND head_seq = ?; \
             INSERT OR FAIL INTO records (chain, seq, run_id, number, hash, body, kind, \
             body_sha256, sealed, key_id) \
             SELECT (SELECT id FROM chains WHERE id = ? AND epoch = ? AND head_seq = ? \
             AND NOT EXISTS (SELECT 1 FROM json_each(?) AS used WHERE NOT EXISTS \
             (SELECT 1 FROM subject_keys WHERE id = used.value AND wrapped IS NOT NULL))), given.* \
             FROM {rows} WHERE column1 IS NOT NULL; {more_text}"
        );
        let parameters = text.matches('?').count();
        Self { records, more, parameters, texts: Bounds::ALL.map(|bounds| bounds.around(&text)) }
    }

    /// Writes the group into the transaction that it begins, commits or is within; if it cannot,
    /// all of the transaction is taken back.
    pub(super) async fn write(
        &self,
        connection: &mut SqliteConnection,
        owner: Owner,
        (group, sealed): (&Group, &Sealed),
        bounds: Bounds,
    ) -> Result<(), sqlx::Error> {
        let text = self.texts[bounds.place()].clone();
        let arguments = self.arguments(owner, (group, sealed)).map_err(sqlx::Error::Encode)?;
        let statement = query_with(AssertSqlSafe(text), arguments);
        let done = statement.fetch_one(&mut *connection).await;
        if done.is_err() {
            // Fails if the transaction has not begun, or was taken back already.
            let _ = query("ROLLBACK").execute(&mut *connection).await;
        }
        done.map(drop)
    }

    fn arguments(
        &self,
        owner: Owner,
        (group, sealed): (&Group, &Sealed),
    ) -> Result<SqliteArguments, BoxDynError> {
        let Group { before, after, .. } = group;
        let mut to = SqliteArguments::default();
        to.reserve(self.parameters, 0);
        to.add(rows::number(after.seq))?;
        to.add(&after.hash.0[..])?;
        to.add(owner.chain)?;
        to.add(owner.epoch)?;
        to.add(rows::number(before.seq))?;
        to.add(owner.chain)?;
        to.add(owner.epoch)?;
        to.add(rows::number(after.seq))?;
        to.add(json_of(&sealed.keys))?;
        fill(&mut to, &sealed.of_rows(&group.rows), (self.records, OF_RECORD), record)?;
        if !self.more {
            return Ok(to);
        }
        let contents = sealed.of_contents(&group.contents);
        fill(&mut to, &contents, (CONTENTS, OF_CONTENT), content)?;
        fill(&mut to, &group.links, (CONTENTS, OF_LINK), link)?;
        let (starts, changes): (Vec<&Change>, Vec<&Change>) =
            group.changes.iter().partition(|change| change.started.is_some());
        fill(&mut to, &starts, (RUNS, OF_START), |to, run| start(to, run, owner))?;
        fill(&mut to, &changes, (RUNS, OF_CHANGE), |to, run| change(to, run, owner))?;
        Ok(to)
    }
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
