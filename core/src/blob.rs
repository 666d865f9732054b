//! Large content, stored once under its hash and referenced from payloads.
//!
//! Content is labelled when it is stored; whoever loads it takes on that label, and must be cleared
//! for it. A blob belongs to one run of one tenant.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::async_trait;
use crate::ids::RunId;
use crate::journal::chain::Hash;
use crate::label::Label;
use crate::tenant::Tenant;

/// A reference to stored content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// SHA-256 of the content.
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Hash,
    /// Size of the content in bytes.
    pub bytes: u64,
}

impl Blob {
    /// The reference to this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self { sha256: Hash::of(content), bytes: content.len() as u64 }
    }
}

/// Stored content with its label.
#[derive(Debug)]
pub struct Stored {
    /// The content.
    pub content: Arc<[u8]>,
    /// How sensitive it is.
    pub label: Arc<Label>,
    /// The content as the value that it was made from or first read into, so that each reader of
    /// an immutable blob need not decode it again.
    decoded: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Stored {
    /// Content with its label.
    #[must_use]
    pub fn new(content: Arc<[u8]>, label: Arc<Label>) -> Self {
        Self { content, label, decoded: OnceLock::new() }
    }

    pub(crate) fn decoded<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.decoded.get()?.clone().downcast().ok()
    }

    pub(crate) fn remember<T: Send + Sync + 'static>(&self, value: Arc<T>) {
        // A second reader may have been quicker; both have the same value.
        let _ = self.decoded.set(value);
    }
}

/// Why content could not be stored or loaded.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the blob store failed: {0}")]
pub struct Error(pub String);

/// Whose content it is, and in which run.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The tenant: nobody else ever gets at the content.
    pub tenant: Tenant,
    /// The subject that the content is about or from; what is sealed for them can be erased.
    pub subject: Arc<str>,
    /// The run.
    pub run: RunId,
}

/// Where content is kept.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Keeps content for a run. Storing the same content again keeps the more protective label.
    ///
    /// It is durable before any record that is appended after it.
    async fn put(&self, scope: &Scope, blob: Blob, stored: Arc<Stored>) -> Result<(), Error>;

    /// The content that the run stored under this reference.
    async fn get(&self, scope: &Scope, blob: Blob) -> Result<Option<Arc<Stored>>, Error>;

    /// Lets go of what it keeps in memory for a run that has ended or is parked.
    fn release(&self, run: RunId);
}

/// Content in memory, as long as its run lasts.
#[derive(Debug, Default)]
pub struct MemoryBlobs {
    runs: DashMap<RunId, Vec<Kept>, RandomState>,
}

#[derive(Debug)]
struct Kept {
    tenant: Tenant,
    blob: Blob,
    stored: Arc<Stored>,
}

impl Kept {
    fn is(&self, scope: &Scope, blob: Blob) -> bool {
        self.tenant == scope.tenant && self.blob == blob
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, scope: &Scope, blob: Blob, stored: Arc<Stored>) -> Result<(), Error> {
        let mut kept = self.runs.entry(scope.run).or_default();
        match kept.iter_mut().find(|held| held.is(scope, blob)) {
            None => kept.push(Kept { tenant: scope.tenant.clone(), blob, stored }),
            Some(held) if held.stored.label.covers(&stored.label) => {}
            Some(held) => {
                let label = Arc::new(held.stored.label.join(&stored.label));
                held.stored = Arc::new(Stored::new(stored.content.clone(), label));
            }
        }
        Ok(())
    }

    async fn get(&self, scope: &Scope, blob: Blob) -> Result<Option<Arc<Stored>>, Error> {
        let kept = self.runs.get(&scope.run);
        Ok(kept.and_then(|kept| {
            kept.iter().find(|held| held.is(scope, blob)).map(|held| held.stored.clone())
        }))
    }

    fn release(&self, run: RunId) {
        self.runs.remove(&run);
    }
}
