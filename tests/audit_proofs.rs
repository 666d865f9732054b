//! What the log gives to others: checkpoints, keys, receipts, exports; and that they hold.

use std::path::PathBuf;

use serde_json::Value;

use crate::program::{Ended, Files, genie, genie_in};

/// A data directory and what is done over it.
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

    /// What a command that must succeed prints.
    #[track_caller]
    fn good(&self, arguments: &[&str]) -> String {
        let ended = self.genie(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        ended.stdout
    }

    fn run(&self) -> String {
        let ended = self.genie(&["run", "--json"]).json();
        ended["run_id"].as_str().unwrap().to_owned()
    }

    /// How many records there are.
    fn records(&self) -> Value {
        self.genie(&["audit", "verify", "--json"]).json()["records"].clone()
    }

    fn key(&self) -> String {
        self.good(&["audit", "key"]).trim().to_owned()
    }
}

#[test]
fn a_receipt_holds_for_whoever_has_the_key_and_nothing_else() {
    let desk = Desk::new();
    let run = desk.run();
    desk.run();
    let receipt = desk.files.argument("receipt");
    assert_eq!(desk.good(&["audit", "receipt", &run, "--out", &receipt]), "");
    let text = std::fs::read_to_string(&receipt).unwrap();
    assert_eq!(desk.good(&["audit", "receipt", &run]), text, "it comes out the same");

    // Elsewhere: another machine, which has no database.
    let key = desk.key();
    let keys = desk.files.write("keys", format!("# ours\n{key}\n"));
    // That of the chain, or what lies beside the secret one and is the installation's.
    let list = std::fs::read_to_string(desk.data.join("checkpoint.pub")).unwrap();
    let copied = desk.files.write("copied", &list);
    for given in [key.as_str(), &keys, list.trim(), &copied] {
        let checked = genie(&["audit", "check-receipt", &receipt, "--key", given]);
        assert_eq!(checked.code, 0, "{}", checked.stderr);
        assert!(checked.stdout.contains(&format!("the receipt holds: run {run} completed at")));
    }
    let checked = genie(&["audit", "check-receipt", &receipt, "--key", &key, "--json"]).json();
    assert_eq!((&checked["holds"], &checked["outcome"]), (&true.into(), &"completed".into()));
    assert_eq!(checked["run_id"], run.as_str());
    let records = desk.good(&["audit", "export", "--run", &run]).matches("\"body\":").count();
    assert_eq!(checked["records"], records);

    // Any other key, and any other text, is refused.
    let other = Desk::new();
    let (others, list) = (other.key(), other.data.join("checkpoint.pub"));
    for other in [&*others, list.to_str().unwrap()] {
        let refused = genie(&["audit", "check-receipt", &receipt, "--key", other]);
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
        assert!(refused.complaint().contains("no trusted key has signed it"), "{}", refused.stderr);
    }
    let forged = desk.files.write("forged", text.replacen("extra e", "extra f", 1));
    let refused = genie(&["audit", "check-receipt", &forged, "--key", &key, "--json"]);
    assert_eq!((refused.code, &refused.json()["holds"]), (1, &false.into()));
    let nobody = genie(&["audit", "check-receipt", &receipt]);
    assert_eq!(nobody.code, 2);
    assert!(nobody.complaint().contains("there is no key"), "{}", nobody.stderr);
}

#[test]
fn a_run_that_has_not_ended_or_is_not_there_has_no_receipt() {
    let desk = Desk::new();
    let waiting = desk.genie(&["run", "--demo", "approval", "--json"]).json();
    let waiting = waiting["run_id"].as_str().unwrap();
    let refused = desk.genie(&["audit", "receipt", waiting]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert!(refused.complaint().contains("has not ended"), "{}", refused.stderr);
    let refused = desk.genie(&["audit", "receipt", "018bcfe5-6800-7000-8000-000000000001"]);
    assert_eq!(refused.code, 2);
    assert!(refused.complaint().contains("there is no run"), "{}", refused.stderr);
}

#[test]
fn a_log_proves_that_it_only_grew() {
    let desk = Desk::new();
    desk.run();
    let old = desk.files.argument("old");
    desk.good(&["audit", "checkpoint", "--out", &old]);
    let before = desk.records();
    let said = desk.good(&["audit", "consistency", &old]);
    assert!(said.starts_with(&format!("the log of {before} records")), "{said}");
    desk.run();
    let proof = desk.genie(&["audit", "consistency", &old, "--json"]).json();
    assert_eq!(proof["consistent"], true);
    assert_eq!((&proof["old"]["records"], &proof["new"]["records"]), (&before, &desk.records()));
    assert!(!proof["proof"].as_array().unwrap().is_empty());
    let verified = desk.good(&["audit", "verify", "--checkpoint", &old]);
    let kept = format!("The kept checkpoint of {before} records is in it.");
    assert!(verified.contains(&kept), "{verified}");
    // Signing again what is signed already gives the same.
    assert_eq!(desk.good(&["audit", "checkpoint"]), desk.good(&["audit", "checkpoint"]));
}

#[test]
fn after_a_rotation_old_and_new_keys_hold_and_the_old_one_signs_no_more() {
    let desk = Desk::new();
    let run = desk.run();
    let (old, receipt) = (desk.key(), desk.files.argument("receipt"));
    desk.good(&["audit", "receipt", &run, "--out", &receipt]);
    assert!(desk.good(&["audit", "rotate-key"]).contains("signed with both"));
    let new = desk.key();
    assert_ne!(old, new);
    let signatures = |note: &str| note.lines().filter(|line| line.starts_with("\u{2014} ")).count();
    desk.run();
    let both = desk.files.write("both", desk.good(&["audit", "checkpoint"]));
    assert_eq!(signatures(&std::fs::read_to_string(&both).unwrap()), 2);
    desk.run();
    assert_eq!(signatures(&desk.good(&["audit", "checkpoint"])), 1);
    // Whoever knows one of them checks what that one has signed.
    for (key, file) in [(&old, &both), (&new, &both)] {
        let found = desk.genie(&["audit", "consistency", file, "--key", key]);
        let latest = found.stderr.contains("no trusted key has signed it");
        assert_eq!(found.code == 0, key == &new, "{}", found.stderr);
        assert_eq!(latest, key == &old, "{}", found.stderr);
    }
    assert_eq!(genie(&["audit", "check-receipt", &receipt, "--key", &old]).code, 0);
    assert_eq!(genie(&["audit", "check-receipt", &receipt, "--key", &new]).code, 1);
    // The installation trusts all that were its own.
    desk.good(&["audit", "verify"]);
    desk.good(&["audit", "verify", "--checkpoint", &both]);
    let list = desk.data.join("checkpoint.pub");
    let list = list.to_str().unwrap();
    desk.good(&["audit", "verify", "--checkpoint", &both, "--key", list]);
    desk.good(&["audit", "consistency", &both, "--key", list]);
    desk.good(&["audit", "check-receipt", &receipt]);
    assert_eq!(
        std::fs::read_to_string(desk.data.join("checkpoint.key")).unwrap().lines().count(),
        1
    );
}

#[test]
fn an_export_verifies_as_a_file_of_all_or_of_one_run() {
    let desk = Desk::new();
    let first = desk.run();
    let behind_first = desk.records();
    let waiting = desk.genie(&["run", "--demo", "approval", "--json"]).json();
    let waiting = waiting["run_id"].as_str().unwrap();
    let behind_waiting = desk.records();
    let last = desk.run();
    let all = desk.files.argument("all.jsonl");
    desk.good(&["audit", "export", "--out", &all]);
    let report = genie(&["audit", "verify", &all, "--json"]).json();
    assert_eq!((&report["runs"], &report["open"]), (&3.into(), &1.into()));
    let none = Value::from(0);
    for (run, left_out, open) in
        [(first.as_str(), &none, 0), (waiting, &behind_first, 1), (&last, &behind_waiting, 0)]
    {
        let one = desk.files.write("one.jsonl", desk.good(&["audit", "export", "--run", run]));
        let report = genie(&["audit", "verify", &one, "--json"]).json();
        assert_eq!(report["verified"], true, "{report:#}");
        assert_eq!(report["runs"], 1);
        assert_eq!((&report["left_out"], &report["open"]), (left_out, &open.into()));
    }
    // The lines of a run are those of the whole, behind one that says what comes before them.
    let exported = desk.good(&["audit", "export", "--run", &last]);
    let (marker, lines) = exported.split_once('\n').unwrap();
    let before = format!("{{\"after\":{{\"chain\":1,\"seq\":{behind_waiting},");
    assert!(marker.starts_with(&before), "{marker}");
    assert!(std::fs::read_to_string(&all).unwrap().ends_with(lines));
}

#[test]
fn the_key_is_where_the_settings_or_the_environment_say() {
    let desk = Desk::new();
    desk.run();
    let elsewhere = desk.files.argument("safe/log.key");
    let own = desk.key();
    let other = desk.good(&["audit", "key", "--checkpoint-key", &elsewhere]);
    assert_ne!(other.trim(), own);
    assert!(desk.files.path("safe/log.pub").exists());
    let settings = desk.files.write("genie.toml", "checkpoint_key = \"safe/log.key\"\n");
    assert_eq!(desk.good(&["audit", "key", "--config", &settings]), other);
    // What another key has signed is nobody's word.
    let refused = desk.genie(&["audit", "verify", "--checkpoint-key", &elsewhere]);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    let memory = desk.genie(&["audit", "key", "--memory"]);
    assert_eq!(memory.code, 2, "{}", memory.stdout);
}

#[cfg(unix)]
#[test]
fn a_secret_key_that_others_can_read_signs_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    desk.run();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(desk.data.join("checkpoint.key"), open).unwrap();
    let refused = desk.genie(&["audit", "checkpoint"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert!(refused.stderr.contains("chmod 600"), "{}", refused.stderr);
    // A run goes on without: it is on record, and said to be unsigned.
    let ended = desk.genie(&["run", "--quiet"]);
    assert_eq!(ended.code, 0);
    assert!(ended.stderr.contains("the end of the log is not signed"), "{}", ended.stderr);
}
