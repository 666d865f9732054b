//! The port for accounts: people who sign in with a password, and the sessions that they open.
//!
//! Of a password only a slow hash is kept, and of a session's tokens nothing at all: they are
//! signed, and carry the session's id and how often it was renewed. What a token may open is read
//! from the account each time, so that whoever is disabled or loses a role does so at once.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Error;
use crate::async_trait;
use crate::clock::Timestamp;
use crate::principal::Identity;
use crate::tenant::Tenant;

/// The id of an account; it is the subject of whoever signs in with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub Uuid);

/// The id of a session, and so of the family of its tokens; it is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl fmt::Display for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The slow hash of a password, as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub Arc<str>);

impl fmt::Debug for PasswordHash {
    /// Nothing of it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordHash")
    }
}

/// An account as it is kept. It has no JSON form: what callers are shown leaves the hash out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The e-mail address in lower case; no other account of the installation has it.
    pub email: Arc<str>,
    /// What its holder is called.
    pub name: Arc<str>,
    /// The hash of its password.
    pub password: PasswordHash,
    /// Whom it lets in.
    pub identity: Identity,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it lets nobody in, if so.
    pub disabled_at: Option<Timestamp>,
}

/// A session: what one sign-in has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub account: AccountId,
    /// How often its tokens were renewed: only the latest can renew them once more.
    pub generation: u64,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ends, renewed or not.
    pub expires_at: Timestamp,
    /// When it was ended before that, if it was.
    pub ended_at: Option<Timestamp>,
}

impl Session {
    /// Whether its tokens are worth anything at this moment.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }
}

/// Where accounts and sessions are kept.
///
/// Whoever lets people in holds this, and no handler of a request: of which tenant somebody is, is
/// known once their password or token has proven it, and every call after that takes the tenant.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Keeps a new account; `false` if its e-mail address is taken.
    async fn create(&self, account: &Account) -> Result<bool, Error>;

    /// The account that somebody claims to have, of whatever tenant: only the password proves it.
    async fn claimed(&self, email: &str) -> Result<Option<Account>, Error>;

    /// An account, by the id that a verified credential names.
    async fn account(&self, id: AccountId) -> Result<Option<Account>, Error>;

    /// Keeps name, password, rights and state of an account that is there, in this tenant; `false`
    /// if it is not. It may move to another tenant by that.
    async fn change(&self, tenant: &Tenant, account: &Account) -> Result<bool, Error>;

    /// Keeps a new session of an account of the tenant, and lets go of the account's oldest beyond
    /// `most`. Nothing is kept for another's.
    async fn open(&self, tenant: &Tenant, session: &Session, most: usize) -> Result<(), Error>;

    /// A session with its account, by the id that a signed token names.
    async fn session(&self, id: SessionId) -> Result<Option<(Session, Account)>, Error>;

    /// Counts a renewal by the token of this generation; `false` if another was quicker, if the
    /// session has been ended, or if it is not of the tenant.
    async fn renew(&self, tenant: &Tenant, id: SessionId, generation: u64) -> Result<bool, Error>;

    /// Ends a session; `false` if the tenant has none or it has been ended already.
    async fn end(&self, tenant: &Tenant, id: SessionId, at: Timestamp) -> Result<bool, Error>;

    /// Ends every session of an account of the tenant.
    async fn end_all(
        &self,
        tenant: &Tenant,
        account: AccountId,
        at: Timestamp,
    ) -> Result<(), Error>;

    /// Forgets sessions that ended by themselves before a moment.
    async fn forget(&self, before: Timestamp) -> Result<(), Error>;
}
