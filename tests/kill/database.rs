//! A schema of its own for each test, in a PostgreSQL database that it may write to.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Runs statements.
pub(crate) async fn run(server: &str, sql: String) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

/// The URL of a fresh schema.
pub(crate) async fn fresh(server: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let schema = format!("genie_kill_{}_{count}", std::process::id());
    run(server, format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")).await;
    let mark = if server.contains('?') { '&' } else { '?' };
    format!("{server}{mark}options[search_path]={schema}")
}

/// Removes it again.
pub(crate) async fn remove(server: &str, url: &str) {
    let schema = url.rsplit_once('=').unwrap().1;
    run(server, format!("DROP SCHEMA {schema} CASCADE")).await;
}
