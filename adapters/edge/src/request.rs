//! What goes around every request: its id, its trace, problems as JSON, a panic that harms nobody
//! else, and one line in the log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tokio::time::Instant;
use tracing::Instrument;

use crate::edge::Edge;
use crate::error::{PROBLEM, Problem, RUN_ID};

/// The header with the id of a request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that a client may give its request.
const REQUEST_ID_LEN_MAX: usize = 128;
/// Routes that machines ask every few seconds: a good answer is no news, and costs no line.
const PROBES: [&str; 2] = ["/ready", "/metrics"];
/// The route of a request that has none.
const UNKNOWN: &str = "unknown";

/// Goes around every request.
pub(crate) async fn around(
    State(edge): State<Arc<Edge>>,
    path: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let id = id_of(&edge, request.headers());
    let trace = trace_id(request.headers()).map(|trace| format!("{trace:032x}"));
    let header = HeaderValue::try_from(&id).ok();
    if let Some(header) = header.clone() {
        // For handlers, which record it with the runs that they start.
        request.headers_mut().insert(REQUEST_ID, header);
    }
    // The route rather than the path, and no query: neither log nor metrics hold what was asked.
    let route = path.as_ref().map_or(UNKNOWN, MatchedPath::as_str);
    let is_probe = PROBES.contains(&route);
    let span = if is_probe {
        tracing::debug_span!("request", request_id = %id, trace_id = trace)
    } else {
        tracing::info_span!("request", request_id = %id, trace_id = trace)
    };
    let (method, instance) = (request.method().clone(), request.uri().path().to_owned());
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind();
    let handled = handled.instrument(span.clone()).await;
    let response = handled.unwrap_or_else(|_| Problem::panicked().into_response());
    let mut response = written(response, &instance, &id);
    if let Some(header) = header {
        response.headers_mut().insert(REQUEST_ID, header);
    }
    let status = response.status().as_u16();
    let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    edge.counters.count(Some(&method), route, status, took_us);
    let run_id = response.headers().get(RUN_ID).and_then(|run| run.to_str().ok());
    if is_probe && response.status().is_success() {
        tracing::debug!(parent: &span, %method, route, status, took_us, run_id, "answered");
    } else {
        tracing::info!(parent: &span, %method, route, status, took_us, run_id, "answered");
    }
    response
}

/// All that goes around a probe which cannot fail and of which there is nothing to tell.
pub(crate) fn probed(
    edge: &Edge,
    route: &str,
    request: &Request,
    mut response: Response,
) -> Response {
    if let Ok(id) = HeaderValue::try_from(id_of(edge, request.headers())) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    // It takes less than a microsecond.
    edge.counters.count(Some(request.method()), route, response.status().as_u16(), 0);
    response
}

/// The last answer on a connection, to what never became a request, as it goes over the wire.
pub(crate) fn refused(edge: &Edge, problem: &Problem) -> String {
    let id = edge.options.ids.uuid(edge.now()).to_string();
    let status = problem.status();
    edge.counters.count(None, UNKNOWN, status.as_u16(), 0);
    tracing::info!(request_id = %id, status = status.as_u16(), "refused");
    let document = problem.document("", &id).to_string();
    let length = document.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {PROBLEM}\r\ncontent-length: {length}\r\n\
         connection: close\r\n{REQUEST_ID}: {id}\r\n\r\n{document}"
    )
}

/// The id that the client gave, or a new one.
fn id_of(edge: &Edge, headers: &HeaderMap) -> String {
    given_id(headers).unwrap_or_else(|| edge.options.ids.uuid(edge.now()).to_string())
}

/// The id of a request, which stands in its headers from its beginning.
pub(crate) fn id(headers: &HeaderMap) -> Option<&str> {
    headers.get(REQUEST_ID)?.to_str().ok()
}

/// The id that the client gave, if it is one that may stand in logs and headers.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = (1..=REQUEST_ID_LEN_MAX).contains(&id.len()) && id.bytes().all(is_plain);
    fits.then(|| id.to_owned())
}

/// Writes the problem that a response stands for.
fn written(response: Response, instance: &str, id: &str) -> Response {
    let Some(problem) = response.extensions().get::<Problem>().cloned() else { return response };
    let (parts, _) = response.into_parts();
    let document = problem.document(instance, id).to_string();
    Response::from_parts(parts, Body::from(document))
}

/// The trace that the client continues (W3C Trace Context), if it gives a valid one.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<u128> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_known = version == "00" && parts.next().is_none();
    let is_later = is_hex(version, 2) && version != "00" && version != "ff";
    let whole = is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    let span = u64::from_str_radix(span, 16).ok()?;
    let trace = u128::from_str_radix(trace, 16).ok()?;
    ((is_known || is_later) && whole && span != 0 && trace != 0).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_continued_only_if_it_is_whole() {
        let check = |text: &str, expected: Option<u128>| {
            let headers = [("traceparent".parse().unwrap(), text.parse().unwrap())];
            assert_eq!(trace_id(&headers.into_iter().collect()), expected, "{text}");
        };
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let number = Some(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        check(&format!("00-{trace}-{span}-01"), number);
        check(&format!("01-{trace}-{span}-01-more"), number);
        check(&format!("00-{trace}-{span}-01-more"), None);
        check(&format!("ff-{trace}-{span}-01"), None);
        check(&format!("00-{}-{span}-01", "0".repeat(32)), None);
        check(&format!("00-{trace}-{}-01", "0".repeat(16)), None);
        check(&format!("00-{}-{span}-01", trace.to_uppercase()), None);
        check("garbage", None);
    }

    #[test]
    fn an_id_that_could_forge_a_line_of_the_log_is_not_taken() {
        let check = |text: &[u8], taken: bool| {
            let value = HeaderValue::from_bytes(text).unwrap();
            let headers = [(REQUEST_ID, value)].into_iter().collect();
            assert_eq!(given_id(&headers).is_some(), taken, "{text:?}");
        };
        check(b"abc-1.2_3", true);
        check(b"", false);
        check(b"a b", false);
        check(b"a=\"b\"", false);
        check(b"\xff", false);
        check(&[b'a'; REQUEST_ID_LEN_MAX], true);
        check(&[b'a'; REQUEST_ID_LEN_MAX + 1], false);
    }
}
