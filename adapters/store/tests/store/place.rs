//! Where a test keeps its database: a directory or a schema of its own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use genie_store::{KeySource, Location, Mode, Opened, Options, Retry, open};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

/// The statements that make a row of each record, and those that put them together again; on SQLite
/// and on PostgreSQL.
pub(crate) const APART: [&str; 2] = [
    include_str!("../../../../migrations/sqlite/0011_packs.down.sql"),
    include_str!("../../../../migrations/sqlite/0011_packs.up.sql"),
];
const APART_THERE: [&str; 2] = [
    include_str!("../../../../migrations/postgres/0011_packs.down.sql"),
    include_str!("../../../../migrations/postgres/0011_packs.up.sql"),
];

pub(crate) struct Place {
    pub(crate) location: Location,
    schema: Option<String>,
    _directory: Option<TempDir>,
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn server() -> String {
    std::env::var("GENIE_TEST_POSTGRES_URL")
        .expect("set GENIE_TEST_POSTGRES_URL to a PostgreSQL database that may be written to")
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(directory.path().join("data"));
        Self { location, schema: None, _directory: Some(directory) }
    }

    pub(crate) async fn postgres() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let schema = format!("genie_test_{}_{count}", std::process::id());
        let mut connection = PgConnection::connect(&server()).await.unwrap();
        for sql in ["DROP SCHEMA IF EXISTS name CASCADE", "CREATE SCHEMA name"] {
            let sql = AssertSqlSafe(sql.replace("name", &schema));
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
        let server = server();
        let mark = if server.contains('?') { '&' } else { '?' };
        let options = format!("options[search_path]={schema}&application_name={schema}");
        let location = Location::Postgres(format!("{server}{mark}{options}"));
        Self { location, schema: Some(schema), _directory: None }
    }

    /// Drops the schema; one of a test that failed stays to be looked at.
    pub(crate) async fn remove(self) {
        let Some(schema) = self.schema else { return };
        let mut connection = PgConnection::connect(&server()).await.unwrap();
        let sql = AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE"));
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }

    pub(crate) async fn own(&self) -> Opened {
        open(&self.location, Mode::Own, quick()).await.unwrap()
    }

    pub(crate) async fn look(&self) -> Opened {
        open(&self.location, Mode::Look, quick()).await.unwrap()
    }

    /// As [`Self::own`], with the data sealed.
    pub(crate) async fn own_sealed(&self, key: &KeySource) -> Opened {
        open(&self.location, Mode::Own, sealing(key)).await.unwrap()
    }

    pub(crate) async fn look_sealed(&self, key: &KeySource) -> Opened {
        open(&self.location, Mode::Look, sealing(key)).await.unwrap()
    }

    /// Every file of the database as it lies there; nothing for a server.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Location::Sqlite(directory) = &self.location else { return Vec::new() };
        let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let ours = files.filter(|path| path.to_str().unwrap().contains("genie.db"));
        ours.flat_map(|path| std::fs::read(path).unwrap()).collect()
    }

    /// The one text of one row, behind the store's back.
    pub(crate) async fn text(&self, sql: &str) -> String {
        let sql = AssertSqlSafe(sql.to_owned());
        let (text,): (String,) = match &self.location {
            Location::Sqlite(directory) => {
                let file = format!("sqlite://{}/genie.db", directory.display());
                let mut connection = SqliteConnection::connect(&file).await.unwrap();
                sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap()
            }
            Location::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap()
            }
        };
        text
    }

    /// The one value of one row, behind the store's back.
    pub(crate) async fn value(&self, sql: &str) -> Vec<u8> {
        let sql = AssertSqlSafe(sql.to_owned());
        let (value,): (Vec<u8>,) = match &self.location {
            Location::Sqlite(directory) => {
                let file = format!("sqlite://{}/genie.db", directory.display());
                let mut connection = SqliteConnection::connect(&file).await.unwrap();
                sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap()
            }
            Location::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap()
            }
        };
        value
    }

    /// Every table, column and index, in words, except for those of the migrations themselves.
    pub(crate) async fn tables(&self) -> Vec<String> {
        let found: Vec<(String,)> = match &self.location {
            Location::Sqlite(directory) => {
                let file = format!("sqlite://{}/genie.db", directory.display());
                let mut connection = SqliteConnection::connect(&file).await.unwrap();
                let sql = "SELECT name || ': ' || COALESCE(sql, '') FROM sqlite_master \
                           WHERE tbl_name NOT LIKE '%sqlx%' ORDER BY 1";
                sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
            }
            Location::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                let sql = "SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || \
                           is_nullable FROM information_schema.columns \
                           WHERE table_schema = current_schema AND table_name NOT LIKE '%sqlx%' \
                           UNION ALL SELECT indexdef FROM pg_indexes \
                           WHERE schemaname = current_schema AND tablename NOT LIKE '%sqlx%' \
                           ORDER BY 1";
                sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
            }
        };
        found.into_iter().map(|(line,)| line).collect()
    }

    /// Runs statements behind the store's back; if they are about records, with a row for each.
    pub(crate) async fn tamper(&self, sql: &str) {
        let [apart, together] = match &self.location {
            _ if !sql.contains("records") => [""; 2],
            Location::Sqlite(_) => APART,
            Location::Postgres(_) => APART_THERE,
        };
        let sql = AssertSqlSafe([apart, sql, together].join(";"));
        match &self.location {
            Location::Sqlite(directory) => {
                let file = format!("sqlite://{}/genie.db", directory.display());
                let mut connection = SqliteConnection::connect(&file).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            Location::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    }
}

pub(crate) fn sealing(key: &KeySource) -> Options {
    Options { sealing: Some(key.clone()), ..quick() }
}

/// Options for tests: what is waited for comes soon.
pub(crate) fn quick() -> Options {
    let (first, longest) = (Duration::from_millis(5), Duration::from_millis(20));
    Options { retry: Retry { first, longest }, ..Options::default() }
}
