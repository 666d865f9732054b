//! What a web framework costs by itself: axum with the same bodies, and nothing behind them.

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::routing::{get, post};
use tokio::net::TcpListener;

/// As long as the answer to the call of a calculator.
const ANSWER: &str = "{\"duration_ms\":1,\"output\":{\"result\":\"0.3\"},\
     \"run_id\":\"01a1fc80-4db8-792d-8843-7f61e5d9b35c\",\"tool_call_id\":\"call_1\"}";

const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

/// Serves until the process ends.
pub(in crate::bench) async fn serve() -> anyhow::Result<()> {
    let router = Router::new()
        .route("/health", get(async || (JSON, r#"{"status":"ok"}"#)))
        .route("/v1/tools/execute", post(async |_: Bytes| (JSON, ANSWER)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    anstream::println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}
