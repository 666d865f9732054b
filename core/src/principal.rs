//! Who asked, sealed: an agent can read a principal and pass it on, never make one.
//!
//! A principal is admitted by an [`Authority`], which a kernel hands to its composition root once.
//! It has no public constructor, no setter and no `Deserialize`, so that neither an agent nor a
//! request body can produce one.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// What a verified credential says about its bearer; plain data without power of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// The tenant that the subject belongs to.
    pub tenant: String,
    /// The subject within the tenant.
    pub subject: String,
    /// Roles held, e.g. `user`, `approver`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub roles: BTreeSet<String>,
    /// Scopes granted to the credential, e.g. `finance:ask`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub scopes: BTreeSet<String>,
    /// Purposes that the subject has consented to, e.g. `statement-analysis`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub consents: BTreeSet<String>,
}

/// Who asked. Cheap to clone; set at the edge, copied by the bus.
#[derive(Debug, Clone)]
pub struct Principal {
    identity: Arc<Sealed>,
    realm: u64,
}

/// An identity with its JSON text, which stands in every message and so is written once.
#[derive(Debug)]
struct Sealed {
    identity: Identity,
    text: Option<Box<RawValue>>,
}

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.identity.text {
            Some(text) => text.serialize(serializer),
            None => self.identity.identity.serialize(serializer),
        }
    }
}

impl Principal {
    /// The tenant that every object this principal touches belongs to.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.identity.identity.tenant
    }

    /// The subject within the tenant.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.identity.identity.subject
    }

    /// The whole verified identity.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity.identity
    }

    /// The same principal, admitted by another kernel.
    pub(crate) fn in_realm(&self, realm: u64) -> Self {
        Self { identity: self.identity.clone(), realm }
    }

    /// The kernel that admitted this principal; another kernel refuses it.
    pub(crate) fn realm(&self) -> u64 {
        self.realm
    }
}

/// The right to admit principals, held by the composition root and by nobody else.
///
/// A kernel makes exactly one. It is neither `Clone` nor reachable from a context.
#[derive(Debug)]
pub struct Authority {
    realm: u64,
}

impl Authority {
    pub(crate) fn new(realm: u64) -> Self {
        Self { realm }
    }

    /// Seals a verified identity into a principal.
    ///
    /// The caller vouches that the identity was read from a verified credential.
    #[must_use]
    pub fn admit(&self, identity: Identity) -> Principal {
        let text = serde_json::value::to_raw_value(&identity).ok();
        Principal { identity: Arc::new(Sealed { identity, text }), realm: self.realm }
    }
}
