//! The subjects' keys under their key-encryption keys: what there is, and wrapping all anew.

use std::path::PathBuf;

use crate::erase::empty_log;
use crate::open::Opened;
use crate::pool::{Db, on};
use crate::sealing::cipher::Holder;
use crate::sealing::kek::{Kek, Keks, KeyError, KeySource};
use crate::sealing::{Error, rewrap};

/// Keys that are wrapped anew in one transaction.
const BATCH: i64 = 256;

/// How many keys of subjects a key-encryption key wraps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KekUse {
    /// The name of the key-encryption key.
    pub kek_id: String,
    /// How many keys.
    pub keys: u64,
    /// Whether new keys are wrapped with it.
    pub current: bool,
    /// Whether it is among the keys that this process was given.
    pub here: bool,
}

/// How the keys of a database stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatus {
    /// The key-encryption keys, by name.
    pub keks: Vec<KekUse>,
    /// How many keys were erased.
    pub erased: u64,
}

/// What came of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The key-encryption key that now wraps all.
    pub kek_id: String,
    /// How many keys were wrapped anew, this time.
    pub keys: u64,
}

/// Why the keys were not rotated to the end; what was done stays, and the same again goes on.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// Nothing is sealed.
    #[error("nothing is sealed here yet; run an agent first")]
    Nothing,
    /// Keys from a setting cannot be replaced by this program.
    #[error(
        "the key is given in the environment, where nothing can be changed from here; name the \
         file of the new one with `--to FILE`"
    )]
    Given,
    /// A key does not open.
    #[error("the key of `{subject}` in `{tenant}` does not open; run `genie audit verify`")]
    Broken {
        /// The tenant.
        tenant: String,
        /// The subject.
        subject: String,
    },
    /// The key that accounts are found by does not open.
    #[error("the key that accounts are found by does not open; restore it from a backup")]
    Lookup,
    /// The keys, or the database.
    #[error(transparent)]
    Sealing(#[from] Error),
}

impl From<sqlx::Error> for RotateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sealing(error.into())
    }
}

impl From<KeyError> for RotateError {
    fn from(error: KeyError) -> Self {
        Self::Sealing(error.into())
    }
}

type Wrapped = (i64, String, String, i64, String, Vec<u8>);

impl Opened {
    /// How the keys stand.
    ///
    /// # Errors
    /// The database, or a file of keys that cannot be read.
    pub async fn key_status(&self) -> Result<KeyStatus, Error> {
        let current = self.sealing().current().await?;
        let sql = "SELECT kek_id, COUNT(*) FROM subject_keys WHERE wrapped IS NOT NULL \
                   GROUP BY kek_id ORDER BY kek_id";
        let mut found: Vec<(String, i64)> =
            on!(&self.pools().read, pool => sqlx::query_as(sql).fetch_all(pool).await)?;
        if let Some(current) = &current
            && !found.iter().any(|(id, _)| id == current)
        {
            found.push((current.clone(), 0));
        }
        let sql = "SELECT COUNT(*) FROM subject_keys WHERE wrapped IS NULL";
        let (erased,): (i64,) =
            on!(&self.pools().read, pool => sqlx::query_as(sql).fetch_one(pool).await)?;
        let known = |id: &str| match self.sealing().kek(id) {
            Ok(_) => Ok(true),
            Err(Error::Locked { .. }) => Ok(false),
            Err(error) => Err(error),
        };
        let mut keks = Vec::new();
        for (kek_id, keys) in found {
            let (current, here) = (current.as_deref() == Some(&*kek_id), known(&kek_id)?);
            keks.push(KekUse { kek_id, keys: keys.cast_unsigned(), current, here });
        }
        Ok(KeyStatus { keks, erased: erased.cast_unsigned() })
    }

    /// Wraps every key anew: with the first key of the file `to`, which is made if it is not there,
    /// or with a new one in the file that this process was given. `progress` hears how many are
    /// done. Other processes go on meanwhile; interrupted, the same call goes on where it was.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn rotate(
        &self,
        to: Option<PathBuf>,
        mut progress: impl FnMut(u64),
    ) -> Result<Rotated, RotateError> {
        let before = self.sealing().current().await?.ok_or(RotateError::Nothing)?;
        // Without it, what is sealed cannot be wrapped anew.
        self.sealing().kek(&before)?;
        let (target, own) = match (to, self.sealing().source()) {
            (Some(path), _) => (KeySource::File(path).load_or_make()?, None),
            (None, Some(KeySource::File(path))) => {
                let keks = self.own_target(path, &before).await?;
                (keks, Some(path.clone()))
            }
            (None, _) => return Err(RotateError::Given),
        };
        let kek = target.current().ok_or(RotateError::Nothing)?.clone();
        let sql = "UPDATE sealing SET kek_id = $1 WHERE id = 1";
        on!(&self.pools().write, pool => {
            sqlx::query(sql).bind(kek.id()).execute(pool).await.map(drop)
        })?;
        if !self.sealing().rewrap_lookup(&target, &kek).await? {
            return Err(RotateError::Lookup);
        }
        let mut keys = 0;
        loop {
            let done = self.batch(&target, &kek).await?;
            if done == 0 {
                break;
            }
            keys += done;
            progress(keys);
        }
        if let Db::Sqlite(pool) = &self.pools().write {
            empty_log(pool).await?;
        }
        if let Some(path) = own {
            KeySource::end_rotation(&path, &kek)?;
        }
        Ok(Rotated { kek_id: kek.id().to_owned(), keys })
    }

    /// The keys of the own file, of which the first is the new one: that of a rotation that was
    /// interrupted, or one that is made.
    async fn own_target(&self, path: &std::path::Path, before: &str) -> Result<Keks, RotateError> {
        let source = KeySource::File(path.to_owned());
        let keks = source.load()?.ok_or(RotateError::Nothing)?;
        let first = keks.current().ok_or(RotateError::Nothing)?.id().to_owned();
        let sql = "SELECT (SELECT COUNT(*) FROM subject_keys \
                   WHERE wrapped IS NOT NULL AND kek_id <> $1) \
                   + (SELECT COUNT(*) FROM account_lookup WHERE kek_id <> $1)";
        let (others,): (i64,) = on!(&self.pools().write, pool => {
            sqlx::query_as(sql).bind(&first).fetch_one(pool).await
        })?;
        if first != before || others > 0 {
            return Ok(keks);
        }
        Ok(KeySource::begin_rotation(path, &keks)?)
    }

    /// Wraps some keys anew; gives how many, 0 if none is left. A key that is erased meanwhile
    /// stays so.
    async fn batch(&self, target: &Keks, kek: &Kek) -> Result<u64, RotateError> {
        let lock = match &self.pools().write {
            Db::Sqlite(_) => "",
            Db::Postgres(_) => " FOR UPDATE",
        };
        let select = format!(
            "SELECT id, tenant, subject, generation, kek_id, wrapped FROM subject_keys \
             WHERE wrapped IS NOT NULL AND kek_id <> $1 ORDER BY id LIMIT $2{lock}"
        );
        let update = "UPDATE subject_keys SET kek_id = $1, wrapped = $2 WHERE id = $3";
        let mut done = 0;
        on!(&self.pools().write, pool => {
            let mut transaction = pool.begin_with(self.pools().begin()).await?;
            let query = sqlx::query_as(sqlx::AssertSqlSafe(select)).bind(kek.id()).bind(BATCH);
            let found: Vec<Wrapped> = query.fetch_all(&mut *transaction).await?;
            for (id, tenant, subject, generation, from, wrapped) in found {
                let from = match target.get(&from) {
                    Some(from) => from.clone(),
                    None => self.sealing().kek(&from)?,
                };
                let holder = Holder { tenant, subject, generation };
                let anew = rewrap((&from, kek), &holder, &wrapped).map_err(Error::from)?;
                let Some(anew) = anew else {
                    let Holder { tenant, subject, .. } = holder;
                    return Err(RotateError::Broken { tenant, subject });
                };
                let query = sqlx::query(update).bind(kek.id()).bind(anew).bind(id);
                query.execute(&mut *transaction).await?;
                done += 1;
            }
            transaction.commit().await?;
        });
        Ok(done)
    }
}
