//! Keys in memory, as long as the process lives.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{ADMIN, Error, Key, KeyId, KeyRing, Keys, Query};
use crate::async_trait;
use crate::clock::Timestamp;
use crate::tenant::Tenant;

/// Keys of one process.
#[derive(Debug, Default)]
pub struct MemoryKeys {
    kept: Mutex<Vec<Key>>,
}

impl MemoryKeys {
    fn kept(&self) -> MutexGuard<'_, Vec<Key>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Keys for MemoryKeys {
    async fn put(&self, tenant: &Tenant, key: &Key) -> Result<(), Error> {
        key.check_tenant(tenant)?;
        let mut kept = self.kept();
        if !kept.iter().any(|held| held.id == key.id) {
            kept.push(key.clone());
        }
        Ok(())
    }

    async fn list(&self, tenant: &Tenant, query: &Query) -> Result<Vec<Key>, Error> {
        let mut listed = self.kept().clone();
        listed.retain(|held| {
            held.identity.tenant == tenant.as_str()
                && query.subject.as_ref().is_none_or(|subject| held.identity.subject == *subject)
                && query.before.is_none_or(|before| held.id < before)
        });
        listed.sort_by_key(|held| std::cmp::Reverse(held.id));
        listed.truncate(query.limit);
        Ok(listed)
    }

    async fn revoke(
        &self,
        tenant: &Tenant,
        subject: Option<&str>,
        id: KeyId,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let mut kept = self.kept();
        let found = kept.iter_mut().find(|held| {
            held.id == id
                && held.identity.tenant == tenant.as_str()
                && subject.is_none_or(|subject| held.identity.subject == subject)
                && held.revoked_at.is_none()
        });
        Ok(found.map(|held| held.revoked_at = Some(at)).is_some())
    }
}

#[async_trait]
impl KeyRing for MemoryKeys {
    async fn claimed(&self, id: KeyId) -> Result<Option<Key>, Error> {
        Ok(self.kept().iter().find(|held| held.id == id).cloned())
    }

    async fn has_admin(&self, now: Timestamp) -> Result<bool, Error> {
        let mut kept = self.kept().clone().into_iter();
        Ok(kept.any(|held| held.identity.roles.contains(ADMIN) && held.is_good(now)))
    }
}
