//! The shape of a configuration file: strict about keys, values and units.
//!
//! Every setting may be left out; what is given is laid over a [`Config`].

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use genie_core::label::Classification;

use tracing_subscriber::EnvFilter;

use super::prices::PricesTable;
use super::redis::RedisTable;
use super::sign_in::SignInTable;
use super::{Config, Http, LogFormat, SealingKey, duration};
use crate::storage::Storage;

/// Most events that an observer may lag: the channel behind it reserves room for all of them.
const TAP_EVENTS_MAX: usize = 1 << 20;

/// A configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "settings")]
#[expect(clippy::struct_field_names, reason = "the settings are named so")]
pub(super) struct File {
    pub(super) policies: Option<PathBuf>,
    pub(super) storage: Option<String>,
    pub(super) server: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) checkpoint_every: Option<Lasting>,
    pub(super) checkpoint_key: Option<PathBuf>,
    pub(super) sealing_key: Option<PathBuf>,
    pub(super) lease: Option<Lasting>,
    pub(super) journal_records_max: Option<Count>,
    pub(super) home_region: Option<Region>,
    pub(super) log: Option<Directives>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) disclosure: Option<String>,
    #[serde(default)]
    pub(super) user_clearance: UserClearance,
    #[serde(default)]
    pub(super) limits: LimitsTable,
    #[serde(default)]
    pub(super) http: HttpTable,
    #[serde(default)]
    pub(super) telemetry: TelemetryTable,
    #[serde(default)]
    pub(super) redis: RedisTable,
    #[serde(default)]
    pub(super) sign_in: SignInTable,
    #[serde(default)]
    pub(super) prices: PricesTable,
}

/// The table `telemetry`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct TelemetryTable {
    pub(super) otlp_endpoint: Option<String>,
    pub(super) service_name: Option<String>,
    pub(super) metrics_every: Option<Sometimes>,
}

/// The table `http`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct HttpTable {
    pub(super) listen: Option<SocketAddr>,
    pub(super) connections_max: Option<Count<{ u32::MAX as usize }>>,
    pub(super) body_bytes_max: Option<Count>,
    pub(super) uploads_bytes_max: Option<Count>,
    pub(super) header_bytes_max: Option<HeaderBytes>,
    pub(super) header_timeout: Option<Lasting>,
    pub(super) body_timeout: Option<Lasting>,
    pub(super) requests_per_minute_max: Option<Count<1_000_000>>,
    pub(super) user_requests_per_minute_max: Option<Count<1_000_000>>,
    pub(super) tenant_requests_per_minute_max: Option<Count<1_000_000>>,
    pub(super) sign_ins_per_minute_max: Option<Count<1_000_000>>,
    pub(super) address_sign_ins_per_minute_max: Option<Count<1_000_000>>,
    pub(super) heartbeat: Option<Lasting>,
    pub(super) stall: Option<Lasting>,
    pub(super) drain_delay: Option<Sometimes>,
}

/// The table `user_clearance`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct UserClearance {
    pub(super) ceiling: Option<Ceiling>,
    pub(super) categories: Option<Vec<String>>,
}

/// The table `limits`, with the fields of the kernel's limits.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct LimitsTable {
    pub(super) runs_in_flight_max: Option<Count>,
    pub(super) queued_per_agent_max: Option<Count>,
    pub(super) queued_per_activation_max: Option<Count>,
    pub(super) messages_per_run_max: Option<Count<{ u32::MAX as usize }>>,
    pub(super) hops_max: Option<Count<{ u16::MAX as usize }>>,
    pub(super) message_bytes_max: Option<Count>,
    pub(super) blob_bytes_max: Option<Count>,
    pub(super) blobs_per_run_bytes_max: Option<Count>,
    pub(super) failures_per_run_max: Option<Count>,
    pub(super) run_deadline: Option<Lasting>,
    pub(super) park_after: Option<Lasting>,
    pub(super) tap_events_max: Option<Count<TAP_EVENTS_MAX>>,
    pub(super) drain: Option<Lasting>,
}

impl File {
    /// Lays what is given over `config`.
    pub(super) fn apply(self, config: &mut Config) {
        if let Some(policies) = self.policies {
            config.policies = (!policies.as_os_str().is_empty()).then_some(policies);
        }
        set(&mut config.storage, self.storage.map(|storage| Storage::parse(&storage)));
        if let Some(server) = self.server {
            config.server = (!server.is_empty()).then_some(server);
        }
        if let Some(file) = self.token_file {
            config.token_file = (!file.as_os_str().is_empty()).then_some(file);
        }
        set(&mut config.lease, self.lease.map(|lasting| lasting.0));
        set(&mut config.checkpoint_every, self.checkpoint_every.map(|lasting| lasting.0));
        if let Some(key) = self.checkpoint_key {
            config.checkpoint_key = (!key.as_os_str().is_empty()).then_some(key);
        }
        if let Some(key) = self.sealing_key {
            config.sealing_key =
                if key.as_os_str().is_empty() { SealingKey::Unset } else { SealingKey::File(key) };
        }
        set(&mut config.journal_records_max, self.journal_records_max.map(|count| count.0));
        set(&mut config.home_region, self.home_region.map(|region| region.0));
        set(&mut config.log, self.log.map(|directives| directives.0));
        set(&mut config.log_format, self.log_format);
        set(&mut config.disclosure, self.disclosure);
        let clearance = self.user_clearance;
        set(&mut config.user_clearance.ceiling, clearance.ceiling.map(|ceiling| ceiling.0));
        let categories = clearance.categories.map(|categories| categories.into_iter().collect());
        set(&mut config.user_clearance.categories, categories);
        self.limits.apply(&mut config.limits);
        self.http.apply(&mut config.http);
        set(&mut config.telemetry.otlp_endpoint, self.telemetry.otlp_endpoint);
        set(&mut config.telemetry.service_name, self.telemetry.service_name);
        let metrics_every = self.telemetry.metrics_every.map(|sometimes| sometimes.0);
        set(&mut config.telemetry.metrics_every, metrics_every);
        self.redis.apply(&mut config.redis);
        self.sign_in.apply(&mut config.sign_in);
        self.prices.apply(&mut config.prices);
    }
}

impl HttpTable {
    fn apply(self, http: &mut Http) {
        let lasting = |lasting: Option<Lasting>| lasting.map(|lasting| lasting.0);
        let limits = &mut http.limits;
        set(&mut http.listen, self.listen);
        set(&mut limits.connections_max, self.connections_max.map(|count| count.0));
        set(&mut limits.body_bytes_max, self.body_bytes_max.map(|count| count.0));
        set(&mut limits.uploads_bytes_max, self.uploads_bytes_max.map(|count| count.0));
        set(&mut limits.header_bytes_max, self.header_bytes_max.map(|bytes| bytes.0));
        set(&mut limits.header_timeout, lasting(self.header_timeout));
        set(&mut limits.body_timeout, lasting(self.body_timeout));
        let quota =
            |count: Option<Count<1_000_000>>| count.and_then(|count| u32::try_from(count.0).ok());
        set(&mut limits.requests_per_minute_max, quota(self.requests_per_minute_max));
        set(&mut limits.user_requests_per_minute_max, quota(self.user_requests_per_minute_max));
        let of_tenant = quota(self.tenant_requests_per_minute_max);
        set(&mut limits.tenant_requests_per_minute_max, of_tenant);
        set(&mut limits.sign_ins_per_minute_max, quota(self.sign_ins_per_minute_max));
        let of_address = quota(self.address_sign_ins_per_minute_max);
        set(&mut limits.address_sign_ins_per_minute_max, of_address);
        set(&mut limits.heartbeat, lasting(self.heartbeat));
        set(&mut limits.stall, lasting(self.stall));
        set(&mut http.drain_delay, self.drain_delay.map(|sometimes| sometimes.0));
    }
}

impl LimitsTable {
    fn apply(self, limits: &mut genie_core::limits::Limits) {
        let count = |count: Option<Count>| count.map(|count| count.0);
        set(&mut limits.runs_in_flight_max, count(self.runs_in_flight_max));
        set(&mut limits.queued_per_agent_max, count(self.queued_per_agent_max));
        set(&mut limits.queued_per_activation_max, count(self.queued_per_activation_max));
        let messages = self.messages_per_run_max.and_then(|count| u32::try_from(count.0).ok());
        set(&mut limits.messages_per_run_max, messages);
        set(&mut limits.hops_max, self.hops_max.and_then(|count| u16::try_from(count.0).ok()));
        set(&mut limits.message_bytes_max, count(self.message_bytes_max));
        set(&mut limits.blob_bytes_max, count(self.blob_bytes_max));
        set(&mut limits.blobs_per_run_bytes_max, count(self.blobs_per_run_bytes_max));
        set(&mut limits.failures_per_run_max, count(self.failures_per_run_max));
        set(&mut limits.run_deadline, self.run_deadline.map(|lasting| lasting.0));
        set(&mut limits.park_after, self.park_after.map(|lasting| lasting.0));
        set(&mut limits.tap_events_max, self.tap_events_max.map(|count| count.0));
        set(&mut limits.drain, self.drain.map(|lasting| lasting.0));
    }
}

pub(super) fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

/// A whole number from 1 to `MAX`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count<const MAX: usize = { u32::MAX as usize * 1_024 }>(pub(super) usize);

impl<'de, const MAX: usize> Deserialize<'de> for Count<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor::<MAX>).map(Self)
    }
}

struct CountVisitor<const MAX: usize>;

impl<const MAX: usize> Visitor<'_> for CountVisitor<MAX> {
    type Value = usize;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a whole number from 1 to {MAX}")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<usize, E> {
        let count = usize::try_from(value).ok().filter(|count| (1..=MAX).contains(count));
        count.ok_or_else(|| E::invalid_value(de::Unexpected::Signed(value), &self))
    }
}

/// Bytes of a request's head, which an HTTP/1 reader needs some of.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Count<16_777_216>")]
pub(super) struct HeaderBytes(pub(super) usize);

impl TryFrom<Count<16_777_216>> for HeaderBytes {
    type Error = String;

    fn try_from(count: Count<16_777_216>) -> Result<Self, String> {
        let is_enough = count.0 >= 8_192;
        is_enough.then_some(Self(count.0)).ok_or_else(|| "give at least 8192 bytes".to_owned())
    }
}

/// A duration with its unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lasting(pub(super) Duration);

impl<'de> Deserialize<'de> for Lasting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LastingVisitor).map(Self)
    }
}

/// A duration that need not be; empty is none.
#[derive(Debug)]
pub(super) struct Sometimes(pub(super) Option<Duration>);

impl<'de> Deserialize<'de> for Sometimes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        duration::parse(&text).map(|every| Self(Some(every))).map_err(de::Error::custom)
    }
}

struct LastingVisitor;

impl Visitor<'_> for LastingVisitor {
    type Value = Duration;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a duration in quotes, such as \"10s\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        duration::parse(text).map_err(E::custom)
    }
}

/// A classification that a clearance reaches up to.
///
/// An unknown word is an error here: read as the most protected classification, as a label would,
/// it would clear for everything.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Ceiling(pub(super) Classification);

impl TryFrom<String> for Ceiling {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let read = Classification::from_text(&text);
        if read.as_str() == text {
            return Ok(Self(read));
        }
        Err(format!(
            "`{text}` is not a classification; write `public`, `internal`, `confidential` or \
             `restricted`"
        ))
    }
}

/// What is logged, in directives that can be read.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Directives(pub(super) String);

impl TryFrom<String> for Directives {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let unread = |error| {
            format!("`{text}` does not say what to log ({error}); write a level such as `info`")
        };
        EnvFilter::builder().parse(&text).map_err(unread)?;
        Ok(Self(text))
    }
}

/// The name of a region.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Region(pub(super) String);

impl TryFrom<String> for Region {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("the region is empty; write its code, such as `in`".to_owned());
        }
        Ok(Self(text))
    }
}
