//! `/metrics`: figures for Prometheus (text format 0.0.4). No label holds what a client sent.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse, Response};

use genie_core::figures::{WAIT_STEPS_US, Waits};
use genie_core::pace::Missed;

use crate::edge::Edge;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Requests by method, route and status: a few for each route, so that this stays small.
type Requests = BTreeMap<(&'static str, String, u16), (u64, u64)>;

/// What the edge counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: Mutex<Requests>,
    pub(crate) connections: AtomicUsize,
    pub(crate) streams: AtomicUsize,
}

/// The word for a method; what is not one of these is counted together.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

impl Counters {
    pub(crate) fn count(&self, method: &Method, route: &str, status: u16, took_us: u64) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, micros) = requests.entry((word(method), route.to_owned(), status)).or_default();
        *count += 1;
        *micros += took_us;
    }

    fn write(&self, text: &mut String) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, kind) in [("requests_total", "counter"), ("request_seconds_total", "counter")] {
            head(text, &format!("genie_http_{name}"), kind);
            for ((method, route, status), (count, micros)) in &*requests {
                let value = match name {
                    "requests_total" => count.to_string(),
                    _ => seconds(*micros),
                };
                let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
                line(text, &format!("genie_http_{name}"), &labels, &value);
            }
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# TYPE {name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: &str) {
    let _ = if labels.is_empty() {
        writeln!(text, "{name} {value}")
    } else {
        writeln!(text, "{name}{{{labels}}} {value}")
    };
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn waits(text: &mut String, name: &str, waits: Waits) {
    head(text, name, "histogram");
    let ends = WAIT_STEPS_US.iter().map(|end| seconds(*end)).chain(["+Inf".to_owned()]);
    for (end, count) in ends.zip(waits.up_to) {
        line(text, &format!("{name}_bucket"), &format!("le=\"{end}\""), &count.to_string());
    }
    let [.., all] = waits.up_to;
    line(text, &format!("{name}_sum"), "", &seconds(waits.sum_us));
    line(text, &format!("{name}_count"), "", &all.to_string());
}

fn gauge(text: &mut String, name: &str, value: usize) {
    head(text, name, "gauge");
    line(text, name, "", &value.to_string());
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(edge): State<Arc<Edge>>) -> Response {
    let (kernel, counters) = (edge.kernel(), &edge.counters);
    let mut text = String::new();
    gauge(&mut text, "genie_runs_in_flight", kernel.runs_in_flight());
    gauge(&mut text, "genie_http_connections", counters.connections.load(Ordering::Relaxed));
    gauge(&mut text, "genie_http_streams", counters.streams.load(Ordering::Relaxed));
    gauge(&mut text, "genie_http_runs_followed", edge.hub.followed());
    let figures = kernel.figures();
    head(&mut text, "genie_runs_started_total", "counter");
    line(&mut text, "genie_runs_started_total", "", &figures.runs_started().to_string());
    let by = |text: &mut String, name: &str, label: &str, counts: &[(&str, u64)]| {
        head(text, name, "counter");
        for (value, count) in counts {
            line(text, name, &format!("{label}=\"{value}\""), &count.to_string());
        }
    };
    by(&mut text, "genie_runs_ended_total", "outcome", &figures.runs_ended());
    by(&mut text, "genie_verdicts_total", "decision", &figures.verdicts());
    by(&mut text, "genie_requests_refused_total", "limit", &figures.requests_refused());
    let Missed { closed, open, local } = edge.options.paces.missed();
    let missed = [("closed", closed), ("open", open), ("local", local)];
    by(&mut text, "genie_limits_missed_total", "outage", &missed);
    let policies: Vec<(&str, u64)> =
        kernel.policies().list().map(|(id, _, _, hits)| (id, hits)).collect();
    by(&mut text, "genie_policy_hits_total", "policy", &policies);
    waits(&mut text, "genie_journal_wait_seconds", figures.waits_for_disk());
    head(&mut text, "genie_journal_records_total", "counter");
    line(&mut text, "genie_journal_records_total", "", &kernel.head().seq.to_string());
    let health = kernel.health();
    let mut each = |name: &str, kind: &str, value: &dyn Fn(usize) -> String| {
        head(&mut text, name, kind);
        for (index, agent) in health.iter().enumerate() {
            line(&mut text, name, &format!("agent=\"{}\"", agent.agent), &value(index));
        }
    };
    each("genie_agent_handled_total", "counter", &|index| health[index].handled.to_string());
    each("genie_agent_failed_total", "counter", &|index| health[index].failed.to_string());
    each("genie_agent_restarts_total", "counter", &|index| health[index].restarts.to_string());
    each("genie_agent_queued", "gauge", &|index| health[index].queued.to_string());
    counters.write(&mut text);
    let mut response = Body::from(text).into_response();
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}
