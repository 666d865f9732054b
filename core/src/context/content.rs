//! Large content: stored once, loaded by whoever holds the reference and is cleared for it.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Context;
use crate::blob::{Blob, Stored};
use crate::failure::Failure;
use crate::journal::steps::Call;
use crate::run::Run;

thread_local! {
    /// Content is written here first, so that it is allocated once, in its own size.
    static CONTENT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Largest buffer that a thread keeps between contents.
const CONTENT_KEPT_BYTES: usize = 1 << 18;

/// The JSON text of a value.
fn written<T: Serialize>(value: &T) -> Result<Arc<[u8]>, serde_json::Error> {
    // Taken, not borrowed: what is written may write something itself.
    let mut buffer = CONTENT.take();
    buffer.clear();
    serde_json::to_writer(&mut buffer, value)?;
    let content = buffer.as_slice().into();
    if buffer.capacity() <= CONTENT_KEPT_BYTES {
        CONTENT.set(buffer);
    }
    Ok(content)
}

impl Context {
    /// Stores a value as JSON under its hash and gives the reference to put into a payload.
    pub async fn store<T>(&mut self, value: Arc<T>) -> Result<Blob, Failure>
    where
        T: Serialize + Send + Sync + 'static,
    {
        let content = written(&*value).map_err(|error| self.blob_failure(&error.to_string()))?;
        let blob = Blob::of(&content);
        match self.recall("store")? {
            None => {}
            Some(Call::Refused { failure }) => return Err(failure),
            Some(Call::Store { blob: stored, .. }) if stored == blob.sha256 => return Ok(blob),
            Some(other @ Call::Store { .. }) => {
                return Err(self.otherwise(&other, "store of another"));
            }
            Some(other) => return Err(self.otherwise(&other, "store")),
        }
        let stored = Stored::new(content, self.seen.clone());
        stored.remember(value);
        if let Err(failure) = self.run.keep(blob, stored).await {
            self.record(Call::Refused { failure: failure.clone() })?;
            return Err(failure);
        }
        let bytes = blob.bytes;
        self.record(Call::Store { blob: blob.sha256, bytes, label: self.seen.clone() })?;
        Ok(blob)
    }

    /// Reads stored content as the value that it was made from.
    pub async fn load<T>(&mut self, blob: &Blob) -> Result<Arc<T>, Failure>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let stored = self.fetch(blob).await?;
        if let Some(value) = stored.decoded() {
            return Ok(value);
        }
        let value: Arc<T> = serde_json::from_slice(&stored.content)
            .map(Arc::new)
            .map_err(|error| self.blob_failure(&error.to_string()))?;
        stored.remember(value.clone());
        Ok(value)
    }

    /// Reads stored content as bytes.
    pub async fn load_bytes(&mut self, blob: &Blob) -> Result<Arc<[u8]>, Failure> {
        Ok(self.fetch(blob).await?.content.clone())
    }

    /// The stored content, if this agent is cleared for it; its label is taken on.
    ///
    /// Not a step: the hash in a recorded message already says what is read.
    async fn fetch(&mut self, blob: &Blob) -> Result<Arc<Stored>, Failure> {
        let found = self.run.shared.blobs.get(&self.run.scope, *blob).await;
        let stored = found
            .map_err(|error| self.blob_failure(&error.to_string()))?
            .ok_or_else(|| self.blob_failure("the run has no such content"))?;
        let clearance = &self.entry().recipient.clearance;
        let region = clearance.region.as_ref().unwrap_or(&self.run.shared.home_region);
        let cleared = stored.label.classification <= clearance.ceiling
            && stored.label.categories.is_subset(&clearance.categories)
            && stored.label.regions.iter().all(|bound| bound == region);
        if !cleared {
            let reason = format!("it is not cleared for the content `{}`", blob.sha256);
            return Err(Failure::Failed { agent: self.entry().id.clone(), reason });
        }
        self.see(&stored.label);
        Ok(stored)
    }

    fn blob_failure(&self, reason: &str) -> Failure {
        Failure::Failed { agent: self.entry().id.clone(), reason: reason.to_owned() }
    }
}

impl Run {
    /// Keeps content for this run, within its bounds.
    pub(crate) async fn keep(&self, blob: Blob, stored: Stored) -> Result<(), Failure> {
        let limits = &self.shared.limits;
        let over = |limit: &str, value: usize| Failure::Limit {
            limit: limit.to_owned(),
            value: value as u64,
        };
        let size = stored.content.len();
        if size > limits.blob_bytes_max {
            return Err(over("blob_bytes_max", limits.blob_bytes_max));
        }
        if self.blob_bytes.fetch_add(size, Ordering::Relaxed) + size
            > limits.blobs_per_run_bytes_max
        {
            self.blob_bytes.fetch_sub(size, Ordering::Relaxed);
            return Err(over("blobs_per_run_bytes_max", limits.blobs_per_run_bytes_max));
        }
        let kept = self.shared.blobs.put(&self.scope, blob, Arc::new(stored)).await;
        kept.map_err(|error| Failure::Journal { reason: error.to_string() })
    }
}
