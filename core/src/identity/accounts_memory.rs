//! Accounts and sessions in memory, as long as the process lives.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Error;
use super::accounts::{Account, AccountId, Accounts, Session, SessionId};
use crate::async_trait;
use crate::clock::Timestamp;
use crate::tenant::Tenant;

#[derive(Debug, Default)]
struct Kept {
    accounts: Vec<Account>,
    sessions: Vec<Session>,
}

impl Kept {
    fn has(&self, tenant: &Tenant, id: AccountId) -> bool {
        let is_of = |held: &Account| held.identity.tenant == tenant.as_str();
        self.accounts.iter().any(|held| held.id == id && is_of(held))
    }

    fn session(&mut self, tenant: &Tenant, id: SessionId) -> Option<&mut Session> {
        let of = self.sessions.iter().find(|session| session.id == id)?.account;
        let ours = self.has(tenant, of);
        let mut open = self.sessions.iter_mut().filter(|session| session.ended_at.is_none());
        open.find(|session| ours && session.id == id)
    }
}

/// Accounts of one process.
#[derive(Debug, Default)]
pub struct MemoryAccounts {
    kept: Mutex<Kept>,
}

impl MemoryAccounts {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, wanted: impl Fn(&Account) -> bool) -> Option<Account> {
        self.kept().accounts.iter().find(|account| wanted(account)).cloned()
    }
}

#[async_trait]
impl Accounts for MemoryAccounts {
    async fn create(&self, account: &Account) -> Result<bool, Error> {
        let mut kept = self.kept();
        let is_new = !kept.accounts.iter().any(|held| held.email == account.email);
        if is_new {
            kept.accounts.push(account.clone());
        }
        Ok(is_new)
    }

    async fn claimed(&self, email: &str) -> Result<Option<Account>, Error> {
        Ok(self.find(|account| *account.email == *email))
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>, Error> {
        Ok(self.find(|account| account.id == id))
    }

    async fn change(&self, tenant: &Tenant, account: &Account) -> Result<bool, Error> {
        let mut kept = self.kept();
        if !kept.has(tenant, account.id) {
            return Ok(false);
        }
        let held = kept.accounts.iter_mut().find(|held| held.id == account.id);
        let Some(held) = held else { return Ok(false) };
        let (email, created_at) = (held.email.clone(), held.created_at);
        *held = Account { email, created_at, ..account.clone() };
        Ok(true)
    }

    async fn open(&self, tenant: &Tenant, session: &Session, most: usize) -> Result<(), Error> {
        let mut kept = self.kept();
        if !kept.has(tenant, session.account) {
            return Ok(());
        }
        kept.sessions.push(*session);
        let of_account = kept.sessions.iter().filter(|held| held.account == session.account);
        let mut ids: Vec<SessionId> = of_account.map(|held| held.id).collect();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        let gone = ids.get(most..).unwrap_or_default();
        kept.sessions.retain(|held| !gone.contains(&held.id));
        Ok(())
    }

    async fn session(&self, id: SessionId) -> Result<Option<(Session, Account)>, Error> {
        let kept = self.kept();
        let session = kept.sessions.iter().find(|session| session.id == id);
        let both = session.and_then(|session| {
            let account = kept.accounts.iter().find(|account| account.id == session.account);
            Some((*session, account?.clone()))
        });
        Ok(both)
    }

    async fn renew(&self, tenant: &Tenant, id: SessionId, generation: u64) -> Result<bool, Error> {
        let mut kept = self.kept();
        let found = kept.session(tenant, id).filter(|session| session.generation == generation);
        Ok(found.map(|session| session.generation += 1).is_some())
    }

    async fn end(&self, tenant: &Tenant, id: SessionId, at: Timestamp) -> Result<bool, Error> {
        Ok(self.kept().session(tenant, id).map(|session| session.ended_at = Some(at)).is_some())
    }

    async fn end_all(
        &self,
        tenant: &Tenant,
        account: AccountId,
        at: Timestamp,
    ) -> Result<(), Error> {
        let mut kept = self.kept();
        let ours = kept.has(tenant, account);
        let of_account =
            kept.sessions.iter_mut().filter(|session| ours && session.account == account);
        for session in of_account.filter(|session| session.ended_at.is_none()) {
            session.ended_at = Some(at);
        }
        Ok(())
    }

    async fn forget(&self, before: Timestamp) -> Result<(), Error> {
        self.kept().sessions.retain(|session| session.expires_at >= before);
        Ok(())
    }
}
