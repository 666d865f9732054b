//! `genie audit checkpoint`, `key` and `rotate-key`; and which keys the other commands trust.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use genie_core::audit::checkpoint::Checkpoint;
use genie_core::audit::keys::VerifierKey;
use genie_core::audit::note::NOTE_BYTES_MAX;
use genie_core::clock::Clock;
use genie_store::{Location, Opened};
use serde_json::json;

use crate::auditor::keys::{self, KeyFile};
use crate::auditor::log;
use crate::cli::complaint::Complaint;
use crate::cli::{looking, stdout, stored};
use crate::config::Config;
use crate::host::{SystemClock, SystemIds};

/// The key of the settings.
pub(super) fn file(config: &Config) -> anyhow::Result<KeyFile> {
    let path = config.checkpoint_key().ok_or_else(|| {
        let hint = "name its file in `checkpoint_key`, or the database with `--data DIR`";
        Complaint::usage("there is no data directory with a checkpoint key").hint(hint)
    })?;
    Ok(KeyFile::at(path))
}

/// The keys to trust: those that are given, or else the installation's own.
pub(super) struct Trusted {
    /// Each signs every log of its installation, under the name of that log.
    pub(super) installation: Vec<VerifierKey>,
    /// Those of one log.
    pub(super) given: Vec<VerifierKey>,
}

impl Trusted {
    pub(super) fn of(key: Option<&str>, config: &Config) -> anyhow::Result<Self> {
        match key {
            Some(key) => {
                let given = keys::given(key)?;
                // Which of the two a key is, its name does not say.
                Ok(Self { installation: given.clone(), given })
            }
            None => Ok(Self { installation: file(config)?.trusted()?, given: Vec::new() }),
        }
    }

    /// The keys for a log of this name.
    pub(super) fn of_log(&self, origin: &str) -> Vec<VerifierKey> {
        let ours = |key: &&VerifierKey| {
            origin.strip_prefix(key.name()).is_some_and(|rest| rest.starts_with('/'))
        };
        let named = self.installation.iter().filter(ours).filter_map(|key| key.named(origin).ok());
        named.chain(self.given.iter().cloned()).collect()
    }

    pub(super) fn of_chain(&self, chain: i64) -> Vec<VerifierKey> {
        let mut all = keys::for_chain(&self.installation, chain);
        all.extend(self.given.iter().cloned());
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.installation.is_empty() && self.given.is_empty()
    }

    pub(super) fn complaint() -> Complaint {
        let hint = "give the verifier key with `--key`; `genie audit key` prints that of a log";
        Complaint::usage("there is no key to check signatures with").hint(hint)
    }
}

/// Reads and checks a checkpoint that was kept.
pub(super) fn kept(path: &Path, key: Option<&str>, config: &Config) -> anyhow::Result<Checkpoint> {
    let text = read(path, NOTE_BYTES_MAX as u64)?;
    let trusted = Trusted::of(key, config)?;
    if trusted.is_empty() {
        return Err(Trusted::complaint().into());
    }
    let trusted = trusted.of_log(text.lines().next().unwrap_or_default());
    let opened = Checkpoint::open(&text, &trusted);
    Ok(opened
        .map_err(|error| Complaint::no(format!("{}: {error}", path.display())).with_hint_of())?)
}

/// The text of a small file.
pub(super) fn read(path: &Path, bytes_max: u64) -> anyhow::Result<String> {
    let unreadable = || format!("cannot read `{}`", path.display());
    if path.as_os_str() == "-" {
        return std::io::read_to_string(std::io::stdin()).with_context(unreadable);
    }
    let metadata = fs::metadata(path).with_context(unreadable)?;
    if metadata.len() > bytes_max {
        let problem = format!("`{}` is larger than {bytes_max} bytes", path.display());
        return Err(Complaint::usage(problem).into());
    }
    fs::read_to_string(path).with_context(unreadable)
}

/// Writes to a file, or to standard output.
pub(super) fn write(text: &str, out: Option<&Path>) -> anyhow::Result<()> {
    match out {
        None => stdout::write(text.as_bytes()),
        Some(path) => {
            fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
        }
    }
}

pub(super) fn checkpoint(
    out: Option<&Path>,
    json: bool,
    config: &Config,
) -> anyhow::Result<ExitCode> {
    let file = file(config)?;
    let signed = looking::look(config, async |opened: &Opened| sign(opened, &file).await)?;
    if json {
        let chains: Vec<_> = signed
            .iter()
            .map(|(chain, signed)| {
                json!({
                    "chain": chain,
                    "records": signed.size,
                    "at": signed.at,
                    "checkpoint": signed.note,
                })
            })
            .collect();
        stdout::write_json(&chains)?;
        return Ok(ExitCode::SUCCESS);
    }
    let notes: Vec<&str> = signed.iter().map(|(_, signed)| &*signed.note).collect();
    write(&notes.join("\n"), out)?;
    Ok(ExitCode::SUCCESS)
}

/// Signs every chain that has records.
async fn sign(
    opened: &Opened,
    file: &KeyFile,
) -> anyhow::Result<Vec<(i64, genie_store::Checkpoint)>> {
    let keys = file.load_or_make(&SystemIds)?;
    let mut signed = Vec::new();
    for chain in opened.checkpoints.chains().await? {
        if chain.head.seq == 0 {
            continue;
        }
        let now = SystemClock.now();
        let made = log::checkpoint(&opened.checkpoints, chain.chain, file, (&keys, now)).await;
        signed.push((chain.chain, made.map_err(refused)?));
    }
    if signed.is_empty() {
        let hint = "run an agent first";
        return Err(Complaint::usage("there are no records to sign").hint(hint).into());
    }
    Ok(signed)
}

fn refused(error: log::Error) -> anyhow::Error {
    match error {
        log::Error::Rewritten { .. } => Complaint::no(error.to_string()).with_hint_of().into(),
        error => error.into(),
    }
}

pub(super) fn key(json: bool, config: &Config) -> anyhow::Result<ExitCode> {
    let keys = file(config)?.load_or_make(&SystemIds)?;
    let mut lines = Vec::new();
    for chain in chains(config)? {
        let current = keys.of_chain(chain)?.into_iter().next();
        lines.extend(current.map(|key| (chain, key.verifier().clone())));
    }
    if json {
        let keys: Vec<_> = lines
            .iter()
            .map(|(chain, key)| {
                json!({
                    "chain": chain, "origin": key.name(), "id": key.id().to_string(),
                    "key": key.to_string(),
                })
            })
            .collect();
        stdout::write_json(&keys)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = lines.iter().fold(String::new(), |mut text, (_, key)| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key}");
        text
    });
    stdout::write(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The chains that there are; the first one exists before anything is recorded.
fn chains(config: &Config) -> anyhow::Result<Vec<i64>> {
    let place = looking::location(config)?;
    if matches!(place, Location::Sqlite(_)) {
        return Ok(vec![1]);
    }
    let listed = stored::block_on(async {
        let Ok(opened) = stored::try_look(config).await else { return Ok(Vec::new()) };
        let chains = opened.checkpoints.chains().await;
        stored::close(opened).await;
        Ok(chains?)
    })?;
    let listed: Vec<i64> = listed.iter().map(|chain| chain.chain).collect();
    Ok(if listed.is_empty() { vec![1] } else { listed })
}

pub(super) fn rotate(json: bool, config: &Config) -> anyhow::Result<ExitCode> {
    let file = file(config)?;
    let new = file.rotate(&SystemIds)?;
    if json {
        stdout::write_json(&json!({ "installation": new.name(), "file": file.path() }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = format!(
        "{} has a new key, in {}\nThe next checkpoint is signed with both, the old one for the \
         last time; hand out what `genie audit key` prints now.\n",
        new.name(),
        file.path().display(),
    );
    stdout::write(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
