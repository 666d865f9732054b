//! Keys: who one is, and keys for others.

use std::collections::BTreeSet;

use genie_core::clock::Timestamp;
use genie_core::identity::KeyId;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::client::{Client, Request};
use crate::error::Error;
use crate::page::Page;

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// What its maker calls it.
    pub name: String,
    /// The tenant of whoever bears it.
    pub tenant: String,
    /// Whoever bears it.
    pub subject: String,
    /// Their roles.
    pub roles: BTreeSet<String>,
    /// What it is for.
    pub scopes: BTreeSet<String>,
    /// What they have consented to.
    pub consents: BTreeSet<String>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A key to be made. What is left out is as in the key that makes it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Wanted {
    /// What to call it.
    pub name: String,
    /// Whoever is to bear it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Their roles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<BTreeSet<String>>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<BTreeSet<String>>,
    /// What they have consented to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consents: Option<BTreeSet<String>>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A key that was just made, with its secret, which nobody is shown again.
#[derive(Clone, Deserialize)]
pub struct NewKey {
    /// The secret.
    #[serde(rename = "key")]
    pub secret: String,
    /// The key.
    #[serde(flatten)]
    pub key: Key,
}

impl std::fmt::Debug for NewKey {
    /// Without the secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NewKey").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Client {
    /// The key that this client shows.
    ///
    /// # Errors
    /// A server that says no, or is not reached.
    pub async fn me(&self) -> Result<Key, Error> {
        self.json(Request::get(&["v1", "auth", "me"])).await
    }

    /// Makes a key. If the connection breaks before the answer, nobody knows whether there is one:
    /// [`Self::keys`] tells.
    ///
    /// # Errors
    /// [`Error::Problem`], such as `forbidden` for more than one's own rights.
    pub async fn make_key(&self, wanted: &Wanted) -> Result<NewKey, Error> {
        self.json(Request::post(&["v1", "auth", "tokens"], Some(&json!(wanted)))).await
    }

    /// Keys, newest first: one's own, or as administrator the tenant's.
    ///
    /// # Errors
    /// A server that says no, or is not reached.
    pub async fn keys(&self, after: Option<&str>) -> Result<Page<Key>, Error> {
        self.json(Request::get(&["v1", "auth", "tokens"]).with("after", after)).await
    }

    /// Revokes a key.
    ///
    /// # Errors
    /// [`Error::Problem`] with `not_found` if there is none, or it is not one's own.
    pub async fn revoke_key(&self, key: KeyId) -> Result<(), Error> {
        let id = key.to_string();
        let path = ["v1", "auth", "tokens", &id];
        self.send(Request::delete(&path).keyed(&*self.ids)).await.map(drop)
    }
}
