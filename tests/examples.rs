//! Every example runs and says what its documentation promises.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Builds all examples once, as part of the workspace so that nothing else has to be rebuilt, and
/// gives the folder that they are in.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // This very test is at TARGET/PROFILE/deps/main-HASH.
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--offline", "--workspace", "--examples"]);
        cargo.arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        profile.join("examples")
    })
}

fn check(example: &str, expected: &str) {
    let run = Command::new(folder().join(example)).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(said, expected);
}

#[test]
fn a_custom_agent_answers() {
    check("custom_agent", "21.5 °C are 70.7 °F\n");
}

#[test]
fn a_custom_policy_denies_what_it_is_there_to_deny() {
    check(
        "custom_policy",
        "good morning: GOOD MORNING\n\
         bluebird is nearly done: policy `code-name` denies it: \
         it holds the code name; leave that out\n",
    );
}

#[test]
fn a_leg_that_is_too_slow_is_named_in_a_partial_answer() {
    check("fan_out_fan_in", "median 5\nspread 8\nwithout finding.outlook\n");
}

#[test]
fn every_example_is_run_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let here = std::fs::read_to_string(root.join("tests/examples.rs")).unwrap();
    for entry in std::fs::read_dir(root.join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let run = here.matches(&format!("\"{name}\"")).count();
        assert!(run > 0, "no test runs the example `{name}`");
    }
}
