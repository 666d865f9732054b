//! `Idempotency-Key`: a request that is sent again gets what became of it.
//!
//! The attempt is on record before anything is done, with the id of what it is to begin, make or
//! change. A run that was answered, denied or goes on is not begun again; one that failed may be,
//! by whoever is quickest. What was made is there under its id, and what was changed shows that.

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
/// How long an attempt may take to begin a run or make something before it is held to have died.
const BEGIN_WAIT: Duration = Duration::from_secs(30);
/// Of nothing.
const NONE: RunId = RunId(Uuid::nil());

/// Which run answers a request.
pub(crate) enum Entry {
    /// One that is to begin; the attempt is there if the client gave a key.
    New(Fresh, Option<Attempt>),
    /// One that has begun.
    Known(RunId),
}

/// Whether a request came before under its key.
pub(crate) enum Turn {
    /// It did not; the attempt is there if the client gave a key.
    First(Option<Attempt>),
    /// It did.
    Again(Again),
}

/// A request that came before.
pub(crate) struct Again {
    before: Attempt,
    now: Attempt,
}

impl Again {
    /// What was to be begun, made or changed.
    pub(crate) fn id(&self) -> Uuid {
        self.before.run_id.0
    }

    /// Begins again, since nothing is there that was made.
    ///
    /// # Errors
    /// It may still be made, or somebody else was quicker.
    pub(crate) async fn missing(self, edge: &Edge) -> Result<Attempt, Problem> {
        if edge.now() < self.before.at.plus(BEGIN_WAIT) {
            return Err(Problem::in_progress());
        }
        self.anew(edge).await
    }

    async fn anew(self, edge: &Edge) -> Result<Attempt, Problem> {
        if edge.options.attempts.swap(self.before.run_id, &self.now).await? {
            return Ok(self.now);
        }
        Err(Problem::in_progress())
    }
}

impl Turn {
    /// Whether the request came before.
    pub(crate) fn is_again(&self) -> bool {
        matches!(self, Self::Again(_))
    }

    /// Takes note that nothing came of it, so that it may be tried again; gives the problem back.
    /// What a store has not said may still have been done.
    pub(crate) async fn failed(self, edge: &Edge, problem: Problem) -> Problem {
        if let Self::First(attempt) = self
            && !problem.status().is_server_error()
        {
            refused(edge, attempt).await;
        }
        problem
    }
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
    let again = match turn_of(edge, caller, headers, (request, part, fresh.id().0)).await? {
        Turn::First(attempt) => return Ok(Entry::New(fresh, attempt)),
        Turn::Again(again) => again,
    };
    let attempt = match edge.kernel().run(caller.tenant(), again.before.run_id).await? {
        None => again.missing(edge).await?,
        Some(run) if ["failed", "cancelled", "expired"].contains(&&*run.status) => {
            again.anew(edge).await?
        }
        Some(_) => return Ok(Entry::Known(again.before.run_id)),
    };
    Ok(Entry::New(fresh, Some(attempt)))
}

/// Takes down the request with this digest, which is to make or change what has this id.
///
/// # Errors
/// A key that is none, or that came with another request.
pub(crate) async fn turn(
    edge: &Edge,
    caller: &Caller,
    headers: &HeaderMap,
    (request, id): (Hash, Uuid),
) -> Result<Turn, Problem> {
    turn_of(edge, caller, headers, (request, None, id)).await
}

async fn turn_of(
    edge: &Edge,
    caller: &Caller,
    headers: &HeaderMap,
    (request, part, id): (Hash, Option<usize>, Uuid),
) -> Result<Turn, Problem> {
    let Some(bytes) = given(headers)? else { return Ok(Turn::First(None)) };
    let key = String::from_utf8_lossy(bytes);
    // No client's key has a space.
    let key = part.map_or_else(|| key.to_string(), |part| format!("{key} {part}"));
    let now = Attempt {
        tenant: caller.tenant().clone(),
        subject: caller.identity().subject.as_str().into(),
        key: key.into(),
        request,
        run_id: RunId(id),
        at: edge.now(),
    };
    let Some(before) = edge.options.attempts.begin(&now).await? else {
        return Ok(Turn::First(Some(now)));
    };
    if before.request != request {
        let problem = "this `Idempotency-Key` came with another request before; make a new one";
        return Err(Problem::invalid("Idempotency-Key", problem));
    }
    let again = Again { before, now };
    if again.before.run_id == NONE {
        return again.anew(edge).await.map(|attempt| Turn::First(Some(attempt)));
    }
    Ok(Turn::Again(again))
}

/// Takes note that nothing came of an attempt.
pub(crate) async fn refused(edge: &Edge, attempt: Option<Attempt>) {
    let Some(attempt) = attempt else { return };
    let before = attempt.run_id;
    let swapped = edge.options.attempts.swap(before, &Attempt { run_id: NONE, ..attempt }).await;
    if let Err(error) = swapped {
        tracing::warn!(%error, "a refused attempt holds its key for some seconds");
    }
}
