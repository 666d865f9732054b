//! `Idempotency-Key`: a request that is sent again gets the run that there is.
//!
//! The attempt is on record before its run begins, under an id that no other attempt has. A run
//! that was answered, denied or goes on is not begun again; one that failed may be, by whoever is
//! quickest.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use genie_core::attempts::Attempt;
use genie_core::clock::Timestamp;
use genie_core::ids::RunId;
use genie_core::journal::chain::Hash;
use uuid::Uuid;

use crate::auth::Caller;
use crate::edge::{Edge, Fresh};
use crate::error::Problem;

/// Longest key.
const KEY_LEN_MAX: usize = 200;
/// How long keys are remembered.
const KEPT: Duration = Duration::from_hours(24);
/// How often old ones are forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// How long an attempt may take to begin its run before it is held to have died.
const BEGIN_WAIT: Duration = Duration::from_secs(30);
/// No run.
const NONE: RunId = RunId(Uuid::nil());

/// Which run answers a request.
pub(crate) enum Entry {
    /// One that is to begin; the attempt is there if the client gave a key.
    New(Fresh, Option<Attempt>),
    /// One that has begun.
    Known(RunId),
}

/// Forgets what is old, as long as the edge lives.
pub(crate) async fn forget(edge: Arc<Edge>) {
    loop {
        let before = edge.now().as_micros() - i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX);
        let forgotten = edge.options.attempts.forget(Timestamp::from_micros(before)).await;
        if let Err(error) = forgotten {
            tracing::warn!(%error, "old attempts are still kept");
        }
        if let Err(error) = edge.options.entrance.forget(edge.now()).await {
            tracing::warn!(%error, "sessions that are over are still kept");
        }
        tokio::time::sleep(FORGET_EVERY).await;
    }
}

/// Finds out which run answers the request with this digest.
///
/// # Errors
/// As [`enter_nth`].
pub(crate) async fn enter(
    edge: &Edge,
    caller: &Caller,
    headers: &HeaderMap,
    request: Hash,
) -> Result<Entry, Problem> {
    enter_part(edge, caller, headers, (request, None)).await
}

/// The key that the client has given its request.
///
/// # Errors
/// One that is none.
pub(crate) fn given(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let is_plain = |byte: &u8| byte.is_ascii_graphic();
    let bytes = key.as_bytes();
    if bytes.is_empty() || bytes.len() > KEY_LEN_MAX || !bytes.iter().all(is_plain) {
        let problem = format!("`Idempotency-Key` is 1 to {KEY_LEN_MAX} visible ASCII characters");
        return Err(Problem::invalid("Idempotency-Key", problem));
    }
    Ok(Some(bytes))
}

/// Finds out which run answers one part of a request that begins several.
///
/// # Errors
/// A key that is none, that came with another request, or whose request is just being taken.
pub(crate) async fn enter_nth(
    edge: &Edge,
    caller: &Caller,
    headers: &HeaderMap,
    (request, index): (Hash, usize),
) -> Result<Entry, Problem> {
    enter_part(edge, caller, headers, (request, Some(index))).await
}

async fn enter_part(
    edge: &Edge,
    caller: &Caller,
    headers: &HeaderMap,
    (request, part): (Hash, Option<usize>),
) -> Result<Entry, Problem> {
    let fresh = edge.fresh();
    let Some(bytes) = given(headers)? else { return Ok(Entry::New(fresh, None)) };
    let key = String::from_utf8_lossy(bytes);
    // No client's key has a space.
    let key = part.map_or_else(|| key.to_string(), |part| format!("{key} {part}"));
    let identity = caller.identity();
    let attempt = Attempt {
        tenant: caller.tenant().clone(),
        subject: identity.subject.as_str().into(),
        key: key.into(),
        request,
        run_id: fresh.id(),
        at: edge.now(),
    };
    let Some(before) = edge.options.attempts.begin(&attempt).await? else {
        return Ok(Entry::New(fresh, Some(attempt)));
    };
    if before.request != request {
        let problem = "this `Idempotency-Key` came with another request before; make a new one";
        return Err(Problem::invalid("Idempotency-Key", problem));
    }
    if !may_begin_again(edge, caller, &before).await? {
        return Ok(Entry::Known(before.run_id));
    }
    if edge.options.attempts.swap(before.run_id, &attempt).await? {
        return Ok(Entry::New(fresh, Some(attempt)));
    }
    Err(Problem::in_progress())
}

/// Whether nothing came of the attempt.
async fn may_begin_again(edge: &Edge, caller: &Caller, before: &Attempt) -> Result<bool, Problem> {
    if before.run_id == NONE {
        return Ok(true);
    }
    match edge.kernel().run(caller.tenant(), before.run_id).await? {
        Some(run) => Ok(["failed", "cancelled", "expired"].contains(&&*run.status)),
        None if edge.now() < before.at.plus(BEGIN_WAIT) => Err(Problem::in_progress()),
        None => Ok(true),
    }
}

/// Takes note that the run of an attempt never began.
pub(crate) async fn refused(edge: &Edge, attempt: Option<Attempt>) {
    let Some(attempt) = attempt else { return };
    let before = attempt.run_id;
    let swapped = edge.options.attempts.swap(before, &Attempt { run_id: NONE, ..attempt }).await;
    if let Err(error) = swapped {
        tracing::warn!(%error, "a refused attempt holds its key for some seconds");
    }
}
