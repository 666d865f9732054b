//! How fast each key may ask: the generic cell rate algorithm, in memory.
//!
//! A key has a quota for a minute, all of which it may use at once; then it gets it back bit by
//! bit. Every answer says what is left (draft-ietf-httpapi-ratelimit-headers-10).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use genie_core::identity::KeyId;
use tokio::time::Instant;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");
/// The time that the quota is for.
const WINDOW: Duration = Duration::from_mins(1);
/// How many keys are kept before those that have their whole quota back are forgotten.
const KEYS_MAX: usize = 10_000;

/// The paces of all keys.
#[derive(Debug)]
pub(crate) struct Paces {
    quota: u32,
    /// When each key will have its whole quota back.
    whole_at: Mutex<HashMap<KeyId, Instant>>,
}

/// How a key stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    quota: u32,
    /// Requests that it may make now.
    left: u32,
    /// Until it has its whole quota back.
    whole_in: Duration,
    /// Until it may ask again, if this request was one too many.
    pub(crate) wait: Option<Duration>,
}

impl Paces {
    /// At most `quota` requests a minute, at least one.
    pub(crate) fn new(quota: u32) -> Self {
        Self { quota: quota.max(1), whole_at: Mutex::default() }
    }

    /// Counts a request.
    pub(crate) fn take(&self, key: KeyId, now: Instant) -> Standing {
        let each = WINDOW / self.quota;
        let mut kept = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEYS_MAX {
            kept.retain(|_, whole_at| *whole_at > now);
        }
        let whole_at = kept.get(&key).copied().unwrap_or(now).max(now);
        let next = whole_at + each;
        let over = next.saturating_duration_since(now).checked_sub(each * self.quota);
        let wait = over.filter(|over| !over.is_zero());
        let whole_at = if wait.is_some() { whole_at } else { next };
        kept.insert(key, whole_at);
        let whole_in = whole_at.saturating_duration_since(now);
        let used = whole_in.as_nanos().div_ceil(each.as_nanos().max(1));
        let left = self.quota.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX));
        Standing { quota: self.quota, left, whole_in, wait }
    }
}

/// Whole seconds, rounded up.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

impl Standing {
    /// Tells the client.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        let Self { quota, left, whole_in, .. } = self;
        let policy = format!("\"key\";q={quota};w={}", WINDOW.as_secs());
        let standing = format!("\"key\";r={left};t={}", seconds(whole_in));
        for (name, text) in [(POLICY, policy), (LEFT, standing)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_quota_is_used_at_once_and_comes_back_bit_by_bit() {
        let (paces, key) = (Paces::new(6), KeyId(Uuid::nil()));
        let left: Vec<u32> = (0..6).map(|_| paces.take(key, Instant::now()).left).collect();
        assert_eq!(left, [5, 4, 3, 2, 1, 0]);
        for _ in 0..3 {
            let over = paces.take(key, Instant::now());
            assert_eq!((over.left, over.wait), (0, Some(Duration::from_secs(10))));
        }
        let other = KeyId(Uuid::max());
        assert_eq!(paces.take(other, Instant::now()).wait, None, "each key has its own");
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(paces.take(key, Instant::now()).wait, Some(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(paces.take(key, Instant::now()).wait, None);
        tokio::time::advance(WINDOW).await;
        assert_eq!(paces.take(key, Instant::now()).left, 5, "no more than the quota is saved up");
    }
}
