//! Identifiers: what they look like, and the port that makes the ones that cannot be derived.
//!
//! Only runs and root messages need a fresh id. Every other message id is derived from the run, the
//! message that caused it and the number of the step, so that a replay arrives at the same ids.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock::Timestamp;

/// The id of a run: a UUID version 7, the correlation id of everything that the request caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

/// The id of a message: version 7 for a root message, version 8 for a derived one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub Uuid);

impl std::fmt::Display for RunId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::fmt::Display for MessageId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl MessageId {
    /// The id of the message that handler of `cause` in `run` sends as step `step`, to the
    /// recipient number `leg`: the first 16 bytes of
    /// `SHA-256("genie/message/v1" ‖ run ‖ cause ‖ step ‖ leg)` marked as `UUIDv8` (RFC 9562).
    #[must_use]
    pub fn derived(run: RunId, cause: Self, step: u32, leg: u32) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"genie/message/v1");
        hasher.update(run.0.as_bytes());
        hasher.update(cause.0.as_bytes());
        hasher.update(step.to_be_bytes());
        hasher.update(leg.to_be_bytes());
        let digest = hasher.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(Uuid::new_v8(bytes))
    }
}

/// Where ids and randomness come from.
pub trait Ids: Send + Sync + 'static {
    /// A fresh, unguessable UUID version 7 for the moment `now`.
    fn uuid(&self, now: Timestamp) -> Uuid;
    /// 64 random bits.
    fn random(&self) -> u64;
}

/// Ids that are a function of a seed, for simulations and reproducible tests. Not for production:
/// they are guessable.
#[derive(Debug)]
pub struct SeededIds {
    state: AtomicU64,
}

impl SeededIds {
    /// Ids that follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }
}

impl Ids for SeededIds {
    fn uuid(&self, now: Timestamp) -> Uuid {
        let mut tail = [0; 10];
        tail[..8].copy_from_slice(&self.random().to_be_bytes());
        tail[8..].copy_from_slice(&self.random().to_be_bytes()[..2]);
        let millis = u64::try_from(now.as_micros() / 1_000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014).
    fn random(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.state.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
