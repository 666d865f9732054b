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

use genie_core::figures::{Figure, Kind, Value, WAIT_STEPS_US, Waits};
use genie_core::pace::Missed;
use genie_core::registry::Health;

use crate::edge::Edge;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Requests by route, method and status: a few for each route, so that this stays small.
type Requests = BTreeMap<String, BTreeMap<(&'static str, u16), (u64, u64)>>;

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
    /// Counts a request; one that never could be read has no method.
    pub(crate) fn count(&self, method: Option<&Method>, route: &str, status: u16, took_us: u64) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        // A route is new only once.
        if !requests.contains_key(route) {
            requests.insert(route.to_owned(), BTreeMap::new());
        }
        let Some(of_route) = requests.get_mut(route) else { return };
        let (count, micros) = of_route.entry((method.map_or("unknown", word), status)).or_default();
        *count += 1;
        *micros += took_us;
    }

    /// The counts of requests, and the time that they took.
    fn figures(&self) -> [Figure; 2] {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut counts, mut times) = (Vec::new(), Vec::new());
        let each = requests.iter().flat_map(|(route, counts)| {
            counts.iter().map(move |((method, status), sums)| (method, route, status, sums))
        });
        for (method, route, status, (count, micros)) in each {
            let method = ("method", (*method).to_owned());
            let labels = vec![method, ("route", route.clone()), ("status", status.to_string())];
            counts.push((labels.clone(), Value::Count(*count)));
            times.push((labels, Value::Micros(*micros)));
        }
        let counter = |name, values| Figure { name, kind: Kind::Counter, values };
        [
            counter("genie_http_requests_total", counts),
            counter("genie_http_request_seconds_total", times),
        ]
    }
}

fn single(name: &'static str, kind: Kind, value: Value) -> Figure {
    Figure { name, kind, values: vec![(Vec::new(), value)] }
}

fn gauge(name: &'static str, value: usize) -> Figure {
    single(name, Kind::Gauge, Value::Count(value as u64))
}

/// Counts under the values of a label.
fn by(name: &'static str, label: &'static str, counts: &[(&str, u64)]) -> Figure {
    let value = |(of, count): &(&str, u64)| (vec![(label, (*of).to_owned())], Value::Count(*count));
    Figure { name, kind: Kind::Counter, values: counts.iter().map(value).collect() }
}

/// All that is counted, as it is now.
pub(crate) fn figures(edge: &Edge) -> Vec<Figure> {
    let (kernel, counters) = (edge.kernel(), &edge.counters);
    let counted = kernel.figures();
    let policies: Vec<(&str, u64)> =
        kernel.policies().list().map(|(id, _, _, hits)| (id, hits)).collect();
    let (started, recorded) = (counted.runs_started(), kernel.head().seq);
    let waits = Value::Waits(counted.waits_for_disk());
    let Missed { closed, open, local } = edge.options.paces.missed();
    let missed = [("closed", closed), ("open", open), ("local", local)];
    let mut all = vec![
        gauge("genie_runs_in_flight", kernel.runs_in_flight()),
        gauge("genie_http_connections", counters.connections.load(Ordering::Relaxed)),
        gauge("genie_http_streams", counters.streams.load(Ordering::Relaxed)),
        gauge("genie_http_runs_followed", edge.hub.followed()),
        gauge("genie_http_upload_bytes", edge.uploads.bytes()),
        single("genie_runs_started_total", Kind::Counter, Value::Count(started)),
        by("genie_runs_ended_total", "outcome", &counted.runs_ended()),
        by("genie_verdicts_total", "decision", &counted.verdicts()),
        by("genie_requests_refused_total", "limit", &counted.requests_refused()),
        by("genie_limits_missed_total", "outage", &missed),
        by("genie_policy_hits_total", "policy", &policies),
        single("genie_journal_wait_seconds", Kind::Histogram, waits),
        single("genie_journal_records_total", Kind::Counter, Value::Count(recorded)),
    ];
    let health = kernel.health();
    let each = |name: &'static str, value: fn(&Health) -> u64| {
        let counts: Vec<(&str, u64)> =
            health.iter().map(|agent| (&*agent.agent, value(agent))).collect();
        by(name, "agent", &counts)
    };
    let queued = each("genie_agent_queued", |agent| agent.queued as u64);
    all.extend([
        each("genie_agent_handled_total", |agent| agent.handled),
        each("genie_agent_failed_total", |agent| agent.failed),
        each("genie_agent_restarts_total", |agent| agent.restarts),
        Figure { kind: Kind::Gauge, ..queued },
    ]);
    all.extend(counters.figures());
    all
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn line(text: &mut String, name: &str, labels: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = if labels.is_empty() {
        writeln!(text, "{name} {value}")
    } else {
        writeln!(text, "{name}{{{labels}}} {value}")
    };
}

fn waits(text: &mut String, name: &str, waits: Waits) {
    let ends = WAIT_STEPS_US.iter().map(|end| seconds(*end)).chain(["+Inf".to_owned()]);
    for (end, count) in ends.zip(waits.up_to) {
        line(text, &format!("{name}_bucket"), &format!("le=\"{end}\""), &count.to_string());
    }
    let [.., all] = waits.up_to;
    line(text, &format!("{name}_sum"), "", &seconds(waits.sum_us));
    line(text, &format!("{name}_count"), "", &all.to_string());
}

fn write(text: &mut String, Figure { name, kind, values }: &Figure) {
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let _ = writeln!(text, "# TYPE {name} {kind}");
    for (labels, value) in values {
        let labels: Vec<String> =
            labels.iter().map(|(label, of)| format!("{label}=\"{of}\"")).collect();
        match value {
            Value::Count(count) => line(text, name, &labels.join(","), &count.to_string()),
            Value::Micros(micros) => line(text, name, &labels.join(","), &seconds(*micros)),
            Value::Waits(of) => waits(text, name, *of),
        }
    }
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(edge): State<Arc<Edge>>) -> Response {
    let mut text = String::new();
    for figure in figures(&edge) {
        write(&mut text, &figure);
    }
    let mut response = Body::from(text).into_response();
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}
