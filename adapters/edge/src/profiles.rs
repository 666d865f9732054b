//! `/debug/pprof/`: profiles of this process, for `go tool pprof` and what else reads its format.
//!
//! How a profile is taken is the business of [`Profiles`], which the composition root gives. Here
//! it is taken for as long as whoever asked for it is there.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use genie_core::clock::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::body::Params;
use crate::edge::Edge;
use crate::error::Problem;
use crate::router::BYTES;
use crate::socket::{self, Other};

/// Why there is no profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoProfile {
    /// Another is just being taken.
    Busy(String),
    /// It cannot be had from this program, or on this system.
    Impossible(String),
}

/// Takes a profile that begins now and lasts so long, or until the other end of the receiver is
/// dropped; blocks its thread. Gives it as a gzip'd message of pprof.
pub type Take = fn(Timestamp, Duration, &Receiver<Infallible>) -> Result<Vec<u8>, NoProfile>;

/// What takes profiles.
#[derive(Debug, Clone, Copy)]
pub struct Profiles {
    /// Of what the threads execute.
    pub cpu: Take,
    /// Of what is allocated, and of what of it stays.
    pub heap: Take,
}

/// Seconds of a profile for which nobody says how long.
const SECONDS: u64 = 10;
/// Longest profile.
const SECONDS_MAX: u64 = 60;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// Compressed already, so that nothing compresses it again.
const PROFILE: HeaderValue = HeaderValue::from_static(BYTES);

/// What is there, and what to do with it.
const INDEX: &str = "\
Profiles of this process, in the format of pprof; one is taken at a time:

  /debug/pprof/profile?seconds=10  what the threads execute
  /debug/pprof/heap?seconds=10     what is allocated in these seconds, and what of it stays

Save one with the key of an administrator, and read it with `go tool pprof FILE`.
";

/// How long to look.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sampling {
    /// How long to sample, 10 seconds if absent.
    #[schemars(range(min = 1, max = 60))]
    seconds: Option<u64>,
}

/// `GET /debug/pprof/`.
pub(crate) async fn index() -> Response {
    let mut response = Body::from(INDEX).into_response();
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// `GET /debug/pprof/profile`.
pub(crate) async fn cpu(
    State(edge): State<Arc<Edge>>,
    client: Other,
    Params(sampling): Params<Sampling>,
) -> Result<Response, Problem> {
    let take = edge.options.profiles.map(|profiles| profiles.cpu);
    taken((&edge, client), take, &sampling, "attachment; filename=\"cpu.pb.gz\"").await
}

/// `GET /debug/pprof/heap`.
pub(crate) async fn heap(
    State(edge): State<Arc<Edge>>,
    client: Other,
    Params(sampling): Params<Sampling>,
) -> Result<Response, Problem> {
    let take = edge.options.profiles.map(|profiles| profiles.heap);
    taken((&edge, client), take, &sampling, "attachment; filename=\"heap.pb.gz\"").await
}

async fn taken(
    (edge, client): (&Edge, Other),
    take: Option<Take>,
    sampling: &Sampling,
    name: &'static str,
) -> Result<Response, Problem> {
    let seconds = sampling.seconds.unwrap_or(SECONDS);
    if !(1..=SECONDS_MAX).contains(&seconds) {
        let problem = format!("`seconds` is from 1 to {SECONDS_MAX}, not {seconds}");
        return Err(Problem::invalid("seconds", problem));
    }
    let take = take.ok_or_else(|| {
        Problem::no_profile(
            "this build takes none; it needs the feature `pprof`, on Linux on x86-64",
        )
    })?;
    // Dropped with this request, for whatever reason it ends; then nobody samples any longer.
    let (_here, gone) = channel();
    let (now, lasts) = (edge.now(), Duration::from_secs(seconds));
    let taking = edge.tasks.spawn_blocking(move || take(now, lasts, &gone));
    let taken = tokio::select! {
        taken = taking => taken.map_err(|_| Problem::panicked())?,
        () = edge.closing.cancelled() => return Err(Problem::ending()),
        () = socket::ended(client) => return Err(Problem::left()),
    };
    let profile = taken.map_err(|error| match error {
        NoProfile::Busy(detail) => Problem::profiling(detail),
        NoProfile::Impossible(detail) => Problem::no_profile(detail),
    })?;
    let mut response = Body::from(profile).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PROFILE);
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static(name));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use crate::desk::{Desk, Fate};

    #[tokio::test(start_paused = true)]
    async fn a_profile_lasts_as_long_as_was_asked_for_within_bounds() {
        let desk = Desk::new().await;
        let key = desk.key("acme", &["admin"], Fate::Good).await;
        let get = async |path: &str| {
            let answer = desk.send(&Method::GET, path, Some(&key), "").await;
            (answer.status.as_u16(), answer.body["code"].as_str().map(str::to_owned), answer)
        };
        for (query, lasts) in [("", 10), ("?seconds=1", 1), ("?seconds=60", 60)] {
            let (status, _, answer) = get(&format!("/debug/pprof/profile{query}")).await;
            // The body is how long the desk was asked to look.
            assert_eq!((status, answer.body.as_u64()), (200, Some(lasts)), "{query}");
            assert_eq!(answer.headers["content-type"], "application/octet-stream");
        }
        for query in ["seconds=0", "seconds=61", "seconds=-1", "seconds=1.5", "seconds=x", "s=1"] {
            for kind in ["profile", "heap"] {
                let (status, code, _) = get(&format!("/debug/pprof/{kind}?{query}")).await;
                assert_eq!((status, code.as_deref()), (422, Some("invalid")), "{kind}?{query}");
            }
        }
        let (status, code, answer) = get("/debug/pprof/heap").await;
        assert_eq!((status, code.as_deref()), (409, Some("profiling")));
        assert!(answer.headers.contains_key("retry-after"));
    }
}
