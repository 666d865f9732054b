//! How people sign in with a password: the table `sign_in`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use genie_core::identity::USER;
use genie_core::principal::Identity;
use serde::Deserialize;

use super::file::{Lasting, set};

/// How people sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Whether anybody may register.
    pub registration: bool,
    /// The tenant of those who register.
    pub tenant: String,
    /// The scopes of those who register.
    pub scopes: BTreeSet<String>,
    /// What those who register consent to.
    pub consents: BTreeSet<String>,
    /// How long an access token opens routes.
    pub access: Duration,
    /// How long a session lasts.
    pub session: Duration,
    /// The file of the key that signs tokens; `None` is `tokens.key` in the data directory.
    pub key: Option<PathBuf>,
}

impl SignIn {
    /// As strict as possible, for what the reference does not say.
    pub(super) fn strict() -> Self {
        let short = Duration::from_secs(1);
        Self {
            registration: false,
            tenant: String::new(),
            scopes: BTreeSet::new(),
            consents: BTreeSet::new(),
            access: short,
            session: short,
            key: None,
        }
    }

    /// A relative path is that of the directory of the file that names it.
    pub(super) fn beside(&mut self, directory: &Path) {
        if let Some(key) = &mut self.key {
            *key = directory.join(&*key);
        }
    }

    /// The tenant and rights of a new account.
    #[must_use]
    pub fn newcomer(&self) -> Identity {
        Identity {
            tenant: self.tenant.clone(),
            roles: [USER.to_owned()].into(),
            scopes: self.scopes.clone(),
            consents: self.consents.clone(),
            ..Identity::default()
        }
    }
}

/// The table `sign_in`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct SignInTable {
    registration: Option<bool>,
    tenant: Option<Tenant>,
    scopes: Option<BTreeSet<String>>,
    consents: Option<BTreeSet<String>>,
    access: Option<Lasting>,
    session: Option<Lasting>,
    key: Option<PathBuf>,
}

impl SignInTable {
    pub(super) fn apply(self, sign_in: &mut SignIn) {
        set(&mut sign_in.registration, self.registration);
        set(&mut sign_in.tenant, self.tenant.map(|tenant| tenant.0));
        set(&mut sign_in.scopes, self.scopes);
        set(&mut sign_in.consents, self.consents);
        set(&mut sign_in.access, self.access.map(|lasting| lasting.0));
        set(&mut sign_in.session, self.session.map(|lasting| lasting.0));
        if let Some(key) = self.key {
            sign_in.key = (!key.as_os_str().is_empty()).then_some(key);
        }
    }
}

/// The name of a tenant.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Tenant(String);

impl TryFrom<String> for Tenant {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("the tenant is empty; write its name, such as `local`".to_owned());
        }
        Ok(Self(text))
    }
}
