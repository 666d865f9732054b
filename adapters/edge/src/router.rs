//! The routes: one line each. Every one stands behind its row in [`crate::rights`].

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use crate::auth::{self, Gate, pass};
use crate::edge::Edge;
use crate::error::Problem;
use crate::rights::Right;
use crate::{
    agents, approvals, ask, audit, batch, documents, events, health, keys, metrics, openapi,
};
use crate::{policies, profiles, receipts, request, rights, runs, sessions, system, tools, watch};

/// A route.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    handler: MethodRouter<Arc<Edge>>,
}

fn route(method: Method, path: &'static str, handler: MethodRouter<Arc<Edge>>) -> Route {
    Route { method, path, handler }
}

/// Every route.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, health::HEALTH, get(health::health)),
        route(Method::GET, "/ready", get(health::ready)),
        route(Method::GET, "/metrics", get(metrics::metrics)),
        route(Method::GET, "/debug/pprof/", get(profiles::index)),
        route(Method::GET, "/debug/pprof/profile", get(profiles::cpu)),
        route(Method::GET, "/debug/pprof/heap", get(profiles::heap)),
        route(Method::GET, "/openapi.json", get(openapi::openapi)),
        route(Method::GET, "/docs", get(openapi::docs)),
        route(Method::POST, "/v1/auth/register", post(sessions::register)),
        route(Method::POST, "/v1/auth/login", post(sessions::login)),
        route(Method::POST, "/v1/auth/refresh", post(sessions::refresh)),
        route(Method::POST, "/v1/auth/logout", post(sessions::logout)),
        route(Method::GET, "/v1/auth/me", get(keys::me)),
        route(Method::GET, "/v1/auth/tokens", get(keys::list)),
        route(Method::POST, "/v1/auth/tokens", post(keys::create)),
        route(Method::DELETE, "/v1/auth/tokens/{id}", delete(keys::revoke)),
        route(Method::POST, "/v1/ask", post(ask::ask)),
        route(Method::POST, "/v1/ask/stream", post(ask::ask_stream)),
        route(Method::GET, "/v1/runs", get(runs::list)),
        route(Method::GET, "/v1/runs/{id}", get(runs::show)),
        route(Method::GET, "/v1/runs/{id}/events", get(events::events)),
        route(Method::GET, "/v1/runs/{id}/receipt", get(receipts::receipt)),
        route(Method::POST, "/v1/runs/{id}/cancel", post(runs::cancel)),
        route(Method::GET, "/v1/approvals", get(approvals::list)),
        route(Method::GET, "/v1/approvals/{id}", get(approvals::show)),
        route(Method::POST, "/v1/approvals/{id}/decision", post(approvals::decide)),
        route(Method::GET, "/v1/agents", get(agents::list)),
        route(Method::GET, "/v1/agents/{id}", get(agents::show)),
        route(Method::GET, "/v1/tools", get(tools::list)),
        route(Method::POST, "/v1/tools/execute", post(tools::execute)),
        route(Method::POST, "/v1/tools/batch", post(batch::batch)),
        route(Method::GET, "/v1/events", get(watch::everything)),
        route(Method::GET, "/v1/system", get(system::system)),
        route(Method::POST, "/v1/documents", post(documents::create)),
        route(Method::GET, "/v1/documents", get(documents::list)),
        route(Method::GET, "/v1/documents/{id}", get(documents::show)),
        route(Method::DELETE, "/v1/documents/{id}", delete(documents::delete)),
        route(Method::GET, "/v1/policies", get(policies::list)),
        route(Method::POST, "/v1/policies/evaluate", post(policies::evaluate)),
        route(Method::GET, "/v1/audit", get(audit::list)),
        route(Method::GET, "/v1/audit/checkpoint", get(audit::checkpoint)),
        route(Method::POST, "/v1/audit/verify", post(audit::verify)),
    ]
}

/// What is smaller than this fits one packet as it is.
const COMPRESSED_BYTES_MIN: u64 = 1_024;

/// The content type of what is compressed by itself.
pub(crate) const BYTES: &str = "application/octet-stream";

/// What is compressed for a client that takes it: never a stream of events, which a compressor
/// would hold back, and nothing twice.
fn worthwhile() -> impl Predicate {
    let large = SizeAbove::new(COMPRESSED_BYTES_MIN);
    large.and(NotForContentType::SSE).and(NotForContentType::const_new(BYTES))
}

async fn no_route(State(edge): State<Arc<Edge>>, headers: HeaderMap) -> Result<Response, Problem> {
    auth::nothing(&edge, &headers, Problem::no_route()).await
}

async fn no_method(State(edge): State<Arc<Edge>>, headers: HeaderMap) -> Result<Response, Problem> {
    auth::nothing(&edge, &headers, Problem::method()).await
}

/// All of it, with what goes around every request.
pub(crate) fn router(edge: &Arc<Edge>) -> Router {
    let around = from_fn_with_state(edge.clone(), request::around);
    let (mut router, mut probed) = (Router::new(), Router::new());
    let operations = openapi::operations();
    for Route { method, path, handler } in routes() {
        let right = rights::of(&method, path);
        if right == Some(Right::Open) && path == health::HEALTH {
            // Nothing has to be checked for it, nothing in it can fail, and its answer is too small
            // to be compressed: it brings along what little goes around it.
            let others = MethodRouter::new().fallback(no_method);
            probed = probed.route(path, handler.merge(others.layer(around.clone())));
            continue;
        }
        let operation = operations.iter().find(|one| one.method == method && one.path == path);
        let takes_params = operation.is_none_or(openapi::Operation::takes_params);
        let gate = Gate { edge: edge.clone(), right, takes_params };
        router = router.route(path, handler.route_layer(from_fn_with_state(gate, pass)));
    }
    router
        .fallback(no_route)
        .layer(CompressionLayer::new().compress_when(worthwhile()))
        .method_not_allowed_fallback(no_method)
        .layer(around)
        .merge(probed)
        .with_state(edge.clone())
}
