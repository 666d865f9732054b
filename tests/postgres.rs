//! Signing, verifying, proving and replaying what is kept in PostgreSQL.
//!
//! Needs `GENIE_TEST_POSTGRES_URL`; each test makes a schema of its own there.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::program::{Ended, Files, command_in};
use crate::rows;

/// A schema of its own, and a directory with the key.
pub(crate) struct Desk {
    files: Files,
    schema: String,
    url: String,
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn server() -> String {
    std::env::var("GENIE_TEST_POSTGRES_URL").unwrap()
}

fn run(url: &str, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

impl Desk {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let schema = format!("genie_audit_{}_{count}", std::process::id());
        let server = server();
        run(&server, &format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"));
        let mark = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{mark}options[search_path]={schema}");
        Self { files: Files::new(), schema, url }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The key of a tenant's first administrator.
    pub(crate) fn admin(&self, data: &Path, tenant: &str) -> String {
        let arguments = ["admin", "create", "--tenant", tenant, "--database", &self.url];
        let made = Ended::of(command_in(data, &arguments).output().unwrap(), &arguments).stdout;
        made.split_whitespace().find(|word| word.starts_with("gk_")).unwrap().to_owned()
    }

    fn genie(&self, arguments: &[&str]) -> Ended {
        let mut command = command_in(&self.files.path("data"), arguments);
        command.env("GENIE_DATABASE", &self.url);
        Ended::of(command.output().unwrap(), arguments)
    }

    /// Runs the agents; gives the id of the run.
    fn run(&self, arguments: &[&str]) -> String {
        let all: Vec<&str> = ["run", "--json"].iter().chain(arguments).copied().collect();
        let ended = self.genie(&all);
        assert_eq!(ended.stderr.lines().find(|line| line.starts_with("error")), None);
        ended.json()["run_id"].as_str().unwrap().to_owned()
    }

    fn verified(&self) -> Value {
        let report = self.genie(&["audit", "verify", "--json"]).json();
        assert_eq!(report["verified"], true, "{report:#}");
        report
    }

    #[track_caller]
    fn found(&self, fault: &str, record: Option<u64>) {
        let ended = self.genie(&["audit", "verify", "--json"]);
        let report = ended.json();
        assert_eq!(ended.code, 1, "{report:#}");
        assert_eq!((&report["verified"], &report["fault"]), (&false.into(), &fault.into()));
        assert_eq!(report["record"].as_u64(), record, "{report:#}");
    }

    fn edit(&self, sql: &str) {
        run(&self.url, sql);
    }

    /// Does something to the tables, has it found, and takes it back.
    #[track_caller]
    fn check(&self, table: &str, sql: &str, fault: &str, record: Option<u64>) {
        self.edit(&format!("CREATE TABLE kept AS SELECT * FROM {table}"));
        self.edit(sql);
        self.found(fault, record);
        self.edit(&format!(
            "DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept"
        ));
    }

    /// Drops the schema; that of a test that failed stays to be looked at.
    pub(crate) fn remove(self) {
        run(&server(), &format!("DROP SCHEMA {} CASCADE", self.schema));
    }
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test starts one"]
fn what_is_kept_on_a_server_is_signed_verified_and_proven() {
    let desk = Desk::new();
    let first = desk.run(&[]);
    let kept = desk.files.write("kept", desk.genie(&["audit", "checkpoint"]).stdout);
    let second = desk.run(&[]);
    let report = desk.verified();
    assert_eq!(report["runs"], 2, "{report:#}");
    let chains = report["chains"].as_array().unwrap();
    let sum = |field: &str| chains.iter().map(|chain| chain[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!(report["records"], sum("covered"), "every record is signed: {report:#}");
    assert!(sum("checkpoints") >= 2, "{report:#}");
    for run in [&first, &second] {
        let receipt = desk.genie(&["audit", "receipt", run]);
        assert_eq!(receipt.code, 0, "{}", receipt.stderr);
        let receipt = desk.files.write("receipt", receipt.stdout);
        let checked = desk.genie(&["audit", "check-receipt", &receipt]);
        assert_eq!(checked.code, 0, "{}", checked.stderr);
    }
    let grown = desk.genie(&["audit", "consistency", &kept]);
    assert_eq!(grown.code, 0, "{}{}", grown.stdout, grown.stderr);
    let exported = desk.files.write("journal", desk.genie(&["audit", "export"]).stdout);
    let file = desk.genie(&["audit", "verify", &exported]);
    assert_eq!(file.code, 0, "{}", file.stderr);
    desk.remove();
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test starts one"]
fn tampering_on_a_server_is_found_where_it_is() {
    let desk = Desk::new();
    desk.run(&[]);
    let end = desk.verified()["records"].as_u64().unwrap();
    let edited = "UPDATE records SET sealed = set_byte(sealed, 40, get_byte(sealed, 40) # 1) \
                  WHERE seq = 20";
    desk.check("packs", &rows::there(edited), "edited", Some(20));
    let rehashed = "UPDATE records SET hash = decode(repeat('00', 32), 'hex') WHERE seq = 20";
    desk.check("packs", &rows::there(rehashed), "rehashed", Some(20));
    let deleted = "DELETE FROM records WHERE seq = 20";
    desk.check("packs", &rows::there(deleted), "deleted", Some(20));
    let cut = format!("DELETE FROM records WHERE seq = {end}");
    desk.check("packs", &rows::there(&cut), "truncated", Some(end));
    let swap = "UPDATE records SET seq = -1 WHERE seq = 20; \
                UPDATE records SET seq = 20 WHERE seq = 21; \
                UPDATE records SET seq = 21 WHERE seq = -1";
    desk.check("packs", &rows::there(swap), "reordered", Some(20));
    let forged = "UPDATE checkpoints SET note = replace(note, 'genie-', 'Genie-')";
    desk.check("checkpoints", forged, "unsigned", None);
    desk.check("runs", "UPDATE runs SET subject = 'mallory'", "unfounded", None);
    desk.check("run_blobs", "UPDATE run_blobs SET label = '{}'", "unfounded", None);
    desk.check("blobs", "UPDATE blobs SET content = 'x'", "swapped", None);
    desk.verified();
    desk.remove();
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test starts one"]
fn a_run_on_a_server_comes_out_the_same() {
    let desk = Desk::new();
    let finance = desk.run(&[]);
    let payment = desk.run(&["--demo", "approval"]);
    let list = desk.genie(&["approvals", "list", "--json"]).json();
    let list = list.as_array().or_else(|| list["approvals"].as_array()).unwrap().clone();
    let approval = list[0]["id"].as_str().unwrap();
    let decided = desk.genie(&["approvals", "approve", approval, "--as", "meera"]);
    assert_eq!(decided.code, 0, "{}", decided.stderr);
    for run in [&finance, &payment] {
        let replayed = desk.genie(&["replay", run, "--json"]);
        let report = replayed.json();
        assert_eq!(replayed.code, 0, "{report:#}");
        let (status, same) = (&report["status"], &report["same"]);
        assert_eq!((status, same), (&"completed".into(), &report["verdicts"]), "{report:#}");
    }
    desk.verified();
    desk.remove();
}
