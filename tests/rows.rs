//! The records as rows of their own, as they were before they lay together: whoever tampers with
//! one does so there.

use sqlx::sqlite::SqliteConnection;

/// A row for each record, on SQLite and back; and on PostgreSQL.
const APART: &str = include_str!("../migrations/sqlite/0011_packs.down.sql");
const TOGETHER: &str = include_str!("../migrations/sqlite/0011_packs.up.sql");
const APART_THERE: &str = include_str!("../migrations/postgres/0011_packs.down.sql");
const TOGETHER_THERE: &str = include_str!("../migrations/postgres/0011_packs.up.sql");

/// Takes the records apart.
pub(crate) async fn apart(connection: &mut SqliteConnection) {
    sqlx::raw_sql(APART).execute(connection).await.unwrap();
}

/// Puts them together again.
pub(crate) async fn together(connection: &mut SqliteConnection) {
    sqlx::raw_sql(TOGETHER).execute(connection).await.unwrap();
}

/// The statements, to be run on PostgreSQL while the records are apart.
pub(crate) fn there(sql: &str) -> String {
    format!("{APART_THERE};{sql};{TOGETHER_THERE}")
}
