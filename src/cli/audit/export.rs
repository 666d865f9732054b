//! `genie audit export`: the journal, or one run of it, as a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use genie_store::Opened;
use serde_json::json;

use super::{counted, head};
use crate::auditor::proofs::{self, Exported};
use crate::cli::complaint::Complaint;
use crate::cli::{looking, stdout};
use crate::config::Config;

pub(super) fn export(
    run: Option<&str>,
    out: Option<&Path>,
    json: bool,
    config: &Config,
) -> anyhow::Result<ExitCode> {
    let exported = looking::look(config, async |opened: &Opened| match out {
        None => {
            let mut out = BufWriter::new(io::stdout().lock());
            let written = write(opened, run, &mut out).await;
            // A reader that has gone, as `head` does, has what it wanted.
            Ok(written
                .or_else(|error| if gone(&error) { Ok(Exported::default()) } else { Err(error) })?)
        }
        Some(path) => {
            let unwritable = || format!("cannot write `{}`", path.display());
            let mut out = BufWriter::new(File::create(path).with_context(unwritable)?);
            let written = write(opened, run, &mut out).await?;
            out.get_ref().sync_all().with_context(unwritable)?;
            Ok(written)
        }
    })?;
    let (Some(path), Some((_, last))) = (out, exported.head) else { return Ok(ExitCode::SUCCESS) };
    if json {
        stdout::write_json(&json!({ "records": exported.records, "head": last, "file": path }))?;
    } else {
        let records = counted(exported.records, "record");
        let text = format!("{}: {records}\nhead: {}\n", path.display(), head(last));
        stdout::write(text.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn write(
    opened: &Opened,
    run: Option<&str>,
    out: &mut impl Write,
) -> anyhow::Result<Exported> {
    let store = &opened.checkpoints;
    let written = match run {
        Some(run) => proofs::export_run(store, looking::run(opened, run).await?, out).await,
        None => proofs::export(store, out).await,
    };
    let written = written.map_err(|error| match error {
        proofs::Error::NoRun(_) => {
            anyhow::Error::from(Complaint::usage(error.to_string()).with_hint_of())
        }
        error => error.into(),
    })?;
    out.flush().map_err(proofs::Error::from)?;
    Ok(written)
}

fn gone(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(proofs::Error::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe
    )
}
