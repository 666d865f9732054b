//! The entrance: who comes in, and as whom. The one place of the edge that looks across tenants.
//!
//! Of which tenant somebody is, is known once their credential has proven it, so that what is
//! looked up before is of whatever tenant. None of it gets out of here but to whoever has shown a
//! key's secret, a signed token or a password; every handler behind has the tenant of its caller.

use std::sync::Arc;

use genie_core::Tenant;
use genie_core::clock::Timestamp;
use genie_core::identity::accounts::{Account, Accounts, PasswordHash, Session, SessionId};
use genie_core::identity::{Credential, Error, KeyId, KeyRing, Keys};
use genie_core::journal::chain::Hash;
use genie_core::limits::SESSIONS_PER_ACCOUNT_MAX;
use genie_core::principal::{Identity, Principal};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::auth::{Caller, Shown};
use crate::error::Problem;
use crate::newcomer::Newcomer;
use crate::password::{self, Passwords};
use crate::tokens::Claims;

mod lineage;
mod operator;
mod remembered;

pub(crate) use lineage::Lineage;
pub use operator::{first_admin, set_password};
use remembered::Remembered;

/// Seals an identity that was read from a verified credential.
pub type Admit = Arc<dyn Fn(Identity) -> Principal + Send + Sync>;

/// Who may come in.
pub struct Entrance {
    keys: Remembered,
    accounts: Arc<dyn Accounts>,
    admit: Admit,
    newcomers: Option<Identity>,
}

impl Entrance {
    /// Lets in whoever has a key of the ring or an account; `newcomers` are the tenant and rights
    /// of those who register, `None` if nobody may.
    #[must_use]
    pub fn new(
        keys: Arc<dyn KeyRing>,
        accounts: Arc<dyn Accounts>,
        admit: Admit,
        newcomers: Option<Identity>,
    ) -> Self {
        Self { keys: Remembered::over(keys), accounts, admit, newcomers }
    }

    /// The keys, of one tenant at a time.
    pub(crate) fn keys(&self) -> &dyn Keys {
        &self.keys
    }

    /// Whether a key was made with this id, which nobody but the edge has made up.
    pub(crate) async fn has_made(&self, id: KeyId) -> Result<bool, Error> {
        Ok(self.keys.claimed(id).await?.is_some())
    }

    /// Whether the store answers.
    pub(crate) async fn answers(&self, now: Timestamp) -> bool {
        self.keys.has_admin(now).await.is_ok()
    }

    /// Who shows this key.
    ///
    /// # Errors
    /// A key that is none, or is no longer good.
    pub(crate) async fn by_key(
        &self,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<Caller, Problem> {
        let key = self.keys.claimed(credential.id()).await?;
        // Compared also where there is nothing to compare with, so that neither takes longer.
        let kept = key.as_ref().map_or(Hash::ZERO, |key| key.secret_sha256);
        let is_right: bool = kept.0.ct_eq(&credential.secret_sha256().0).into();
        let Some(key) = key.filter(|_| is_right) else {
            return Err(Problem::unauthenticated("invalid_key", "there is no such key"));
        };
        if key.revoked_at.is_some() {
            return Err(Problem::unauthenticated("revoked_key", "the key was revoked"));
        }
        if !key.is_good(now) {
            return Err(Problem::unauthenticated("expired_key", "the key has expired"));
        }
        let lineage = Lineage::of(self, key).await?;
        let principal = (self.admit)(lineage.rights(now)?);
        Ok(Caller { principal, shown: Shown::Key(Arc::new(lineage)) })
    }

    /// Who shows the access token that says this.
    ///
    /// # Errors
    /// A session that is over.
    pub(crate) async fn by_token(
        &self,
        claims: &Claims,
        now: Timestamp,
    ) -> Result<Caller, Problem> {
        let (session, account) = self.session(claims, now).await?;
        let principal = (self.admit)(account.identity.clone());
        Ok(Caller { principal, shown: Shown::Session(Arc::new((session, account))) })
    }

    /// What somebody may do by now who has come in before.
    ///
    /// # Errors
    /// Nothing any more.
    pub(crate) async fn still(&self, caller: &Caller, now: Timestamp) -> Result<Identity, Problem> {
        match &caller.shown {
            Shown::Key(lineage) => {
                let key = self.keys.claimed(lineage.key().id).await?;
                let key = key.filter(|key| key.is_good(now)).ok_or_else(lineage::lapsed)?;
                Lineage::of(self, key).await?.rights(now)
            }
            Shown::Session(shown) => Ok(self.good(shown.0.id, now).await?.1.identity),
        }
    }

    /// The session that a signed token names, and whose it is.
    ///
    /// # Errors
    /// A session that is over.
    pub(crate) async fn session(
        &self,
        claims: &Claims,
        now: Timestamp,
    ) -> Result<(Session, Account), Problem> {
        let (session, account) = self.good(claims.sid, now).await?;
        if claims.sub != account.id {
            return Err(Problem::ended_session());
        }
        Ok((session, account))
    }

    async fn good(&self, id: SessionId, now: Timestamp) -> Result<(Session, Account), Problem> {
        let found = self.accounts.session(id).await?;
        let found = found.filter(|(session, account)| {
            session.is_good(now) && account.disabled_at.is_none() && session.account == account.id
        });
        found.ok_or_else(Problem::ended_session)
    }

    /// Counts a renewal of the session by the token that says this; `false` if it was used before.
    pub(crate) async fn renew(
        &self,
        (session, account): (&Session, &Account),
        claims: &Claims,
    ) -> Result<bool, Error> {
        if claims.generation != session.generation {
            return Ok(false);
        }
        let tenant = self.tenant(account);
        self.accounts.renew(&tenant, session.id, session.generation).await
    }

    /// Ends a session.
    pub(crate) async fn end(
        &self,
        (session, account): (&Session, &Account),
        now: Timestamp,
    ) -> Result<(), Error> {
        self.accounts.end(&self.tenant(account), session.id, now).await.map(drop)
    }

    /// The tenant of somebody whose password or token was checked.
    fn tenant(&self, account: &Account) -> Tenant {
        (self.admit)(account.identity.clone()).tenant().clone()
    }

    /// Forgets sessions that are over.
    pub(crate) async fn forget(&self, now: Timestamp) -> Result<(), Error> {
        self.accounts.forget(now).await
    }

    /// Whether anybody may make themselves an account.
    pub(crate) fn takes_newcomers(&self) -> bool {
        self.newcomers.is_some()
    }

    /// Makes an account with the tenant and rights of newcomers; `None` if its address is taken, or
    /// nobody may have one.
    pub(crate) async fn sign_up(
        &self,
        newcomer: &Newcomer,
        hash: PasswordHash,
        (id, now): (Uuid, Timestamp),
    ) -> Result<Option<Account>, Error> {
        let Some(rights) = self.newcomers.clone() else { return Ok(None) };
        let account = newcomer.account(hash, rights, (id, now));
        Ok(self.accounts.create(&account).await?.then_some(account))
    }

    /// The account with this address, if the password is that of its holder. It takes as long if
    /// there is none.
    pub(crate) async fn sign_in(
        &self,
        passwords: &Passwords,
        email: &str,
        password: Zeroizing<String>,
    ) -> Result<Option<Account>, Problem> {
        let found = self.accounts.claimed(email).await?;
        let found = found.filter(|account| account.disabled_at.is_none());
        // Longer than any password is: it is hashed all the same, cut off, against nothing.
        let fits = password.chars().count() <= password::LEN_MAX;
        let (password, hash) = match &found {
            Some(account) if fits => (password, Some(account.password.clone())),
            _ => (Zeroizing::new(password.chars().take(password::LEN_MAX).collect()), None),
        };
        let is_right = passwords.is_right(password, hash).await?;
        Ok(found.filter(|_| is_right))
    }

    /// Opens a session for whoever has just signed in.
    pub(crate) async fn open(&self, session: &Session, account: &Account) -> Result<(), Error> {
        self.accounts.open(&self.tenant(account), session, SESSIONS_PER_ACCOUNT_MAX).await
    }
}
