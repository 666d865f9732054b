//! Personal data through the front door: sealed as it is written, erased for good, and the log
//! verifies all the same.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};

use crate::program::{Ended, Files, command_in, genie, genie_in};
use crate::rows;

/// A desk with a data directory.
struct Desk {
    files: Files,
    data: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let files = Files::new();
        let data = files.path("data");
        Self { files, data }
    }

    fn genie(&self, arguments: &[&str]) -> Ended {
        genie_in(&self.data, arguments)
    }

    #[track_caller]
    fn good(&self, arguments: &[&str]) -> String {
        let ended = self.genie(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        ended.stdout
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.good(arguments)).unwrap()
    }

    /// Answers a question about a made-up statement; gives the run and the words of its rows.
    fn asked(&self, seed: &str) -> (String, Vec<String>) {
        let statement = self.files.argument("statement.csv");
        assert_eq!(genie(&["data", "statement", "--seed", seed, "--output", &statement]).code, 0);
        self.good(&["run", "--quiet", "--statement", &statement]);
        let run = self.json(&["runs", "list", "--json"])[0]["run_id"].as_str().unwrap().to_owned();
        let rows = fs::read_to_string(&statement).unwrap();
        let words = rows.split(|letter: char| !letter.is_ascii_alphabetic());
        let mut words: Vec<String> =
            words.filter(|word| word.len() > 6).map(str::to_owned).collect();
        words.sort();
        words.dedup();
        // Words that the program itself writes, in names of agents and in its rules.
        words.retain(|word| word.chars().all(|letter| letter.is_ascii_uppercase()));
        (run, words)
    }

    /// The files of the database as they lie there.
    fn bytes(&self) -> Vec<u8> {
        let files = fs::read_dir(&self.data).unwrap().map(|file| file.unwrap().path());
        let files = files.filter(|path| path.to_str().unwrap().contains("genie.db"));
        files.flat_map(|path| fs::read(path).unwrap()).collect()
    }

    fn edit(&self, sql: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options = SqliteConnectOptions::new().filename(self.data.join("genie.db"));
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            let sql = AssertSqlSafe(sql.to_owned());
            rows::apart(&mut connection).await;
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            rows::together(&mut connection).await;
            connection.close().await.unwrap();
        });
    }
}

fn holds(all: &[u8], word: &str) -> bool {
    all.windows(word.len()).any(|part| part == word.as_bytes())
}

#[test]
fn a_person_is_erased_and_the_log_still_verifies() {
    let desk = Desk::new();
    let (run, words) = desk.asked("5");
    assert!(words.len() > 5, "{words:?}");
    let bytes = desk.bytes();
    for word in &words {
        assert!(!holds(&bytes, word), "`{word}` lies in the clear");
    }
    assert!(desk.good(&["runs", "show", &run]).contains("Outcome"));
    let receipt = desk.good(&["audit", "receipt", &run]);
    let receipt = desk.files.write("run.receipt", receipt);
    let key = desk.good(&["audit", "key"]);
    let before = desk.json(&["audit", "verify", "--json"]);
    assert_eq!((&before["verified"], &before["erased"]), (&true.into(), &0.into()));

    // Not without being asked, and nobody is there to answer.
    let refused = desk.genie(&["erase", "ravi"]);
    assert_eq!(refused.code, 2);
    assert!(refused.complaint().contains("--yes"), "{}", refused.stderr);
    let erased = desk.json(&["erase", "ravi", "--yes", "--json"]);
    assert_eq!(erased["keys"], 1);
    assert!(erased["blobs"].as_u64() > Some(0), "{erased:#}");
    assert_eq!(erased["in_log"], false);

    let after = desk.json(&["audit", "verify", "--json"]);
    assert_eq!(after["verified"], true);
    assert_eq!(after["records"], before["records"]);
    assert_eq!(after["erased"], erased["records"]);
    assert_eq!(after["chains"][0]["root"], before["chains"][0]["root"]);
    assert!(desk.good(&["audit", "verify"]).contains("erased: "));
    let shown = desk.good(&["runs", "show", &run]);
    assert!(shown.contains("erased") && shown.contains("completed"), "{shown}");
    assert_eq!(desk.json(&["runs", "show", &run, "--json"])["erased"], erased["records"]);
    assert!(desk.good(&["runs", "events", &run]).contains("record.erased"));
    assert!(desk.good(&["replay", &run]).contains("erased"));
    desk.good(&["replay", "--all"]);
    // What was proven before is still proven, and that it completed can be proven again.
    desk.good(&["audit", "check-receipt", &receipt, "--key", key.trim()]);
    desk.good(&["audit", "receipt", &run]);
    // The file form says so, too, and verifies.
    let file = desk.files.argument("run.jsonl");
    desk.good(&["audit", "export", "--out", &file]);
    let report: Value =
        serde_json::from_str(&genie(&["audit", "verify", &file, "--json"]).stdout).unwrap();
    assert_eq!((&report["verified"], &report["erased"]), (&true.into(), &erased["records"]));
    // The same person may come again.
    let (again, _) = desk.asked("6");
    assert!(desk.good(&["runs", "show", &again]).contains("Outcome"));
    desk.good(&["audit", "verify"]);
}

#[test]
fn nobody_is_erased_while_a_run_of_theirs_waits() {
    let desk = Desk::new();
    assert_eq!(desk.genie(&["run", "--demo", "approval"]).code, 3);
    let refused = desk.genie(&["erase", "ravi", "--yes"]);
    assert_eq!(refused.code, 1);
    let complaint = refused.complaint();
    assert!(complaint.contains("1 runs of `ravi` have not ended"), "{complaint}");
    assert!(complaint.contains("genie runs cancel"), "{complaint}");
    let run = desk.json(&["runs", "list", "--json"])[0]["run_id"].as_str().unwrap().to_owned();
    desk.good(&["runs", "cancel", &run, "--reason", "leaves us"]);
    desk.good(&["erase", "ravi", "--yes"]);
    assert!(!holds(&desk.bytes(), "leaves us"));
    desk.good(&["audit", "verify"]);
    let listed = desk.json(&["approvals", "list", "--all", "--json"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(0));
    let refused = desk.genie(&["audit", "receipt", &run]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("was erased"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: a receipt from before"), "{}", refused.stderr);
}

#[track_caller]
fn found(sql: &str, fault: &str, record: Option<u64>) {
    let (desk, _) = Desk::of_two();
    desk.finds(sql, fault, record);
}

impl Desk {
    /// The runs of two persons, and the number of the first sealed record of the second.
    fn of_two() -> (Self, u64) {
        let desk = Self::new();
        desk.good(&["run", "--quiet"]);
        let report = desk.json(&["audit", "verify", "--json"]);
        assert!(desk.other(&["run", "--quiet"]).success());
        (desk, report["records"].as_u64().unwrap() + 2)
    }

    #[track_caller]
    fn finds(&self, sql: &str, fault: &str, record: Option<u64>) {
        self.edit(sql);
        let report = self.genie(&["audit", "verify", "--json"]);
        assert_eq!(report.code, 1, "{}", report.stdout);
        let report = report.json();
        assert_eq!(report["fault"], fault, "{report:#}");
        assert_eq!(report["record"].as_u64(), record, "{report:#}");
    }

    /// As [`Self::genie`], by somebody else.
    fn other(&self, arguments: &[&str]) -> std::process::ExitStatus {
        let mut command = command_in(&self.data, arguments);
        command.env("USER", "meera").output().unwrap().status
    }
}

/// A statement by which some columns of a record become those of another.
fn moved(columns: &[&str], from: u64, to: u64) -> String {
    let set: Vec<String> = columns
        .iter()
        .map(|column| format!("{column} = (SELECT {column} FROM records WHERE seq = {from})"))
        .collect();
    format!("UPDATE records SET {} WHERE seq = {to}", set.join(", "))
}

#[test]
fn sealed_texts_that_were_moved_or_changed_are_found_where_they_are() {
    found(&moved(&["sealed"], 20, 10), "edited", Some(10));
    found(&moved(&["sealed", "body_sha256"], 20, 10), "edited", Some(10));
    found("UPDATE records SET sealed = zeroblob(100) WHERE seq = 10", "edited", Some(10));
    found("UPDATE records SET sealed = NULL WHERE seq = 10", "edited", Some(10));
    found("UPDATE records SET body = '{}' WHERE seq = 10", "edited", Some(10));
    found("UPDATE records SET body_sha256 = zeroblob(32) WHERE seq = 10", "edited", Some(10));
}

#[test]
fn a_key_that_was_taken_away_or_exchanged_is_no_erasure() {
    let first = "(SELECT MIN(seq) FROM records WHERE key_id = 2)";
    found("UPDATE subject_keys SET wrapped = NULL WHERE id = 1", "edited", Some(2));
    found("UPDATE subject_keys SET tenant = 'other' WHERE id = 1", "edited", Some(2));
    let sql = "UPDATE subject_keys SET wrapped = NULL, erased_at = 1 WHERE id = 1; \
               UPDATE records SET key_id = 1 WHERE seq = ";
    let (desk, first_of_other) = Desk::of_two();
    desk.finds(&format!("{sql}{first}"), "unfounded", Some(first_of_other));
}

#[test]
fn a_wrong_or_missing_key_is_named_and_is_no_tampering() {
    let desk = Desk::new();
    desk.good(&["run", "--quiet"]);
    let (key, away) = (desk.data.join("sealing.key"), desk.data.join("away.key"));
    fs::rename(&key, &away).unwrap();
    for arguments in [
        &["audit", "verify"][..],
        &["runs", "events", "0"],
        &["run", "--quiet"],
        &["keys", "rotate"],
    ] {
        let arguments = arguments.iter().map(|argument| match *argument {
            "0" => desk.json(&["runs", "list", "--json"])[0]["run_id"].as_str().unwrap().to_owned(),
            argument => argument.to_owned(),
        });
        let arguments: Vec<String> = arguments.collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = desk.genie(&arguments);
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("--sealing-key"), "{arguments:?}: {}", ended.stderr);
    }
    assert!(!Path::new(&key).exists(), "a new key was made in the place of the lost one");
    let away = away.to_str().unwrap();
    desk.good(&["--sealing-key", away, "audit", "verify"]);
    // The key itself may stand in the environment, and a weak one may not.
    let text = fs::read_to_string(away).unwrap();
    let with = |key: &str| {
        let mut command = command_in(&desk.data, &["audit", "verify"]);
        command.env("GENIE_SEALING_SECRET", key).output().unwrap()
    };
    assert!(with(text.trim()).status.success());
    let refused = with("password");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("32 random bytes"));
}

#[test]
fn keys_are_rotated_and_everything_stays_readable() {
    let desk = Desk::new();
    let (run, _) = desk.asked("5");
    let before = desk.json(&["keys", "status", "--json"]);
    assert_eq!(before["keys"][0]["subjects"], 1);
    let file = fs::read_to_string(desk.data.join("sealing.key")).unwrap();
    let rotated = desk.json(&["keys", "rotate", "--json"]);
    assert_eq!(rotated["subjects"], 1);
    assert_ne!(rotated["key"], before["keys"][0]["key"]);
    let after = fs::read_to_string(desk.data.join("sealing.key")).unwrap();
    assert_eq!(after.lines().count(), 1);
    assert_ne!(after, file, "the former key is still there");
    assert!(desk.good(&["runs", "show", &run]).contains("Outcome"));
    let other = desk.files.argument("other.key");
    assert!(desk.good(&["keys", "rotate", "--to", &other]).contains("sealing_key"));
    assert_eq!(desk.genie(&["runs", "show", &run]).code, 2);
    assert!(desk.good(&["--sealing-key", &other, "runs", "show", &run]).contains("Outcome"));
    let table = desk.good(&["--sealing-key", &other, "keys", "status"]);
    assert!(table.contains("current") && table.contains("erased: 0"), "{table}");
}
