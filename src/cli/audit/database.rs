//! `genie audit verify` without a file: checks the database.

use std::fmt::Write;
use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use genie_core::audit::checkpoint::Checkpoint;
use genie_store::{Location, Opened};
use serde_json::json;

use super::keys::{self, Trusted};
use super::{Verify, counted, head};
use crate::auditor::blame::{Deed, Fault};
use crate::auditor::inspect::{self, Known, Report, inspect};
use crate::cli::complaint::{self, Complaint};
use crate::cli::{looking, stdout};
use crate::config::Config;

pub(super) fn verify(args: &Verify, config: &Config) -> anyhow::Result<ExitCode> {
    let place = looking::location(config)?;
    let trusted = Trusted::of(args.key.as_deref(), config)?;
    let kept = args.checkpoint.as_deref();
    let checkpoint = kept.map(|path| keys::kept(path, args.key.as_deref(), config)).transpose()?;
    let known = Known {
        keys: trusted.installation,
        given: trusted.given,
        checkpoint,
        head: args.head,
        ..Known::default()
    };
    let mut progress = Progress::begin();
    let verified = looking::look(config, async |opened: &Opened| {
        match inspect(&opened.checkpoints, &known, |done, todo| progress.show(done, todo)).await {
            Ok(report) => Ok(Ok(report)),
            Err(inspect::Error::Found(fault)) => Ok(Err(*fault)),
            Err(error @ inspect::Error::Store(_)) => Err(error.into()),
        }
    });
    progress.clear();
    let verified = verified?;
    if args.json {
        stdout::write_json(&as_json(&verified))?;
        let code = if verified.is_ok() { 0 } else { complaint::NO };
        return Ok(ExitCode::from(code));
    }
    match verified {
        Ok(report) => {
            stdout::write(as_text(&place, &report, &known).as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(fault) => Err(complaint(&place, &fault).into()),
    }
}

/// Shows how far it is, once it takes longer than a moment.
struct Progress {
    shown: Option<Instant>,
    terminal: bool,
    printed: bool,
}

impl Progress {
    fn begin() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { shown: Some(Instant::now()), terminal, printed: false }
    }

    fn show(&mut self, done: u64, todo: u64) {
        let due = self.shown.is_none_or(|shown| shown.elapsed() > Duration::from_secs(1));
        if !due || !self.terminal {
            return;
        }
        self.shown = Some(Instant::now());
        self.printed = true;
        // If standard error is closed, nobody is waiting for it.
        let _ = write!(anstream::stderr(), "\rchecked {done} of {todo} records");
    }

    fn clear(&self) {
        if self.printed {
            let _ = write!(anstream::stderr(), "\r{:60}\r", "");
        }
    }
}

fn complaint(place: &Location, fault: &Fault) -> Complaint {
    let at = match (fault.chain, fault.record) {
        (Some(1), Some(record)) => format!("record {record} "),
        (Some(chain), Some(record)) => format!("record {record} of chain {chain} "),
        _ => String::new(),
    };
    let problem = format!("{place}: {at}{}", fault.problem);
    let hint = match fault.deed {
        Deed::Edited
        | Deed::Rehashed
        | Deed::Inserted
        | Deed::Deleted
        | Deed::Reordered
        | Deed::Truncated
        | Deed::Forked
        | Deed::Replaced
        | Deed::Miscounted => {
            "nothing from this record on is evidence; compare with a backup from before"
        }
        Deed::Unsigned => {
            "if a key is missing, give it with `--key`; if not, someone else has signed it"
        }
        Deed::Unfounded => "the records are as they were written; what stands beside them is not",
        Deed::Swapped => "restore this content from a backup; the records are as they were written",
    };
    Complaint::no(problem).hint(hint)
}

fn as_text(place: &Location, report: &Report, known: &Known) -> String {
    let mut text = format!(
        "{place} verifies: {} in {}\n",
        counted(report.records, "record"),
        counted(report.runs, "run")
    );
    let mut line = |said: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{said}");
    };
    let several = report.chains.len() > 1;
    for chain in &report.chains {
        let of = if several { format!(" of chain {}", chain.chain) } else { String::new() };
        line(format!("head{of}: {}", head(chain.head)));
        line(match chain.checkpoints {
            0 => format!("checkpoints{of}: none"),
            count => format!(
                "checkpoints{of}: {count}, the last covers {}",
                counted(chain.covered, "record")
            ),
        });
    }
    if !report.open.is_empty() {
        let waiting = report.open.iter().filter(|(_, status, _)| *status == "waiting").count();
        line(format!("open: {}, {waiting} waiting", counted(report.open.len() as u64, "run")));
    }
    if report.erased > 0 {
        let erased = counted(report.erased, "record");
        line(format!("erased: {erased}, of which the hashes are checked and the content is gone"));
    }
    if report.blobs > 0 {
        line(format!("content: {}", counted(report.blobs, "blob")));
    }
    line(match (&known.checkpoint, known.head) {
        (Some(Checkpoint { tree, .. }), _) => {
            format!("The kept checkpoint of {} is in it.", counted(tree.size, "record"))
        }
        (None, Some(kept)) => format!("The kept head, record {}, is in it.", kept.seq),
        (None, None) => {
            "No checkpoint from elsewhere was given: that everything was replaced, keys \
                         included, cannot be ruled out."
                .to_owned()
        }
    });
    text
}

fn as_json(verified: &Result<Report, Fault>) -> serde_json::Value {
    let report = match verified {
        Ok(report) => report,
        Err(Fault { deed, chain, record, run, problem }) => {
            return json!({
                "verified": false, "fault": deed, "chain": chain, "record": record, "run": run,
                "problem": problem,
            });
        }
    };
    let chains: Vec<_> = report
        .chains
        .iter()
        .map(|chain| {
            json!({
                "chain": chain.chain, "records": chain.tree.size, "root": chain.tree.root,
                "head": chain.head, "checkpoints": chain.checkpoints, "covered": chain.covered,
            })
        })
        .collect();
    let open: Vec<_> = report
        .open
        .iter()
        .map(|(run, status, records)| json!({ "run": run, "status": status, "records": records }))
        .collect();
    json!({
        "verified": true, "records": report.records, "erased": report.erased,
        "runs": report.runs, "open": open,
        "blobs": report.blobs, "chains": chains,
    })
}
