//! Accounts from before there was sealing: sealed once a process opens the database to run agents.

use uuid::Uuid;

use super::{Account, AccountId, Accounts as _, Error, StoredAccounts, failed};
use crate::erase::empty_log;
use crate::pool::{Db, on};
use crate::sealing::live;

/// Accounts that are read at once.
const PAGE: i64 = 256;

impl StoredAccounts {
    /// Seals the accounts that are in the clear, if anything is sealed here.
    ///
    /// # Errors
    /// The database, or the keys.
    pub(crate) async fn seal_clear(&self) -> Result<(), Error> {
        if self.sealing.current().await.map_err(failed)?.is_none() {
            return Ok(());
        }
        let mut after = Vec::new();
        let mut sealed = 0;
        loop {
            let sql = "SELECT id FROM accounts WHERE key_id IS NULL AND id > $1 \
                       ORDER BY id LIMIT $2";
            let page: Vec<(Vec<u8>,)> = on!(&self.pools.write, pool => {
                sqlx::query_as(sql).bind(&after).bind(PAGE).fetch_all(pool).await
            })
            .map_err(failed)?;
            let Some((last,)) = page.last() else { break };
            after.clone_from(last);
            for (id,) in page {
                let id = AccountId(Uuid::from_slice(&id).map_err(failed)?);
                if let Some(account) = self.account(id).await? {
                    sealed += u64::from(self.seal_one(&account).await.map_err(failed)?);
                }
            }
        }
        if sealed > 0 {
            tracing::info!(sealed, "accounts were in the clear");
            if let Db::Sqlite(pool) = &self.pools.write
                && !empty_log(pool).await.map_err(failed)?
            {
                tracing::warn!("the log beside the database may still hold their addresses");
            }
        }
        Ok(())
    }

    /// Seals one; `false` if somebody has changed it meanwhile, and so has sealed it.
    async fn seal_one(&self, account: &Account) -> Result<bool, sqlx::Error> {
        let written = self.written(account).await;
        let written = written.map_err(|error| sqlx::Error::Encode(error.into()))?;
        let sql = "UPDATE accounts SET found_by = $1, name = $2, sealed = $3, key_id = $4 \
                   WHERE id = $5 AND key_id IS NULL AND tenant = $6 AND name = $7";
        on!(&self.pools.write, pool => {
            let mut transaction = pool.begin_with(self.pools.begin()).await?;
            let query = sqlx::query_as(live(&self.pools)).bind(written.key_id);
            let found: Option<(i64,)> = query.fetch_optional(&mut *transaction).await?;
            if found.is_none() {
                return Ok(false);
            }
            let query = sqlx::query(sql).bind(&written.found_by).bind(&written.name);
            let query = query.bind(written.sealed.as_deref()).bind(written.key_id);
            let query = query.bind(&account.id.0.as_bytes()[..]);
            let query = query.bind(&*account.identity.tenant).bind(&*account.name);
            let changed = query.execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            Ok(changed == 1)
        })
    }
}
