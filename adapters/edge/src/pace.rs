//! How fast callers may ask, and what they are told of it
//! (draft-ietf-httpapi-ratelimit-headers-10).

use std::future::Future;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use genie_core::identity::Key;
use genie_core::pace::{Claim, Span, Standing};

use crate::auth::{Caller, Shown};
use crate::edge::Edge;
use crate::error::Problem;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// The rules that every caller's requests are counted by.
pub(crate) const CALLERS: [&str; 2] = ["user", "tenant"];

/// At most `quota` requests a minute, for whoever is meant.
pub(crate) fn minute(rule: &'static str, whom: String, quota: u32) -> Claim {
    Claim { rule, whom, quota, span: Span::Flow(Duration::from_mins(1)) }
}

fn day(rule: &'static str, key: &Key, quota: u32) -> Claim {
    Claim { rule, whom: key.id.to_string(), quota, span: Span::Day }
}

/// The rules that a caller's requests are counted by.
pub(crate) fn claims(edge: &Edge, caller: &Caller) -> Vec<Claim> {
    let limits = &edge.options.limits;
    let (tenant, subject) = (caller.tenant(), &caller.identity().subject);
    let mut claims = Vec::new();
    if let Shown::Key(lineage) = &caller.shown {
        let key = lineage.key();
        let quota = key.quotas.per_minute.unwrap_or(limits.requests_per_minute_max);
        claims.push(minute("key", key.id.to_string(), quota));
        claims.extend(key.quotas.per_day.map(|quota| day("key-day", key, quota)));
        // Whoever gives a key away does not get more by it.
        for maker in lineage.makers() {
            let quota = maker.quotas.per_minute;
            claims.extend(quota.map(|quota| minute("key", maker.id.to_string(), quota)));
            claims.extend(maker.quotas.per_day.map(|quota| day("key-day", maker, quota)));
        }
    }
    // A length before each, so that no two subjects are counted as one.
    let user = format!("{}:{tenant}{subject}", tenant.as_str().len());
    claims.push(minute("user", user, limits.user_requests_per_minute_max));
    let quota = limits.tenant_requests_per_minute_max;
    claims.push(minute("tenant", tenant.to_string(), quota));
    claims
}

/// Has a request counted, answers it if there is room for it, and tells the client how it stands.
///
/// # Errors
/// Requests cannot be counted.
pub(crate) async fn paced(
    edge: &Edge,
    claims: Vec<Claim>,
    answer: impl Future<Output = Result<Response, Problem>>,
) -> Result<Response, Problem> {
    let standings = edge.options.paces.take(&claims).await?;
    let answered = match refusal(&standings) {
        Some(problem) => Err(problem),
        None => answer.await,
    };
    let mut response = answered.into_response();
    // Where more was counted meanwhile, it has been told.
    if !response.headers().contains_key(&LEFT) {
        tell(&standings, response.headers_mut());
    }
    Ok(response)
}

/// How one more request of a caller stands, which is counted if there is room for it.
pub(crate) struct Another {
    standings: Vec<Standing>,
}

impl Another {
    /// Has it counted.
    ///
    /// # Errors
    /// Requests cannot be counted.
    pub(crate) async fn of(edge: &Edge, caller: &Caller) -> Result<Self, Problem> {
        Ok(Self { standings: edge.options.paces.take(&claims(edge, caller)).await? })
    }

    /// Why there is no room for it; `None` if there is.
    pub(crate) fn refusal(&self) -> Option<Problem> {
        refusal(&self.standings)
    }

    /// Tells the client.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        tell(&self.standings, headers);
    }
}

/// Why there is no room for a request; of several rules, that for which one waits the longest.
fn refusal(standings: &[Standing]) -> Option<Problem> {
    let longest = standings.iter().filter_map(|one| Some((one.wait?, one.rule))).max();
    longest.map(|(wait, rule)| Problem::too_fast(rule, seconds(wait)))
}

/// Whole seconds, rounded up.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn tell(standings: &[Standing], headers: &mut HeaderMap) {
    if standings.is_empty() {
        return;
    }
    let list = |item: &dyn Fn(&Standing) -> String| {
        standings.iter().map(item).collect::<Vec<_>>().join(", ")
    };
    let policy = list(&|one| format!("\"{}\";q={};w={}", one.rule, one.quota, one.window_s()));
    let left = list(&|one| format!("\"{}\";r={};t={}", one.rule, one.left, seconds(one.whole_in)));
    for (name, text) in [(POLICY, policy), (LEFT, left)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}
