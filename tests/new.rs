//! What `genie new` writes compiles and passes its own tests, in a copy of the whole workspace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::program::{Ended, genie};

/// What a checkout needs to be built.
const PARTS: [&str; 19] = [
    "CONTRIBUTING.md",
    "Cargo.toml",
    "Cargo.lock",
    "clippy.toml",
    "rustfmt.toml",
    "README.md",
    "adapters",
    "client",
    "agents",
    "benches",
    "config",
    "core",
    "docs",
    "examples",
    "migrations",
    "policies",
    "src",
    "tests",
    "rust-toolchain.toml",
];

/// A copy of the workspace.
///
/// It is at the same place each time and keeps the times of its files, so that Cargo recognises
/// what it has built before.
struct Checkout {
    root: PathBuf,
}

impl Checkout {
    fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        fs::create_dir_all(&root).unwrap();
        let original = Path::new(env!("CARGO_MANIFEST_DIR"));
        for part in PARTS.iter().filter(|part| original.join(part).exists()) {
            copy(&original.join(part), &root.join(part));
        }
        Self { root }
    }

    fn genie(&self, arguments: &[&str]) -> Ended {
        genie(&[arguments, &["--dir", self.root.to_str().unwrap()]].concat())
    }

    /// Runs `genie new …`, which must work, and returns what it says.
    fn add(&self, arguments: &[&str]) -> String {
        let ended = self.genie(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        ended.stderr
    }

    /// Runs `genie new …`, which must refuse, and returns why.
    fn refusal(&self, arguments: &[&str]) -> String {
        let ended = self.genie(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}");
        ended.stderr
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }

    /// The tests of the lower crates, built beside those of the original.
    fn test(&self) -> Output {
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["test", "--offline", "--lib", "-p", "genie-agents", "-p", "genie-policies"]);
        cargo.arg("--target-dir").arg(target);
        cargo.args(["--", "greeter", "quiet_hours", "report", "source"]);
        cargo.current_dir(&self.root).output().unwrap()
    }

    /// Asserts that `rustfmt` would change nothing in a file.
    fn assert_formatted(&self, path: &str) {
        let mut rustfmt = Command::new("rustfmt");
        rustfmt.args(["--edition", "2024", "--check"]).current_dir(&self.root);
        // From standard input, so that it does not go on to the modules of the file.
        let text = fs::File::open(self.root.join(path)).unwrap();
        let output = rustfmt.stdin(Stdio::from(text)).output().unwrap();
        let found = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && found.is_empty(), "{path}: {found}");
    }
}

/// Copies a file, or a folder with all that is in it, and keeps the times of the files.
pub(crate) fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            copy(&path, &to.join(path.file_name().unwrap()));
        }
        return;
    }
    fs::copy(from, to).unwrap();
    let modified = fs::metadata(from).unwrap().modified().unwrap();
    fs::File::options().append(true).open(to).unwrap().set_modified(modified).unwrap();
}

#[test]
fn a_new_agent_check_and_rule_compile_and_pass_their_tests() {
    let checkout = Checkout::new("new");
    let guide = checkout.read("CONTRIBUTING.md");
    for arguments in [
        &["new", "agent", "greeter"][..],
        &["new", "policy", "quiet-hours"],
        &["new", "policy", "large-payment", "--rule"],
    ] {
        let said = checkout.add(arguments);
        let transcript = format!("$ cargo run -- {}\n{said}$ ", arguments.join(" "));
        assert!(guide.contains(&transcript), "CONTRIBUTING.md does not show\n{transcript}");
    }
    for path in [
        "agents/greeter.rs",
        "agents/lib.rs",
        "policies/checks/mod.rs",
        "policies/checks/quiet_hours.rs",
        "policies/lib.rs",
        "policies/source.rs",
    ] {
        checkout.assert_formatted(path);
    }
    let tested = checkout.test();
    let said = String::from_utf8_lossy(&tested.stdout);
    let errors = String::from_utf8_lossy(&tested.stderr);
    assert!(tested.status.success(), "{said}{errors}");
    assert!(!errors.contains("warning"), "{errors}");
    for test in [
        "greeter::tests::a_text_is_answered ... ok",
        "greeter::tests::an_empty_text_fails_with_a_reason ... ok",
        "quiet_hours::tests::a_message_of_the_kind_needs_a_reason_and_others_do_not ... ok",
        "report::tests::every_case_that_is_compiled_in_comes_out_as_it_says ... ok",
    ] {
        assert!(said.contains(test), "`{test}` is not in\n{said}");
    }
}

#[test]
fn a_name_that_cannot_be_or_is_taken_is_refused_and_nothing_is_written() {
    let checkout = Checkout::new("refused");
    let before = checkout.read("agents/lib.rs");
    let cases: [(&[&str], &str); 6] = [
        (&["new", "agent", "Greeter"], "is not a name"),
        (&["new", "agent", "match"], "a word of Rust"),
        (&["new", "agent", "forecaster"], "ids of agents are unique"),
        (&["new", "agent", "serde"], "a crate that the agents use"),
        (&["new", "policy", "hop-loop"], "ids of policies are unique"),
        (&["new", "policy", "questions", "--rule"], "ids of policies are unique"),
    ];
    for (args, expected) in cases {
        let said = checkout.refusal(args);
        assert!(said.contains(expected), "{args:?}: {said}");
    }
    assert_eq!(checkout.read("agents/lib.rs"), before);
    assert!(!checkout.root.join("agents/forecaster.rs").exists());
}

#[test]
fn a_folder_that_is_no_checkout_is_refused_with_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let checkout = Checkout { root: empty.path().to_owned() };
    for args in [["new", "agent", "greeter"], ["new", "policy", "greeter"]] {
        let said = checkout.refusal(&args);
        assert!(said.contains("name it with --dir"), "{args:?}: {said}");
    }
}
