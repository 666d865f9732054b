//! The records of a chain, read and hashed on all cores, and handed over in order.

use std::collections::BTreeMap;
use std::thread::available_parallelism;

use genie_core::audit::merkle::leaf;
use genie_core::ids::RunId;
use genie_core::journal::census::Facts;
use genie_core::journal::chain::{Hash, seal};
use genie_core::journal::restore::Kept;
use genie_store::{AuditError, Checkpoints, RawRecord};
use tokio::task::JoinSet;

/// Records that one task reads and hashes: about 4 MB.
const RANGE: u64 = 4_096;

/// A record that gives its own hash, as far as can be seen within its range.
pub(super) struct Item {
    pub(super) seq: u64,
    pub(super) number: u64,
    pub(super) hash: Hash,
    pub(super) leaf: Hash,
    pub(super) facts: Facts,
    pub(super) erased: bool,
    /// The tenant and the subject for whom it is sealed.
    pub(super) holder: Option<(String, String)>,
}

/// What is wrong with the first record of a range that is not in order.
pub(super) enum Bad {
    /// It is not there; the next one that is has this number, if one is.
    Missing(Option<u64>),
    /// There are two of this number.
    Twice,
    /// Its content does not give its hash, or it does not follow the record before it.
    Seal(Box<RawRecord>),
    /// Its content cannot be had.
    Content(String),
    /// A column beside the record, or its text, is not what was written.
    Row(String),
}

/// Consecutive records, up to the first that is not in order.
pub(super) struct Range {
    /// The number of the record before the first.
    after: u64,
    /// The hash of the first body, to be sealed once the hash before is known.
    pub(super) first: Option<(Hash, Box<RawRecord>)>,
    pub(super) items: Vec<Item>,
    pub(super) bad: Option<(u64, Bad)>,
}

/// Reads ahead as far as there are cores.
pub(super) struct Reader {
    store: Checkpoints,
    chain: i64,
    /// The first record that nobody reads yet is the one after this.
    asked: u64,
    /// The last record that is handed over.
    given: u64,
    until: u64,
    reading: JoinSet<Result<Range, AuditError>>,
    read: BTreeMap<u64, Range>,
    ahead: usize,
}

impl Reader {
    /// Reads records behind `after` up to `until`, so many ranges at once, or as many as suit the
    /// machine.
    pub(super) fn new(
        store: &Checkpoints,
        chain: i64,
        (after, until): (u64, u64),
        at_once: Option<usize>,
    ) -> Self {
        Self {
            store: store.clone(),
            chain,
            asked: after,
            given: after,
            until,
            reading: JoinSet::new(),
            read: BTreeMap::new(),
            ahead: at_once
                .unwrap_or_else(|| available_parallelism().map_or(2, |cores| cores.get() + 1)),
        }
    }

    /// The next range; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Range>, AuditError> {
        loop {
            while self.asked < self.until && self.reading.len() + self.read.len() < self.ahead {
                let (after, until) = (self.asked, self.until.min(self.asked + RANGE));
                self.reading.spawn(range(self.store.clone(), self.chain, after, until));
                self.asked = until;
            }
            if let Some(range) = self.read.remove(&self.given) {
                self.given = self.until.min(self.given + RANGE);
                return Ok(Some(range));
            }
            match self.reading.join_next().await {
                Some(Ok(range)) => {
                    let range = range?;
                    self.read.insert(range.after, range);
                }
                // A task that has crashed has read nothing, and nothing is skipped.
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }

    /// The number of the last record that was handed over.
    pub(super) fn given(&self) -> u64 {
        self.given
    }
}

async fn range(
    store: Checkpoints,
    chain: i64,
    after: u64,
    until: u64,
) -> Result<Range, AuditError> {
    let found = store.raw(chain, after, until).await?;
    let mut range = Range { after, first: None, items: Vec::with_capacity(found.len()), bad: None };
    let mut prev = None;
    let mut next = after + 1;
    // What stands for a row of many is known by the last of them.
    let (broken, found): (Vec<_>, Vec<_>) = found.into_iter().partition(|row| row.hash.is_none());
    let lost = |next| broken.iter().find(|row| row.seq >= next).map(|row| Bad::of(&row.body));
    let same = |pair: &&[RawRecord]| matches!(pair, [one, next] if one.seq == next.seq);
    let twice = found.windows(2).find(same).and_then(|pair| Some(pair.first()?.seq));
    for record in found {
        if twice == Some(record.seq) {
            range.bad = Some((record.seq, Bad::Twice));
            return Ok(range);
        }
        if record.seq > next {
            let missing = || Bad::Missing(Some(record.seq));
            range.bad = Some((next, lost(next).unwrap_or_else(missing)));
            return Ok(range);
        }
        let body = record.body_sha256.unwrap_or(Hash::ZERO);
        let sealed = record
            .hash
            .filter(|hash| prev.is_none_or(|prev| seal(record.seq, prev, body) == *hash));
        let Some(hash) = sealed else {
            range.bad = Some((next, Bad::Seal(Box::new(record))));
            return Ok(range);
        };
        match read(&record, prev) {
            Ok(facts) => {
                let (seq, number, holder) = (record.seq, record.number, record.holder.clone());
                let erased = matches!(record.body, Kept::Erased { .. });
                let leaf = leaf(&hash.0);
                range.items.push(Item { seq, number, hash, leaf, facts, erased, holder });
            }
            // The first of a range may be no record at all: its hash is judged before its text.
            Err(bad) => {
                range.bad = Some((next, bad));
            }
        }
        if prev.is_none() {
            range.first = Some((body, Box::new(record)));
        }
        if range.bad.is_some() {
            return Ok(range);
        }
        prev = Some(hash);
        next += 1;
    }
    if next <= until
        && let Some(bad) = lost(next)
    {
        range.bad = Some((next, bad));
    } else if next <= until {
        let there = store.raw(chain, until, until.saturating_add(RANGE)).await?;
        let there = there.first().map(|record| record.seq);
        range.bad = Some((next, Bad::Missing(there)));
    } else if let Some(row) = broken.iter().find(|row| row.seq > after && row.seq <= until)
        && let Kept::Broken(problem) = &row.body
    {
        // All records are there without it.
        range.bad = Some((row.seq, Bad::Row(problem.clone())));
    }
    Ok(range)
}

impl Bad {
    /// That the text of a record cannot be had.
    fn of(body: &Kept) -> Self {
        match body {
            Kept::Broken(problem) => Self::Content(problem.clone()),
            Kept::Text(_) | Kept::Erased { .. } => Self::Content("cannot be read".to_owned()),
        }
    }
}

/// That the hash of the record before is not the one beside this one.
pub(super) const OTHER_BEFORE: &str = "has another hash beside it than the record before it has";

fn read(record: &RawRecord, prev: Option<Hash>) -> Result<Facts, Bad> {
    if prev.is_some_and(|prev| prev != record.prev_hash) {
        return Err(Bad::Row(OTHER_BEFORE.to_owned()));
    }
    let facts = match &record.body {
        Kept::Text(text) => Facts::of(text).map_err(Bad::Row)?,
        Kept::Erased { run_id, kind, .. } => Facts::erased(*run_id, kind).map_err(Bad::Row)?,
        Kept::Broken(_) => return Err(Bad::of(&record.body)),
    };
    let RunId(run) = facts.run_id;
    if run.as_bytes()[..] != record.run_id {
        return Err(Bad::Row(format!("is filed under another run than its own, {run}")));
    }
    Ok(facts)
}
