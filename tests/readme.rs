//! What the README shows is what the program says: its commands are run and its excerpts compared.
//!
//! Times, ids, hashes and counts of records differ from run to run, so they are masked.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::new::copy;
use crate::program::Files;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The contents of the fenced blocks of a language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let opening = format!("```{language}\n");
    let blocks = text.split(&opening).skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

/// A line without what differs from run to run, and with single spaces.
fn masked(line: &str) -> String {
    let spaced = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let volatile = [" ms", " s ", "records", "head:", "run:", "run 0", "\"data\""];
    if !volatile.iter().any(|word| spaced.contains(word)) {
        return spaced;
    }
    let is_part = |character: char| character.is_ascii_hexdigit() || ".-".contains(character);
    let mut text = String::new();
    for piece in spaced.split_inclusive(|character| !is_part(character)) {
        let part = piece.trim_end_matches(|character| !is_part(character));
        let has_digit = part.contains(|character: char| character.is_ascii_digit());
        text.push_str(if has_digit { "#" } else { part });
        text.push_str(&piece[part.len()..]);
    }
    text.replace("# s", "# ms").replace("# µs", "# ms")
}

/// The commands of a block, each with the lines that it is shown to print.
fn commands(block: &str) -> Vec<(String, Vec<&str>)> {
    let mut commands: Vec<(String, Vec<&str>)> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.replace("cargo run --release --", "genie"), Vec::new()));
        } else if let Some((_, shown)) = commands.last_mut() {
            shown.push(line);
        }
    }
    commands
}

#[test]
fn every_transcript_is_what_the_commands_print() {
    let files = Files::new();
    // A checkout, for what writes into one.
    for part in ["agents", "policies"] {
        copy(&root().join(part), &files.path(part));
    }
    let folder = Path::new(env!("CARGO_BIN_EXE_genie")).parent().unwrap();
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());

    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut run = 0;
    for (command, shown) in blocks(&readme, "console").into_iter().flat_map(commands) {
        if !command.contains("genie ") && !command.starts_with("sed ") {
            continue;
        }
        run += 1;
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec 2>&1; {command}")]).env("PATH", &path);
        shell.env("GENIE_DATA", files.path("data")).env_remove("GENIE_DATABASE");
        shell.env("USER", "asha");
        let output = shell.current_dir(files.path("")).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let mut lines = printed.lines().map(masked);
        for line in shown.iter().filter(|line| !line.is_empty() && **line != "…") {
            let wanted = masked(line);
            let found = lines.any(|line| line == wanted);
            assert!(found, "`{command}` does not print, in this order,\n{line}\nbut\n{printed}");
        }
    }
    assert!(run > 0, "the README shows no command");
}

#[test]
fn the_embedding_is_the_example() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let example = fs::read_to_string(root().join("examples/custom_agent.rs")).unwrap();
    let blocks = blocks(&readme, "rust");
    assert!(!blocks.is_empty(), "the README shows no code");
    for block in blocks {
        assert!(example.contains(block), "not in examples/custom_agent.rs:\n{block}");
    }
}
