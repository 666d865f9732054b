//! Who may use which route: one table. What is not in it is refused.
//!
//! A right to a route is not a right to every object behind it: handlers show a caller what is of
//! their tenant, and, unless they may see everything there, of their own.

use axum::http::Method;
use genie_core::Tenant;
use genie_core::identity::{ADMIN, APPROVER, AUDITOR, USER};
use genie_core::principal::Identity;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// Everybody, without a credential.
    Open,
    /// Whoever has a good credential, whatever it may do.
    Known,
    /// Whoever has a good credential and one of these roles.
    Roles(&'static [&'static str]),
    /// Whoever has a good credential of the operators' tenant, and one of these roles there: what
    /// is behind it is about the whole installation, and so about every tenant.
    Operates(&'static [&'static str]),
    /// Whoever has a role that approvals may ask for: `approver`, or one that only a policy knows.
    Decides,
}

const EVERY: Right = Right::Roles(&[USER, APPROVER, AUDITOR, ADMIN]);
const ASKS: Right = Right::Roles(&[USER, ADMIN]);
const ALL_SEEING: &[&str] = &[AUDITOR, ADMIN];
const AUDITS: Right = Right::Roles(ALL_SEEING);
const SEES: Right = Right::Roles(&[USER, AUDITOR, ADMIN]);

/// The rights.
pub(crate) const RIGHTS: &[(Method, &str, Right)] = &[
    (Method::GET, "/health", Right::Open),
    (Method::GET, "/ready", Right::Open),
    (Method::GET, "/metrics", Right::Operates(&[ADMIN])),
    (Method::GET, "/debug/pprof/", Right::Operates(&[ADMIN])),
    (Method::GET, "/debug/pprof/profile", Right::Operates(&[ADMIN])),
    (Method::GET, "/debug/pprof/heap", Right::Operates(&[ADMIN])),
    (Method::GET, "/openapi.json", Right::Open),
    (Method::GET, "/docs", Right::Open),
    (Method::POST, "/v1/auth/register", Right::Open),
    (Method::POST, "/v1/auth/login", Right::Open),
    (Method::POST, "/v1/auth/refresh", Right::Open),
    (Method::POST, "/v1/auth/logout", Right::Known),
    (Method::GET, "/v1/auth/me", Right::Known),
    (Method::GET, "/v1/auth/tokens", EVERY),
    (Method::POST, "/v1/auth/tokens", EVERY),
    (Method::DELETE, "/v1/auth/tokens/{id}", EVERY),
    (Method::POST, "/v1/ask", ASKS),
    (Method::POST, "/v1/ask/stream", ASKS),
    (Method::GET, "/v1/runs", SEES),
    (Method::GET, "/v1/runs/{id}", SEES),
    (Method::GET, "/v1/runs/{id}/events", SEES),
    (Method::GET, "/v1/runs/{id}/receipt", SEES),
    (Method::POST, "/v1/runs/{id}/cancel", ASKS),
    (Method::GET, "/v1/approvals", EVERY),
    (Method::GET, "/v1/approvals/{id}", EVERY),
    (Method::POST, "/v1/approvals/{id}/decision", Right::Decides),
    (Method::GET, "/v1/agents", EVERY),
    (Method::GET, "/v1/agents/{id}", EVERY),
    (Method::GET, "/v1/tools", ASKS),
    (Method::POST, "/v1/tools/execute", ASKS),
    (Method::POST, "/v1/tools/batch", ASKS),
    (Method::GET, "/v1/events", SEES),
    (Method::GET, "/v1/system", EVERY),
    (Method::POST, "/v1/documents", ASKS),
    (Method::GET, "/v1/documents", SEES),
    (Method::GET, "/v1/documents/{id}", SEES),
    (Method::DELETE, "/v1/documents/{id}", ASKS),
    (Method::GET, "/v1/policies", EVERY),
    (Method::POST, "/v1/policies/evaluate", AUDITS),
    (Method::GET, "/v1/audit", AUDITS),
    (Method::GET, "/v1/audit/checkpoint", Right::Operates(ALL_SEEING)),
    (Method::POST, "/v1/audit/verify", Right::Operates(ALL_SEEING)),
];

/// Who may use the route; `None` is nobody.
pub(crate) fn of(method: &Method, path: &str) -> Option<Right> {
    let row = RIGHTS.iter().find(|(row, route, _)| row == method && *route == path);
    row.map(|(_, _, right)| *right)
}

impl Right {
    /// Whether the bearer of a good credential has it, where these are the operators.
    pub(crate) fn is_given_to(self, identity: &Identity, operators: &Tenant) -> bool {
        let has = |roles: &[&str]| roles.iter().any(|role| identity.roles.contains(*role));
        let known = |role: &String| [USER, AUDITOR, ADMIN].contains(&role.as_str());
        match self {
            Self::Open | Self::Known => true,
            Self::Roles(roles) => has(roles),
            Self::Operates(roles) => has(roles) && identity.tenant == operators.as_str(),
            Self::Decides => identity.roles.iter().any(|role| !known(role)),
        }
    }
}

/// Whether the bearer may see what is counted over all tenants.
pub(crate) fn oversees(identity: &Identity, operators: &Tenant) -> bool {
    Right::Operates(ALL_SEEING).is_given_to(identity, operators)
}

/// Whether the bearer may see everything of their tenant.
pub(crate) fn sees_all(identity: &Identity) -> bool {
    identity.roles.contains(AUDITOR) || identity.roles.contains(ADMIN)
}

/// The subject to whose objects the bearer is kept; `None` if they may see all of their tenant.
pub(crate) fn own(identity: &Identity) -> Option<&str> {
    (!sees_all(identity)).then_some(&*identity.subject)
}

/// Whether the bearer may see an object of this subject in their tenant.
pub(crate) fn sees(identity: &Identity, subject: &str) -> bool {
    own(identity).is_none_or(|own| own == subject)
}
