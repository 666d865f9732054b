//! `--config FILE`: settings over the built-in ones, strict about every one of them.

use crate::program::{Files, genie};

#[test]
fn a_setting_takes_effect() {
    let files = Files::new();
    let path = files.write("genie.toml", "[limits]\nmessages_per_run_max = 2\n");
    let ended = genie(&["--config", &path, "run"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert!(ended.complaint().contains("`messages_per_run_max` of 2"), "{}", ended.stderr);
}

#[test]
fn a_wrong_setting_is_named_with_file_and_line() {
    let files = Files::new();
    for (text, said) in [
        ("[limits]\nhops = 3\n", "genie.toml:2: unknown field `hops`"),
        ("[limits]\n\nrun_deadline = \"soon\"\n", "genie.toml:3: `soon` is not a duration"),
        ("home_region = [\n", "genie.toml:"),
    ] {
        let path = files.write("genie.toml", text);
        for command in [vec!["--config", &path, "run"], vec!["run", "--config", &path]] {
            let ended = genie(&command);
            assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
            assert!(ended.complaint().contains(said), "{}", ended.stderr);
        }
    }
    let missing = genie(&["--config", &files.argument("none.toml"), "run"]);
    assert_eq!(missing.code, 2);
    assert!(missing.complaint().contains("none.toml"), "{}", missing.stderr);
}

#[test]
fn a_journal_that_keeps_too_little_says_which_setting_to_raise() {
    let files = Files::new();
    let path = files.write("genie.toml", "journal_records_max = 1\n");
    let ended = genie(&["--config", &path, "--memory", "run", "--quiet"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.complaint().contains("raise `journal_records_max`"), "{}", ended.stderr);
}

#[test]
fn rules_that_are_not_there_are_named() {
    let files = Files::new();
    let path = files.write("genie.toml", "policies = \"nowhere\"\n");
    let ended = genie(&["--config", &path, "run"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.complaint().contains("nowhere"), "{}", ended.stderr);
}
