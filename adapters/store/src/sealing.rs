//! Personal data sealed per subject.
//!
//! Each subject of a tenant has a random key, which the database keeps wrapped with a
//! key-encryption key that it does not have ([`kek`]). With it are sealed ([`cipher`]) the texts of
//! records, content, approvals and accounts, when they are written ([`group`]); erasing destroys
//! the key ([`erase`](crate::erase)), and [`rotate`](crate::rotate) wraps all keys anew.
//!
//! Whoever reads asks the database for the keys each time, so that an erasure by another process
//! counts at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use genie_core::journal::chain::Hash;
use genie_core::journal::restore::Kept;

use crate::pool::{Db, Pools, on};
use crate::rows;

pub(crate) mod cipher;
pub(crate) mod group;
pub(crate) mod kek;
pub(crate) mod lookup;

use cipher::{Cipher, Failed, Holder, KEY_BYTES, Place, random};
use kek::{Kek, Keks, KeyError, KeySource};
use lookup::Lookup;

/// Why something cannot be sealed or opened, although nothing is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The key-encryption key is not here.
    #[error(
        "the personal data is sealed with the key `{needs}`, and {have}; name the file of the \
         right key with `--sealing-key FILE` or `sealing_key`"
    )]
    Locked {
        /// The key that is needed.
        needs: String,
        /// The keys that are there, in a clause.
        have: String,
    },
    /// The keys cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The cipher.
    #[error("{0}")]
    Cipher(String),
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        Self::Cipher(failed.to_string())
    }
}

/// A subject's key as the database has it.
#[derive(Debug)]
pub(crate) enum Key {
    Live(Arc<Cipher>),
    /// It was erased, and the database says so.
    Erased,
    /// It is not as it was written: why, in a clause.
    Broken(String),
}

/// The keys of some rows.
#[derive(Debug, Default)]
pub(crate) struct Found(HashMap<i64, (Holder, Key)>);

/// The columns of what may be sealed: its text in the clear, sealed, and by which key.
#[derive(Debug)]
pub(crate) struct Columns<'a> {
    pub(crate) clear: &'a [u8],
    pub(crate) sealed: Option<&'a [u8]>,
    pub(crate) key_id: Option<i64>,
}

/// What comes of opening it.
#[derive(Debug)]
pub(crate) enum Content {
    Text(Vec<u8>),
    Erased,
    /// It is not as it was written: why, in a clause.
    Broken(String),
}

impl Found {
    /// Whose a row is, if it is sealed.
    pub(crate) fn holder(&self, key_id: Option<i64>) -> Option<&Holder> {
        self.0.get(&key_id?).map(|(holder, _)| holder)
    }

    /// What a row holds.
    pub(crate) fn open(&self, columns: &Columns<'_>, place: Place<'_>) -> Content {
        let Columns { clear, sealed, key_id } = columns;
        let Some(key_id) = key_id else {
            return match sealed {
                None => Content::Text(clear.to_vec()),
                Some(_) => Content::Broken("is sealed and names no key".to_owned()),
            };
        };
        let Some((holder, key)) = self.0.get(key_id) else {
            return Content::Broken(format!("names the key {key_id}, which is not there"));
        };
        if !clear.is_empty() {
            return Content::Broken("is sealed and has a text in the clear beside it".to_owned());
        }
        match (key, sealed) {
            (Key::Live(cipher), Some(sealed)) => match cipher.open(holder, place, sealed) {
                Some(text) => Content::Text(text.to_vec()),
                None => Content::Broken(
                    "does not open: what is sealed was changed, or belongs elsewhere".to_owned(),
                ),
            },
            (Key::Live(_), None) => {
                Content::Broken("is gone, and no erasure of it is on record".to_owned())
            }
            (Key::Erased, _) => Content::Erased,
            (Key::Broken(problem), _) => Content::Broken(problem.clone()),
        }
    }
}

/// The columns beside the text of a record, as the database has them.
#[derive(Debug)]
pub(crate) struct Beside<'a> {
    pub(crate) place: (i64, i64),
    pub(crate) run_id: &'a [u8],
    pub(crate) kind: Option<&'a str>,
    pub(crate) body_sha256: Hash,
}

impl Found {
    /// The text of a record that is sealed or erased, or what has become of it.
    pub(crate) fn record(
        &self,
        (sealed, key_id): (Option<&[u8]>, Option<i64>),
        beside: &Beside<'_>,
    ) -> Kept {
        let (chain, seq) = beside.place;
        let place = Place::Record { chain, seq, run: beside.run_id };
        let Some(key_id) = key_id else {
            return Kept::Broken("is sealed and names no key".to_owned());
        };
        match self.open(&Columns { clear: &[], sealed, key_id: Some(key_id) }, place) {
            Content::Text(text) => {
                if beside.body_sha256 != Hash::of(&text) {
                    return Kept::Broken(
                        "has another hash beside it than its content gives".to_owned(),
                    );
                }
                String::from_utf8(text)
                    .map_or_else(|_| Kept::Broken("is not UTF-8 text".to_owned()), Kept::Text)
            }
            Content::Erased => match (rows::run_id(beside.run_id), beside.kind) {
                (Ok(run_id), Some(kind)) => {
                    Kept::Erased { run_id, kind: kind.into(), body_sha256: beside.body_sha256 }
                }
                _ => Kept::Broken("is erased and has no run or type beside it".to_owned()),
            },
            Content::Broken(problem) => Kept::Broken(problem),
        }
    }
}

/// A subject's key to seal with.
#[derive(Debug, Clone)]
pub(crate) struct Sealer {
    pub(crate) id: i64,
    pub(crate) holder: Arc<Holder>,
    pub(crate) cipher: Arc<Cipher>,
}

/// The keys of one database.
#[derive(Debug)]
pub(crate) struct Sealing {
    pools: Pools,
    source: Option<KeySource>,
    /// Read once, and again when the database names one that is not among them.
    keks: Mutex<Option<Keks>>,
    /// Stays what it is as long as the database is there.
    lookup: OnceLock<Lookup>,
}

type KeyRow = (i64, String, String, i64, String, Option<Vec<u8>>, Option<i64>);

const KEY: &str = "SELECT id, tenant, subject, generation, kek_id, wrapped, erased_at \
                   FROM subject_keys";

impl Sealing {
    pub(crate) fn new(pools: Pools, source: Option<KeySource>) -> Self {
        Self { pools, source, keks: Mutex::default(), lookup: OnceLock::new() }
    }

    pub(crate) fn source(&self) -> Option<&KeySource> {
        self.source.as_ref()
    }

    pub(crate) fn pools(&self) -> &Pools {
        &self.pools
    }

    fn held(&self, id: &str) -> Option<Kek> {
        let keks = self.keks.lock().unwrap_or_else(PoisonError::into_inner);
        keks.as_ref()?.get(id).cloned()
    }

    /// The key-encryption key of this name; the file is read again if it is not known.
    pub(crate) fn kek(&self, id: &str) -> Result<Kek, Error> {
        if let Some(kek) = self.held(id) {
            return Ok(kek);
        }
        let loaded = self.source.as_ref().map(KeySource::load).transpose()?.flatten();
        self.know(loaded.clone());
        let have = match (&self.source, &loaded) {
            (Some(source), Some(keks)) => format!("{source} holds {}", keks.ids()),
            (Some(source), None) => format!("there is no file {source}"),
            (None, _) => "no key is given".to_owned(),
        };
        self.held(id).ok_or_else(|| Error::Locked { needs: id.to_owned(), have })
    }

    pub(crate) fn know(&self, loaded: Option<Keks>) {
        *self.keks.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
    }

    /// Which key-encryption key new keys are wrapped with; `None` if nothing is sealed here.
    pub(crate) async fn current(&self) -> Result<Option<String>, sqlx::Error> {
        let sql = "SELECT kek_id FROM sealing WHERE id = 1";
        let found: Option<(String,)> = on!(&self.pools.write, pool => {
            sqlx::query_as(sql).fetch_optional(pool).await
        })?;
        Ok(found.map(|(id,)| id))
    }

    /// Begins to seal, or goes on with it: the key that the database names must be there. A file is
    /// made if neither it nor a name is there.
    pub(crate) async fn begin(&self) -> Result<(), Error> {
        if let (None, Some(source)) = (self.current().await?, &self.source) {
            let keks = source.load_or_make()?;
            let sql = "INSERT INTO sealing (id, kek_id) VALUES (1, $1) ON CONFLICT DO NOTHING";
            if let Some(kek) = keks.current() {
                on!(&self.pools.write, pool => {
                    sqlx::query(sql).bind(kek.id()).execute(pool).await.map(drop)
                })?;
            }
        }
        // Another process may have been quicker, with a key that is not ours.
        match self.current().await? {
            Some(id) => self.kek(&id).map(drop),
            None => Ok(()),
        }
    }

    /// The keys of these ids, opened.
    pub(crate) async fn find(
        &self,
        ids: impl IntoIterator<Item = Option<i64>>,
    ) -> Result<Found, Error> {
        let ids: BTreeSet<i64> = ids.into_iter().flatten().collect();
        if ids.is_empty() {
            return Ok(Found::default());
        }
        let found: Vec<KeyRow> = match &self.pools.read {
            Db::Sqlite(pool) => {
                let sql = format!("{KEY} WHERE id IN (SELECT value FROM json_each($1))");
                let query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
                query.bind(json_of(&ids)).fetch_all(pool).await?
            }
            Db::Postgres(pool) => {
                let sql = format!("{KEY} WHERE id = ANY ($1)");
                let ids: Vec<i64> = ids.into_iter().collect();
                let query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
                query.bind(ids).fetch_all(pool).await?
            }
        };
        let mut keys = HashMap::with_capacity(found.len());
        for row in found {
            let (id, holder, key) = self.key(row)?;
            keys.insert(id, (holder, key));
        }
        Ok(Found(keys))
    }

    fn key(&self, row: KeyRow) -> Result<(i64, Holder, Key), Error> {
        let (id, tenant, subject, generation, kek_id, wrapped, erased_at) = row;
        let holder = Holder { tenant, subject, generation };
        let key = match (wrapped, erased_at) {
            (None, Some(_)) => Key::Erased,
            (None, None) => {
                Key::Broken("is sealed; its key is gone, and no erasure is on record".to_owned())
            }
            (Some(wrapped), _) => match unwrap(&self.kek(&kek_id)?, &holder, &wrapped)? {
                Some(cipher) => Key::Live(Arc::new(cipher)),
                None => Key::Broken("is sealed; its key does not open".to_owned()),
            },
        };
        Ok((id, holder, key))
    }

    /// The key to seal with for a subject; the first use makes one.
    pub(crate) async fn sealer(&self, tenant: &str, subject: &str) -> Result<Sealer, Error> {
        let live = format!("{KEY} WHERE tenant = $1 AND subject = $2 AND wrapped IS NOT NULL");
        // Whoever makes a key at the same time is quicker at most once, unless it is erased again.
        for _ in 0..8 {
            let sql = sqlx::AssertSqlSafe(live.clone());
            let row: Option<KeyRow> = on!(&self.pools.write, pool => {
                sqlx::query_as(sql).bind(tenant).bind(subject).fetch_optional(pool).await
            })?;
            let Some(row) = row else {
                self.make(tenant, subject).await?;
                continue;
            };
            let (id, holder, key) = self.key(row)?;
            return match key {
                Key::Live(cipher) => Ok(Sealer { id, holder: Arc::new(holder), cipher }),
                Key::Erased | Key::Broken(_) => Err(Error::Cipher(format!(
                    "the key of `{subject}` in `{tenant}` is not as it was written; run `genie \
                     audit verify`"
                ))),
            };
        }
        Err(Error::Cipher(format!("the key of `{subject}` in `{tenant}` is erased over and over")))
    }

    /// Makes the next key of a subject, unless another process does. The name of the key-encryption
    /// key is read in the same transaction, so that a rotation misses no key.
    async fn make(&self, tenant: &str, subject: &str) -> Result<(), Error> {
        let (name, now) = match &self.pools.write {
            Db::Sqlite(_) => ("SELECT kek_id FROM sealing WHERE id = 1", NOW_SQLITE),
            Db::Postgres(_) => ("SELECT kek_id FROM sealing WHERE id = 1 FOR SHARE", NOW_POSTGRES),
        };
        let last = "SELECT COALESCE(MAX(generation), 0) FROM subject_keys \
                    WHERE tenant = $1 AND subject = $2";
        let insert = format!(
            "INSERT INTO subject_keys (tenant, subject, generation, kek_id, wrapped, created_at) \
             VALUES ($1, $2, $3, $4, $5, {now}) ON CONFLICT DO NOTHING"
        );
        on!(&self.pools.write, pool => {
            let mut transaction = pool.begin_with(self.pools.begin()).await?;
            let (kek_id,): (String,) = sqlx::query_as(name).fetch_one(&mut *transaction).await?;
            let query = sqlx::query_as(last).bind(tenant).bind(subject);
            let (generation,): (i64,) = query.fetch_one(&mut *transaction).await?;
            let (tenant, subject) = (tenant.to_owned(), subject.to_owned());
            let holder = Holder { tenant, subject, generation: generation + 1 };
            let wrapped = wrap(&self.kek(&kek_id)?, &holder, &*random::<KEY_BYTES>()?)?;
            let query = sqlx::query(sqlx::AssertSqlSafe(insert));
            let query = query.bind(&holder.tenant).bind(&holder.subject).bind(holder.generation);
            query.bind(&kek_id).bind(wrapped).execute(&mut *transaction).await?;
            transaction.commit().await?;
        });
        Ok(())
    }
}

/// Asks whether a key is still there, and keeps it there until the transaction ends.
pub(crate) fn live(pools: &Pools) -> &'static str {
    match &pools.write {
        Db::Sqlite(_) => "SELECT id FROM subject_keys WHERE id = $1 AND wrapped IS NOT NULL",
        Db::Postgres(_) => {
            "SELECT id FROM subject_keys WHERE id = $1 AND wrapped IS NOT NULL FOR SHARE"
        }
    }
}

/// The time of day by the clock of the database, in microseconds since 1970.
pub(crate) const NOW_SQLITE: &str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";
pub(crate) const NOW_POSTGRES: &str = "CAST(EXTRACT(EPOCH FROM now()) * 1000000 AS BIGINT)";

/// Ids for `json_each`, with which SQLite takes a list as one parameter.
pub(crate) fn json_of<'a>(ids: impl IntoIterator<Item = &'a i64>) -> String {
    let ids: Vec<String> = ids.into_iter().map(i64::to_string).collect();
    format!("[{}]", ids.join(","))
}

/// A subject's key under a key-encryption key.
pub(crate) fn wrap(kek: &Kek, holder: &Holder, key: &[u8; KEY_BYTES]) -> Result<Vec<u8>, Failed> {
    kek.cipher()?.seal(holder, Place::Key, key)
}

/// The same key under another key-encryption key; `None` if it does not open.
pub(crate) fn rewrap(
    (from, to): (&Kek, &Kek),
    holder: &Holder,
    wrapped: &[u8],
) -> Result<Option<Vec<u8>>, Failed> {
    let Some(key) = from.cipher()?.open(holder, Place::Key, wrapped) else { return Ok(None) };
    to.cipher()?.seal(holder, Place::Key, &key).map(Some)
}

fn unwrap(kek: &Kek, holder: &Holder, wrapped: &[u8]) -> Result<Option<Cipher>, Failed> {
    let Some(key) = kek.cipher()?.open(holder, Place::Key, wrapped) else { return Ok(None) };
    <&[u8; KEY_BYTES]>::try_from(&key[..]).ok().map(Cipher::new).transpose()
}
