//! Events of a run as server-sent events: from the journal, then live, without gap or repetition.
//!
//! `id` is the number of the record in the journal; a client that comes back with it as
//! `Last-Event-ID` goes on behind it. A client that does not take its events is let go, and may
//! come back the same way.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream;
use genie_core::ids::RunId;
use genie_core::journal::{self, Entry, Record};
use genie_core::tap::Event;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::auth::Known;
use crate::edge::Edge;
use crate::error::Problem;
use crate::follow::{Follower, waits};
use crate::runs;
use crate::view::Sight;

/// Frames that wait for a client beyond what the connection holds.
const FRAMES_MAX: usize = 16;
/// What a client hears when nothing happens.
const HEARTBEAT: &str = ": heartbeat\n\n";
/// What a client hears last when the process stops; it may come back.
const CLOSING: &str = "retry: 1000\nevent: stream.closing\ndata: {\"reason\":\"shutdown\"}\n\n";

/// `GET /v1/runs/{id}/events`.
pub(crate) async fn events(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run = runs::visible(&edge, &caller, &id).await?.run_id;
    let mut follower = Follower::of(edge.kernel(), &edge.hub, run);
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
    let until = Until::End;
    Ok(stream(&edge, follower, Reader { run, sight: Sight::of(caller.identity()), until }))
}

/// When a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// When the run has ended.
    End,
    /// When it has ended or waits for a human.
    Halt,
}

/// What a stream is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    pub(crate) run: RunId,
    pub(crate) sight: Sight,
    pub(crate) until: Until,
}

/// Streams what the follower gives.
pub(crate) fn stream(edge: &Arc<Edge>, follower: Follower, reader: Reader) -> Response {
    let (sender, receiver) = mpsc::channel(FRAMES_MAX);
    let task_edge = edge.clone();
    edge.tasks.spawn(async move {
        task_edge.counters.streams.fetch_add(1, Ordering::Relaxed);
        feed(&task_edge, follower, reader, &sender).await;
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

/// Sends frames until the run or the client ends; whichever way, what was sent is a prefix of what
/// is on record.
async fn feed(edge: &Edge, mut follower: Follower, reader: Reader, sender: &mpsc::Sender<Bytes>) {
    let (heartbeat, stall) = (edge.options.limits.heartbeat, edge.options.limits.stall);
    let mut beat_at = Instant::now() + heartbeat;
    loop {
        let next = tokio::select! {
            biased;
            () = sender.closed() => return,
            next = follower.next() => next,
            () = edge.closing.cancelled() => {
                let _ = sender.send_timeout(Bytes::from_static(CLOSING.as_bytes()), stall).await;
                return;
            }
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
            Err(error) => return tracing::error!(%error, run_id = %reader.run, "a stream broke"),
        };
        let frame = match frame(&follower, reader, &event).await {
            Ok(frame) => frame,
            Err(error) => return tracing::error!(%error, run_id = %reader.run, "a stream broke"),
        };
        if let Some(frame) = frame
            && sender.send_timeout(frame, stall).await.is_err()
        {
            return;
        }
        beat_at = Instant::now() + heartbeat;
        if let Event::Recorded(record) = &event
            && ends(record, reader.until)
        {
            return;
        }
    }
}

fn ends(record: &Record, until: Until) -> bool {
    matches!(record.entry, Entry::Outcome { .. }) || (until == Until::Halt && waits(record))
}

/// The event as a client reads it; `None` if it only completes another.
async fn frame(
    follower: &Follower,
    reader: Reader,
    event: &Event,
) -> Result<Option<Bytes>, journal::Error> {
    let Some(name) = event.name() else { return Ok(None) };
    let text = match event {
        Event::Recorded(record) => {
            follower.durable(record).await?;
            let data = reader.sight.entry(&record.entry, follower.outcome());
            format!("id: {}\nevent: {name}\ndata: {data}\n\n", record.seq)
        }
        Event::Ephemeral(ephemeral) => {
            let mut data = ephemeral.data.clone();
            if let Some(fields) = data.as_object_mut() {
                fields.insert("run_id".to_owned(), json!(ephemeral.run_id));
            }
            format!("event: {name}\ndata: {data}\n\n")
        }
    };
    Ok(Some(text.into()))
}
