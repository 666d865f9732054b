//! A tenant: whose everything is, and what every call of a store about somebody's things takes.
//!
//! A name is not a tenant, so that no text of a request ever says in whose things to look. Whoever
//! handles a request has the tenant of its verified principal
//! ([`crate::principal::Principal::tenant`]) and no other. The kernel has those that it has
//! recorded, and the operator's command line names them, since it holds the stores themselves.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::runs::Runs;

/// A tenant. It can be read, compared and passed on; neither text nor JSON becomes one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// The tenant that an operator names, where they hold the runs of all tenants in their hands:
    /// whoever may open the database may look at everybody's things anyway. No route of the edge
    /// holds them, nor could it name a tenant so. The runs are evidence only; nothing is read.
    #[must_use]
    pub fn of_operator(_all: &dyn Runs, name: &str) -> Self {
        Self(name.into())
    }

    /// The tenant that the system itself has taken down under this name, from a verified identity.
    pub(crate) fn on_record(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its name, to be kept with what is its.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
