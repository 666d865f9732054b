//! The port for accounts and sessions over either database.

use genie_core::async_trait;
use genie_core::clock::Timestamp;
use genie_core::identity::Error;
use genie_core::identity::accounts::{
    Account, AccountId, Accounts, PasswordHash, Session, SessionId,
};
use uuid::Uuid;

use crate::pool::{Pools, on};
use crate::rows;

/// Accounts in a database.
#[derive(Debug)]
pub(crate) struct StoredAccounts {
    pub(crate) pools: Pools,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}

type AccountRow = (Vec<u8>, String, String, String, String, i64, Option<i64>);
type SessionRow = (Vec<u8>, Vec<u8>, i64, i64, i64, Option<i64>);

fn account(row: AccountRow) -> Result<Account, Error> {
    let (id, email, name, password, identity, created_at, disabled_at) = row;
    Ok(Account {
        id: AccountId(Uuid::from_slice(&id).map_err(failed)?),
        email: email.into(),
        name: name.into(),
        password: PasswordHash(password.into()),
        identity: serde_json::from_str(&identity).map_err(failed)?,
        created_at: Timestamp::from_micros(created_at),
        disabled_at: disabled_at.map(Timestamp::from_micros),
    })
}

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

const ACCOUNT: &str = "SELECT id, email, name, password, identity, created_at, disabled_at \
                       FROM accounts";

impl StoredAccounts {
    /// Runs a statement about an id and a number; whether it changed anything.
    async fn changed(&self, sql: &'static str, id: Uuid, number: i64) -> Result<bool, Error> {
        let changed = on!(&self.pools.write, pool => {
            let query = sqlx::query(sql).bind(&id.as_bytes()[..]).bind(number);
            query.execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(changed.map_err(failed)? > 0)
    }
}

#[async_trait]
impl Accounts for StoredAccounts {
    async fn create(&self, account: &Account) -> Result<bool, Error> {
        let identity = serde_json::to_string(&account.identity).map_err(failed)?;
        let sql = "INSERT INTO accounts \
                   (id, tenant, email, name, password, identity, created_at, disabled_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
        let created = on!(&self.pools.write, pool => {
            let query = sqlx::query(sql).bind(&account.id.0.as_bytes()[..]);
            let query = query.bind(&*account.identity.tenant).bind(&*account.email);
            let query = query.bind(&*account.name).bind(&*account.password.0).bind(identity);
            let query = query.bind(account.created_at.as_micros());
            let query = query.bind(account.disabled_at.map(Timestamp::as_micros));
            query.execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(created.map_err(failed)? == 1)
    }

    async fn claimed(&self, email: &str) -> Result<Option<Account>, Error> {
        let sql = format!("{ACCOUNT} WHERE email = $1");
        let found: Option<AccountRow> = on!(&self.pools.read, pool => {
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(email).fetch_optional(pool).await
        })
        .map_err(failed)?;
        found.map(account).transpose()
    }

    async fn account(&self, id: AccountId) -> Result<Option<Account>, Error> {
        let sql = format!("{ACCOUNT} WHERE id = $1");
        let found: Option<AccountRow> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
            query.bind(&id.0.as_bytes()[..]).fetch_optional(pool).await
        })
        .map_err(failed)?;
        found.map(account).transpose()
    }

    async fn change(&self, account: &Account) -> Result<bool, Error> {
        let identity = serde_json::to_string(&account.identity).map_err(failed)?;
        let sql = "UPDATE accounts SET tenant = $1, name = $2, password = $3, identity = $4, \
                   disabled_at = $5 WHERE id = $6";
        let changed = on!(&self.pools.write, pool => {
            let query = sqlx::query(sql).bind(&*account.identity.tenant).bind(&*account.name);
            let query = query.bind(&*account.password.0).bind(identity);
            let query = query.bind(account.disabled_at.map(Timestamp::as_micros));
            let query = query.bind(&account.id.0.as_bytes()[..]);
            query.execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(changed.map_err(failed)? == 1)
    }

    async fn open(&self, session: &Session, most: usize) -> Result<(), Error> {
        let insert = "INSERT INTO sessions \
                      (id, account, generation, created_at, expires_at, ended_at) \
                      VALUES ($1, $2, $3, $4, $5, $6)";
        on!(&self.pools.write, pool => {
            let query = sqlx::query(insert).bind(&session.id.0.as_bytes()[..]);
            let query = query.bind(&session.account.0.as_bytes()[..]);
            let query = query.bind(session.generation.cast_signed());
            let query = query.bind(session.created_at.as_micros());
            let query = query.bind(session.expires_at.as_micros());
            let query = query.bind(session.ended_at.map(Timestamp::as_micros));
            query.execute(pool).await.map(drop)
        })
        .map_err(failed)?;
        let oldest = "DELETE FROM sessions WHERE account = $1 AND id NOT IN \
                      (SELECT id FROM sessions WHERE account = $1 ORDER BY id DESC LIMIT $2)";
        self.changed(oldest, session.account.0, rows::number(most as u64)).await.map(drop)
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

    async fn renew(&self, id: SessionId, generation: u64) -> Result<bool, Error> {
        let sql = "UPDATE sessions SET generation = generation + 1 \
                   WHERE id = $1 AND generation = $2 AND ended_at IS NULL";
        self.changed(sql, id.0, generation.cast_signed()).await
    }

    async fn end(&self, id: SessionId, at: Timestamp) -> Result<bool, Error> {
        let sql = "UPDATE sessions SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL";
        self.changed(sql, id.0, at.as_micros()).await
    }

    async fn end_all(&self, account: AccountId, at: Timestamp) -> Result<(), Error> {
        let sql = "UPDATE sessions SET ended_at = $2 WHERE account = $1 AND ended_at IS NULL";
        self.changed(sql, account.0, at.as_micros()).await.map(drop)
    }

    async fn forget(&self, before: Timestamp) -> Result<(), Error> {
        let sql = "DELETE FROM sessions WHERE expires_at < $1";
        on!(&self.pools.write, pool => {
            sqlx::query(sql).bind(before.as_micros()).execute(pool).await.map(drop)
        })
        .map_err(failed)
    }
}
