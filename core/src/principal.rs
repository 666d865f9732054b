//! Who asked, sealed: an agent can read a principal and pass it on, never make one.
//!
//! A principal is admitted by an [`Authority`], which a kernel hands to its composition root once.
//! It has no public constructor, no setter and no `Deserialize`, so that neither an agent nor a
//! request body can produce one.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::budget::BudgetId;
use crate::tenant::Tenant;

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
    /// The budgets that whatever is done is charged to.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub budgets: BTreeSet<BudgetId>,
    /// What the credential is kept to.
    #[serde(skip_serializing_if = "Allowed::is_everything")]
    pub allowed: Allowed,
}

/// What a credential is kept to, beside what roles and scopes let it do. A list that is not there
/// keeps it to nothing in particular; an empty one lets nothing through.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Allowed {
    /// The tools that may be called on its behalf, by whichever agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<BTreeSet<String>>,
    /// The models that may be called on its behalf, by whichever agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<BTreeSet<String>>,
    /// The agents that it may ask; whom these ask is their business.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents: Option<BTreeSet<String>>,
}

/// What both lists let through.
fn both(
    one: Option<&BTreeSet<String>>,
    other: Option<&BTreeSet<String>>,
) -> Option<BTreeSet<String>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.intersection(other).cloned().collect()),
        (one, other) => one.or(other).cloned(),
    }
}

impl Allowed {
    /// Whether nothing is kept out.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// What this and the other let through.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            tools: both(self.tools.as_ref(), other.tools.as_ref()),
            models: both(self.models.as_ref(), other.models.as_ref()),
            agents: both(self.agents.as_ref(), other.agents.as_ref()),
        }
    }
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
    tenant: Tenant,
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
    /// The tenant that every object this principal touches belongs to: the only one that whoever
    /// handles a request of theirs can name.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.identity.tenant
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

/// The right to admit principals and to look across tenants ([`crate::Kernel::system`]), held by
/// the composition root and by nobody else.
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

    /// The kernel that made this.
    pub(crate) fn realm(&self) -> u64 {
        self.realm
    }

    /// Seals a verified identity into a principal.
    ///
    /// The caller vouches that the identity was read from a verified credential.
    #[must_use]
    pub fn admit(&self, identity: Identity) -> Principal {
        let text = serde_json::value::to_raw_value(&identity).ok();
        let tenant = Tenant::on_record(identity.tenant.as_str());
        Principal { identity: Arc::new(Sealed { identity, tenant, text }), realm: self.realm }
    }
}
