//! The blobs port over either database. Content goes through the journal's queue, so that it is
//! written before every record that may name it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use genie_core::async_trait;
use genie_core::blob::{Blob, Blobs, Error, Scope, Stored};
use genie_core::ids::RunId;
use genie_core::label::Label;

use crate::group::{Content, Item, Link};
use crate::journal::LOOKING;
use crate::pool::{Pools, on};
use crate::queue::Queue;
use crate::sealing::cipher::Place;
use crate::sealing::{self, Columns, Sealing};

mod cache;

use cache::Cache;

/// Content in a database.
#[derive(Debug)]
pub(crate) struct StoredBlobs {
    pools: Pools,
    queue: Option<Arc<Queue>>,
    cache: Mutex<Cache>,
    sealing: Arc<Sealing>,
}

/// Smaller content is written without asking whether it is there.
const LOOKUP_BYTES_MIN: u64 = 64 << 10;

fn failed(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}

/// The columns of content: in the clear, sealed, its key; and its label.
type Found = (Vec<u8>, Option<Vec<u8>>, Option<i64>, String);

fn changed(blob: Blob, problem: &str) -> Error {
    Error(format!(
        "the content kept as `{}` is not as it was written: it {problem}; restore it from a backup",
        blob.sha256
    ))
}

/// What the database knows of content.
struct Known {
    /// The label under which the run has it.
    label: Option<Arc<Label>>,
    /// Whether it is there at all for the subject.
    content: bool,
}

impl StoredBlobs {
    pub(crate) fn new(
        sealing: Arc<Sealing>,
        queue: Option<Arc<Queue>>,
        cache_bytes_max: u64,
    ) -> Self {
        let pools = sealing.pools().clone();
        Self { pools, queue, cache: Mutex::new(Cache::new(cache_bytes_max)), sealing }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.written())
    }

    async fn known(&self, scope: &Scope, blob: Blob) -> Result<Known, Error> {
        let sql = "SELECT (SELECT label FROM run_blobs WHERE run_id = $1 AND sha256 = $2), \
                   (SELECT COUNT(*) FROM blobs \
                   WHERE tenant = $3 AND subject = $4 AND sha256 = $2)";
        let (label, count): (Option<String>, i64) = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(&scope.run.0.as_bytes()[..]);
            let query = query.bind(&blob.sha256.0[..]).bind(scope.tenant.as_str());
            let query = query.bind(&*scope.subject);
            query.fetch_one(pool).await
        })
        .map_err(failed)?;
        let label = label.map(|label| serde_json::from_str(&label)).transpose().map_err(failed)?;
        Ok(Known { label, content: count > 0 })
    }

    /// Puts content into the queue and the cache, in one step; `None` if it must be looked up in
    /// the database again, since something left the cache after `gone` was read.
    fn keep(
        &self,
        queue: &Queue,
        (scope, blob, stored): (&Scope, Blob, &Arc<Stored>),
        (known, gone): (&Known, u64),
    ) -> Option<Result<(), Error>> {
        let mut cache = self.cache();
        let held = cache.get(scope, blob);
        if held.is_none() && cache.gone() != gone {
            return None;
        }
        let before = held.as_ref().map(|held| held.label.clone()).or_else(|| known.label.clone());
        if before.as_ref().is_some_and(|before| before.covers(&stored.label)) {
            return Some(Ok(()));
        }
        let stored = match before {
            None => stored.clone(),
            Some(before) => {
                let label = Arc::new(before.join(&stored.label));
                Arc::new(Stored::new(stored.content.clone(), label))
            }
        };
        let label = match serde_json::to_string(&*stored.label) {
            Ok(label) => label,
            Err(error) => return Some(Err(failed(error))),
        };
        let mut items = Vec::with_capacity(2);
        if held.is_none() && !known.content {
            let (tenant, subject) = (scope.tenant.name(), scope.subject.clone());
            let (sha256, stored) = (blob.sha256, stored.clone());
            items.push(Item::Content(Content { tenant, subject, sha256, stored }));
        }
        items.push(Item::Link(Link { run: scope.run, sha256: blob.sha256, label }));
        Some(queue.put(items).map_err(failed).map(|ticket| {
            queue.forget(cache.put(scope, blob, (stored, ticket), queue.written()));
        }))
    }
}

#[async_trait]
impl Blobs for StoredBlobs {
    async fn put(&self, scope: &Scope, blob: Blob, stored: Arc<Stored>) -> Result<(), Error> {
        let queue = self.queue.as_ref().ok_or_else(|| failed(LOOKING))?;
        queue.room().await;
        loop {
            let (gone, held) = {
                let cache = self.cache();
                (cache.gone(), cache.get(scope, blob).is_some())
            };
            let known = if held {
                Known { label: None, content: true }
            } else if blob.bytes <= LOOKUP_BYTES_MIN && queue.was_born(scope.run) {
                // The run has nothing in the database but what is in the cache; writing the content
                // once more costs less than asking whether someone else has it.
                Known { label: None, content: false }
            } else {
                self.known(scope, blob).await?
            };
            if let Some(kept) = self.keep(queue, (scope, blob, &stored), (&known, gone)) {
                return kept;
            }
        }
    }

    async fn get(&self, scope: &Scope, blob: Blob) -> Result<Option<Arc<Stored>>, Error> {
        if let Some(held) = self.cache().get(scope, blob) {
            return Ok(Some(held));
        }
        let sql = "SELECT b.content, b.sealed, b.key_id, l.label FROM run_blobs l \
                   JOIN blobs b ON b.sha256 = l.sha256 AND b.tenant = $1 AND b.subject = $2 \
                   WHERE l.run_id = $3 AND l.sha256 = $4";
        let gone = self.cache().gone();
        let found: Option<Found> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(scope.tenant.as_str()).bind(&*scope.subject);
            let query = query.bind(&scope.run.0.as_bytes()[..]).bind(&blob.sha256.0[..]);
            query.fetch_optional(pool).await
        })
        .map_err(failed)?;
        let Some((content, sealed, key_id, label)) = found else { return Ok(None) };
        let keys = self.sealing.find([key_id]).await.map_err(failed)?;
        let columns = Columns { clear: &content, sealed: sealed.as_deref(), key_id };
        let content = match keys.open(&columns, Place::Blob { sha256: &blob.sha256.0 }) {
            sealing::Content::Text(content) => content,
            sealing::Content::Erased => return Ok(None),
            sealing::Content::Broken(problem) => return Err(changed(blob, &problem)),
        };
        if Blob::of(&content) != blob {
            return Err(changed(blob, "does not give its hash"));
        }
        let label = serde_json::from_str(&label).map_err(failed)?;
        let stored = Arc::new(Stored::new(content.into(), label));
        let written = self.written();
        let mut cache = self.cache();
        // Someone may have stored it again in the meantime, under a stricter label.
        if let Some(held) = cache.get(scope, blob) {
            return Ok(Some(held));
        }
        if cache.gone() == gone {
            let shrunk = cache.put(scope, blob, (stored.clone(), 0), written);
            if let Some(queue) = &self.queue {
                queue.forget(shrunk);
            }
        }
        Ok(Some(stored))
    }

    fn release(&self, run: RunId) {
        let written = self.written();
        if let Some(queue) = &self.queue {
            queue.forget([run]);
        }
        self.cache().release(run, written);
    }
}
