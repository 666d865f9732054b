//! `/health` and `/ready`: open to whoever asks, and so they say little.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use genie_core::pace::Outage;
use serde_json::json;

use crate::body;
use crate::edge::Edge;
use crate::pace::CALLERS;
use crate::request;

/// What is asked most, by whoever watches over the process.
pub(crate) const HEALTH: &str = "/health";

/// `GET /health`: the process lives.
pub(crate) async fn health(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    request::probed(&edge, HEALTH, &request, body::json_text(r#"{"status":"ok"}"#))
}

/// How counting requests goes, by the rules that every caller is counted by.
fn limits(edge: &Edge) -> &'static str {
    let outages = CALLERS.map(|rule| edge.options.paces.outage(rule));
    if outages.contains(&Some(Outage::Closed)) {
        return "unavailable";
    }
    if outages == [None; CALLERS.len()] { "ok" } else { "degraded" }
}

/// `GET /ready`: whether it can take requests. Where limits are degraded, it can.
pub(crate) async fn ready(State(edge): State<Arc<Edge>>) -> Response {
    let database = edge.options.entrance.answers(edge.now()).await;
    let journal = edge.kernel().has_room();
    let drains = edge.is_draining();
    let limits = limits(&edge);
    let is_ready = database && journal && !drains && limits != "unavailable";
    let mut response = body::json(&json!({
        "status": if is_ready && limits == "ok" { "ready" } else { "degraded" },
        "checks": {
            "database": if database { "ok" } else { "unavailable" },
            "limits": limits,
            "journal": if journal { "ok" } else { "behind" },
            "shutdown": if drains { "draining" } else { "ok" },
        },
    }));
    if !is_ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::Value;

    use super::*;
    use crate::desk::Desk;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_about_to_stop_is_not_ready_and_says_why() {
        let desk = Desk::new().await;
        let look = async || {
            let response = ready(State(desk.edge.clone())).await;
            let status = response.status();
            let body = to_bytes(response.into_body(), 1_000).await.unwrap();
            (status, serde_json::from_slice::<Value>(&body).unwrap())
        };
        let (status, body) = look().await;
        assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("ready")), "{body}");
        desk.edge.drain();
        let (status, body) = look().await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            (&body["status"], &body["checks"]["shutdown"]),
            (&json!("degraded"), &json!("draining"))
        );
    }
}
