//! The command line: one file per subcommand, each with its arguments and what it does.
//!
//! Data goes to standard output, everything else to standard error.
//! What the exit codes mean is in [`EXIT_CODES`].

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use genie_core::Agent;
use genie_store::Keks;
use zeroize::Zeroizing;

use crate::config::{Config, SealingKey, Source};
use crate::storage::{self, Storage};

mod admin;
mod agents;
mod approvals;
mod audit;
mod bench;
mod complaint;
mod config;
mod data;
mod db;
mod erase;
mod follow;
mod keys;
mod log;
mod looking;
mod material;
mod named;
mod new;
mod person;
mod policy;
mod remote;
mod replay;
mod resume;
mod run;
mod runs;
mod serve;
mod stdout;
mod stored;
mod story;
mod waits;
mod words;

use complaint::Complaint;

/// Shown at the end of `genie --help`.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the answer is no: denied, failed, refused, does not verify
  2  the request makes no sense, or its input cannot be read
  3  the run waits for a human and stays on record; `genie approvals list` shows for what";

/// An actor-based message bus that puts AI agents to work and can answer for what they did.
#[derive(Debug, Parser)]
#[command(name = "genie", version, about, after_help = EXIT_CODES)]
struct Cli {
    /// Settings to lay over the built-in ones; `config/genie.toml` lists them all.
    #[arg(long, global = true, value_name = "FILE", env = "GENIE_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    storage: StorageArgs,
    /// The file of the key that signs the log, in place of that of the settings.
    #[arg(long, global = true, value_name = "FILE", env = "GENIE_CHECKPOINT_KEY_FILE")]
    checkpoint_key: Option<PathBuf>,
    /// The file of the key that personal data is sealed with, in place of that of the settings;
    /// `GENIE_SEALING_SECRET` may hold the key itself.
    #[arg(long, global = true, value_name = "FILE")]
    sealing_key: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// Where runs are kept; without any of these, where the environment says, then the settings'
/// `server` and `storage`, or else in `genie` in the user's data directory.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct StorageArgs {
    /// Keep runs in a SQLite file in this directory [env: `GENIE_DATA`].
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep runs in PostgreSQL, at this URL [env: `GENIE_DATABASE`].
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// Keep runs in memory only: nothing outlives the command.
    #[arg(long, global = true)]
    memory: bool,
    /// Work on a server, at this URL, with the key in `GENIE_TOKEN` [env: `GENIE_SERVER`].
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
}

impl StorageArgs {
    /// Lays what is given over the settings; the command line keeps runs unless told otherwise.
    /// Gives who said so, if it is not the settings.
    fn apply(self, config: &mut Config) -> Option<Source> {
        if self.memory || self.data.is_some() || self.database.is_some() {
            config.server = None;
        }
        if self.memory {
            config.storage = Storage::Memory;
            return Some(Source::Option("--memory"));
        }
        if let Some(directory) = self.data {
            config.storage = Storage::Directory(directory);
            return Some(Source::Option("--data"));
        }
        if let Some(url) = self.database {
            config.storage = Storage::Database(url);
            return Some(Source::Option("--database"));
        }
        if let Some((variable, storage)) = storage::of_environment() {
            config.storage = storage;
            return Some(Source::Environment(variable.to_owned()));
        }
        if config.storage == Storage::Unset {
            config.storage = storage::directory().map_or(Storage::Memory, Storage::Directory);
            return Some(Source::Default);
        }
        None
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer a question about a bank statement.
    ///
    /// The agents' messages appear on standard error while they work, the report on standard
    /// output. Exits with 0 if the question was answered, with 1 if policy denied it or the run
    /// failed, with 2 if the statement cannot be used, with 3 if the run waits for a human. With
    /// `--server URL`, the agents of that server answer; everything else is the same.
    #[command(visible_alias = "run")]
    Ask(run::Args),
    /// Put the agents behind HTTP, and go on with what a process left unfinished.
    ///
    /// Prints the address once it listens, and an administrator's key if there is none yet. Ends in
    /// order at SIGTERM or SIGINT; runs that wait for a human stay on record.
    Serve(serve::Args),
    /// Make administrators' keys for the HTTP interface.
    Admin(admin::Args),
    /// Go on with the runs that a process left unfinished.
    ///
    /// Returns when none is at work any more; those that wait for a human are listed. Exits with 1
    /// if one failed.
    Resume(resume::Args),
    /// List, show, follow and cancel runs.
    Runs(runs::Args),
    /// See what waits for a human, and decide it.
    Approvals(approvals::Args),
    /// Check what was recorded, and prove it to others.
    Audit(audit::Args),
    /// Derive every verdict and transition of a run again from its records, and compare.
    ///
    /// With `--policies DIR`, say what those rules would have decided. Exits with 1 if anything
    /// differs.
    Replay(replay::Args),
    /// Destroy what is kept of one person, for good; the log still verifies.
    ///
    /// The key that their data is sealed with is deleted. Refused while runs of theirs go on.
    Erase(erase::Args),
    /// Show and rotate the keys that personal data is sealed with, and rotate those of tokens.
    Keys(keys::Args),
    /// Bring the tables of the database up to date, and see what they hold.
    Db(db::Args),
    /// Show the settings in force and where each comes from.
    Config(config::Args),
    /// Show who is registered and who takes what from whom.
    Agents(agents::Args),
    /// Check, test and explain the policies.
    Policy(policy::Args),
    /// Write a skeleton of an agent or a policy into a checkout of the source.
    New(new::Args),
    /// Make up data with known contents.
    Data(data::Args),
    /// Measure this build against its budgets.
    ///
    /// Exits with 1 if a budget is not met.
    Bench(bench::Args),
}

/// Parses the arguments of the process and does what they say, with these agents.
#[must_use]
pub fn main(agents: &'static [&'static dyn Agent]) -> ExitCode {
    Cli::parse().run(agents).unwrap_or_else(|error| complaint::report(&error))
}

/// The variable that holds sealing keys themselves, the current one first.
pub(crate) const SEALING_SECRET: &str = "GENIE_SEALING_SECRET";

/// The sealing key that is given, or else that of the settings.
fn sealing_key(file: Option<PathBuf>, set: SealingKey) -> anyhow::Result<SealingKey> {
    let named = file.map_or(set, SealingKey::File);
    let Some(secret) = std::env::var_os(SEALING_SECRET).filter(|value| !value.is_empty()) else {
        return Ok(named);
    };
    if let SealingKey::File(file) = named {
        let file = file.display();
        let problem = format!("`{SEALING_SECRET}` is a sealing key, and `{file}` names another");
        return Err(Complaint::usage(problem).hint("leave one of them out").into());
    }
    let secret = Zeroizing::new(secret.into_string().unwrap_or_default());
    let lines = Zeroizing::new(secret.replace([',', ' '], "\n"));
    Ok(SealingKey::Given(Keks::parse(&format!("`{SEALING_SECRET}`"), &lines)?))
}

impl Command {
    /// Whether the command works on a database or an installation of its own only.
    fn is_local(&self) -> bool {
        match self {
            Self::Serve(_)
            | Self::Admin(_)
            | Self::Resume(_)
            | Self::Replay(_)
            | Self::Erase(_)
            | Self::Keys(_)
            | Self::Db(_) => true,
            Self::Audit(args) => args.is_local(),
            Self::Ask(_)
            | Self::Runs(_)
            | Self::Approvals(_)
            | Self::Agents(_)
            // These work on no runs.
            | Self::Config(_)
            | Self::Policy(_)
            | Self::New(_)
            | Self::Data(_)
            | Self::Bench(_) => false,
        }
    }
}

impl Cli {
    fn run(self, agents: &'static [&'static dyn Agent]) -> anyhow::Result<ExitCode> {
        let (mut config, mut settings) =
            Config::in_force(self.config.as_deref(), config::of_environment)?;
        if let Some(server) = &self.storage.server {
            config::overrule(&mut settings, "server", server, Source::Option("--server"));
            config.server = Some(server.clone()).filter(|server| !server.is_empty());
        }
        if let Some(source) = self.storage.apply(&mut config) {
            config::overrule(&mut settings, "storage", &config.storage.setting(), source);
        }
        if let Some(key) = self.checkpoint_key {
            let source = Source::Option("--checkpoint-key");
            config::overrule(&mut settings, "checkpoint_key", &key.to_string_lossy(), source);
            config.checkpoint_key = Some(key);
        }
        if let Some(key) = &self.sealing_key {
            let source = Source::Option("--sealing-key");
            config::overrule(&mut settings, "sealing_key", &key.to_string_lossy(), source);
        }
        config.sealing_key = sealing_key(self.sealing_key, config.sealing_key)?;
        log::start(&config, matches!(self.command, Command::Serve(_)));
        if config.server.is_some() && self.command.is_local() {
            return Err(remote::local_only().into());
        }
        match self.command {
            Command::Serve(_) => {
                for stray in config::strays(&settings) {
                    tracing::warn!("{stray}");
                }
                material::check(&config, &settings)?;
            }
            // It says by itself what the others only warn of.
            Command::Config(_) => {}
            _ => config::warn_of_strays(&settings),
        }
        match self.command {
            Command::Ask(args) => run::main(&args, config, agents),
            Command::Serve(args) => serve::main(&args, &config, agents),
            Command::Admin(args) => admin::main(&args, &config),
            Command::Resume(args) => resume::main(&args, &config, agents),
            Command::Runs(args) => runs::main(&args, &config, agents),
            Command::Approvals(args) => approvals::main(&args, &config, agents),
            Command::Audit(args) => audit::main(&args, &config),
            Command::Replay(args) => replay::main(&args, &config, agents),
            Command::Erase(args) => erase::main(&args, &config),
            Command::Keys(args) => keys::main(args, &config),
            Command::Db(args) => db::main(&args, &config),
            Command::Config(args) => config::main(&args, &config, &settings),
            Command::Agents(args) => agents::main(&args, &config, agents),
            Command::Policy(args) => policy::main(&args, &config, agents),
            Command::New(args) => new::main(&args),
            Command::Data(args) => data::main(&args),
            Command::Bench(args) => bench::main(&args, &config, agents),
        }
    }
}
