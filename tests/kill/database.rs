//! A schema of its own for each test, in a PostgreSQL database that it may write to.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

async fn run(server: &str, sql: String) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

/// The URL of a fresh schema.
pub(crate) async fn fresh(server: &str) -> String {
    let schema = format!("genie_kill_{}", std::process::id());
    run(server, format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")).await;
    let mark = if server.contains('?') { '&' } else { '?' };
    format!("{server}{mark}options[search_path]={schema}")
}

/// Removes it again.
pub(crate) async fn remove(server: &str, url: &str) {
    let schema = url.rsplit_once('=').unwrap().1;
    run(server, format!("DROP SCHEMA {schema} CASCADE")).await;
}
