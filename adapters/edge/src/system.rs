//! `GET /v1/system`: what this installation is and runs on.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use crate::body;
use crate::edge::Edge;
use crate::error::Problem;

/// What an installation says of itself.
#[derive(Debug, Clone)]
pub struct About {
    /// Where runs are kept: `memory`, `sqlite` or `postgres`.
    pub storage: &'static str,
    /// What carries messages between processes: `in_process`.
    pub transport: &'static str,
    /// Where requests are counted: `in_process` or `redis`.
    pub limits: &'static str,
    /// What users are told about what answers them.
    pub disclosure: String,
}

/// `GET /v1/system`.
pub(crate) async fn system(State(edge): State<Arc<Edge>>) -> Result<Response, Problem> {
    let keys = match &edge.options.evidence {
        Some(evidence) => evidence.keys().await?,
        None => Vec::new(),
    };
    let About { storage, transport, limits, disclosure } = &edge.options.about;
    Ok(body::json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": edge.started_at,
        "uptime_ms": edge.now().as_micros().saturating_sub(edge.started_at.as_micros()) / 1_000,
        "policy_set": edge.kernel().policies().version(),
        "checkpoint_keys": keys,
        "storage": storage,
        "transport": transport,
        "limits": limits,
        "disclosure": disclosure,
    })))
}
