//! `genie audit`: checks a journal file, without trusting whoever wrote it.
//!
//! What is checked is decided in the kernel's journal; here are the arguments and the words.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use genie_core::journal::chain::{Hash, Head};
use genie_core::journal::verify::{self, Fault, Report};
use serde_json::json;

use super::complaint::{self, Complaint};
use super::stdout;

/// Arguments of `genie audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find the first record that is not as it was written.
    ///
    /// Finds edited, inserted, dropped and swapped records and a journal that was cut off. That a
    /// journal was rewritten as a whole is only found against a head that was kept elsewhere.
    /// Exits with 0 if the journal verifies, with 1 if it does not, with 2 if it cannot be read.
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// The journal, as `genie run --journal` writes it.
    file: PathBuf,
    /// The head that the run printed: the number and the hash of its last record.
    #[arg(long, value_name = "SEQ:HASH", value_parser = parse_head)]
    head: Option<Head>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let Command::Verify(args) = &args.command;
    let verified = verify::verify(BufReader::new(open(&args.file)?), args.head);
    if args.json {
        stdout::write_json(&as_json(&verified))?;
        let code = if verified.is_ok() { 0 } else { complaint::NO };
        return Ok(ExitCode::from(code));
    }
    match verified {
        Ok(report) => {
            stdout::write(as_text(&args.file, &report, args.head).as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(fault) => {
            let problem = format!("{}: {fault}", args.file.display());
            let hint = "nothing from this record on is evidence; compare with another copy";
            Err(Complaint::no(problem).hint(hint).into())
        }
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    let unreadable = || format!("cannot read `{}`", path.display());
    let file = File::open(path).with_context(unreadable)?;
    if file.metadata().with_context(unreadable)?.is_dir() {
        let problem = format!("`{}` is a directory", path.display());
        return Err(Complaint::usage(problem).hint("name the journal file in it").into());
    }
    Ok(file)
}

fn as_text(path: &Path, report: &Report, kept: Option<Head>) -> String {
    let (records, runs) = (report.records, report.runs);
    let kept = kept.map_or_else(
        || "No head was given: that the whole file was rewritten cannot be ruled out.".to_owned(),
        |kept| format!("The kept head, record {}, is in it.", kept.seq),
    );
    format!(
        "{} verifies: {} in {}\nhead: {}\n{kept}\n",
        path.display(),
        counted(records, "record"),
        counted(runs, "run"),
        head(report.head)
    )
}

fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

fn as_json(verified: &Result<Report, Fault>) -> serde_json::Value {
    match verified {
        Ok(report) => json!({
            "verified": true,
            "records": report.records,
            "runs": report.runs,
            "head": report.head,
        }),
        Err(fault) => json!({
            "verified": false,
            "line": fault.line,
            "record": fault.record,
            "problem": fault.problem,
        }),
    }
}

/// A head as it is printed and as `--head` takes it.
pub(crate) fn head(head: Head) -> String {
    format!("{}:{}", head.seq, head.hash)
}

fn parse_head(text: &str) -> Result<Head, String> {
    let parts = text.split_once(':').and_then(|(seq, hash)| {
        let seq = seq.parse().ok().filter(|seq| *seq > 0)?;
        Some(Head { seq, hash: Hash::from_hex(hash)? })
    });
    parts.ok_or_else(|| {
        "write the number of the record, a colon and its hash of 64 hexadecimal digits, as \
         `genie run` prints them"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_and_anything_else_is_refused() {
        let kept = Head { seq: 7, hash: Hash::of(b"genie") };
        assert_eq!(parse_head(&head(kept)), Ok(kept));
        let hash = Hash::of(b"genie").to_string();
        for text in [
            String::new(),
            hash.clone(),
            format!("0:{hash}"),
            format!("-1:{hash}"),
            format!("x:{hash}"),
            format!("7:{}", &hash[1..]),
            format!("7:{}", hash.to_uppercase()),
        ] {
            assert!(parse_head(&text).is_err(), "{text}");
        }
    }
}
