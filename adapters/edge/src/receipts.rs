//! `GET /v1/runs/{id}/receipt`: proof of how a run ended, which anyone can check offline.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use genie_core::audit::receipts::NoReceipt;
use serde_json::json;

use crate::auth::Known;
use crate::body;
use crate::edge::Edge;
use crate::error::Problem;
use crate::runs;

/// A page of text for `Accept: text/plain`, which `genie audit check-receipt` reads; the same in
/// JSON otherwise.
pub(crate) async fn receipt(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run = runs::visible(&edge, &caller, &id).await?;
    let Some(receipts) = &edge.options.receipts else {
        let problem = "nothing is signed, since runs are kept in memory only";
        return Err(Problem::conflict("unsigned", problem));
    };
    if run.ended_at.is_none() {
        return Err(NoReceipt::Open.into());
    }
    let text = receipts.receipt(caller.tenant(), run.run_id).await?.to_text();
    if !body::accepts(&headers, "text/plain") {
        return Ok(body::json(&json!({ "run_id": run.run_id, "receipt": text })));
    }
    let mut response = Body::from(text).into_response();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    Ok(response)
}
