//! `genie db`: the tables come, are shown, and go only if one says so.

use crate::program::{Files, genie_in};

#[test]
fn tables_come_are_shown_and_go_when_one_says_so() {
    let files = Files::new();
    let data = files.path("data");
    let genie = |arguments: &[&str]| genie_in(&data, arguments);
    let missing = genie(&["db", "status"]);
    assert_eq!(missing.code, 2);
    assert!(missing.complaint().contains("there is no database"), "{}", missing.stderr);

    let made = genie(&["db", "migrate"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(
        made.stdout.contains("is up to date now: 0001 journal, 0002 sealing"),
        "{}",
        made.stdout
    );
    assert!(genie(&["db", "migrate"]).stdout.ends_with("is up to date\n"));
    assert_eq!(genie(&["db", "migrate", "--json"]).json()["done"].as_array().unwrap().len(), 0);
    assert!(genie(&["db", "status"]).stdout.contains("0005 documents  applied"));
    assert_eq!(genie(&["db", "status", "--json"]).json()["up_to_date"], true);

    assert_eq!(genie(&["run", "--quiet"]).code, 0);
    let asked = genie(&["db", "revert", "10"]);
    assert_eq!((asked.code, asked.stdout.as_str()), (2, ""));
    assert!(asked.complaint().contains("0002 sealing"), "{}", asked.stderr);
    assert!(asked.complaint().contains("say `--yes`"), "{}", asked.stderr);
    assert_eq!(genie(&["audit", "verify"]).code, 0, "nothing is taken back yet");

    // What is sealed is not left behind where nobody could read it.
    let steps = genie(&["db", "status", "--json"]).json()["steps"].as_array().unwrap().len();
    let kept = genie(&["db", "revert", &(steps - 1).to_string(), "--yes"]);
    assert_eq!(kept.code, 2, "{}", kept.stdout);
    assert!(kept.complaint().contains("are sealed or erased"), "{}", kept.stderr);
    assert_eq!(genie(&["audit", "verify"]).code, 0, "nothing is taken back yet");

    let gone = genie(&["db", "revert", "11", "--yes"]);
    assert_eq!(gone.code, 0, "{}", gone.stderr);
    assert!(gone.stdout.contains("taken back in"), "{}", gone.stdout);
    assert!(gone.stdout.contains("0001 journal"), "{}", gone.stdout);
    let status = genie(&["db", "status"]);
    assert_eq!(status.code, 1);
    assert!(status.stdout.contains("not applied; `genie db migrate` does it"), "{}", status.stdout);
    let older = genie(&["audit", "verify"]);
    assert_eq!(older.code, 2);
    assert!(older.complaint().contains("genie db migrate"), "{}", older.stderr);
    assert!(genie(&["db", "revert", "--yes"]).stdout.contains("no tables to take back"));
}

#[test]
fn stats_say_what_a_run_and_each_kind_of_record_costs() {
    let files = Files::new();
    let data = files.path("data");
    for _ in 0..2 {
        assert_eq!(genie_in(&data, &["run", "--quiet"]).code, 0);
    }
    let stats = genie_in(&data, &["db", "stats", "--json"]).json();
    assert_eq!(stats["runs"], 2);
    let records = stats["records"].as_array().unwrap();
    let count = |kind: &str| {
        let found = records.iter().find(|entry| entry["record"] == kind);
        found.map_or(0, |entry| entry["count"].as_u64().unwrap())
    };
    assert_eq!((count("run_started"), count("outcome"), count("run_end")), (2, 2, 2));
    assert_eq!(count("message"), count("verdict"));
    assert!(stats["bytes_per_run"].as_u64().unwrap() > 10_000, "{stats:#}");
    let table = stats["tables"].as_array().unwrap().iter().find(|table| table["table"] == "packs");
    assert!(table.unwrap()["bytes"].as_u64().unwrap() > 20_000, "{stats:#}");
    let text = genie_in(&data, &["db", "stats"]).stdout;
    assert!(text.starts_with("runs: 2\nbytes per run: "), "{text}");
    assert!(text.contains("checkpoints") && text.contains("run_started"), "{text}");
}
