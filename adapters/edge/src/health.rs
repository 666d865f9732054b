//! `/health` and `/ready`: open to whoever asks, and so they say little.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::body;
use crate::edge::Edge;

/// `GET /health`: the process lives.
pub(crate) async fn health() -> Response {
    body::json(&json!({ "status": "ok" }))
}

/// `GET /ready`: whether it can take requests.
pub(crate) async fn ready(State(edge): State<Arc<Edge>>) -> Response {
    let database = edge.options.keys.has_admin(edge.now()).await.is_ok();
    let journal = edge.kernel().journal().has_room();
    let drains = edge.is_draining();
    let is_ready = database && journal && !drains;
    let mut response = body::json(&json!({
        "status": if is_ready { "ready" } else { "degraded" },
        "checks": {
            "database": if database { "ok" } else { "unavailable" },
            "journal": if journal { "ok" } else { "behind" },
            "shutdown": if drains { "draining" } else { "ok" },
        },
    }));
    if !is_ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
