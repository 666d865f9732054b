//! Who is calling: the key of a request, checked, and whether it opens the route.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use genie_core::identity::{Credential, Key};
use genie_core::journal::chain::Hash;
use genie_core::principal::{Identity, Principal};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::edge::Edge;
use crate::error::Problem;
use crate::pace;
use crate::rights::Right;

/// Who calls, from a key that was checked.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Sealed; what the kernel is asked with.
    pub(crate) principal: Principal,
    /// The key.
    pub(crate) key: Arc<Key>,
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
    let caller = known(&gate.edge, request.headers()).await?;
    let standing = gate.edge.paces.take(caller.key.id, Instant::now());
    let passed = match standing.wait {
        Some(wait) => Err(Problem::too_fast(pace::seconds(wait))),
        None => admitted(&gate, caller, request, next).await,
    };
    let mut response = passed.into_response();
    standing.tell(response.headers_mut());
    Ok(response)
}

async fn admitted(
    gate: &Gate,
    caller: Caller,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !gate.right.is_some_and(|right| right.is_given_to(caller.identity())) {
        return Err(Problem::forbidden("none of the roles of your key may do this"));
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

async fn known(edge: &Edge, headers: &HeaderMap) -> Result<Caller, Problem> {
    let missing = "send `Authorization: Bearer` with a key";
    let Some(shown) = headers.get(AUTHORIZATION) else {
        return Err(Problem::unauthenticated("unauthenticated", missing));
    };
    let wrong = || Problem::unauthenticated("invalid_key", "there is no such key");
    let shown = shown.to_str().map_err(|_| wrong())?;
    let (scheme, text) = shown.split_once(' ').unwrap_or((shown, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::unauthenticated("unauthenticated", missing));
    }
    let credential = Credential::parse(text.trim()).ok_or_else(wrong)?;
    let key = edge.options.keys.claimed(credential.id()).await?;
    // Compared also where there is nothing to compare with, so that neither takes longer.
    let kept = key.as_ref().map_or(Hash::ZERO, |key| key.secret_sha256);
    let is_right: bool = kept.0.ct_eq(&credential.secret_sha256().0).into();
    let key = key.filter(|_| is_right).ok_or_else(wrong)?;
    let now = edge.now();
    if key.revoked_at.is_some() {
        return Err(Problem::unauthenticated("revoked_key", "the key was revoked"));
    }
    if !key.is_good(now) {
        return Err(Problem::unauthenticated("expired_key", "the key has expired"));
    }
    let principal = (edge.options.admit)(key.identity.clone());
    Ok(Caller { principal, key: Arc::new(key) })
}
