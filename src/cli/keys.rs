//! `genie keys`: the keys that personal data is sealed with, and those that sign sessions' tokens.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use genie_core::clock::Clock;
use genie_store::{KeyStatus, Opened, RotateError, SealingError};
use serde_json::json;

use super::complaint::Complaint;
use super::{looking, stdout};
use crate::config::Config;
use crate::host::{SystemClock, SystemIds};
use crate::signing::{self, Former};

/// Arguments of `genie keys`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show which keys wrap how many keys of subjects, and how many were erased.
    Status {
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Wrap the keys of all subjects with another key.
    ///
    /// Without `--to`, a new key takes the place of the one in the file of the settings, and the
    /// former one is deleted at the end. Interrupted, the same command goes on where it was.
    Rotate {
        /// The file of the key to wrap with, made if it is not there; the settings must name it
        /// from then on.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Print what was done as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sign the tokens of sessions with a new key.
    ///
    /// Tokens of the former key are good until they expire. Running servers take the new key within
    /// seconds; where several share a database, give each the same file.
    RotateTokens {
        /// Let go of the former keys at once, such as when others have seen one: everybody has to
        /// sign in again.
        #[arg(long)]
        forget: bool,
        /// Print what was done as JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn main(args: Args, config: &Config) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Status { json } => status(json, config),
        Command::Rotate { to, json } => rotate(to, json, config),
        Command::RotateTokens { forget, json } => rotate_tokens(forget, json, config),
    }
}

fn status(json: bool, config: &Config) -> anyhow::Result<ExitCode> {
    let status = looking::look(config, async |opened: &Opened| {
        opened.key_status().await.map_err(|error| refused(&error).into())
    })?;
    let KeyStatus { keks, erased } = status;
    if json {
        let keys: Vec<_> = keks
            .iter()
            .map(|kek| {
                json!({
                    "key": kek.kek_id, "subjects": kek.keys, "current": kek.current,
                    "here": kek.here,
                })
            })
            .collect();
        stdout::write_json(&json!({ "keys": keys, "erased": erased }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if keks.is_empty() {
        stdout::write(b"nothing is sealed here yet\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = stdout::table(["key", "subjects", "state"]);
    for kek in &keks {
        let state = match (kek.current, kek.here) {
            (true, true) => "current",
            (true, false) => "current, and not here",
            (false, true) => "former; `genie keys rotate` goes on",
            (false, false) => "former, and not here",
        };
        table.add_row([kek.kek_id.clone(), kek.keys.to_string(), state.to_owned()]);
    }
    stdout::write_table(&table)?;
    stdout::write(format!("erased: {erased}\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn rotate(to: Option<PathBuf>, json: bool, config: &Config) -> anyhow::Result<ExitCode> {
    let shown = to.as_ref().map(|path| path.display().to_string());
    let rotated = looking::look(config, async |opened: &Opened| {
        let progress = |done| tracing::info!(done, "keys are wrapped anew");
        opened.rotate(to, progress).await.map_err(|error| match error {
            RotateError::Sealing(error) => refused(&error).into(),
            error => anyhow::Error::from(Complaint::usage(error.to_string()).with_hint_of()),
        })
    })?;
    if json {
        stdout::write_json(&json!({ "key": rotated.kek_id, "subjects": rotated.keys }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let next = shown
        .map_or_else(String::new, |file| format!("name `{file}` in `sealing_key` from here on\n"));
    let (kek_id, keys) = (rotated.kek_id, rotated.keys);
    let text = format!("{kek_id} wraps all keys now, {keys} of them anew\n{next}");
    stdout::write(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn rotate_tokens(forget: bool, json: bool, config: &Config) -> anyhow::Result<ExitCode> {
    let file = config.tokens_key().ok_or_else(|| {
        let hint = "name its file in `sign_in.key`, or the database with `--data DIR`";
        Complaint::usage("there is no data directory with a key that signs tokens").hint(hint)
    })?;
    let now = SystemClock.now();
    // No token is good for longer than its session.
    let end = now.plus(config.sign_in.session);
    let former = if forget { Former::Forgotten } else { Former::Until(end) };
    let rotated = signing::rotate(&file, (&SystemIds, now), former);
    let seed = rotated.map_err(|error| Complaint::usage(error.to_string()).with_hint_of())?;
    let key = genie_edge::key_id(&seed);
    if json {
        let good_until = (!forget).then_some(end);
        let file = file.display().to_string();
        let done = json!({ "key": key, "file": file, "former_good_until": good_until });
        stdout::write_json(&done)?;
        return Ok(ExitCode::SUCCESS);
    }
    let former = if forget {
        "tokens of former keys are good no more: everybody signs in again".to_owned()
    } else {
        format!("tokens of the former key are good until they expire, at the latest {end}")
    };
    let text = format!("{key} signs tokens now, in {}\n{former}\n", file.display());
    stdout::write(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn refused(error: &SealingError) -> Complaint {
    Complaint::usage(error.to_string()).with_hint_of()
}
