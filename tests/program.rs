//! Running the binary: what the other modules share.

use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The binary, ready to run over a data directory that lives as long as this does.
pub(crate) struct Program {
    command: Command,
    _data: Option<TempDir>,
}

impl Deref for Program {
    type Target = Command;

    fn deref(&self) -> &Command {
        &self.command
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut Command {
        &mut self.command
    }
}

/// The binary with these arguments, in an environment that does not colour or configure it, over
/// runs that no other command sees.
pub(crate) fn command(arguments: &[&str]) -> Program {
    let data = tempfile::tempdir().unwrap();
    let program = command_in(data.path(), arguments);
    Program { _data: Some(data), ..program }
}

/// As [`command`], over the runs in this directory.
pub(crate) fn command_in(data: &Path, arguments: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genie"));
    command.args(arguments);
    for set in ["NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "GENIE_DATABASE", "GENIE_LOG"] {
        command.env_remove(set);
    }
    for set in ["GENIE_SERVER", "GENIE_TOKEN", "GENIE_TOKEN_FILE"] {
        command.env_remove(set);
    }
    for set in ["GENIE_SEALING_KEY", "GENIE_SEALING_SECRET", "GENIE_CHECKPOINT_KEY_FILE"] {
        command.env_remove(set);
    }
    command.env_remove("GENIE_REDIS_URL");
    command.env("GENIE_DATA", data).env("XDG_DATA_HOME", data).env("USER", "ravi");
    Program { command, _data: None }
}

/// Runs the binary to its end; it must never panic.
pub(crate) fn genie(arguments: &[&str]) -> Ended {
    Ended::of(command(arguments).output().unwrap(), arguments)
}

/// As [`genie`], with these variables in its environment.
pub(crate) fn genie_with(variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = command(arguments);
    command.envs(variables.iter().copied());
    Ended::of(command.output().unwrap(), arguments)
}

/// As [`genie`], over the runs in this directory.
pub(crate) fn genie_in(data: &Path, arguments: &[&str]) -> Ended {
    Ended::of(command_in(data, arguments).output().unwrap(), arguments)
}

/// Runs the binary with something on standard input.
pub(crate) fn genie_fed(arguments: &[&str], input: &[u8]) -> Ended {
    let mut command = command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that has refused its arguments need not read what it is fed.
    let _ = stdin.write_all(input);
    drop(stdin);
    Ended::of(child.wait_with_output().unwrap(), arguments)
}

/// How the binary ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(output: Output, arguments: &[&str]) -> Self {
        let ended = Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        let crashed = ["panicked", "RUST_BACKTRACE"].iter().any(|word| ended.stderr.contains(word));
        assert!(!crashed, "{arguments:?}: {}", ended.stderr);
        ended
    }

    /// Standard output as one JSON value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Standard output as lines of JSON.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The `error:` and `hint:` lines, without what went before them.
    pub(crate) fn complaint(&self) -> String {
        let lines = self.stderr.lines();
        let said = lines.skip_while(|line| !line.starts_with("error: "));
        said.collect::<Vec<_>>().join("\n")
    }
}

/// A directory of files for one test.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The path of a file, which need not exist.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The same path as an argument.
    pub(crate) fn argument(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file and gives its path as an argument.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.argument(name)
    }
}
