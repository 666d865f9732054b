//! The port for keys over either database.

use genie_core::clock::Timestamp;
use genie_core::identity::accounts::AccountId;
use genie_core::identity::{ADMIN, Error, Key, KeyId, KeyRing, Keys, Maker, Query, Quotas};
use genie_core::{Tenant, async_trait};
use uuid::Uuid;

use crate::pool::{Pools, on};
use crate::rows;

/// Keys in a database.
#[derive(Debug)]
pub(crate) struct StoredKeys {
    pub(crate) pools: Pools,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}

const KEY: &str = "id, name, identity, secret_sha256, created_by, created_at, expires_at, \
                   revoked_at, maker_key, maker_account, per_minute, per_day, budget_minor";

type KeyRow = (
    Vec<u8>,
    String,
    String,
    Vec<u8>,
    String,
    i64,
    Option<i64>,
    Option<i64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

fn key(row: KeyRow) -> Result<Key, Error> {
    let (id, name, identity, secret, created_by, created_at, expires_at, revoked_at, ..) = row;
    let quota = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
    let quotas = Quotas { per_minute: quota(row.10), per_day: quota(row.11) };
    let maker = match (row.8, row.9) {
        (Some(by), _) => Maker::Key(KeyId(Uuid::from_slice(&by).map_err(failed)?)),
        (None, Some(of)) => Maker::Account(AccountId(Uuid::from_slice(&of).map_err(failed)?)),
        (None, None) => Maker::Operator,
    };
    Ok(Key {
        maker,
        quotas,
        budget_minor: row.12.and_then(|minor| u64::try_from(minor).ok()),
        id: KeyId(Uuid::from_slice(&id).map_err(failed)?),
        name: name.into(),
        identity: serde_json::from_str(&identity).map_err(failed)?,
        secret_sha256: rows::hash(&secret).map_err(failed)?,
        created_by: created_by.into(),
        created_at: Timestamp::from_micros(created_at),
        expires_at: expires_at.map(Timestamp::from_micros),
        revoked_at: revoked_at.map(Timestamp::from_micros),
    })
}

#[async_trait]
impl Keys for StoredKeys {
    async fn put(&self, tenant: &Tenant, key: &Key) -> Result<(), Error> {
        key.check_tenant(tenant)?;
        let identity = serde_json::to_string(&key.identity).map_err(failed)?;
        let admin = i64::from(key.identity.roles.contains(ADMIN));
        let micros = |at: Option<Timestamp>| at.map(Timestamp::as_micros);
        let sql = "INSERT INTO api_keys \
                   (id, tenant, subject, name, identity, admin, secret_sha256, created_by, \
                   created_at, expires_at, revoked_at, maker_key, maker_account, per_minute, \
                   per_day, budget_minor) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
                   ON CONFLICT DO NOTHING";
        let (by, of) = match key.maker {
            Maker::Operator => (None, None),
            Maker::Key(id) => (Some(id.0.as_bytes().to_vec()), None),
            Maker::Account(id) => (None, Some(id.0.as_bytes().to_vec())),
        };
        on!(&self.pools.write, pool => {
            let query = sqlx::query(sql).bind(&key.id.0.as_bytes()[..]);
            let query = query.bind(&*key.identity.tenant).bind(&*key.identity.subject);
            let query = query.bind(&*key.name).bind(identity).bind(admin);
            let query = query.bind(&key.secret_sha256.0[..]).bind(&*key.created_by);
            let query = query.bind(key.created_at.as_micros());
            let query = query.bind(micros(key.expires_at)).bind(micros(key.revoked_at));
            let query = query.bind(by).bind(of);
            let query = query.bind(key.quotas.per_minute.map(i64::from));
            let query = query.bind(key.quotas.per_day.map(i64::from));
            let query = query.bind(key.budget_minor.map(u64::cast_signed));
            query.execute(pool).await.map(drop)
        })
        .map_err(failed)
    }

    async fn list(&self, tenant: &Tenant, query: &Query) -> Result<Vec<Key>, Error> {
        let sql = format!(
            "SELECT {KEY} FROM api_keys WHERE tenant = $1 AND ($2 IS NULL OR subject = $2) \
             AND ($3 IS NULL OR id < $3) ORDER BY id DESC LIMIT $4"
        );
        let before = query.before.map(|key| key.0.as_bytes().to_vec());
        let found: Vec<KeyRow> = on!(&self.pools.read, pool => {
            let statement = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(tenant.as_str());
            let statement = statement.bind(query.subject.as_deref()).bind(before);
            statement.bind(rows::number(query.limit as u64)).fetch_all(pool).await
        })
        .map_err(failed)?;
        found.into_iter().map(key).collect()
    }

    async fn revoke(
        &self,
        tenant: &Tenant,
        subject: Option<&str>,
        id: KeyId,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let sql = "UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND tenant = $3 \
                   AND ($4 IS NULL OR subject = $4) AND revoked_at IS NULL";
        let revoked = on!(&self.pools.write, pool => {
            let query = sqlx::query(sql).bind(at.as_micros()).bind(&id.0.as_bytes()[..]);
            let query = query.bind(tenant.as_str()).bind(subject);
            query.execute(pool).await.map(|done| done.rows_affected())
        });
        Ok(revoked.map_err(failed)? == 1)
    }
}

#[async_trait]
impl KeyRing for StoredKeys {
    async fn claimed(&self, id: KeyId) -> Result<Option<Key>, Error> {
        let sql = format!("SELECT {KEY} FROM api_keys WHERE id = $1");
        let found: Option<KeyRow> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
            query.bind(&id.0.as_bytes()[..]).fetch_optional(pool).await
        })
        .map_err(failed)?;
        found.map(key).transpose()
    }

    async fn has_admin(&self, now: Timestamp) -> Result<bool, Error> {
        let sql = "SELECT COUNT(*) FROM api_keys WHERE admin = 1 AND revoked_at IS NULL \
                   AND (expires_at IS NULL OR expires_at > $1)";
        let (admins,): (i64,) = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).bind(now.as_micros()).fetch_one(pool).await
        })
        .map_err(failed)?;
        Ok(admins > 0)
    }
}
