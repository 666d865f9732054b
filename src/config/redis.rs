//! Limits that several processes count together: the table `redis`.

use std::fmt;
use std::time::Duration;

use genie_core::pace::Outage;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::file::{Lasting, set};

/// Most characters of a prefix.
const PREFIX_LEN_MAX: usize = 64;

/// How limits are counted in Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// The server; `None` if each process counts for itself.
    pub url: Option<RedisUrl>,
    /// What the keys of the server begin with.
    pub prefix: String,
    /// Longest time that a request waits for the server.
    pub answer_max: Duration,
    /// What becomes of the requests of each rule while the server is away.
    pub outages: Outages,
}

/// What becomes of the requests of each rule while they cannot be counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outages {
    /// A key's requests in a minute.
    pub key: Outage,
    /// A key's requests in a day.
    pub key_day: Outage,
    /// The requests of a subject.
    pub user: Outage,
    /// The requests of a tenant.
    pub tenant: Outage,
    /// Attempts to sign in to an account.
    pub login: Outage,
    /// Attempts to sign in from an address.
    pub address: Outage,
}

impl Outages {
    /// The rules by name.
    #[must_use]
    pub fn by_rule(&self) -> Vec<(&'static str, Outage)> {
        vec![
            ("key", self.key),
            ("key-day", self.key_day),
            ("user", self.user),
            ("tenant", self.tenant),
            ("login", self.login),
            ("address", self.address),
        ]
    }
}

impl Redis {
    /// As strict as possible, for what the reference does not say.
    pub(super) fn strict() -> Self {
        let closed = Outage::Closed;
        let outages = Outages {
            key: closed,
            key_day: closed,
            user: closed,
            tenant: closed,
            login: closed,
            address: closed,
        };
        Self { url: None, prefix: String::new(), answer_max: Duration::from_millis(1), outages }
    }
}

/// The URL of a server, which may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(Zeroizing<String>);

impl RedisUrl {
    /// The whole URL, with its secrets.
    #[must_use]
    pub fn secret(&self) -> &Zeroizing<String> {
        &self.0
    }

    /// The URL without what may be a secret: who signs in, and what stands behind a `?`.
    #[must_use]
    pub fn shown(&self) -> String {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        let place = place.split_once('?').map_or(place, |(place, _)| place);
        format!("{scheme}://{place}")
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown())
    }
}

/// The table `redis`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RedisTable {
    url: Option<GivenUrl>,
    prefix: Option<Prefix>,
    answer_max: Option<Lasting>,
    outage_key: Option<GivenOutage>,
    outage_key_day: Option<GivenOutage>,
    outage_user: Option<GivenOutage>,
    outage_tenant: Option<GivenOutage>,
    outage_login: Option<GivenOutage>,
    outage_address: Option<GivenOutage>,
}

impl RedisTable {
    pub(super) fn apply(self, redis: &mut Redis) {
        set(&mut redis.url, self.url.map(|url| url.0));
        set(&mut redis.prefix, self.prefix.map(|prefix| prefix.0));
        set(&mut redis.answer_max, self.answer_max.map(|lasting| lasting.0));
        let outages = &mut redis.outages;
        for (outage, given) in [
            (&mut outages.key, self.outage_key),
            (&mut outages.key_day, self.outage_key_day),
            (&mut outages.user, self.outage_user),
            (&mut outages.tenant, self.outage_tenant),
            (&mut outages.login, self.outage_login),
            (&mut outages.address, self.outage_address),
        ] {
            set(outage, given.map(|given| given.0));
        }
    }
}

/// A URL as it is given; nothing if it is empty. Errors do not repeat it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct GivenUrl(Option<RedisUrl>);

impl TryFrom<String> for GivenUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = Zeroizing::new(text);
        if text.is_empty() {
            return Ok(Self(None));
        }
        let schemes = ["redis://", "valkey://", "redis+unix://", "unix://"];
        if !schemes.iter().any(|scheme| text.starts_with(scheme)) {
            let problem = "the URL does not begin with `redis://`; write `redis://HOST:PORT`, and \
                           `redis://USER:PASSWORD@HOST:PORT` if the server asks for it (there is \
                           no TLS to it)";
            return Err(problem.to_owned());
        }
        Ok(Self(Some(RedisUrl(text))))
    }
}

/// What keys begin with.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Prefix(String);

impl TryFrom<String> for Prefix {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if text.is_empty() || text.len() > PREFIX_LEN_MAX || !text.bytes().all(is_plain) {
            let most = PREFIX_LEN_MAX;
            return Err(format!("give 1 to {most} letters, digits, `-` or `_`, such as `genie`"));
        }
        Ok(Self(text))
    }
}

/// What becomes of requests that cannot be counted together.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct GivenOutage(Outage);

impl TryFrom<String> for GivenOutage {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match &*text {
            "closed" => Ok(Self(Outage::Closed)),
            "open" => Ok(Self(Outage::Open)),
            "local" => Ok(Self(Outage::Local)),
            _ => Err(format!("`{text}` is none of `closed`, `open` and `local`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_a_secret() {
        for (given, shown) in [
            ("redis://127.0.0.1:6379/2", "redis://127.0.0.1:6379/2"),
            ("redis://:hush@db", "redis://db"),
            ("redis://genie:hu/s@h@db:1/0?protocol=resp3", "redis://db:1/0"),
            ("unix:///run/redis.sock?db=1&pass=hush", "unix:///run/redis.sock"),
        ] {
            let url = GivenUrl::try_from(given.to_owned()).unwrap().0.unwrap();
            assert_eq!((url.shown(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
        }
        let wrong = GivenUrl::try_from("http://:hush@db".to_owned()).unwrap_err();
        assert!(wrong.contains("redis://HOST") && !wrong.contains("hush"), "{wrong}");
    }
}
