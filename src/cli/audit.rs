//! `genie audit`: checks what was recorded, without trusting whoever keeps it, and makes what
//! others need to check it.
//!
//! What is checked is decided in the kernel and the auditor; here are the arguments and the words.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use genie_core::journal::chain::{Hash, Head};

use super::{remote, stored};
use crate::config::Config;

mod database;
mod export;
mod file;
mod keys;
mod proofs;
mod there;

/// Arguments of `genie audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find the first record that is not as it was written, in the database or in a file.
    ///
    /// Finds edited, inserted, dropped and swapped records and a log that was cut off; against a
    /// checkpoint or head that was kept elsewhere also one that was rewritten or replaced as a
    /// whole. Exits with 0 if all verifies, with 1 if it does not, with 2 if it cannot be read.
    Verify(Verify),
    /// Sign the log as it is now, and print the checkpoint: keep it elsewhere.
    Checkpoint {
        /// Write the checkpoint here instead of to standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the verifier key, with which anyone can check checkpoints and receipts.
    Key {
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a new key; the next checkpoint is signed with both.
    RotateKey {
        /// Print the new key as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prove how a run ended, for someone who has the verifier key and nothing else.
    Receipt {
        /// The run, by its id or the beginning of it.
        run: String,
        /// Write the receipt here instead of to standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check a receipt; needs no database.
    ///
    /// Exits with 0 if it holds, with 1 if it does not, with 2 if it cannot be read.
    CheckReceipt {
        /// The receipt, or `-` for standard input.
        file: PathBuf,
        /// The verifier key, or a file of them; without it, those of the data directory.
        #[arg(long, value_name = "FILE|KEY")]
        key: Option<String>,
        /// Print what it proves as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write the journal as lines of JSON, for `genie audit verify FILE`.
    Export {
        /// Only the records of this run.
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
        /// Write them here instead of to standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Print what was written as JSON; needs `--out`.
        #[arg(long, requires = "out")]
        json: bool,
    },
    /// Prove that the log has only grown since an older checkpoint.
    ///
    /// Exits with 1 if it was rewritten or cut off.
    Consistency {
        /// The older checkpoint.
        checkpoint: PathBuf,
        /// The verifier key, or a file of them; without it, those of the data directory.
        #[arg(long, value_name = "FILE|KEY")]
        key: Option<String>,
        /// Print the proof as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// A journal, as `genie ask --journal` and `genie audit export` write it; without it, the
    /// database of the settings.
    file: Option<PathBuf>,
    /// A checkpoint that was kept elsewhere.
    #[arg(long, value_name = "FILE", conflicts_with = "head")]
    checkpoint: Option<PathBuf>,
    /// A head that was kept elsewhere, as a run printed it: the number and hash of a record.
    #[arg(long, value_name = "SEQ:HASH", value_parser = parse_head)]
    head: Option<Head>,
    /// The verifier key, or a file of them; without it, those of the data directory.
    #[arg(long, value_name = "FILE|KEY")]
    key: Option<String>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Whether it works on a database of its own only.
    pub(crate) fn is_local(&self) -> bool {
        match &self.command {
            Command::Verify(_) | Command::Receipt { .. } | Command::CheckReceipt { .. } => false,
            Command::Checkpoint { .. }
            | Command::Key { .. }
            | Command::RotateKey { .. }
            | Command::Export { .. }
            | Command::Consistency { .. } => true,
        }
    }
}

pub(crate) fn main(args: &Args, config: &Config) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Verify(args) => match &args.file {
            Some(path) => file::verify(path, args, config),
            None => match (remote::server(config)?, &config.server) {
                (Some(server), Some(address)) => {
                    stored::block_on(there::verify(args, &server, address))
                }
                _ => database::verify(args, config),
            },
        },
        Command::Checkpoint { out, json } => keys::checkpoint(out.as_deref(), *json, config),
        Command::Key { json } => keys::key(*json, config),
        Command::RotateKey { json } => keys::rotate(*json, config),
        Command::Receipt { run, out, json } => proofs::receipt(run, out.as_deref(), *json, config),
        Command::CheckReceipt { file, key, json } => {
            proofs::check_receipt(file, key.as_deref(), *json, config)
        }
        Command::Export { run, out, json } => {
            export::export(run.as_deref(), out.as_deref(), *json, config)
        }
        Command::Consistency { checkpoint, key, json } => {
            proofs::consistency(checkpoint, key.as_deref(), *json, config)
        }
    }
}

/// A number with its noun.
fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
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
         `genie ask` prints them"
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
