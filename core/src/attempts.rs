//! The port for retries: which run a request under a client's own key has started.
//!
//! Whoever lost the answer asks again under the same key and gets the run that there is, instead of
//! a second one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::async_trait;
use crate::clock::Timestamp;
use crate::ids::RunId;
use crate::journal::chain::Hash;
use crate::tenant::Tenant;

/// Why attempts could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store of attempts failed: {0}")]
pub struct Error(pub String);

/// A request under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The tenant of whoever asks.
    pub tenant: Tenant,
    /// Who asks: keys of different subjects never meet.
    pub subject: Arc<str>,
    /// The key that the client has made up.
    pub key: Arc<str>,
    /// What is asked: the same key must come with the same request.
    pub request: Hash,
    /// The run that answers it; the nil id if it was refused and none began.
    pub run_id: RunId,
    /// When it was attempted.
    pub at: Timestamp,
}

/// Where attempts are kept.
#[async_trait]
pub trait Attempts: Send + Sync + 'static {
    /// Takes down an attempt, before its run begins. If one stands there under the key already,
    /// gives that one and changes nothing.
    async fn begin(&self, attempt: &Attempt) -> Result<Option<Attempt>, Error>;

    /// Puts `next` in the place of the attempt under its key, if that still has the run `before`;
    /// `false` if somebody else was quicker.
    async fn swap(&self, before: RunId, next: &Attempt) -> Result<bool, Error>;

    /// Forgets what was attempted before a moment.
    async fn forget(&self, before: Timestamp) -> Result<(), Error>;
}

/// Tenant, subject and key.
type Place = (Tenant, Arc<str>, Arc<str>);

/// Attempts of one process.
#[derive(Debug, Default)]
pub struct MemoryAttempts {
    kept: Mutex<BTreeMap<Place, Attempt>>,
}

impl MemoryAttempts {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<Place, Attempt>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(attempt: &Attempt) -> Place {
    (attempt.tenant.clone(), attempt.subject.clone(), attempt.key.clone())
}

#[async_trait]
impl Attempts for MemoryAttempts {
    async fn begin(&self, attempt: &Attempt) -> Result<Option<Attempt>, Error> {
        let mut kept = self.kept();
        let known = kept.get(&place(attempt)).cloned();
        if known.is_none() {
            kept.insert(place(attempt), attempt.clone());
        }
        Ok(known)
    }

    async fn swap(&self, before: RunId, next: &Attempt) -> Result<bool, Error> {
        let mut kept = self.kept();
        let held = kept.get_mut(&place(next)).filter(|held| held.run_id == before);
        Ok(held.map(|held| *held = next.clone()).is_some())
    }

    async fn forget(&self, before: Timestamp) -> Result<(), Error> {
        self.kept().retain(|_, attempt| attempt.at >= before);
        Ok(())
    }
}
