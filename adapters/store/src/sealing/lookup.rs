//! How an account is found by an e-mail address that is sealed.
//!
//! Whoever signs in gives an address, and nothing else of the account is known by then; a sealed
//! address reads differently each time and so cannot be looked for. It is found by an HMAC-SHA-256
//! of the address instead, under a random key of the installation. That key is kept wrapped, as the
//! subjects' keys are, rather than derived from the sealing key: whoever has the database alone
//! cannot try addresses against it, and a rotation wraps it anew and touches no account.

use std::fmt::{self, Write as _};

use aws_lc_rs::hmac;

use super::cipher::{Holder, KEY_BYTES, Place, random};
use super::kek::{Kek, Keks};
use super::{Error, Sealing};
use crate::pool::{Db, on};

/// Domain separation: nothing else is hashed with this key and these bytes first.
const DOMAIN: &[u8] = b"genie/account-address/v1\n";

/// The key of the hashes.
#[derive(Clone)]
pub(crate) struct Lookup(hmac::Key);

impl fmt::Debug for Lookup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Lookup")
    }
}

impl Lookup {
    /// What an account with this address, in lower case, is found by: 64 hexadecimal digits.
    pub(crate) fn of(&self, email: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(DOMAIN);
        context.update(email.as_bytes());
        let mut digits = String::with_capacity(64);
        for byte in context.sign().as_ref() {
            // Writing to a string cannot fail.
            let _ = write!(digits, "{byte:02x}");
        }
        digits
    }
}

/// Nobody's: it is of the installation.
fn holder() -> Holder {
    Holder { tenant: String::new(), subject: String::new(), generation: 0 }
}

type Row = (String, Vec<u8>);

impl Sealing {
    /// The key to look up with; `None` if no address was sealed yet.
    pub(crate) async fn lookup(&self) -> Result<Option<Lookup>, Error> {
        if let Some(known) = self.lookup.get() {
            return Ok(Some(known.clone()));
        }
        let sql = "SELECT kek_id, wrapped FROM account_lookup WHERE id = 1";
        let found: Option<Row> = on!(&self.pools().write, pool => {
            sqlx::query_as(sql).fetch_optional(pool).await
        })?;
        let Some((kek_id, wrapped)) = found else { return Ok(None) };
        let opened = self.kek(&kek_id)?.cipher()?.open(&holder(), Place::Lookup, &wrapped);
        let key = opened.ok_or_else(|| {
            Error::Cipher(
                "the key that accounts are found by does not open; restore it from a backup"
                    .to_owned(),
            )
        })?;
        let lookup = Lookup(hmac::Key::new(hmac::HMAC_SHA256, &key));
        Ok(Some(self.lookup.get_or_init(|| lookup).clone()))
    }

    /// The key to look up with; the first use makes it. The name of the sealing key is read in the
    /// same transaction, so that a rotation does not miss it.
    pub(crate) async fn lookup_or_make(&self) -> Result<Lookup, Error> {
        if let Some(lookup) = self.lookup().await? {
            return Ok(lookup);
        }
        let name = match &self.pools().write {
            Db::Sqlite(_) => "SELECT kek_id FROM sealing WHERE id = 1",
            Db::Postgres(_) => "SELECT kek_id FROM sealing WHERE id = 1 FOR SHARE",
        };
        let insert = "INSERT INTO account_lookup (id, kek_id, wrapped) VALUES (1, $1, $2) \
                      ON CONFLICT DO NOTHING";
        on!(&self.pools().write, pool => {
            let mut transaction = pool.begin_with(self.pools().begin()).await?;
            let (kek_id,): (String,) = sqlx::query_as(name).fetch_one(&mut *transaction).await?;
            let key = random::<KEY_BYTES>()?;
            let wrapped = self.kek(&kek_id)?.cipher()?.seal(&holder(), Place::Lookup, &*key)?;
            let query = sqlx::query(insert).bind(&kek_id).bind(wrapped);
            query.execute(&mut *transaction).await?;
            transaction.commit().await?;
        });
        let made = self.lookup().await?;
        made.ok_or_else(|| Error::Cipher("the key that accounts are found by is gone".to_owned()))
    }

    /// Wraps the key with `kek`; `false` if the one that wraps it does not open it.
    pub(crate) async fn rewrap_lookup(&self, target: &Keks, kek: &Kek) -> Result<bool, Error> {
        let select = match &self.pools().write {
            Db::Sqlite(_) => "SELECT kek_id, wrapped FROM account_lookup WHERE id = 1",
            Db::Postgres(_) => "SELECT kek_id, wrapped FROM account_lookup WHERE id = 1 FOR UPDATE",
        };
        let update = "UPDATE account_lookup SET kek_id = $1, wrapped = $2 WHERE id = 1";
        on!(&self.pools().write, pool => {
            let mut transaction = pool.begin_with(self.pools().begin()).await?;
            let query = sqlx::query_as(select);
            let found: Option<Row> = query.fetch_optional(&mut *transaction).await?;
            let Some((from, wrapped)) = found.filter(|(from, _)| from != kek.id()) else {
                return Ok(true);
            };
            let from = match target.get(&from) {
                Some(from) => from.clone(),
                None => self.kek(&from)?,
            };
            let Some(key) = from.cipher()?.open(&holder(), Place::Lookup, &wrapped) else {
                return Ok(false);
            };
            let anew = kek.cipher()?.seal(&holder(), Place::Lookup, &key)?;
            let query = sqlx::query(update).bind(kek.id()).bind(anew);
            query.execute(&mut *transaction).await?;
            transaction.commit().await?;
        });
        Ok(true)
    }
}
