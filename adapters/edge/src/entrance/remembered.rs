//! Keys that were just read are not read again: for a moment, what a store said of them is kept.
//!
//! Only keys that there are, never their secrets' comparison: that is made for every request. A key
//! that is revoked here opens nothing from then on; one that another process revokes, nothing once
//! the moment has passed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use genie_core::clock::Timestamp;
use genie_core::identity::{Error, Key, KeyId, KeyRing, Keys, Query};
use genie_core::{Tenant, async_trait};
use tokio::time::Instant;

/// How long what was read is good for.
const KEPT: Duration = Duration::from_secs(1);
/// Most keys that are kept.
const KEYS_MAX: usize = 10_000;

/// Keys over a store.
pub(super) struct Remembered {
    keys: Arc<dyn KeyRing>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    read: HashMap<KeyId, (Key, Instant)>,
    /// Counts the changes: what was read before one is not kept after it.
    changes: u64,
}

impl Remembered {
    pub(super) fn over(keys: Arc<dyn KeyRing>) -> Self {
        Self { keys, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn get(&self, id: KeyId, now: Instant) -> Option<Key> {
        let (key, read_at) = self.read.get(&id)?;
        (now.duration_since(*read_at) < KEPT).then(|| key.clone())
    }

    fn put(&mut self, key: Key, read_at: Instant) {
        if self.read.len() >= KEYS_MAX {
            self.read.retain(|_, (_, at)| read_at.duration_since(*at) < KEPT);
        }
        if self.read.len() < KEYS_MAX {
            self.read.insert(key.id, (key, read_at));
        }
    }
}

#[async_trait]
impl Keys for Remembered {
    async fn put(&self, tenant: &Tenant, key: &Key) -> Result<(), Error> {
        self.keys.put(tenant, key).await
    }

    async fn list(&self, tenant: &Tenant, query: &Query) -> Result<Vec<Key>, Error> {
        self.keys.list(tenant, query).await
    }

    async fn revoke(
        &self,
        tenant: &Tenant,
        subject: Option<&str>,
        id: KeyId,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let revoked = self.keys.revoke(tenant, subject, id, at).await;
        let mut memory = self.memory();
        memory.changes += 1;
        memory.read.remove(&id);
        revoked
    }
}

#[async_trait]
impl KeyRing for Remembered {
    async fn claimed(&self, id: KeyId) -> Result<Option<Key>, Error> {
        let (known, changes, now) = {
            let (memory, now) = (self.memory(), Instant::now());
            (memory.get(id, now), memory.changes, now)
        };
        if known.is_some() {
            return Ok(known);
        }
        let found = self.keys.claimed(id).await?;
        let mut memory = self.memory();
        if let Some(key) = found.clone().filter(|_| memory.changes == changes) {
            memory.put(key, now);
        }
        Ok(found)
    }

    async fn has_admin(&self, now: Timestamp) -> Result<bool, Error> {
        self.keys.has_admin(now).await
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, StatusCode};
    use genie_core::identity::USER;

    use crate::desk::{Desk, Fate};

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_revoked_opens_nothing_at_once_here_and_soon_elsewhere() {
        let desk = Desk::new().await;
        let me = async |key: &str| desk.send(&Method::GET, "/v1/auth/me", Some(key), "").await;
        let (near, far) = (
            desk.key("acme", &[USER], Fate::Good).await,
            desk.key("acme", &[USER], Fate::Good).await,
        );
        let id = me(&near).await.body["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/auth/tokens/{id}");
        let gone = desk.send(&Method::DELETE, &path, Some(&near), "").await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        assert_eq!(me(&near).await.code(), "revoked_key");

        assert_eq!(me(&far).await.status, StatusCode::OK);
        desk.revoke_elsewhere(&far).await;
        tokio::time::advance(super::KEPT).await;
        assert_eq!(me(&far).await.code(), "revoked_key");
    }
}
