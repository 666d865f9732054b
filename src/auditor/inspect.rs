//! Checks a whole database: records, checkpoints, runs and content, and finds the first fault.
//!
//! Records are checked up to where each chain ends when it is looked at, so that a process that
//! goes on writing is no fault. In the end all tables are compared as of one moment: what was added
//! meanwhile is checked up to then.

use std::collections::{HashMap, HashSet};

use genie_core::audit::checkpoint::Checkpoint;
use genie_core::audit::keys::VerifierKey;
use genie_core::audit::merkle::{Tree, TreeHead};
use genie_core::ids::RunId;
use genie_core::journal::census::{Census, ERASED, Standing};
use genie_core::journal::chain::{Head, seal};
use genie_store::{AuditError, ChainInfo, Checkpoints, RawRun};

use super::blame::{Deed, Fault, blame};
use super::claims::Claims;
use super::contents;
use super::keys;
use super::log;
use super::records::{Bad, Item, OTHER_BEFORE, Range, Reader};

/// Most checkpoints of a chain that are compared, the latest ones.
const CHECKPOINTS_MAX: u64 = 100_000;
/// Runs that are read at once.
const PAGE: u64 = 4_096;

/// Why a database does not verify, or could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] AuditError),
    /// Something is wrong with it.
    #[error("{}", .0.problem)]
    Found(Box<Fault>),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Found(Box::new(fault))
    }
}

/// What is compared with the records.
#[derive(Default)]
pub(crate) struct Known {
    /// The installation's keys, whose checkpoints are trusted.
    pub(crate) keys: Vec<VerifierKey>,
    /// Keys of single logs that were given.
    pub(crate) given: Vec<VerifierKey>,
    /// A checkpoint that was kept elsewhere, checked.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// A head that was kept elsewhere.
    pub(crate) head: Option<Head>,
    /// How many ranges of records are read at once; without it, as many as suit the machine.
    pub(crate) at_once: Option<usize>,
}

/// A chain that verifies.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    pub(crate) chain: i64,
    pub(crate) tree: TreeHead,
    pub(crate) head: Head,
    pub(crate) checkpoints: u64,
    /// How many records the latest checkpoint covers.
    pub(crate) covered: u64,
}

/// What a sound database holds.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) chains: Vec<Verified>,
    pub(crate) records: u64,
    /// How many of them were erased: their hashes are checked, their contents are gone.
    pub(crate) erased: u64,
    pub(crate) runs: u64,
    /// The runs that have not ended, with how they stand and how many records they have.
    pub(crate) open: Vec<(RunId, &'static str, u64)>,
    pub(crate) blobs: u64,
}

/// Checks everything; `progress` hears of records done and to do.
///
/// # Errors
/// The first fault, or that the database cannot be read.
pub(crate) async fn inspect(
    store: &Checkpoints,
    known: &Known,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, Error> {
    let mut lasts = HashMap::new();
    for chain in store.chains().await? {
        lasts.insert(chain.chain, store.last(chain.chain).await?);
    }
    // Read after the last records: whatever was written in between, these are not behind.
    let chains = store.chains().await?;
    let todo: u64 = chains.iter().map(|chain| chain.head.seq).sum();
    let mut inspection = Inspection {
        store,
        known,
        census: Census::default(),
        claims: Claims::default(),
        walks: Vec::new(),
        done: 0,
        erased: 0,
        todo,
        at_once: known.at_once,
    };
    for chain in &chains {
        let last = lasts.get(&chain.chain).copied().unwrap_or(0);
        if last > chain.head.seq {
            let problem = "stands beyond the end of its chain";
            return Err(Fault::at(chain.chain, chain.head.seq + 1, Deed::Inserted, problem).into());
        }
        inspection.walk(chain, &mut progress).await?;
    }
    let snapshot = store.snapshot().await?;
    inspection.store = &snapshot;
    let compared = inspection.tables(&mut progress).await;
    let blobs = match compared {
        Ok(()) => contents::check(store).await,
        Err(error) => Err(error),
    };
    let Inspection { census, walks, done, erased, .. } = inspection;
    snapshot.end_snapshot().await;
    let blobs = blobs?;
    let chains = walks.iter().map(Walk::verified).collect();
    let (runs, open) = (census.runs(), census.open());
    Ok(Report { chains, records: done, erased, runs, open, blobs })
}

/// A checkpoint to be compared with the tree.
struct Signed {
    tree: TreeHead,
    head: Option<Head>,
    kept: bool,
}

/// How far a chain is checked.
struct Walk {
    chain: i64,
    tree: Tree,
    head: Head,
    /// The checkpoints, the largest first.
    ahead: Vec<Signed>,
    /// A head that was kept.
    kept: Option<Head>,
    /// How many agreed, and the size of the last of them.
    agreed: u64,
    covered: u64,
}

impl Walk {
    async fn new(store: &Checkpoints, chain: &ChainInfo, known: &Known) -> Result<Self, Error> {
        let id = chain.chain;
        let mut trusted = keys::for_chain(&known.keys, id);
        trusted.extend(known.given.iter().cloned());
        let mut ahead = Vec::new();
        for stored in store.checkpoints(id, CHECKPOINTS_MAX).await? {
            let unsigned = |problem: String| Fault::of_chain(id, Deed::Unsigned, problem);
            let size = stored.size;
            let opened = Checkpoint::open(&stored.note, &trusted).map_err(|error| {
                unsigned(format!("of the checkpoint of {size} records: {error}"))
            })?;
            if opened.tree.size != size {
                let signed = opened.tree.size;
                let problem = format!("the checkpoint of {size} records is one of {signed}");
                return Err(unsigned(problem).into());
            }
            ahead.push(Signed { tree: opened.tree, head: opened.head, kept: false });
        }
        if let Some(kept) = known.checkpoint.as_ref().filter(|kept| is_of(&kept.origin, id)) {
            ahead.push(Signed { tree: kept.tree, head: kept.head, kept: true });
        }
        ahead.sort_by_key(|signed| std::cmp::Reverse(signed.tree.size));
        let tree = Tree::default();
        let kept = known.head.filter(|_| id == 1);
        Ok(Self { chain: id, tree, head: Head::EMPTY, ahead, kept, agreed: 0, covered: 0 })
    }

    fn verified(&self) -> Verified {
        let (chain, tree, head) = (self.chain, self.tree.head(), self.head);
        Verified { chain, tree, head, checkpoints: self.agreed, covered: self.covered }
    }

    /// Nothing that was signed or kept lies beyond the end.
    fn has_all(&self) -> Result<(), Fault> {
        let end = self.head.seq;
        let cut = |problem| Err(Fault::at(self.chain, end + 1, Deed::Truncated, problem));
        if let Some(signed) = self.ahead.first() {
            let (kept, size) = (signed.whose(), signed.tree.size);
            return cut(format!("is missing: {kept} covers {size} records, {end} are here"));
        }
        match self.kept {
            Some(kept) if kept.seq > end => {
                cut(format!("is missing: the head that was kept is record {}", kept.seq))
            }
            _ => Ok(()),
        }
    }
}

/// Whether the record behind this one, if there is one, follows it as it is.
async fn follows(store: &Checkpoints, chain: i64, seq: u64) -> Result<bool, AuditError> {
    let both = store.raw(chain, seq - 1, seq + 1).await?;
    let [own, next] = both.as_slice() else { return Ok(true) };
    Ok(own
        .hash
        .zip(next.hash)
        .zip(next.body_sha256)
        .is_some_and(|((own, hash), body)| seal(seq + 1, own, body) == hash))
}

/// Whether a log's name is that of this chain: they end in its number.
fn is_of(origin: &str, chain: i64) -> bool {
    let number = origin.rsplit_once('/').and_then(|(_, number)| number.parse().ok());
    number.unwrap_or(1) == chain
}

impl Signed {
    fn whose(&self) -> &'static str {
        if self.kept { "the checkpoint that was kept" } else { "a signed checkpoint" }
    }
}

struct Inspection<'a> {
    store: &'a Checkpoints,
    known: &'a Known,
    census: Census,
    claims: Claims,
    walks: Vec<Walk>,
    done: u64,
    erased: u64,
    todo: u64,
    at_once: Option<usize>,
}

impl Inspection<'_> {
    /// Checks the records of a chain from where it was left up to its end.
    async fn walk(
        &mut self,
        info: &ChainInfo,
        progress: &mut impl FnMut(u64, u64),
    ) -> Result<(), Error> {
        let (chain, head) = (info.chain, info.head);
        let known = self.walks.iter().position(|walk| walk.chain == chain);
        let at = if let Some(at) = known {
            at
        } else {
            self.walks.push(Walk::new(self.store, info, self.known).await?);
            self.walks.len() - 1
        };
        let from = self.walks[at].head.seq;
        let mut reader = Reader::new(self.store, chain, (from, head.seq), self.at_once);
        while let Some(range) = reader.next().await? {
            self.range(at, range, head.seq).await?;
            progress(self.done, self.todo);
        }
        if reader.given() < head.seq {
            let problem = format!("could not be checked beyond record {}", reader.given());
            return Err(Fault::of_chain(chain, Deed::Unfounded, problem).into());
        }
        if self.walks[at].head.hash == head.hash {
            return Ok(());
        }
        let problem = "is not the one that was written last: its chain ends in another hash";
        Err(Fault::at(chain, head.seq, Deed::Edited, problem).into())
    }

    async fn range(&mut self, at: usize, range: Range, end: u64) -> Result<(), Error> {
        let chain = self.walks[at].chain;
        let prev = self.walks[at].head.hash;
        if let Some((body, first)) = &range.first
            && first.hash != Some(seal(first.seq, prev, *body))
        {
            return Err(blame(self.store, chain, prev, first).await?.into());
        }
        if let Some((_, first)) = range.first.as_ref().filter(|(_, first)| first.prev_hash != prev)
        {
            return Err(Fault::at(chain, first.seq, Deed::Unfounded, OTHER_BEFORE).into());
        }
        for item in range.items {
            self.item(at, item).await?;
        }
        let Some((seq, bad)) = range.bad else { return Ok(()) };
        let prev = self.walks[at].head.hash;
        Err(match bad {
            Bad::Seal(record) => blame(self.store, chain, prev, &record).await?,
            Bad::Content(problem) => Fault::at(chain, seq, Deed::Edited, problem),
            Bad::Row(problem) => {
                let follows = follows(self.store, chain, seq).await?;
                let deed = if follows { Deed::Unfounded } else { Deed::Edited };
                Fault::at(chain, seq, deed, problem)
            }
            Bad::Twice => Fault::at(chain, seq, Deed::Inserted, "is there twice"),
            Bad::Missing(Some(next)) => {
                let rest = if next - 1 == seq { "" } else { &format!(" and up to {}", next - 1) };
                let problem = format!("is missing{rest}: record {next} comes next");
                Fault::at(chain, seq, Deed::Deleted, problem)
            }
            Bad::Missing(None) => {
                let problem = format!("is missing: the chain ended with record {end}");
                Fault::at(chain, seq, Deed::Truncated, problem)
            }
        }
        .into())
    }

    async fn item(&mut self, at: usize, item: Item) -> Result<(), Error> {
        let walk = &mut self.walks[at];
        let Item { seq, number, hash, leaf, facts, erased, holder } = item;
        let chain = walk.chain;
        let run = facts.run_id;
        let place = genie_core::journal::census::Place { chain, seq };
        self.claims.note(run, &facts.mark);
        let counted = self.census.count(place, facts).map_err(|problem| Fault {
            run: Some(run),
            ..Fault::at(chain, seq, Deed::Miscounted, problem)
        })?;
        if counted != number {
            let problem = format!("is filed as number {number} of its run, it is number {counted}");
            return Err(Fault::at(chain, seq, Deed::Unfounded, problem).into());
        }
        let asked = self.census.standing(run).and_then(|standing| standing.asked);
        if let (Some((tenant, subject)), Some(asked)) = (&holder, asked)
            && (&**tenant, &**subject) != (&*asked.tenant, &*asked.subject)
        {
            let problem = format!(
                "is sealed for `{subject}` in `{tenant}`, its run is of `{}` in `{}`",
                asked.subject, asked.tenant
            );
            return Err(Fault::at(chain, seq, Deed::Unfounded, problem).into());
        }
        self.erased += u64::from(erased);
        walk.tree.append(leaf);
        walk.head = Head { seq, hash };
        self.done += 1;
        if walk.kept.is_some_and(|kept| kept.seq == seq && kept.hash != hash) {
            let problem = "differs from the head that was kept: the log was rewritten";
            return Err(Fault::at(chain, seq, Deed::Forked, problem).into());
        }
        while let Some(signed) = walk.ahead.last().filter(|signed| signed.tree.size == seq) {
            let same = signed.tree.root == walk.tree.head().root;
            if !same || signed.head.is_some_and(|head| head != walk.head) {
                let (whose, covered) = (signed.whose(), walk.covered);
                return Err(self.diverged(chain, (covered, seq), whose).await?.into());
            }
            walk.agreed += u64::from(!signed.kept);
            walk.covered = seq;
            walk.ahead.pop();
        }
        Ok(())
    }

    /// The log is not the one that was signed: finds where the two part.
    async fn diverged(
        &self,
        chain: i64,
        (agreed, size): (u64, u64),
        whose: &str,
    ) -> Result<Fault, Error> {
        let mut at = agreed;
        let found = 'search: loop {
            let hashes = self.store.hashes(chain, at, size.min(at + 256) - at).await?;
            let leaves = log::leaves(self.store, chain, at + 1).await.unwrap_or_default();
            if hashes.is_empty() || leaves.is_empty() || at >= size {
                break None;
            }
            for (hash, known) in hashes.iter().zip(&leaves) {
                at += 1;
                if genie_core::audit::merkle::leaf(&hash.0) != *known {
                    break 'search Some(at);
                }
            }
        };
        let problem = |deed, record, rest: String| {
            let all = format!("differs from what {whose} of {size} records covers: {rest}");
            Ok(Fault::at(chain, record, deed, all))
        };
        match (found, agreed) {
            (Some(1), _) => problem(Deed::Replaced, 1, "this is another log".to_owned()),
            (Some(at), _) => {
                problem(Deed::Forked, at, "from here on the log is another one".to_owned())
            }
            (None, 0) => {
                let rest = format!("a record from 1 to {size} is another, or all are");
                problem(Deed::Replaced, 1, rest)
            }
            (None, _) => {
                let rest = format!("a record up to {size} is another; up to {agreed} all agree");
                problem(Deed::Forked, agreed + 1, rest)
            }
        }
    }

    /// Compares the tables with what follows from the records, both as of one moment.
    async fn tables(&mut self, progress: &mut impl FnMut(u64, u64)) -> Result<(), Error> {
        for chain in self.store.chains().await? {
            self.walk(&chain, progress).await?;
        }
        self.walks.iter().try_for_each(Walk::has_all)?;
        self.whole()?;
        let found = match self.projections().await? {
            None => self.claims.check(self.store, &self.census).await?,
            found => found,
        };
        found.map_or(Ok(()), |fault| Err(fault.into()))
    }

    fn whole(&self) -> Result<(), Fault> {
        self.census.whole().map_err(|incomplete| Fault {
            chain: incomplete.place.map(|place| place.chain),
            record: incomplete.place.map(|place| place.seq),
            ..Fault::of_run(incomplete.run_id, Deed::Miscounted, incomplete.to_string())
        })
    }

    async fn projections(&self) -> Result<Option<Fault>, Error> {
        let mut seen = HashSet::new();
        let mut after = Vec::new();
        loop {
            let page = self.store.raw_runs(&after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.run_id);
            for row in page {
                let Some(run) = run_id(&row.run_id) else {
                    let problem = "the table of runs names one that is none".to_owned();
                    let fault = Fault::of_run(RunId(uuid::Uuid::nil()), Deed::Unfounded, problem);
                    return Ok(Some(fault));
                };
                seen.insert(run);
                if let Some(problem) = unfounded(&row, self.census.standing(run)) {
                    return Ok(Some(Fault::of_run(run, Deed::Unfounded, problem)));
                }
            }
        }
        let missing = self.census.standings().map(|(run, _)| run).filter(|run| !seen.contains(run));
        Ok(missing.min().map(|run| {
            Fault::of_run(run, Deed::Unfounded, format!("the table of runs lacks run {run}"))
        }))
    }
}

fn run_id(bytes: &[u8]) -> Option<RunId> {
    uuid::Uuid::from_slice(bytes).ok().map(RunId)
}

/// What a row says of its run that its records do not.
fn unfounded(row: &RawRun, standing: Option<Standing<'_>>) -> Option<String> {
    let run = run_id(&row.run_id)?;
    let Some(standing) = standing else {
        return Some(format!("the table of runs lists run {run}, of which there is no record"));
    };
    let Some(asked) = standing.asked else {
        return Some(format!("run {run} has no record of its start"));
    };
    let ended_at = standing.ended_at.map(genie_core::clock::Timestamp::as_micros);
    let differs = |what: &str, row: &str, records: &str| {
        format!(
            "the table of runs says `{row}` as {what} of run {run}, its records say `{records}`"
        )
    };
    let time = |at: Option<i64>| {
        at.map_or_else(
            || "none".to_owned(),
            |at| genie_core::clock::Timestamp::from_micros(at).to_string(),
        )
    };
    let status_is_known = standing.status != ERASED;
    if status_is_known && row.status != standing.status {
        return Some(differs("status", &row.status, standing.status));
    }
    for (what, row, records) in [
        ("tenant", &row.tenant, &asked.tenant),
        ("subject", &row.subject, &asked.subject),
        ("agent", &row.agent, &asked.agent),
    ] {
        if **row != **records {
            return Some(differs(what, row, records));
        }
    }
    if row.started_at != asked.at.as_micros() {
        return Some(differs("start", &time(Some(row.started_at)), &asked.at.to_string()));
    }
    if row.ended_at != ended_at {
        return Some(differs("end", &time(row.ended_at), &time(ended_at)));
    }
    None
}
