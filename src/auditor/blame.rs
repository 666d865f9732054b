//! What was done to a log, judged from the first place where it does not hold together.

use genie_core::audit::merkle::leaf;
use genie_core::ids::RunId;
use genie_core::journal::chain::{Hash, seal};
use genie_store::{AuditError, Checkpoints, RawRecord};
use serde::Serialize;

use super::log;

/// How far around a record to look for the place that it comes from.
const AROUND: u64 = 4_096;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Deed {
    /// The content of a record was changed.
    Edited,
    /// Only its hash was.
    Rehashed,
    /// A record was put in.
    Inserted,
    /// Records were taken out.
    Deleted,
    /// Records changed places.
    Reordered,
    /// The end was cut off.
    Truncated,
    /// From some record on, the log is another than the one that was signed.
    Forked,
    /// It is another log altogether.
    Replaced,
    /// A checkpoint is not what one of the trusted keys has signed.
    Unsigned,
    /// A record of a run is missing or is one too many.
    Miscounted,
    /// What stands beside the records does not follow from them.
    Unfounded,
    /// Content does not give the hash under which it is kept.
    Swapped,
}

impl Deed {
    /// The word for it, as in reports.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Rehashed => "rehashed",
            Self::Inserted => "inserted",
            Self::Deleted => "deleted",
            Self::Reordered => "reordered",
            Self::Truncated => "truncated",
            Self::Forked => "forked",
            Self::Replaced => "replaced",
            Self::Unsigned => "unsigned",
            Self::Miscounted => "miscounted",
            Self::Unfounded => "unfounded",
            Self::Swapped => "swapped",
        }
    }
}

/// The first thing that is wrong with a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// What was done.
    pub(crate) deed: Deed,
    /// The chain.
    pub(crate) chain: Option<i64>,
    /// The first record that is not as it was written.
    pub(crate) record: Option<u64>,
    /// The run that it concerns.
    pub(crate) run: Option<RunId>,
    /// What is wrong, in a clause.
    pub(crate) problem: String,
}

impl Fault {
    pub(crate) fn at(chain: i64, record: u64, deed: Deed, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { deed, chain: Some(chain), record: Some(record), run: None, problem }
    }

    pub(crate) fn of_run(run: RunId, deed: Deed, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { deed, chain: None, record: None, run: Some(run), problem }
    }

    pub(crate) fn of_chain(chain: i64, deed: Deed, problem: impl Into<String>) -> Self {
        Self { deed, chain: Some(chain), record: None, run: None, problem: problem.into() }
    }
}

/// Judges a record that does not give its hash after the record before it, whose hash is `prev`.
pub(super) async fn blame(
    store: &Checkpoints,
    chain: i64,
    prev: Hash,
    record: &RawRecord,
) -> Result<Fault, AuditError> {
    let seq = record.seq;
    let found = |deed, problem: &str| Ok(Fault::at(chain, seq, deed, problem));
    let Some(hash) = record.hash else {
        return found(Deed::Rehashed, "has a hash that is none");
    };
    let body = record.body_sha256.unwrap_or(Hash::ZERO);
    let right = seal(seq, prev, body);
    let next = store.raw(chain, seq, seq + 1).await?.into_iter().next();
    let next = next.and_then(|next| Some((next.body_sha256?, next.hash?)));
    if next.is_some_and(|(body, hash)| seal(seq + 1, right, body) == hash) {
        return found(
            Deed::Rehashed,
            "has another hash than its content, which is as written, gives",
        );
    }
    if let Some((next_body, next_hash)) = next
        && seal(seq, prev, next_body) == next_hash
    {
        return if seal(seq + 1, next_hash, body) == hash {
            found(Deed::Reordered, "has changed places with the record behind it")
        } else {
            found(Deed::Inserted, "was put in: the record behind it belongs here")
        };
    }
    if let Some(home) = home(store, chain, seq, (body, hash)).await? {
        let problem = format!("is the one that was written as record {home}");
        return Ok(Fault::at(chain, seq, Deed::Reordered, problem));
    }
    let signed = signed_leaves(store, chain, seq).await;
    if let Some((first, leaves)) = signed {
        let own = |hash: Hash| (first..).zip(&leaves).find(|(_, known)| **known == leaf(&hash.0));
        let before =
            (seq - 1).checked_sub(first).and_then(|at| leaves.get(usize::try_from(at).ok()?));
        if seq > 1 && before.is_some_and(|before| *before != leaf(&prev.0)) {
            let problem = "was changed, and its hash with it: the tree has another one";
            return Ok(Fault::at(chain, seq - 1, Deed::Edited, problem));
        }
        match own(hash) {
            Some((place, _)) if place > seq => {
                let problem = format!(
                    "is the one that was written as record {place}: {} before it were taken out",
                    place - seq
                );
                return Ok(Fault::at(chain, seq, Deed::Deleted, problem));
            }
            Some((place, _)) if place < seq => {
                let problem =
                    format!("is the one that was written as record {place}: others were put in");
                return Ok(Fault::at(chain, seq, Deed::Inserted, problem));
            }
            _ => {}
        }
    }
    found(Deed::Edited, "was changed: its content does not give its hash")
}

/// Where a record that is out of place belongs: where it follows the hash that is there.
async fn home(
    store: &Checkpoints,
    chain: i64,
    seq: u64,
    (body, hash): (Hash, Hash),
) -> Result<Option<u64>, AuditError> {
    let after = seq.saturating_sub(AROUND);
    let around = store.raw(chain, after, seq + AROUND).await?;
    let fits = |before: &&RawRecord| {
        let place = before.seq + 1;
        place != seq && before.hash.is_some_and(|before| seal(place, before, body) == hash)
    };
    Ok(around.iter().find(fits).map(|before| before.seq + 1))
}

/// The leaves of the tree around a record, as they were when it was signed, and the number of the
/// first of them.
async fn signed_leaves(store: &Checkpoints, chain: i64, seq: u64) -> Option<(u64, Vec<Hash>)> {
    let first = (seq.saturating_sub(2) / 256) * 256 + 1;
    let mut leaves = log::leaves(store, chain, first).await.ok()?;
    if leaves.len() == 256 {
        leaves.extend(log::leaves(store, chain, first + 256).await.ok()?);
    }
    Some((first, leaves))
}
