//! Where the statement comes from: a file, standard input, or the one that ships with Genie.
//!
//! Owns reading within a bound and saying what cannot be read. What is in the statement is for the
//! agents.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use genie_agents::finance::domain::generate;

use crate::cli::complaint::Complaint;

/// The name of standard input on the command line.
const STDIN: &str = "-";

/// A statement and what to call it in messages.
#[derive(Debug)]
pub(super) struct Statement {
    /// The file's name as the user wrote it.
    pub(super) name: String,
    /// Its bytes, not yet looked at.
    pub(super) bytes: Vec<u8>,
}

/// Reads a statement of at most `bytes_max` bytes; without a path, the one that ships with Genie.
pub(super) fn read(path: Option<&Path>, bytes_max: usize) -> Result<Statement, Complaint> {
    let Some(path) = path else {
        let name = "the bundled statement".to_owned();
        return Ok(Statement { name, bytes: generate::bundled().bytes });
    };
    if path.as_os_str() == STDIN {
        let name = "standard input".to_owned();
        let bytes = bounded(&name, io::stdin().lock(), bytes_max)?;
        return Ok(Statement { name, bytes });
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| unopened(&name, &error))?;
    let metadata = file.metadata().map_err(|error| unopened(&name, &error))?;
    if metadata.is_dir() {
        let problem = format!("{name}: is a directory, not a statement");
        return Err(Complaint::usage(problem).hint("name the CSV file in it"));
    }
    if metadata.is_file() && metadata.len() > bytes_max as u64 {
        return Err(too_large(&name, &format!("has {} bytes", metadata.len()), bytes_max));
    }
    let bytes = bounded(&name, file, bytes_max)?;
    Ok(Statement { name, bytes })
}

fn bounded(name: &str, input: impl Read, bytes_max: usize) -> Result<Vec<u8>, Complaint> {
    let mut bytes = Vec::new();
    let bound = (bytes_max as u64).saturating_add(1);
    let read = input.take(bound).read_to_end(&mut bytes);
    read.map_err(|error| Complaint::usage(format!("{name}: cannot be read: {error}")))?;
    if bytes.len() > bytes_max {
        return Err(too_large(name, "goes on", bytes_max));
    }
    Ok(bytes)
}

fn unopened(name: &str, error: &io::Error) -> Complaint {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => {
            "check the path, or leave `--statement` out to use the bundled statement"
        }
        io::ErrorKind::PermissionDenied => "you may not read it; check its permissions",
        _ => "check that it is a file that you may read",
    };
    Complaint::usage(format!("{name}: cannot be read: {error}")).hint(hint)
}

fn too_large(name: &str, what: &str, bytes_max: usize) -> Complaint {
    let problem = format!("{name}: {what}, and a statement may have at most {bytes_max} bytes");
    Complaint::usage(problem)
        .hint("split it by month or year, or raise `limits.blob_bytes_max` in a `--config` file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_input_is_given_up_at_the_bound() {
        let problem = bounded("standard input", io::repeat(b'a'), 10).unwrap_err().to_string();
        assert_eq!(problem, "standard input: goes on, and a statement may have at most 10 bytes");
        assert_eq!(bounded("standard input", &b"0123456789"[..], 10).unwrap(), b"0123456789");
    }
}
