//! `genie audit verify FILE`: checks a journal file.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use genie_core::journal::chain::Head;
use genie_core::journal::verify::{self, Fault, Report};
use serde_json::json;

use super::{Verify, counted, head, keys};
use crate::cli::complaint::{self, Complaint};
use crate::cli::stdout;
use crate::config::Config;

pub(super) fn verify(path: &Path, args: &Verify, config: &Config) -> anyhow::Result<ExitCode> {
    let kept = match &args.checkpoint {
        None => args.head,
        Some(checkpoint) => {
            let signed = keys::kept(checkpoint, args.key.as_deref(), config)?;
            let named = signed.head.ok_or_else(|| {
                let problem = format!("`{}` names no record", checkpoint.display());
                Complaint::usage(problem).hint("verify the database against it instead")
            })?;
            Some(named)
        }
    };
    let verified = verify::verify(BufReader::new(open(path)?), kept);
    if args.json {
        stdout::write_json(&as_json(&verified))?;
        let code = if verified.is_ok() { 0 } else { complaint::NO };
        return Ok(ExitCode::from(code));
    }
    match verified {
        Ok(report) => {
            stdout::write(as_text(path, &report, kept).as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(fault) => {
            let problem = format!("{}: {fault}", path.display());
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
        let hint = "name the journal file in it, or check a database with `--data DIR`";
        return Err(Complaint::usage(problem).hint(hint).into());
    }
    Ok(file)
}

fn as_text(path: &Path, report: &Report, kept: Option<Head>) -> String {
    let mut lines = vec![format!(
        "{} verifies: {} in {}",
        path.display(),
        counted(report.records, "record"),
        counted(report.runs, "run"),
    )];
    if report.open > 0 {
        lines.push(format!("open: {}", counted(report.open, "run")));
    }
    if report.erased > 0 {
        lines.push(format!("erased: {}", counted(report.erased, "record")));
    }
    if report.left_out > 0 {
        lines.push(format!("left out: {} of other runs", counted(report.left_out, "record")));
    } else if report.first > 1 {
        lines.push(format!("begins with record {}", report.first));
    }
    lines.push(format!("head: {}", head(report.head)));
    lines.push(match kept {
        None => {
            "No head was given: that the whole file was rewritten cannot be ruled out.".to_owned()
        }
        Some(kept) if kept.seq < report.first => format!(
            "The kept head, record {}, is from before the file: it says nothing about it.",
            kept.seq
        ),
        Some(kept) => format!("The kept head, record {}, is in it.", kept.seq),
    });
    lines.join("\n") + "\n"
}

fn as_json(verified: &Result<Report, Fault>) -> serde_json::Value {
    match verified {
        Ok(report) => json!({
            "verified": true,
            "records": report.records,
            "runs": report.runs,
            "open": report.open,
            "erased": report.erased,
            "left_out": report.left_out,
            "first": report.first,
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
