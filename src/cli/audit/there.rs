//! `genie audit verify` on a server, which checks its own log and says what it found.

use std::fmt::Write;
use std::process::ExitCode;

use genie_client::Verification;
use genie_core::audit::evidence::Sound;
use serde_json::json;

use super::{Verify, counted, head, keys};
use crate::cli::complaint::{self, Complaint};
use crate::cli::remote::{self, Server};
use crate::cli::stdout;

/// Most bytes of a checkpoint.
const CHECKPOINT_BYTES_MAX: u64 = 1 << 20;

pub(super) async fn verify(
    args: &Verify,
    server: &Server,
    address: &str,
) -> anyhow::Result<ExitCode> {
    if args.head.is_some() {
        return Err(remote::unfit("--head", "give a checkpoint with `--checkpoint`").into());
    }
    if args.key.is_some() {
        return Err(remote::unfit("--key", "it checks with the keys of its own log").into());
    }
    let kept = args.checkpoint.as_deref();
    let kept = kept.map(|path| keys::read(path, CHECKPOINT_BYTES_MAX)).transpose()?;
    let found = server.client.verify(kept.as_deref()).await.map_err(remote::complaint)?;
    let Verification { verified, duration_ms, report, fault } = &found;
    if args.json {
        let object = json!({
            "verified": verified,
            "duration_ms": duration_ms,
            "report": report,
            "fault": fault,
        });
        stdout::write_json(&object)?;
        return Ok(ExitCode::from(if *verified { 0 } else { complaint::NO }));
    }
    if let Some(report) = report.as_ref().filter(|_| *verified) {
        stdout::write(as_text(address, report, kept.is_some()).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let (at, problem) = fault.as_ref().map_or((String::new(), "it does not say why"), |fault| {
        let at = fault.record.map_or_else(String::new, |record| format!("record {record} "));
        (at, &*fault.problem)
    });
    let hint = "nothing from there on is evidence; compare with a backup from before";
    Err(Complaint::no(format!("{address}: {at}{problem}")).hint(hint).into())
}

fn as_text(address: &str, report: &Sound, was_compared: bool) -> String {
    let mut text = format!(
        "{address} verifies: {} in {}\n",
        counted(report.records, "record"),
        counted(report.runs, "run")
    );
    let several = report.chains.len() > 1;
    for chain in &report.chains {
        let of = if several { format!(" of chain {}", chain.chain) } else { String::new() };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "head{of}: {}", head(chain.head));
        let covered = counted(chain.covered, "record");
        let _ = writeln!(text, "checkpoints{of}: {}, the last covers {covered}", chain.checkpoints);
    }
    for (count, name, noun) in [
        (report.open, "open", "run"),
        (report.erased, "erased", "record"),
        (report.blobs, "content", "blob"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "{name}: {}", counted(count, noun));
        }
    }
    text.push_str(if was_compared {
        "The kept checkpoint is in it.\n"
    } else {
        "No checkpoint from elsewhere was given: that everything was replaced, keys included, \
         cannot be ruled out.\n"
    });
    text.push_str("This is what the server says of itself.\n");
    text
}
