//! The port for paces: how fast and how often somebody may ask.
//!
//! A [`Span::Flow`] is the generic cell rate algorithm: a quota that may be used at once and comes
//! back bit by bit. A [`Span::Day`] is a count that begins anew at midnight UTC, so that no day
//! ever has more. Requests that several rules count are counted by all of them or by none.

use std::time::Duration;

use crate::async_trait;
use crate::clock::Timestamp;

mod memory;

pub use memory::MemoryPaces;

/// The microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// What a quota is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// So long, bit by bit.
    Flow(Duration),
    /// A day, from midnight to midnight UTC.
    Day,
}

/// One rule about one of those whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The rule's name, of lower-case letters and `-`.
    pub rule: &'static str,
    /// Whom it is about, such as the id of a key.
    pub whom: String,
    /// How many requests; at least one.
    pub quota: u32,
    /// In how long.
    pub span: Span,
}

/// How somebody stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The rule's name.
    pub rule: &'static str,
    /// How many requests.
    pub quota: u32,
    /// In how long.
    pub span: Span,
    /// Requests that are left now.
    pub left: u32,
    /// Until the whole quota is there again.
    pub whole_in: Duration,
    /// Until one may ask again, if this request was one too many for this rule.
    pub wait: Option<Duration>,
}

/// Why requests could not be counted.
#[derive(Debug, Clone, thiserror::Error)]
#[error("requests cannot be counted: {0}")]
pub struct Error(pub String);

/// What becomes of the requests of a rule while they cannot be counted where they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// They are refused.
    Closed,
    /// They pass, and nobody counts them.
    Open,
    /// They are counted by this process for itself.
    Local,
}

/// How many requests could not be counted where they should be, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Missed {
    /// Those that were refused.
    pub closed: u64,
    /// Those that passed uncounted.
    pub open: u64,
    /// Those that this process counted for itself.
    pub local: u64,
}

/// Where requests are counted.
#[async_trait]
pub trait Paces: Send + Sync + 'static {
    /// Counts one request against every claim, or against none if it is one too many for any of
    /// them; gives how each stands, in their order. A claim that nobody counts at the moment is
    /// left out.
    async fn take(&self, claims: &[Claim]) -> Result<Vec<Standing>, Error>;

    /// What becomes of the requests of a rule now; `None` if they are counted where they should be.
    fn outage(&self, rule: &str) -> Option<Outage>;

    /// What could not be counted since the process started.
    fn missed(&self) -> Missed;
}

/// What is kept of one claim: for a flow the moment at which its quota is whole again, for a day
/// the requests so far.
pub type Mark = i64;

impl Claim {
    /// Under which name its mark is kept: another day is another name.
    #[must_use]
    pub fn key(&self, now: Timestamp) -> String {
        match self.span {
            Span::Flow(_) => format!("{}:{}", self.rule, self.whom),
            Span::Day => {
                format!("{}:{}:{}", self.rule, now.as_micros().div_euclid(DAY_MICROS), self.whom)
            }
        }
    }

    /// When a mark that was just made is worth nothing any more.
    #[must_use]
    pub fn ends(&self, mark: Mark, now: Timestamp) -> Timestamp {
        match self.span {
            Span::Flow(_) => Timestamp::from_micros(mark),
            Span::Day => Timestamp::from_micros(midnight(now)),
        }
    }

    /// The microseconds for which one request of a flow counts.
    #[must_use]
    pub fn each_us(&self) -> i64 {
        let Span::Flow(window) = self.span else { return 1 };
        let window = i64::try_from(window.as_micros()).unwrap_or(i64::MAX / 4);
        (window / i64::from(self.quota.max(1))).max(1)
    }

    /// Whether one more request fits, and the mark once it is counted.
    #[must_use]
    pub fn next(&self, mark: Option<Mark>, now: Timestamp) -> (bool, Mark) {
        let (now, quota) = (now.as_micros(), i64::from(self.quota.max(1)));
        match self.span {
            Span::Flow(_) => {
                let next = mark.unwrap_or(now).max(now).saturating_add(self.each_us());
                (next - now <= self.each_us().saturating_mul(quota), next)
            }
            Span::Day => {
                let next = mark.unwrap_or(0).saturating_add(1);
                (next <= quota, next)
            }
        }
    }

    /// How one with this mark stands; `fits` if there was room for the request.
    #[must_use]
    pub fn standing(&self, mark: Option<Mark>, now: Timestamp, fits: bool) -> Standing {
        let (micros, quota) = (now.as_micros(), self.quota.max(1));
        let each = self.each_us();
        let (used, whole_in, wait) = match self.span {
            Span::Flow(_) => {
                let whole_in = mark.unwrap_or(micros).max(micros) - micros;
                let over = whole_in + each - each.saturating_mul(i64::from(quota));
                (whole_in.unsigned_abs().div_ceil(each.unsigned_abs()), whole_in, over)
            }
            Span::Day => {
                let rest = midnight(now) - micros;
                (mark.unwrap_or(0).unsigned_abs(), rest, rest)
            }
        };
        let left = quota.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX));
        Standing {
            rule: self.rule,
            quota,
            span: self.span,
            left,
            whole_in: micros_long(whole_in),
            wait: (!fits).then(|| micros_long(wait.max(1))),
        }
    }
}

fn micros_long(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// The next midnight UTC, in microseconds since 1970.
fn midnight(now: Timestamp) -> i64 {
    (now.as_micros().div_euclid(DAY_MICROS) + 1) * DAY_MICROS
}

impl Standing {
    /// The seconds that the quota is for.
    #[must_use]
    pub fn window_s(&self) -> u64 {
        match self.span {
            Span::Flow(window) => window.as_secs(),
            Span::Day => DAY_MICROS.unsigned_abs() / 1_000_000,
        }
    }
}
