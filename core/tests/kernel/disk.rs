//! A disk that outlives kernels: what was durable on it when a process died is all that is left.
//!
//! [`Disk`] keeps the texts of records, approvals and content. A [`Mount`] is one process's view of
//! it: it counts what the process does, and dies or fails at one chosen point. A process that has
//! died goes on in this program until its runtime is dropped, but nothing that it does counts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use genie_core::approval::{self, Approval, ApprovalId, Approvals, Filter, MemoryApprovals};
use genie_core::blob::{self, Blob, Blobs, Scope, Stored};
use genie_core::clock::Timestamp;
use genie_core::ids::RunId;
use genie_core::journal::chain::{Hash, Head};
use genie_core::journal::restore::{self, Row, restore};
use genie_core::journal::steps::Effect;
use genie_core::journal::{self, Entry, Journal, Record, Text};
use genie_core::runs::{self, Progress, Query, Runs, Summary};
use genie_core::{Tenant, async_trait, outcome::Outcome};
use tokio::sync::Notify;

/// What a process does to its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Append,
    Durable,
    Read,
    Put,
    Get,
    Swap,
    Store,
    Load,
    Claim,
}

/// What goes wrong, and at which operation of a kind, counted from 0.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// The process dies before the operation has done anything.
    Before(Op, u64),
    /// The process dies when the operation has done its work.
    After(Op, u64),
    /// So many operations fail, from this one on.
    Fails(Op, u64, u64),
}

/// How a run stands, as the records on the disk tell.
#[derive(Clone)]
struct Standing {
    summary: Summary,
    /// The record that parked it, until when, and for which decisions.
    parked: Option<(u64, Timestamp, Vec<ApprovalId>)>,
    outcome: Option<Arc<Outcome>>,
}

#[derive(Default)]
struct Kept {
    rows: Vec<(RunId, Row)>,
    durable: u64,
    runs: BTreeMap<RunId, Standing>,
    decided: HashSet<ApprovalId>,
    intents: HashMap<String, u64>,
    asked: HashMap<ApprovalId, u64>,
    released: u32,
}

/// What is left when a process dies.
#[derive(Default)]
pub(crate) struct Disk {
    kept: Mutex<Kept>,
    approvals: MemoryApprovals,
    content: Mutex<HashMap<(RunId, Hash), Arc<Stored>>>,
}

impl Kept {
    fn note(&mut self, seq: u64, entry: &Entry) {
        match entry {
            Entry::Effect { effect: Effect::Intent { key, .. }, .. } => {
                self.intents.insert(key.clone(), seq);
            }
            Entry::ApprovalRequested { approval_id, .. } => {
                self.asked.insert(*approval_id, seq);
            }
            Entry::RunStarted { run_id, at, tenant, subject, agent, .. } => {
                let summary = Summary {
                    run_id: *run_id,
                    tenant: tenant.clone(),
                    subject: subject.clone(),
                    agent: agent.clone(),
                    status: "running".into(),
                    started_at: *at,
                    ended_at: None,
                    wake_at: None,
                };
                self.runs.insert(*run_id, Standing { summary, parked: None, outcome: None });
            }
            _ => {}
        }
        let Some(run) = self.runs.get_mut(&entry.run_id()) else { return };
        match entry {
            Entry::RunWaiting { wake_at, approvals, .. } => {
                run.summary.status = "waiting".into();
                run.parked = Some((seq, *wake_at, approvals.clone()));
            }
            Entry::RunResumed { .. } => {
                run.summary.status = "running".into();
                run.parked = None;
            }
            Entry::Outcome { at, outcome, .. } => {
                run.summary.status = outcome.name().into();
                run.summary.ended_at = Some(*at);
                run.outcome = Some(outcome.clone());
            }
            _ => {}
        }
    }

    /// When a run is due that nobody works on; `None` if it is not parked.
    fn due_at(&self, run: &Standing) -> Option<Timestamp> {
        let (seq, wake_at, approvals) = run.parked.as_ref()?;
        let decided = approvals.iter().any(|id| self.decided.contains(id));
        let due = if decided { Timestamp::from_micros(0) } else { *wake_at };
        (*seq <= self.durable && run.outcome.is_none()).then_some(due)
    }

    fn records(&self) -> Vec<Arc<Record>> {
        restore(self.rows.iter().map(|(_, row)| row.clone())).unwrap()
    }

    fn head(&self) -> Head {
        self.rows.last().map_or(Head::EMPTY, |(_, row)| Head { seq: row.seq, hash: row.hash })
    }
}

impl Disk {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    /// What is on it that was not yet durable is gone.
    pub(crate) fn lose(&self) {
        let mut kept = self.kept();
        let durable = usize::try_from(kept.durable).unwrap();
        kept.rows.truncate(durable);
        (kept.runs, kept.intents, kept.asked) = Default::default();
        for record in kept.records() {
            kept.note(record.seq, &record.entry);
        }
    }

    pub(crate) fn records(&self) -> Vec<Arc<Record>> {
        self.kept().records()
    }

    pub(crate) fn head(&self) -> Head {
        self.kept().head()
    }

    pub(crate) fn runs(&self) -> Vec<RunId> {
        self.kept().runs.keys().copied().collect()
    }

    pub(crate) fn outcome(&self, run: RunId) -> Option<Arc<Outcome>> {
        self.kept().runs.get(&run).and_then(|run| run.outcome.clone())
    }

    /// Nothing is left of what was said in a run, but for the hashes.
    pub(crate) fn erase(&self, run: RunId) {
        self.blacken(run, |entry| !entry.is_structure());
    }

    /// Not even its beginning can be read any more.
    pub(crate) fn damage(&self, run: RunId) {
        self.blacken(run, |_| true);
    }

    fn blacken(&self, run: RunId, which: impl Fn(&Entry) -> bool) {
        for (run_id, row) in &mut self.kept().rows {
            let restore::Kept::Text(text) = &row.body else { continue };
            let entry = restore::entry_of(text).unwrap();
            if *run_id == run && which(&entry) {
                let body_sha256 = Hash::of(text.as_bytes());
                let kind = entry.kind().into();
                row.body = restore::Kept::Erased { run_id: run, kind, body_sha256 };
            }
        }
    }

    /// How often runs were let go of that could not go on.
    pub(crate) fn released(&self) -> u32 {
        self.kept().released
    }

    pub(crate) fn is_parked(&self, run: RunId) -> bool {
        self.kept().runs.get(&run).is_some_and(|run| run.parked.is_some() && run.outcome.is_none())
    }

    pub(crate) fn all_ended(&self) -> bool {
        self.kept().runs.values().all(|run| run.outcome.is_some())
    }

    fn records_of(&self, run: RunId) -> Vec<Arc<Record>> {
        let kept = self.kept();
        restore(kept.rows.iter().filter(|(of, _)| *of == run).map(|(_, row)| row.clone())).unwrap()
    }

    fn synced(&self, seq: u64) {
        let mut kept = self.kept();
        kept.durable = kept.durable.max(seq);
    }

    /// Whether the request for this approval is durable.
    fn is_asked(&self, id: ApprovalId) -> bool {
        let kept = self.kept();
        kept.asked.get(&id).is_some_and(|seq| *seq <= kept.durable)
    }

    /// The records of the runs that have not ended.
    pub(crate) fn unended(&self) -> String {
        let kept = self.kept();
        let open = |run: &RunId| kept.runs.get(run).is_some_and(|run| run.outcome.is_none());
        let rows = kept.rows.iter().filter(|(run, _)| open(run));
        let lines: Vec<String> =
            rows.map(|(_, row)| format!("{} {:?}", row.seq, row.body)).collect();
        lines.join("\n")
    }

    /// Whether everything up to now is durable.
    pub(crate) fn is_synced(&self) -> bool {
        let kept = self.kept();
        kept.durable == kept.head().seq
    }

    /// Whether the intent of the effect with this key is durable.
    pub(crate) fn is_intended(&self, key: &str) -> bool {
        let kept = self.kept();
        kept.intents.get(key).is_some_and(|seq| *seq <= kept.durable)
    }

    pub(crate) fn has_intent(&self, key: &str) -> bool {
        self.kept().intents.contains_key(key)
    }
}

/// One process's view of a disk.
pub(crate) struct Mount {
    pub(crate) disk: Arc<Disk>,
    fault: Fault,
    /// How long it takes until something is durable.
    sync: Duration,
    opened: Head,
    counts: Mutex<HashMap<Op, u64>>,
    working: Mutex<HashSet<RunId>>,
    dead: AtomicBool,
    died: Notify,
    mended: AtomicBool,
}

impl Mount {
    pub(crate) fn of(disk: &Arc<Disk>, fault: Fault, sync: Duration) -> Arc<Self> {
        let opened = disk.head();
        // What a process finds when it starts is on the disk.
        disk.kept().durable = opened.seq;
        Arc::new(Self {
            disk: disk.clone(),
            fault,
            sync,
            opened,
            counts: Mutex::default(),
            working: Mutex::default(),
            dead: AtomicBool::new(false),
            died: Notify::new(),
            mended: AtomicBool::new(false),
        })
    }

    /// How often the process has done this.
    pub(crate) fn count(&self, op: Op) -> u64 {
        self.counts.lock().unwrap().get(&op).copied().unwrap_or(0)
    }

    /// From now on nothing fails.
    pub(crate) fn mend(&self) {
        self.mended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Ends the process now.
    pub(crate) fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.died.notify_one();
    }

    /// Returns when the process dies.
    pub(crate) async fn died(&self) {
        self.died.notified().await;
    }

    /// Begins an operation; gives its number, or that it fails.
    fn begin(&self, op: Op) -> Result<u64, String> {
        let number = self.count(op);
        self.counts.lock().unwrap().insert(op, number + 1);
        match self.fault {
            Fault::Before(at, first) if (at, first) == (op, number) => self.die(),
            Fault::Fails(at, first, count)
                if at == op
                    && (first..first + count).contains(&number)
                    && !self.mended.load(Ordering::Relaxed) =>
            {
                return Err(format!("{op:?} {number} fails"));
            }
            _ => {}
        }
        Ok(number)
    }

    fn end(&self, op: Op, number: u64) {
        if matches!(self.fault, Fault::After(at, first) if (at, first) == (op, number)) {
            self.die();
        }
    }

    /// Begins an operation that a dead process never comes back from.
    async fn enter(&self, op: Op) -> Result<u64, String> {
        let number = self.begin(op)?;
        self.alive().await;
        Ok(number)
    }

    /// Ends it.
    async fn leave(&self, op: Op, number: u64) {
        self.alive().await;
        self.end(op, number);
        self.alive().await;
    }

    /// Takes runs that nobody works on: parked ones with the time when they are due, and those of
    /// a dead process, which are due at once.
    fn take(&self, wanted: impl Fn(RunId, Timestamp) -> bool, max: usize) -> Vec<RunId> {
        let (mut kept, mut working) = (self.disk.kept(), self.working.lock().unwrap());
        let kept = &mut *kept;
        let mut taken = Vec::new();
        for (id, run) in &kept.runs {
            let orphan = run.outcome.is_none() && run.parked.is_none() && !working.contains(id);
            let due = kept.due_at(run).or(orphan.then_some(Timestamp::from_micros(0)));
            if taken.len() < max && due.is_some_and(|due| wanted(*id, due)) {
                taken.push(*id);
            }
        }
        for id in &taken {
            working.insert(*id);
            if let Some(run) = kept.runs.get_mut(id) {
                run.parked = None;
            }
        }
        taken
    }

    /// Returns if the process lives.
    pub(crate) async fn alive(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Journal for Mount {
    fn head(&self) -> Head {
        self.opened
    }

    fn append(&self, records: &[Arc<Record>], texts: &[Text<'_>]) -> Result<(), journal::Error> {
        let number = self.begin(Op::Append).map_err(journal::Error::Unwritable)?;
        if self.is_dead() {
            return Ok(());
        }
        let mut kept = self.disk.kept();
        for (record, text) in records.iter().zip(texts) {
            assert_eq!(record.seq, kept.head().seq + 1, "a record is out of order");
            let Record { seq, prev_hash, hash, number, entry, .. } = &**record;
            let (seq, prev_hash, hash, number) = (*seq, *prev_hash, *hash, *number);
            let body = String::from_utf8(text.json.to_vec()).unwrap();
            let body = restore::Kept::Text(body);
            kept.rows.push((entry.run_id(), Row { seq, prev_hash, hash, number, body }));
            kept.note(seq, entry);
            if let Entry::RunStarted { run_id, .. } = entry {
                self.working.lock().unwrap().insert(*run_id);
            }
        }
        drop(kept);
        self.end(Op::Append, number);
        Ok(())
    }

    async fn durable(&self, _seq: u64) -> Result<(), journal::Error> {
        let number = self.enter(Op::Durable).await.map_err(journal::Error::Unwritable)?;
        let written = self.disk.head().seq;
        if !self.sync.is_zero() {
            tokio::time::sleep(self.sync).await;
        }
        self.alive().await;
        self.disk.synced(written);
        // Others may see it before this process hears of it.
        tokio::time::sleep(self.sync / 3).await;
        self.leave(Op::Durable, number).await;
        Ok(())
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Record>>, journal::Error> {
        let skip = usize::try_from(after).unwrap();
        Ok(self.disk.records().into_iter().skip(skip).take(limit).collect())
    }

    async fn read_run(&self, run: RunId) -> Result<Vec<Arc<Record>>, journal::Error> {
        let number = self.enter(Op::Read).await.map_err(journal::Error::Unreadable)?;
        let read = self.disk.records_of(run);
        self.leave(Op::Read, number).await;
        Ok(read)
    }

    fn is_durable(&self) -> bool {
        true
    }
}

#[async_trait]
impl Approvals for Mount {
    async fn put(&self, tenant: &Tenant, approval: &Approval) -> Result<(), approval::Error> {
        let number = self.enter(Op::Put).await.map_err(approval::Error)?;
        assert!(self.disk.is_asked(approval.id), "a human was asked before it was durable");
        self.disk.approvals.put(tenant, approval).await?;
        self.leave(Op::Put, number).await;
        Ok(())
    }

    async fn get(
        &self,
        tenant: &Tenant,
        id: ApprovalId,
    ) -> Result<Option<Approval>, approval::Error> {
        let number = self.enter(Op::Get).await.map_err(approval::Error)?;
        let got = self.disk.approvals.get(tenant, id).await?;
        self.leave(Op::Get, number).await;
        Ok(got)
    }

    async fn list(
        &self,
        tenant: &Tenant,
        filter: &Filter,
    ) -> Result<Vec<Approval>, approval::Error> {
        self.alive().await;
        self.disk.approvals.list(tenant, filter).await
    }

    async fn swap(&self, tenant: &Tenant, next: &Approval) -> Result<bool, approval::Error> {
        let number = self.enter(Op::Swap).await.map_err(approval::Error)?;
        let has_ended = self.disk.kept().runs.get(&next.run_id).map(|run| run.outcome.is_some());
        let is_late = next.was_decided_on() && has_ended == Some(true);
        let swapped = !is_late && self.disk.approvals.swap(tenant, next).await?;
        if swapped && next.status.is_final() {
            self.disk.kept().decided.insert(next.id);
        }
        self.leave(Op::Swap, number).await;
        Ok(swapped)
    }

    async fn of_ended_runs(&self, max: usize) -> Result<Vec<Approval>, approval::Error> {
        self.alive().await;
        let ended: Vec<(RunId, Arc<str>)> = {
            let runs = &self.disk.kept().runs;
            let ended = runs.values().filter(|run| run.outcome.is_some());
            ended.map(|run| (run.summary.run_id, run.summary.tenant.clone())).collect()
        };
        let mut left = Vec::new();
        for (run, tenant) in ended {
            let (status, run_id) = (Some("pending".to_owned()), Some(run));
            let filter = Filter { status, run_id, limit: max, ..Filter::default() };
            left.extend(
                self.disk.approvals.list(&Tenant::of_operator(self, &tenant), &filter).await?,
            );
        }
        left.truncate(max);
        Ok(left)
    }
}

#[async_trait]
impl Blobs for Mount {
    async fn put(&self, scope: &Scope, blob: Blob, stored: Arc<Stored>) -> Result<(), blob::Error> {
        let number = self.enter(Op::Store).await.map_err(blob::Error)?;
        self.disk.content.lock().unwrap().insert((scope.run, blob.sha256), stored);
        self.leave(Op::Store, number).await;
        Ok(())
    }

    async fn get(&self, scope: &Scope, blob: Blob) -> Result<Option<Arc<Stored>>, blob::Error> {
        let number = self.enter(Op::Load).await.map_err(blob::Error)?;
        let stored = self.disk.content.lock().unwrap().get(&(scope.run, blob.sha256)).cloned();
        self.leave(Op::Load, number).await;
        let read = |kept: Arc<Stored>| Stored::new(kept.content.clone(), kept.label.clone());
        Ok(stored.map(read).map(Arc::new))
    }

    fn release(&self, _run: RunId) {}
}

#[async_trait]
impl Runs for Mount {
    async fn claim(&self, now: Timestamp, max: usize) -> Result<Vec<RunId>, runs::Error> {
        let number = self.enter(Op::Claim).await.map_err(runs::Error)?;
        let claimed = self.take(|_, due| due <= now, max);
        self.leave(Op::Claim, number).await;
        Ok(claimed)
    }

    async fn claim_run(&self, run: RunId) -> Result<bool, runs::Error> {
        let number = self.enter(Op::Claim).await.map_err(runs::Error)?;
        let claimed = self.take(|free, _| free == run, usize::MAX);
        self.leave(Op::Claim, number).await;
        Ok(!claimed.is_empty())
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, runs::Error> {
        self.alive().await;
        let kept = self.disk.kept();
        Ok(kept.runs.values().filter_map(|run| kept.due_at(run)).min())
    }

    fn poll_every(&self) -> Option<Duration> {
        None
    }

    async fn get(&self, tenant: &Tenant, run: RunId) -> Result<Option<Summary>, runs::Error> {
        self.alive().await;
        let found = self.disk.kept().runs.get(&run).map(|run| run.summary.clone());
        Ok(found.filter(|summary| *summary.tenant == *tenant.as_str()))
    }

    async fn progress(&self, _: &[RunId]) -> Result<Vec<Progress>, runs::Error> {
        Ok(Vec::new())
    }

    async fn list(&self, _: &Tenant, _: &Query) -> Result<Vec<Summary>, runs::Error> {
        Ok(Vec::new())
    }

    async fn ask_to_cancel(&self, _: &Tenant, _: RunId, _: &str) -> Result<bool, runs::Error> {
        Ok(false)
    }

    async fn to_cancel(&self) -> Result<Vec<(RunId, String)>, runs::Error> {
        Ok(Vec::new())
    }

    async fn release(&self, run: RunId, until: Timestamp) -> Result<(), runs::Error> {
        self.alive().await;
        self.working.lock().unwrap().remove(&run);
        let mut kept = self.disk.kept();
        kept.released += 1;
        if let Some(run) = kept.runs.get_mut(&run) {
            run.parked = Some((0, until, Vec::new()));
        }
        Ok(())
    }
}
