//! The port for accounts and sessions over either database. Address and name of an account are
//! sealed for its subject; what it is found by then is in [`crate::sealing::lookup`].

use std::sync::Arc;

use genie_core::clock::Timestamp;
use genie_core::identity::Error;
use genie_core::identity::accounts::{
    Account, AccountId, Accounts, PasswordHash, Session, SessionId,
};
use genie_core::principal::Identity;
use genie_core::{Tenant, async_trait};
use uuid::Uuid;

use crate::pool::{Pools, on};
use crate::rows;
use crate::sealing::cipher::Place;
use crate::sealing::{Columns, Content, Sealing, live};

mod clear;

/// How often an account is sealed anew because its key was erased meanwhile.
const SEALED_MAX: u32 = 8;

/// Accounts in a database.
#[derive(Debug)]
pub(crate) struct StoredAccounts {
    pools: Pools,
    sealing: Arc<Sealing>,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}

/// An account as its row has it: id, what it is found by, name, password, identity, when it was
/// made and disabled, sealed text, key.
type AccountRow =
    (Vec<u8>, String, String, String, String, i64, Option<i64>, Option<Vec<u8>>, Option<i64>);
type SessionRow = (Vec<u8>, Vec<u8>, i64, i64, i64, Option<i64>);

fn session(row: SessionRow) -> Result<Session, Error> {
    let (id, account, generation, created_at, expires_at, ended_at) = row;
    Ok(Session {
        id: SessionId(Uuid::from_slice(&id).map_err(failed)?),
        account: AccountId(Uuid::from_slice(&account).map_err(failed)?),
        generation: generation.cast_unsigned(),
        created_at: Timestamp::from_micros(created_at),
        expires_at: Timestamp::from_micros(expires_at),
        ended_at: ended_at.map(Timestamp::from_micros),
    })
}

const ACCOUNT: &str = "SELECT id, found_by, name, password, identity, created_at, disabled_at, \
                       sealed, key_id FROM accounts";

/// The columns that hold address and name.
struct Written {
    found_by: String,
    name: String,
    sealed: Option<Vec<u8>>,
    key_id: Option<i64>,
}

/// What came of an attempt to write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tried {
    Done,
    /// The address is taken, or there is no such account.
    Refused,
    /// The key was erased meanwhile.
    Erased,
}

impl StoredAccounts {
    pub(crate) fn over(sealing: &Arc<Sealing>) -> Self {
        Self { pools: sealing.pools().clone(), sealing: sealing.clone() }
    }

    /// Runs a statement about an id of a tenant and a number; whether it changed anything.
    async fn changed(
        &self,
        sql: &'static str,
        (tenant, id): (&Tenant, Uuid),
        number: i64,
    ) -> Result<bool, Error> {
        let changed = on!(&self.pools.write, pool => {
            let query = sqlx::query(sql).bind(&id.as_bytes()[..]).bind(number);
            let query = query.bind(tenant.as_str());
            query.execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(changed.map_err(failed)? > 0)
    }

    /// The account; `None` if its subject was erased between the two queries.
    async fn opened(&self, row: AccountRow) -> Result<Option<Account>, Error> {
        let (id, found_by, name, password, identity, created_at, disabled_at, sealed, key_id) = row;
        let identity: Identity = serde_json::from_str(&identity).map_err(failed)?;
        let id = AccountId(Uuid::from_slice(&id).map_err(failed)?);
        let (email, name) = if sealed.is_none() && key_id.is_none() {
            (found_by, name)
        } else {
            let keys = self.sealing.find([key_id]).await.map_err(failed)?;
            let theirs = keys.holder(key_id).is_none_or(|holder| {
                (&holder.tenant, &holder.subject) == (&identity.tenant, &identity.subject)
            });
            if !theirs {
                return Err(broken(id, "is sealed for someone else"));
            }
            let columns = Columns { clear: name.as_bytes(), sealed: sealed.as_deref(), key_id };
            match keys.open(&columns, Place::Account { id: id.0.as_bytes() }) {
                Content::Text(text) => serde_json::from_slice(&text).map_err(failed)?,
                Content::Erased => return Ok(None),
                Content::Broken(problem) => return Err(broken(id, &problem)),
            }
        };
        Ok(Some(Account {
            id,
            email: email.into(),
            name: name.into(),
            password: PasswordHash(password.into()),
            identity,
            created_at: Timestamp::from_micros(created_at),
            disabled_at: disabled_at.map(Timestamp::from_micros),
        }))
    }

    /// Address and name as they are written: sealed for whoever signs in with them.
    async fn written(&self, account: &Account) -> Result<Written, Error> {
        if self.sealing.current().await.map_err(failed)?.is_none() {
            let (found_by, name) = (account.email.to_string(), account.name.to_string());
            return Ok(Written { found_by, name, sealed: None, key_id: None });
        }
        let Identity { tenant, subject, .. } = &account.identity;
        let sealer = self.sealing.sealer(tenant, subject).await.map_err(failed)?;
        let lookup = self.sealing.lookup_or_make().await.map_err(failed)?;
        let text = serde_json::to_vec(&(&*account.email, &*account.name)).map_err(failed)?;
        let place = Place::Account { id: account.id.0.as_bytes() };
        let sealed = sealer.cipher.seal(&sealer.holder, place, &text).map_err(failed)?;
        let found_by = lookup.of(&account.email);
        Ok(Written { found_by, name: String::new(), sealed: Some(sealed), key_id: Some(sealer.id) })
    }

    /// Puts it in, unless its address is there, sealed or in the clear.
    async fn insert(&self, account: &Account, written: &Written) -> Result<Tried, sqlx::Error> {
        let twin = "SELECT id FROM accounts WHERE found_by = $1";
        let sql = "INSERT INTO accounts (id, tenant, found_by, name, password, identity, \
                   created_at, disabled_at, sealed, key_id) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
        let identity = identity(account)?;
        let created = on!(&self.pools.write, pool => {
            let mut transaction = pool.begin_with(self.pools.begin()).await?;
            if let Some(key) = written.key_id {
                let found: Option<(i64,)> = sqlx::query_as(live(&self.pools)).bind(key)
                    .fetch_optional(&mut *transaction).await?;
                if found.is_none() {
                    return Ok(Tried::Erased);
                }
            }
            let query = sqlx::query_as(twin).bind(&*account.email);
            let twin: Option<(Vec<u8>,)> = query.fetch_optional(&mut *transaction).await?;
            if twin.is_some() {
                return Ok(Tried::Refused);
            }
            let query = sqlx::query(sql).bind(&account.id.0.as_bytes()[..]);
            let query = query.bind(&*account.identity.tenant).bind(&written.found_by);
            let query = query.bind(&written.name).bind(&*account.password.0).bind(identity);
            let query = query.bind(account.created_at.as_micros());
            let query = query.bind(account.disabled_at.map(Timestamp::as_micros));
            let query = query.bind(written.sealed.as_deref()).bind(written.key_id);
            let created = query.execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            created
        });
        Ok(if created == 1 { Tried::Done } else { Tried::Refused })
    }

    /// Puts what is written in the place of what there is.
    async fn update(
        &self,
        tenant: &Tenant,
        account: &Account,
        written: &Written,
    ) -> Result<Tried, sqlx::Error> {
        let sql = "UPDATE accounts SET tenant = $1, found_by = $2, name = $3, password = $4, \
                   identity = $5, disabled_at = $6, sealed = $7, key_id = $8 \
                   WHERE id = $9 AND tenant = $10";
        let identity = identity(account)?;
        let changed = on!(&self.pools.write, pool => {
            let mut transaction = pool.begin_with(self.pools.begin()).await?;
            if let Some(key) = written.key_id {
                let found: Option<(i64,)> = sqlx::query_as(live(&self.pools)).bind(key)
                    .fetch_optional(&mut *transaction).await?;
                if found.is_none() {
                    return Ok(Tried::Erased);
                }
            }
            let query = sqlx::query(sql).bind(&*account.identity.tenant).bind(&written.found_by);
            let query = query.bind(&written.name).bind(&*account.password.0).bind(identity);
            let query = query.bind(account.disabled_at.map(Timestamp::as_micros));
            let query = query.bind(written.sealed.as_deref()).bind(written.key_id);
            let query = query.bind(&account.id.0.as_bytes()[..]).bind(tenant.as_str());
            let changed = query.execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            changed
        });
        Ok(if changed == 1 { Tried::Done } else { Tried::Refused })
    }

    /// The row that is found by one of these.
    async fn found(&self, by: &[&str; 2]) -> Result<Option<AccountRow>, Error> {
        let sql = format!("{ACCOUNT} WHERE found_by = $1 OR found_by = $2");
        on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(by[0]).bind(by[1]);
            query.fetch_optional(pool).await
        })
        .map_err(failed)
    }
}

fn identity(account: &Account) -> Result<String, sqlx::Error> {
    serde_json::to_string(&account.identity).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn broken(id: AccountId, problem: &str) -> Error {
    failed(format!("the account `{id}` {problem}; restore it from a backup"))
}

fn over_and_over(account: &Account) -> Error {
    failed(format!("the key of `{}` is erased over and over", account.identity.subject))
}

#[async_trait]
impl Accounts for StoredAccounts {
    async fn create(&self, account: &Account) -> Result<bool, Error> {
        for _ in 0..SEALED_MAX {
            let written = self.written(account).await?;
            match self.insert(account, &written).await.map_err(failed)? {
                Tried::Done => return Ok(true),
                Tried::Refused => return Ok(false),
                Tried::Erased => {}
            }
        }
        Err(over_and_over(account))
    }

    async fn claimed(&self, email: &str) -> Result<Option<Account>, Error> {
        // What a sealed account is found by has no `@`, and is nobody's address.
        if !email.contains('@') {
            return Ok(None);
        }
        let lookup = self.sealing.lookup().await.map_err(failed)?;
        let sealed = lookup.map(|lookup| lookup.of(email));
        let Some(row) = self.found(&[email, sealed.as_deref().unwrap_or(email)]).await? else {
            return Ok(None);
        };
        let account = self.opened(row).await?;
        if let Some(other) = account.as_ref().filter(|account| *account.email != *email) {
            return Err(broken(other.id, "is found by an address that is not its own"));
        }
        Ok(account)
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>, Error> {
        let sql = format!("{ACCOUNT} WHERE id = $1");
        let found: Option<AccountRow> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
            query.bind(&id.0.as_bytes()[..]).fetch_optional(pool).await
        })
        .map_err(failed)?;
        match found {
            Some(row) => self.opened(row).await,
            None => Ok(None),
        }
    }

    async fn change(&self, tenant: &Tenant, account: &Account) -> Result<bool, Error> {
        for _ in 0..SEALED_MAX {
            let held = self.account(account.id).await?;
            let held = held.filter(|held| held.identity.tenant == tenant.as_str());
            let Some(held) = held else { return Ok(false) };
            // The address stays.
            let account = Account { email: held.email, ..account.clone() };
            let written = self.written(&account).await?;
            match self.update(tenant, &account, &written).await.map_err(failed)? {
                Tried::Done => return Ok(true),
                Tried::Refused => return Ok(false),
                Tried::Erased => {}
            }
        }
        Err(over_and_over(account))
    }

    async fn open(&self, tenant: &Tenant, session: &Session, most: usize) -> Result<(), Error> {
        let insert = "INSERT INTO sessions \
                      (id, account, generation, created_at, expires_at, ended_at) \
                      SELECT $1, $2, $3, $4, $5, $6 \
                      WHERE EXISTS (SELECT 1 FROM accounts WHERE id = $2 AND tenant = $7)";
        on!(&self.pools.write, pool => {
            let query = sqlx::query(insert).bind(&session.id.0.as_bytes()[..]);
            let query = query.bind(&session.account.0.as_bytes()[..]);
            let query = query.bind(session.generation.cast_signed());
            let query = query.bind(session.created_at.as_micros());
            let query = query.bind(session.expires_at.as_micros());
            let query = query.bind(session.ended_at.map(Timestamp::as_micros));
            let query = query.bind(tenant.as_str());
            query.execute(pool).await.map(drop)
        })
        .map_err(failed)?;
        let oldest = "DELETE FROM sessions WHERE account = $1 AND id NOT IN \
                      (SELECT id FROM sessions WHERE account = $1 ORDER BY id DESC LIMIT $2) \
                      AND account IN (SELECT id FROM accounts WHERE tenant = $3)";
        let of = (tenant, session.account.0);
        self.changed(oldest, of, rows::number(most as u64)).await.map(drop)
    }

    async fn session(&self, id: SessionId) -> Result<Option<(Session, Account)>, Error> {
        let sql = "SELECT id, account, generation, created_at, expires_at, ended_at \
                   FROM sessions WHERE id = $1";
        let found: Option<SessionRow> = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).bind(&id.0.as_bytes()[..]).fetch_optional(pool).await
        })
        .map_err(failed)?;
        let Some(session) = found.map(session).transpose()? else { return Ok(None) };
        Ok(self.account(session.account).await?.map(|account| (session, account)))
    }

    async fn renew(&self, tenant: &Tenant, id: SessionId, generation: u64) -> Result<bool, Error> {
        let sql = "UPDATE sessions SET generation = generation + 1 \
                   WHERE id = $1 AND generation = $2 AND ended_at IS NULL \
                   AND account IN (SELECT id FROM accounts WHERE tenant = $3)";
        self.changed(sql, (tenant, id.0), generation.cast_signed()).await
    }

    async fn end(&self, tenant: &Tenant, id: SessionId, at: Timestamp) -> Result<bool, Error> {
        let sql = "UPDATE sessions SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL \
                   AND account IN (SELECT id FROM accounts WHERE tenant = $3)";
        self.changed(sql, (tenant, id.0), at.as_micros()).await
    }

    async fn end_all(
        &self,
        tenant: &Tenant,
        account: AccountId,
        at: Timestamp,
    ) -> Result<(), Error> {
        let sql = "UPDATE sessions SET ended_at = $2 WHERE account = $1 AND ended_at IS NULL \
                   AND account IN (SELECT id FROM accounts WHERE tenant = $3)";
        self.changed(sql, (tenant, account.0), at.as_micros()).await.map(drop)
    }

    async fn forget(&self, before: Timestamp) -> Result<(), Error> {
        let sql = "DELETE FROM sessions WHERE expires_at < $1";
        on!(&self.pools.write, pool => {
            sqlx::query(sql).bind(before.as_micros()).execute(pool).await.map(drop)
        })
        .map_err(failed)
    }
}
