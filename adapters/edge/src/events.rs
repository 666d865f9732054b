//! Events of a run as server-sent events: from the journal, then live, without gap or repetition.
//!
//! `id` is the number of the record in the journal; a client that comes back with it as
//! `Last-Event-ID` goes on behind it. A client that does not take its events is let go, and may
//! come back the same way.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream;
use genie_core::journal::{self, Entry, Record};
use genie_core::ours;
use genie_core::tap::{Ephemeral, Event};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::auth::{Caller, Known};
use crate::body::Params;
use crate::edge::Edge;
use crate::error::Problem;
use crate::follow::{Follower, waits};
use crate::runs;
use crate::view::Sight;

/// Frames that wait for a client beyond what the connection holds.
const FRAMES_MAX: usize = 16;
/// What a client hears when nothing happens.
pub(crate) const HEARTBEAT: &str = ": heartbeat\n\n";
/// What a client hears last when the process stops; it may come back.
const CLOSING: &str = "retry: 1000\nevent: stream.closing\ndata: {\"reason\":\"shutdown\"}\n\n";

/// What a client hears last whose credential is no longer good, or no longer worth the same.
const EXPELLED: &str = "event: stream.closing\ndata: {\"reason\":\"credential\"}\n\n";
/// How often a stream asks whether its client may still come in.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// How to read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reading {
    /// Whether to wait for what is still to come; yes, if absent.
    follow: Option<bool>,
}

/// `GET /v1/runs/{id}/events`.
pub(crate) async fn events(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Path(id): Path<String>,
    Params(reading): Params<Reading>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run = runs::visible(&edge, &caller, &id).await?;
    let mut follower = Follower::of(&edge, &run);
    if let Some(last) = headers.get("last-event-id") {
        let seq = last.to_str().ok().and_then(|text| text.trim().parse().ok());
        let seq = seq.ok_or_else(|| {
            Problem::malformed("`Last-Event-ID` is not the id of an event; leave it out to begin")
        })?;
        if !follower.resume(seq).await? {
            // A browser that gets this does not come back, and need not.
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    let until = if reading.follow == Some(false) { Until::Now } else { Until::End };
    let reader = Reader { sight: Sight::of(caller.identity()), until };
    Ok(stream(&edge, caller, OfRun { follower, reader }))
}

/// When a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// When all that is on record now was given.
    Now,
    /// When the run has ended.
    End,
    /// When it has ended or waits for a human.
    Halt,
}

/// What a stream is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) sight: Sight,
    pub(crate) until: Until,
}

/// Where the events of a stream come from.
pub(crate) trait Source: Send + 'static {
    /// The next event; `None` if there is none to come. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Result<Option<Event>, Broken>> + Send;

    /// The event as the client reads it, once it is on disk; `None` if it is not for the client.
    fn frame(
        &mut self,
        event: &Event,
    ) -> impl Future<Output = Result<Option<Bytes>, Broken>> + Send;

    /// Whether it is the last one.
    fn ends(&self, event: &Event) -> bool;
}

/// Why a stream ends before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// One run's.
    #[error(transparent)]
    Run(#[from] journal::Error),
    /// A tenant's.
    #[error(transparent)]
    Tenant(#[from] ours::Error),
}

/// The events of one run.
pub(crate) struct OfRun {
    pub(crate) follower: Follower,
    pub(crate) reader: Reader,
}

impl Source for OfRun {
    async fn next(&mut self) -> Result<Option<Event>, Broken> {
        if self.reader.until == Until::Now && self.follower.caught_up().await? {
            return Ok(None);
        }
        Ok(self.follower.next().await?)
    }

    async fn frame(&mut self, event: &Event) -> Result<Option<Bytes>, Broken> {
        let Some(name) = event.name() else { return Ok(None) };
        if let Event::Recorded(record) = event {
            self.follower.durable(record).await?;
        }
        let data = match event {
            Event::Recorded(record) => {
                self.reader.sight.entry(&record.entry, self.follower.outcome())
            }
            Event::Ephemeral(ephemeral) => beside(ephemeral),
        };
        Ok(Some(frame((name, event), &data, |record| record.seq.to_string())))
    }

    fn ends(&self, event: &Event) -> bool {
        matches!(event, Event::Recorded(record) if ends(record, self.reader.until))
    }
}

/// Streams what the source gives, as long as the caller may have it.
pub(crate) fn stream(edge: &Arc<Edge>, caller: Caller, source: impl Source) -> Response {
    let (sender, receiver) = mpsc::channel(FRAMES_MAX);
    let task_edge = edge.clone();
    edge.tasks.spawn(async move {
        task_edge.counters.streams.fetch_add(1, Ordering::Relaxed);
        feed(&task_edge, &caller, source, &sender).await;
        task_edge.counters.streams.fetch_sub(1, Ordering::Relaxed);
    });
    let frames = stream::unfold(receiver, async |mut receiver| {
        let frame: Bytes = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(frame), receiver))
    });
    let mut response = Body::from_stream(frames).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let buffering = HeaderName::from_static("x-accel-buffering");
    headers.insert(buffering, HeaderValue::from_static("no"));
    response
}

/// Whether what the caller has shown is still worth what it was. A store that does not answer is
/// asked again later.
async fn may_stay(edge: &Edge, caller: &Caller) -> bool {
    match edge.options.entrance.still(caller, edge.now()).await {
        Ok(identity) => identity == *caller.identity(),
        Err(problem) => problem.status().is_server_error(),
    }
}

/// Sends frames until the source or the client ends; whichever way, what was sent is a prefix of
/// what is on record.
async fn feed(edge: &Edge, caller: &Caller, mut source: impl Source, sender: &mpsc::Sender<Bytes>) {
    let (heartbeat, stall) = (edge.options.limits.heartbeat, edge.options.limits.stall);
    let mut beat_at = Instant::now() + heartbeat;
    let mut ask_at = Instant::now() + ASK_EVERY;
    loop {
        if Instant::now() >= ask_at {
            // In a place of its own, so that ten thousand streams do not keep room for it.
            if !Box::pin(may_stay(edge, caller)).await {
                let _ = sender.send_timeout(Bytes::from_static(EXPELLED.as_bytes()), stall).await;
                return;
            }
            ask_at = Instant::now() + ASK_EVERY;
        }
        let next = tokio::select! {
            biased;
            () = sender.closed() => return,
            next = source.next() => next,
            () = edge.closing.cancelled() => {
                let _ = sender.send_timeout(Bytes::from_static(CLOSING.as_bytes()), stall).await;
                return;
            }
            () = tokio::time::sleep_until(ask_at) => continue,
            () = tokio::time::sleep_until(beat_at) => {
                beat_at = Instant::now() + heartbeat;
                let frame = Bytes::from_static(HEARTBEAT.as_bytes());
                if sender.send_timeout(frame, stall).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let event = match next {
            Ok(Some(event)) => event,
            Ok(None) => return,
            Err(error) => return tracing::error!(%error, "a stream broke"),
        };
        match source.frame(&event).await {
            Ok(None) => {}
            Ok(Some(frame)) => {
                if sender.send_timeout(frame, stall).await.is_err() {
                    return;
                }
                beat_at = Instant::now() + heartbeat;
            }
            Err(error) => return tracing::error!(%error, "a stream broke"),
        }
        if source.ends(&event) {
            return;
        }
    }
}

fn ends(record: &Record, until: Until) -> bool {
    matches!(record.entry, Entry::Outcome { .. }) || (until == Until::Halt && waits(record))
}

/// What a client is told of an event beside the journal.
pub(crate) fn beside(event: &Ephemeral) -> Value {
    let mut data = event.data.clone();
    if let Some(fields) = data.as_object_mut() {
        fields.insert("run_id".to_owned(), json!(event.run_id));
    }
    data
}

/// The text of an event; what is on record has an id.
pub(crate) fn frame(
    (name, event): (&str, &Event),
    data: &Value,
    id: impl Fn(&Record) -> String,
) -> Bytes {
    let text = match event {
        Event::Recorded(record) => {
            format!("id: {}\nevent: {name}\ndata: {data}\n\n", id(record))
        }
        Event::Ephemeral(_) => format!("event: {name}\ndata: {data}\n\n"),
    };
    text.into()
}
