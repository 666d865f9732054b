//! The settings of an installation. Every one stands in `config/genie.toml` with default, unit and
//! meaning; that file is compiled in and is the defaults.
//!
//! Reading files over the defaults is here; what a file may say is in `config/file.rs`.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use genie_core::label::{Classification, Clearance};
use genie_core::limits::Limits;
use genie_store::{Keks, KeySource};
use serde::Deserialize;

use crate::auditor::keys::FILE;
use crate::signing;
use crate::storage::{self, Storage};

pub(crate) mod duration;
mod file;
mod layers;
mod prices;
mod redis;
mod sign_in;

use file::File;
pub use layers::{Setting, Source};
pub use prices::Prices;
pub use redis::{Outages, Redis, RedisUrl};
pub use sign_in::SignIn;

/// The defaults and the reference: the text of `config/genie.toml`.
pub const REFERENCE: &str = include_str!("../config/genie.toml");

/// The file of the sealing key within a data directory.
const SEALING_FILE: &str = "sealing.key";
/// Largest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A directory of rule files in place of the built-in ones.
    pub policies: Option<PathBuf>,
    /// Where runs are kept.
    pub storage: Storage,
    /// The address of a server to work on in place of a database.
    pub server: Option<String>,
    /// The file of the key that is shown to that server.
    pub token_file: Option<PathBuf>,
    /// How long a process that shares a database may be silent before another takes over its runs.
    pub lease: Duration,
    /// How often the log is signed, if it has grown.
    pub checkpoint_every: Duration,
    /// The file of the key that signs it; `None` is `checkpoint.key` in the data directory.
    pub checkpoint_key: Option<PathBuf>,
    /// The key that the keys of personal data are wrapped with.
    pub sealing_key: SealingKey,
    /// How many records the journal in memory keeps.
    pub journal_records_max: usize,
    /// The region in which this installation processes.
    pub home_region: String,
    /// What is logged, as directives; empty leaves it to the command.
    pub log: String,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What users are told about what answers them.
    pub disclosure: String,
    /// What whoever asks may be given back.
    pub user_clearance: Clearance,
    /// The bounds.
    pub limits: Limits,
    /// The HTTP interface.
    pub http: Http,
    /// What a collector is told.
    pub telemetry: Telemetry,
    /// How several processes count requests together.
    pub redis: Redis,
    /// How people sign in with a password.
    pub sign_in: SignIn,
    /// What things cost.
    pub prices: Prices,
}

/// What an OpenTelemetry collector is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Telemetry {
    /// The collector's base URL; empty means none.
    pub otlp_endpoint: String,
    /// The name under which this installation appears there.
    pub service_name: String,
    /// How often figures go there; `None` is never.
    pub metrics_every: Option<Duration>,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings of the HTTP interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its bounds.
    pub limits: genie_edge::Limits,
    /// How long it goes on once it has said that it is about to stop.
    pub drain_delay: Option<Duration>,
}

impl Http {
    /// As strict as possible, for what the reference does not say.
    fn strict() -> Self {
        let short = Duration::from_secs(1);
        let limits = genie_edge::Limits {
            connections_max: 1,
            body_bytes_max: 1,
            uploads_bytes_max: 1,
            header_bytes_max: 8_192,
            header_timeout: short,
            body_timeout: short,
            requests_per_minute_max: 1,
            user_requests_per_minute_max: 1,
            tenant_requests_per_minute_max: 1,
            sign_ins_per_minute_max: 1,
            address_sign_ins_per_minute_max: 1,
            heartbeat: short,
            stall: short,
        };
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), limits, drain_delay: None }
    }
}

/// Where the key is that the keys of personal data are wrapped with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SealingKey {
    /// In `sealing.key` in the data directory.
    #[default]
    Unset,
    /// In this file.
    File(PathBuf),
    /// Here.
    Given(Keks),
}

impl Default for Config {
    /// What [`REFERENCE`] says. What it does not say would be as strict as possible; a test keeps
    /// it complete.
    fn default() -> Self {
        let mut config = Self {
            policies: None,
            storage: Storage::Unset,
            server: None,
            token_file: None,
            lease: Duration::from_secs(1),
            checkpoint_every: Duration::from_secs(1),
            checkpoint_key: None,
            sealing_key: SealingKey::Unset,
            journal_records_max: 1,
            home_region: String::new(),
            log: String::new(),
            log_format: LogFormat::Text,
            disclosure: String::new(),
            user_clearance: Clearance::up_to(Classification::Public),
            limits: Limits::default(),
            http: Http::strict(),
            telemetry: Telemetry::default(),
            redis: Redis::strict(),
            sign_in: SignIn::strict(),
            prices: Prices::free(),
        };
        if let Ok(reference) = toml::from_str::<File>(REFERENCE) {
            reference.apply(&mut config);
        }
        config
    }
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// The file.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It says something that is not a setting.
    #[error("{path}:{line}: {problem}")]
    Invalid {
        /// The file.
        path: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A variable of the environment says something that its setting cannot be.
    #[error("{variable}: {problem}")]
    Environment {
        /// The variable.
        variable: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Config {
    /// The defaults with the settings of a file laid over them.
    ///
    /// # Errors
    /// [`Error`] names the file and, for a wrong setting, its line.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Ok(Self::in_force(Some(path), |_| None)?.0)
    }

    /// The defaults with a file laid over them, if one is given, and then what `environment` says
    /// of each variable; with where each setting comes from, in the order of [`REFERENCE`].
    ///
    /// The variable of `limits.hops_max` is `GENIE_LIMITS_HOPS_MAX`, and so on; an empty one says
    /// nothing.
    ///
    /// # Errors
    /// [`Error`] names the file and line, or the variable.
    pub fn in_force(
        path: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<Setting>), Error> {
        let (mut config, mut settings) = (Self::default(), layers::defaults());
        if let Some(path) = path {
            let shown = path.display().to_string();
            let text =
                read(path).map_err(|source| Error::Unreadable { path: shown.clone(), source })?;
            config = Self::of_file(path, &shown, &text)?;
            layers::lay_file(&mut settings, &shown, &text);
        }
        for setting in &mut settings {
            let variable = setting.variable();
            let Some(text) = environment(&variable).filter(|text| !text.is_empty()) else {
                continue;
            };
            let value = layers::read(setting, &text);
            let file = File::deserialize(layers::alone(&setting.key, value.clone()));
            let file = file.map_err(|error| Error::Environment {
                variable: variable.clone(),
                problem: error.message().replace('\n', ", "),
            })?;
            file.apply(&mut config);
            (setting.value, setting.source) = (value, Source::Environment(variable));
        }
        config.hide_secrets(&mut settings);
        Ok((config, settings))
    }

    /// Takes the passwords out of URLs that are to be shown.
    fn hide_secrets(&self, settings: &mut [Setting]) {
        for setting in settings {
            let shown = match (&*setting.key, &self.storage, &self.redis.url) {
                ("storage", Storage::Database(_), _) => self.storage.setting(),
                ("redis.url", _, Some(url)) => url.shown(),
                _ => continue,
            };
            setting.value = toml::Value::String(shown);
        }
    }

    /// The settings of a file, whose relative paths are those of its directory.
    fn of_file(path: &Path, shown: &str, text: &str) -> Result<Self, Error> {
        let mut config = Self::with(shown, text)?;
        if let (Some(policies), Some(directory)) = (&mut config.policies, path.parent()) {
            *policies = directory.join(&*policies);
        }
        if let (Some(key), Some(directory)) = (&mut config.checkpoint_key, path.parent()) {
            *key = directory.join(&*key);
        }
        if let (Some(file), Some(directory)) = (&mut config.token_file, path.parent()) {
            *file = directory.join(&*file);
        }
        if let (SealingKey::File(key), Some(directory)) = (&mut config.sealing_key, path.parent()) {
            *key = directory.join(&*key);
        }
        if let Some(directory) = path.parent() {
            config.sign_in.beside(directory);
        }
        if let (Storage::Directory(data), Some(directory)) = (&mut config.storage, path.parent()) {
            *data = directory.join(&*data);
        }
        Ok(config)
    }

    /// The file of the key that signs the log; `None` if nothing is kept.
    #[must_use]
    pub fn checkpoint_key(&self) -> Option<PathBuf> {
        self.checkpoint_key.clone().or_else(|| Some(self.keys()?.join(FILE)))
    }

    /// The file of the key that signs the tokens of sessions; `None` if nothing is kept.
    #[must_use]
    pub fn tokens_key(&self) -> Option<PathBuf> {
        self.sign_in.key.clone().or_else(|| Some(self.keys()?.join(signing::FILE)))
    }

    /// The directory of keys for which no other place was named; `None` if nothing is kept.
    fn keys(&self) -> Option<PathBuf> {
        match &self.storage {
            Storage::Directory(directory) => Some(directory.clone()),
            Storage::Database(_) => storage::directory(),
            Storage::Memory | Storage::Unset => None,
        }
    }

    /// Where the key comes from that the keys of personal data are wrapped with; `None` if nothing
    /// is kept, or if there is no home to keep it in.
    #[must_use]
    pub fn sealing(&self) -> Option<KeySource> {
        let directory = match (&self.sealing_key, &self.storage) {
            (SealingKey::Given(keys), _) => return Some(KeySource::Given(keys.clone())),
            (SealingKey::File(path), _) => return Some(KeySource::File(path.clone())),
            (SealingKey::Unset, Storage::Directory(directory)) => Some(directory.clone()),
            (SealingKey::Unset, Storage::Database(_)) => storage::directory(),
            (SealingKey::Unset, Storage::Memory | Storage::Unset) => None,
        };
        Some(KeySource::File(directory?.join(SEALING_FILE)))
    }

    fn with(path: &str, text: &str) -> Result<Self, Error> {
        let file = toml::from_str::<File>(text).map_err(|error| Error::Invalid {
            path: path.to_owned(),
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            problem: error.message().replace('\n', ", "),
        })?;
        let mut config = Self::default();
        file.apply(&mut config);
        Ok(config)
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The line, counted from 1, that the byte at `offset` stands in.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use genie_core::label::PERSONAL;

    use super::*;

    /// Every key with its value, those of a table as `table.key`.
    fn settings() -> Vec<(String, toml::Value)> {
        let table: toml::Table = toml::from_str(REFERENCE).unwrap();
        let named = table.into_iter().flat_map(|(key, value)| match value {
            toml::Value::Table(inner) => {
                let inner = inner.into_iter();
                inner.map(|(name, value)| (format!("{key}.{name}"), value)).collect()
            }
            value => vec![(key, value)],
        });
        named.collect()
    }

    #[test]
    fn the_reference_sets_everything_and_agrees_with_the_kernel() {
        let file: File = toml::from_str(REFERENCE).unwrap();
        assert!(file.policies.is_some() && file.home_region.is_some() && file.disclosure.is_some());
        assert!(file.journal_records_max.is_some() && file.storage.is_some());
        assert!(file.checkpoint_every.is_some() && file.checkpoint_key.is_some());
        assert!(file.lease.is_some() && file.sealing_key.is_some());
        assert!(file.user_clearance.ceiling.is_some() && file.user_clearance.categories.is_some());
        // The debug form lists every field, so that a new limit cannot be forgotten here.
        assert!(!format!("{:?}", file.limits).contains("None"), "{:?}", file.limits);
        assert!(!format!("{:?}", file.sign_in).contains("None"), "{:?}", file.sign_in);
        // No delay and no URL are what the reference says with nothing.
        let http = format!("{:?}", file.http).replacen("Sometimes(None)", "", 1);
        assert!(!http.contains("None"), "{http}");
        let redis = format!("{:?}", file.redis).replacen("GivenUrl(None)", "", 1);
        assert!(!redis.contains("None"), "{redis}");
        assert!(!format!("{:?}", file.prices).contains("None"), "{:?}", file.prices);

        let config = Config::default();
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.policies, None);
        assert_eq!(config.home_region, "in");
        let clearance = Clearance::up_to(Classification::Confidential).and_category(PERSONAL);
        assert_eq!(config.user_clearance, clearance);
    }

    #[test]
    fn every_limit_of_the_kernel_is_a_setting() {
        let debug = format!("{:?}", Limits::default());
        let body = debug.trim_start_matches("Limits { ").trim_end_matches(" }");
        let mut limits: Vec<String> = body
            .split(", ")
            .filter_map(|field| Some(field.split_once(": ")?.0.to_owned()))
            .collect();
        let mut set: Vec<String> = settings()
            .into_iter()
            .filter_map(|(key, _)| Some(key.strip_prefix("limits.")?.to_owned()))
            .collect();
        limits.sort();
        set.sort();
        assert_eq!(limits, set);
    }

    #[test]
    fn every_setting_is_explained_by_a_comment_above_it() {
        let mut previous = "";
        for line in REFERENCE.lines() {
            let setting = line.split_once(" = ").is_some() && !line.starts_with('#');
            assert!(!setting || previous.starts_with("# "), "`{line}` has no comment");
            previous = line;
        }
    }

    #[test]
    fn a_file_changes_what_it_names_and_nothing_else() {
        let text = "home_region = \"de\"\n[limits]\nrun_deadline = \"90s\"\nhops_max = 3\n";
        let config = Config::with("x.toml", text).unwrap();
        let mut expected = Config { home_region: "de".into(), ..Config::default() };
        expected.limits.run_deadline = Duration::from_secs(90);
        expected.limits.hops_max = 3;
        assert_eq!(config, expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, problem) in [
            ("\nhome_regoin = \"in\"", 2, "unknown field `home_regoin`, expected one of"),
            ("[limits]\nhops = 3", 2, "unknown field `hops`"),
            ("[limits]\n\ndrain = \"soon\"", 3, "`soon` is not a duration"),
            ("[limits]\ndrain = 10", 2, "expected a duration in quotes, such as \"10s\""),
            ("[limits]\nrun_deadline = \"0s\"", 2, "`0s` is no time at all"),
            ("[limits]\nhops_max = 0", 2, "expected a whole number from 1 to 65535"),
            ("[limits]\nhops_max = 65536", 2, "expected a whole number from 1 to 65535"),
            ("[limits]\nblob_bytes_max = -1", 2, "expected a whole number from 1"),
            ("[limits]\nblob_bytes_max = \"1\"", 2, "expected a whole number from 1"),
            ("[limits]\nblob_bytes_max = 1.5", 2, "expected a whole number from 1"),
            ("[limits]\ntap_events_max = 9999999", 2, "from 1 to 1048576"),
            ("limits = 3", 1, "expected a table"),
            ("[user_clearance]\nceiling = \"Public\"", 2, "`Public` is not a classification"),
            ("[user_clearance]\ncategories = \"a\"", 2, "expected a sequence"),
            ("home_region = \" \"", 1, "the region is empty"),
            ("home_region = 3\n", 1, "expected a string"),
            ("\n\nhome_region", 3, ""),
            ("hops_max = 3", 1, "unknown field `hops_max`"),
            ("home_region = \"a\"\nhome_region = \"b\"", 2, "duplicate key"),
        ] {
            let error = Config::with("my.toml", text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("my.toml:{line}: ")), "{text:?}: {error}");
            assert!(error.contains(problem), "{text:?}: {error}");
            for rust in ["usize", "u32", "i64", "struct", "Option"] {
                assert!(!error.contains(rust), "{error}");
            }
        }
    }

    #[test]
    fn rule_files_are_looked_for_beside_the_file_that_names_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("genie.toml");
        std::fs::write(&path, "policies = \"rules\"").unwrap();
        let config = Config::load(&path).unwrap();
        assert_eq!(config.policies, Some(directory.path().join("rules")));
        let missing = Config::load(&directory.path().join("none.toml")).unwrap_err();
        assert!(missing.to_string().contains("none.toml"), "{missing}");
    }
}
