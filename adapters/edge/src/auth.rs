//! Who is calling: the key or token of a request, checked, and whether it opens the route.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use genie_core::Tenant;
use genie_core::identity::Credential;
use genie_core::identity::accounts::{Account, Session};
use genie_core::principal::{Identity, Principal};
use serde::Deserialize;

use crate::body;
use crate::edge::Edge;
use crate::entrance::Lineage;
use crate::error::Problem;
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

    /// Whose everything is that a handler may touch for them.
    pub(crate) fn tenant(&self) -> &Tenant {
        self.principal.tenant()
    }
}

/// The caller, as a handler asks for it.
pub(crate) type Known = Extension<Caller>;

/// The parameters of a route that has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What stands before a route.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) edge: Arc<Edge>,
    /// Who may pass; `None` is nobody.
    pub(crate) right: Option<Right>,
    /// Whether anything may stand behind the `?`.
    pub(crate) takes_params: bool,
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
    let operators = &gate.edge.options.operators;
    if !gate.right.is_some_and(|right| right.is_given_to(caller.identity(), operators)) {
        return Err(match gate.right {
            Some(Right::Operates(_)) => Problem::forbidden("only operators of the server may"),
            _ => Problem::forbidden("none of your roles may do this"),
        });
    }
    if !gate.takes_params {
        let Nothing {} = body::params(request.uri())?;
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Says that there is nothing here; whoever shows a good credential is counted for asking.
///
/// # Errors
/// The problem, or why there is no room for the request.
pub(crate) async fn nothing(
    edge: &Edge,
    headers: &HeaderMap,
    problem: Problem,
) -> Result<Response, Problem> {
    match Box::pin(known(edge, headers)).await {
        Ok(caller) => paced(edge, claims(edge, &caller), async { Err(problem) }).await,
        Err(_) => Err(problem),
    }
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
        let claims = edge.tokens.claims(&edge.tasks, (Use::Access, text), edge.now()).await?;
        return edge.options.entrance.by_token(&claims, edge.now()).await;
    }
    let credential = Credential::parse(text).ok_or_else(wrong)?;
    edge.options.entrance.by_key(&credential, edge.now()).await
}
