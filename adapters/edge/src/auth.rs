//! Who is calling: the key or token of a request, checked, and whether it opens the route.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use genie_core::identity::Credential;
use genie_core::identity::accounts::{Account, Session};
use genie_core::journal::chain::Hash;
use genie_core::principal::{Identity, Principal};
use subtle::ConstantTimeEq;

use crate::edge::Edge;
use crate::error::Problem;
use crate::lineage::Lineage;
use crate::pace::{claims, paced};
use crate::rights::Right;
use crate::tokens::Use;

/// The credential that was shown, and checked.
#[derive(Debug, Clone)]
pub(crate) enum Shown {
    /// A key, with what stands behind it.
    Key(Arc<Lineage>),
    /// The access token of a session.
    Session(Arc<(Session, Account)>),
}

/// Who calls, from a credential that was checked.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Sealed; what the kernel is asked with.
    pub(crate) principal: Principal,
    /// The credential.
    pub(crate) shown: Shown,
}

impl Caller {
    pub(crate) fn identity(&self) -> &Identity {
        self.principal.identity()
    }

    pub(crate) fn tenant(&self) -> &str {
        self.principal.tenant()
    }
}

/// The caller, as a handler asks for it.
pub(crate) type Known = Extension<Caller>;

/// What stands before a route.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) edge: Arc<Edge>,
    /// Who may pass; `None` is nobody.
    pub(crate) right: Option<Right>,
}

/// Lets a request through to its route, or not.
pub(crate) async fn pass(
    State(gate): State<Gate>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if gate.right == Some(Right::Open) {
        return Ok(next.run(request).await);
    }
    let caller = Box::pin(known(&gate.edge, request.headers())).await?;
    let claims = claims(&gate.edge, &caller);
    Box::pin(paced(&gate.edge, claims, admitted(&gate, caller, request, next))).await
}

async fn admitted(
    gate: &Gate,
    caller: Caller,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !gate.right.is_some_and(|right| right.is_given_to(caller.identity())) {
        return Err(Problem::forbidden("none of your roles may do this"));
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

async fn known(edge: &Edge, headers: &HeaderMap) -> Result<Caller, Problem> {
    let missing = "send `Authorization: Bearer` with a key or an access token";
    let Some(shown) = headers.get(AUTHORIZATION) else {
        return Err(Problem::unauthenticated("unauthenticated", missing));
    };
    let wrong = || Problem::unauthenticated("invalid_key", "there is no such key");
    let shown = shown.to_str().map_err(|_| wrong())?;
    let (scheme, text) = shown.split_once(' ').unwrap_or((shown, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::unauthenticated("unauthenticated", missing));
    }
    let text = text.trim();
    // No key has a dot, and every token two.
    if text.contains('.') {
        return by_token(edge, text).await;
    }
    by_key(edge, &Credential::parse(text).ok_or_else(wrong)?).await
}

async fn by_key(edge: &Edge, credential: &Credential) -> Result<Caller, Problem> {
    let key = edge.options.keys.claimed(credential.id()).await?;
    // Compared also where there is nothing to compare with, so that neither takes longer.
    let kept = key.as_ref().map_or(Hash::ZERO, |key| key.secret_sha256);
    let is_right: bool = kept.0.ct_eq(&credential.secret_sha256().0).into();
    let Some(key) = key.filter(|_| is_right) else {
        return Err(Problem::unauthenticated("invalid_key", "there is no such key"));
    };
    let now = edge.now();
    if key.revoked_at.is_some() {
        return Err(Problem::unauthenticated("revoked_key", "the key was revoked"));
    }
    if !key.is_good(now) {
        return Err(Problem::unauthenticated("expired_key", "the key has expired"));
    }
    let lineage = Lineage::of(edge, key).await?;
    let principal = (edge.options.admit)(lineage.rights(now)?);
    Ok(Caller { principal, shown: Shown::Key(Arc::new(lineage)) })
}

async fn by_token(edge: &Edge, text: &str) -> Result<Caller, Problem> {
    let now = edge.now();
    let claims = edge.tokens.claims(&edge.tasks, (Use::Access, text), now).await?;
    let found = edge.options.accounts.session(claims.sid).await?;
    let found =
        found.filter(|(session, account)| session.is_good(now) && account.disabled_at.is_none());
    let (session, account) = found.ok_or_else(Problem::ended_session)?;
    let principal = (edge.options.admit)(account.identity.clone());
    Ok(Caller { principal, shown: Shown::Session(Arc::new((session, account))) })
}
