//! The scenarios of `genie bench` that need a database run to their end. What they measure here, in
//! a build for tests, says nothing.

use crate::program::{Files, command_in};

#[test]
fn each_scenario_over_a_database_gives_its_figures() {
    for (scenario, seconds, figure) in [
        ("durable", "1", "a lone durable finance run, SQLite, p50"),
        ("audit", "0", "a million records verified"),
        ("conversation", "0", "200 turns of 2 KB on disk, for their payload"),
    ] {
        let files = Files::new();
        let data = files.path("data");
        std::fs::create_dir(&data).unwrap();
        let mut command = command_in(&data, &["bench", scenario, "--seconds", seconds, "--json"]);
        let ended = command.current_dir(&data).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        // 1 if a budget is not met.
        assert!(matches!(ended.status.code(), Some(0 | 1)), "{scenario}: {said}");
        let figures: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
        let text = figures.to_string();
        assert!(text.contains(figure), "{scenario}: {text} {said}");
        let left = std::fs::read_dir(&data).unwrap().count();
        assert_eq!(left, 0, "{scenario} leaves nothing behind");
    }
}
