//! What the database holds and what it costs.

use crate::pool::{Db, on};

/// The tables and whether their size is told.
const TABLES: [&str; 11] = [
    "packs",
    "runs",
    "approvals",
    "blobs",
    "run_blobs",
    "tiles",
    "checkpoints",
    "chains",
    "subject_keys",
    "documents",
    "accounts",
];

/// What is in one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What it takes up in bytes, its indexes included.
    pub bytes: u64,
}

/// The records of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryType {
    /// The type, as in the records.
    pub name: String,
    /// How many there are.
    pub records: u64,
    /// The bytes of their texts.
    pub bytes: u64,
}

/// What the database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Each table with its indexes.
    pub tables: Vec<Table>,
    /// Each type of record, the one with most bytes first.
    pub entries: Vec<EntryType>,
    /// How many runs there are.
    pub runs: u64,
}

impl Stats {
    /// What all tables take up for each run, in bytes; 0 without runs.
    #[must_use]
    pub fn bytes_per_run(&self) -> u64 {
        let bytes: u64 = self.tables.iter().map(|table| table.bytes).sum();
        bytes.checked_div(self.runs).unwrap_or(0)
    }

    /// Reads every record: for an operator, not for a request.
    pub(crate) async fn of(db: &Db) -> Result<Self, sqlx::Error> {
        let (size, kind) = match db {
            Db::Sqlite(_) => (
                "SELECT COALESCE(SUM(pgsize), 0) FROM dbstat WHERE name IN \
                 (SELECT name FROM sqlite_master WHERE tbl_name = $1)",
                "SELECT COALESCE(value ->> 3, 'unknown') AS type, COUNT(*), SUM(value ->> 1) \
                 FROM packs, json_each(meta) GROUP BY 1 ORDER BY 3 DESC, 1",
            ),
            Db::Postgres(_) => (
                "SELECT pg_total_relation_size(CAST($1 AS regclass))",
                "SELECT COALESCE(value ->> 3, 'unknown') AS type, COUNT(*), \
                 CAST(SUM(CAST(value ->> 1 AS BIGINT)) AS BIGINT) \
                 FROM packs, json_array_elements(CAST(meta AS JSON)) \
                 GROUP BY 1 ORDER BY 3 DESC, 1",
            ),
        };
        let mut tables = Vec::new();
        for name in TABLES {
            let (bytes,): (i64,) =
                on!(db, pool => sqlx::query_as(size).bind(name).fetch_one(pool).await)?;
            tables.push(Table { name, bytes: bytes.cast_unsigned() });
        }
        let kinds: Vec<(String, i64, i64)> =
            on!(db, pool => sqlx::query_as(kind).fetch_all(pool).await)?;
        let entry = |(name, records, bytes): (String, i64, i64)| EntryType {
            name,
            records: records.cast_unsigned(),
            bytes: bytes.cast_unsigned(),
        };
        let entries = kinds.into_iter().map(entry).collect();
        let count = "SELECT COUNT(*) FROM runs";
        let (runs,): (i64,) = on!(db, pool => sqlx::query_as(count).fetch_one(pool).await)?;
        Ok(Self { tables, entries, runs: runs.cast_unsigned() })
    }
}
