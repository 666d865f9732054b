//! The audit log: the tenant's records with their hashes, signed checkpoints, and whether it
//! verifies.
//!
//! To verify takes reading everything, so that one does it at a time, and then rests.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use genie_core::audit::evidence::{Evidence, Fault, Unproven};
use genie_core::ids::RunId;
use genie_core::journal::chain::Hash;
use genie_core::journal::{Entry, Record};
use genie_core::ours::Of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::auth::{Caller, Known};
use crate::body::{self, Json, Params};
use crate::edge::Edge;
use crate::error::Problem;
use crate::{pace, page, rights};

/// How many records are read at a time to find the tenant's.
const READ: usize = 1_000;
/// How often at most for one page, from whatever chains.
const READS_MAX: usize = 20;
/// Longest time that verifying may take here; `genie audit verify` takes as long as it needs.
const VERIFY_MAX: Duration = Duration::from_mins(1);
/// How many times as long as verifying took the next one waits.
const REST: u32 = 4;

/// What to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    /// What `next` of the page before says: the number of a record, with that of its chain and a
    /// dash before it if that is not the first.
    #[schemars(regex(pattern = r"^([0-9]{1,18}-)?[0-9]{1,18}$"))]
    after: Option<String>,
    /// Items of a page, 50 if absent.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
}

/// Behind which record a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    chain: i64,
    seq: u64,
}

impl Place {
    /// Before the first record of the first chain.
    const START: Self = Self { chain: 1, seq: 0 };

    fn read(text: &str) -> Option<Self> {
        let (chain, seq) = text.split_once('-').unwrap_or(("1", text));
        // As many as fit a number of any chain.
        let digits = |text: &str| {
            (1..=18).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit())
        };
        if !digits(chain) || !digits(seq) {
            return None;
        }
        Some(Self { chain: chain.parse().ok()?, seq: seq.parse().ok()? })
    }
}

impl fmt::Display for Place {
    /// As the ids of events are.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.chain {
            1 => write!(formatter, "{}", self.seq),
            chain => write!(formatter, "{chain}-{}", self.seq),
        }
    }
}

/// A record with what its hash is over.
#[derive(Serialize)]
struct Shown {
    chain: i64,
    seq: u64,
    prev_hash: Hash,
    hash: Hash,
    run_id: RunId,
    #[serde(rename = "type")]
    kind: String,
    /// The text that was hashed; `None` once it was erased.
    body: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_sha256: Option<Hash>,
}

impl Shown {
    fn of(chain: i64, record: &Record) -> Result<Self, Problem> {
        let (body, body_sha256) = if let Entry::Erased { body_sha256, .. } = &record.entry {
            (None, Some(*body_sha256))
        } else {
            let text = record.text().map_err(|error| Problem::unavailable(&error))?;
            let raw = RawValue::from_string(text.into_owned());
            (Some(raw.map_err(|error| Problem::unavailable(&error))?), None)
        };
        Ok(Self {
            chain,
            seq: record.seq,
            prev_hash: record.prev_hash,
            hash: record.hash,
            run_id: record.entry.run_id(),
            kind: record.entry.kind().to_owned(),
            body,
            body_sha256,
        })
    }
}

/// A page of records.
#[derive(Serialize)]
struct Page {
    data: Vec<Shown>,
    /// Where the next page begins; `None` at the end of what is on record.
    next: Option<String>,
}

/// `GET /v1/audit`: the tenant's records chain by chain, on each the oldest first. Chains grow at
/// their ends: what has come to one behind which a reader is already is found by reading on behind
/// its last record.
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Params(listing): Params<Listing>,
) -> Result<Response, Problem> {
    let limit = page::limit(listing.limit)?;
    let after = listing.after.as_deref().map_or(Some(Place::START), Place::read);
    let not_one = || Problem::invalid("after", "`after` is what `next` of the page before says");
    let mut last = after.ok_or_else(not_one)?;
    let mut log = edge.kernel().log_of(caller.tenant());
    let mut data = Vec::new();
    for _ in 0..READS_MAX {
        let stretch = log.read(last.chain, last.seq, READ).await?;
        for Of { subject, it: record } in stretch.records {
            if !rights::sees(caller.identity(), &subject) {
                continue;
            }
            if data.len() == limit {
                return page_of(data, Some(last));
            }
            last.seq = record.seq;
            data.push(Shown::of(last.chain, &record)?);
        }
        last.seq = stretch.last;
        if stretch.is_end {
            let Some(chain) = log.next_chain(last.chain).await? else {
                return page_of(data, None);
            };
            last = Place { chain, seq: 0 };
        }
    }
    page_of(data, Some(last))
}

fn page_of(data: Vec<Shown>, last: Option<Place>) -> Result<Response, Problem> {
    let page = Page { data, next: last.map(|last| last.to_string()) };
    // Not as a value, in which the texts would not stay as they were hashed.
    let text = serde_json::to_string(&page).map_err(|error| Problem::unavailable(&error))?;
    Ok(body::json_text(text))
}

fn evidence(edge: &Edge) -> Result<&Arc<dyn Evidence>, Problem> {
    let problem = "nothing is signed, since runs are kept in memory only";
    edge.options.evidence.as_ref().ok_or_else(|| Problem::conflict("unsigned", problem))
}

/// `GET /v1/audit/checkpoint`: the latest of each chain, as text for `Accept: text/plain`.
pub(crate) async fn checkpoint(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let signed = evidence(&edge)?.checkpoints().await?;
    if !body::accepts(&headers, "text/plain") {
        return Ok(body::json(&json!({ "data": signed, "next": null })));
    }
    let notes: Vec<&str> = signed.iter().map(|one| &*one.checkpoint).collect();
    let mut response = Body::from(notes.join("\n")).into_response();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    Ok(response)
}

/// What to compare the log with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KeptCheckpoint")]
pub(crate) struct Wanted {
    /// A checkpoint that was kept elsewhere.
    checkpoint: Option<String>,
}

/// When verifying is allowed again.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    free: tokio::sync::Mutex<()>,
    rested_at: Mutex<Option<Instant>>,
}

impl Turn {
    /// How long to rest still.
    fn rest(&self) -> Option<Duration> {
        let rested_at = *self.rested_at.lock().unwrap_or_else(PoisonError::into_inner);
        rested_at?.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
    }

    fn took(&self, took: Duration) {
        let mut rested_at = self.rested_at.lock().unwrap_or_else(PoisonError::into_inner);
        *rested_at = Some(Instant::now() + took * REST);
    }
}

/// `POST /v1/audit/verify`: a report, good or bad.
pub(crate) async fn verify(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Json(wanted, _): Json<Wanted>,
) -> Result<Response, Problem> {
    let evidence = evidence(&edge)?;
    let _turn = edge.verifying.free.try_lock().map_err(|_| Problem::verifying(1))?;
    if let Some(rest) = edge.verifying.rest() {
        return Err(Problem::verifying(pace::seconds(rest)));
    }
    let began = Instant::now();
    let verified = evidence.verify(wanted.checkpoint.as_deref());
    let verified = tokio::time::timeout(VERIFY_MAX, verified).await;
    let took = began.elapsed();
    edge.verifying.took(took);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let report = match verified.map_err(|_| Problem::too_much_to_verify())?? {
        Ok(sound) => json!({ "verified": true, "duration_ms": duration_ms, "report": sound }),
        Err(fault) => {
            let fault = told(&edge, &caller, fault).await?;
            json!({ "verified": false, "duration_ms": duration_ms, "fault": fault })
        }
    };
    Ok(body::json(&report))
}

/// The fault as the tenant is told of it: nothing about the runs of others.
async fn told(edge: &Edge, caller: &Caller, fault: Fault) -> Result<Fault, Problem> {
    let Some(run) = fault.run else { return Ok(fault) };
    let found = edge.kernel().run(caller.tenant(), run).await?;
    if found.is_some_and(|found| rights::sees(caller.identity(), &found.subject)) {
        return Ok(fault);
    }
    let problem = "a run that is not yours; whoever runs the installation learns which".to_owned();
    Ok(Fault { run: None, problem, ..fault })
}

impl From<Unproven> for Problem {
    fn from(error: Unproven) -> Self {
        match error {
            Unproven::Checkpoint(text) => Self::invalid("checkpoint", text),
            Unproven::Failed(error) => Self::unavailable(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written_and_nothing_else_is_one() {
        for (chain, seq, text) in [(1, 0, "0"), (1, 17, "17"), (2, 0, "2-0"), (12, 7, "12-7")] {
            let place = Place { chain, seq };
            assert_eq!((place.to_string(), Place::read(text)), (text.to_owned(), Some(place)));
        }
        assert_eq!(Place::read("1-7"), Some(Place { chain: 1, seq: 7 }));
        let (large, larger) = ("9".repeat(19), "9".repeat(30));
        for text in ["", "-", "1-", "-1", "+1", "1-2-3", "x", " 1", &format!("{large}-1"), &larger]
        {
            assert_eq!(Place::read(text), None, "{text}");
        }
    }
}
