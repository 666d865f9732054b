//! The port for keys: who may come in, as whom, until when; and what a key looks like.
//!
//! A key is shown once, when it is made. What is kept is the SHA-256 of its secret, so that whoever
//! reads the store can ask for nothing. Comparing a secret with what is kept is the edge's part.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::async_trait;
use crate::clock::Timestamp;
use crate::ids::Ids;
use crate::journal::chain::Hash;
use crate::principal::Identity;
use crate::tenant::Tenant;

pub mod accounts;
mod accounts_memory;
mod memory;

use accounts::AccountId;
pub use accounts_memory::MemoryAccounts;
pub use memory::MemoryKeys;

/// The role that makes keys and sees everything of its tenant.
pub const ADMIN: &str = "admin";
/// The role that decides on what waits.
pub const APPROVER: &str = "approver";
/// The role that sees every run of its tenant and changes nothing.
pub const AUDITOR: &str = "auditor";
/// The role that asks.
pub const USER: &str = "user";

/// What every key begins with, so that one that leaks is recognised.
const PREFIX: &str = "gk_";
/// Domain separation: no other SHA-256 of this program starts with these bytes.
const SECRET_DOMAIN: &[u8] = b"genie/api-key/v1\n";
/// Bytes of a key's id.
const ID_BYTES: usize = 16;
/// Bytes of a key's secret.
const SECRET_BYTES: usize = 32;

/// The id of a key; it is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub Uuid);

impl std::fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A key as its bearer shows it: `gk_` and 64 characters of base64url, the id and then the secret.
pub struct Credential {
    id: KeyId,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl std::fmt::Debug for Credential {
    /// Without the secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credential").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Credential {
    /// A fresh key with 256 random bits.
    #[must_use]
    pub fn make(ids: &dyn Ids, now: Timestamp) -> Self {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        for part in secret.chunks_exact_mut(8) {
            part.copy_from_slice(&ids.random().to_be_bytes());
        }
        Self { id: KeyId(ids.uuid(now)), secret }
    }

    /// Reads a key; `None` if it does not look like one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; ID_BYTES + SECRET_BYTES]);
        let encoded = text.strip_prefix(PREFIX)?;
        if encoded.len() != bytes.len() / 3 * 4 {
            return None;
        }
        URL_SAFE_NO_PAD.decode_slice(encoded, &mut *bytes).ok()?;
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        secret.copy_from_slice(&bytes[ID_BYTES..]);
        Some(Self { id: KeyId(Uuid::from_slice(&bytes[..ID_BYTES]).ok()?), secret })
    }

    /// The text that is shown once.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; ID_BYTES + SECRET_BYTES]);
        bytes[..ID_BYTES].copy_from_slice(self.id.0.as_bytes());
        bytes[ID_BYTES..].copy_from_slice(&*self.secret);
        Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_slice())))
    }

    /// Which key this claims to be.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// `SHA-256("genie/api-key/v1\n" ‖ secret)`. The secret has 256 random bits, so that a slow
    /// hash would add nothing.
    #[must_use]
    pub fn secret_sha256(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(SECRET_DOMAIN);
        hasher.update(self.secret.as_slice());
        Hash(hasher.finalize().into())
    }
}

/// What a key was made with. A key is never worth more than that is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Access to the database itself.
    Operator,
    /// Another key.
    Key(KeyId),
    /// A session of an account.
    Account(AccountId),
}

/// How often a key may be shown, if that is not left to the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quotas {
    /// Most requests in a minute.
    pub per_minute: Option<u32>,
    /// Most requests in a day, from midnight to midnight UTC.
    pub per_day: Option<u32>,
}

/// A key as it is kept. It has no JSON form: what callers are shown leaves the hash out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// What its maker calls it.
    pub name: Arc<str>,
    /// Whom it lets in.
    pub identity: Identity,
    /// The hash of its secret.
    pub secret_sha256: Hash,
    /// The subject that made it.
    pub created_by: Arc<str>,
    /// What it was made with.
    pub maker: Maker,
    /// How often it may be shown; keys that were made with it count, too.
    pub quotas: Quotas,
    /// What it may spend, in minor units; keys that were made with it spend it, too.
    pub budget_minor: Option<u64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl Key {
    /// Refuses to be kept among the keys of a tenant into which it lets nobody.
    ///
    /// # Errors
    /// It is of another tenant.
    pub fn check_tenant(&self, tenant: &Tenant) -> Result<(), Error> {
        let own = &self.identity.tenant;
        if own == tenant.as_str() {
            return Ok(());
        }
        Err(Error(format!("the key lets its bearer into `{own}`, not into `{tenant}`")))
    }

    /// Whether it lets its bearer in at this moment.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Why keys could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the key store failed: {0}")]
pub struct Error(pub String);

/// Which keys to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Only those of this subject.
    pub subject: Option<String>,
    /// Only those made before this one.
    pub before: Option<KeyId>,
    /// At most so many.
    pub limit: usize,
}

/// Where a tenant's keys are kept.
#[async_trait]
pub trait Keys: Send + Sync + 'static {
    /// Keeps a new key of this tenant. One with the same id stays as it is.
    ///
    /// # Errors
    /// A key that lets somebody into another tenant, for one.
    async fn put(&self, tenant: &Tenant, key: &Key) -> Result<(), Error>;

    /// The tenant's keys, newest first.
    async fn list(&self, tenant: &Tenant, query: &Query) -> Result<Vec<Key>, Error>;

    /// Revokes a key, only of this subject if one is given. `false` if there is no such key in the
    /// tenant or it is revoked already.
    async fn revoke(
        &self,
        tenant: &Tenant,
        subject: Option<&str>,
        id: KeyId,
        at: Timestamp,
    ) -> Result<bool, Error>;
}

/// The keys of all tenants: for whoever lets people in, before it is known of which tenant they
/// are, and for the operator. No handler of a request holds this.
#[async_trait]
pub trait KeyRing: Keys {
    /// The key that a bearer claims to have, of whatever tenant: only the secret proves it, and
    /// only then is the tenant known.
    async fn claimed(&self, id: KeyId) -> Result<Option<Key>, Error>;

    /// Whether some tenant has an administrator's key that is good at this moment.
    async fn has_admin(&self, now: Timestamp) -> Result<bool, Error>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SeededIds;

    #[test]
    fn a_key_reads_back_and_nothing_else_does() {
        let made = Credential::make(&SeededIds::new(7), Timestamp::from_micros(1));
        let text = made.text();
        assert_eq!(text.len(), 67);
        let read = Credential::parse(&text).unwrap();
        assert_eq!((read.id(), read.secret_sha256()), (made.id(), made.secret_sha256()));
        for wrong in [&text[1..], &text[..66], "", "gk_", &format!("{}!", &text[..66])] {
            assert!(Credential::parse(wrong).is_none(), "{wrong}");
        }
        assert!(Credential::parse(&format!("{}a", *text)).is_none());
    }

    #[test]
    fn what_is_logged_of_a_key_is_no_secret() {
        let made = Credential::make(&SeededIds::new(7), Timestamp::from_micros(1));
        let shown = format!("{made:?}");
        assert!(shown.contains(&made.id().to_string()), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
