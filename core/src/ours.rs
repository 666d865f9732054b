//! The journal as one tenant sees it: its own records and events, and of the others not even how
//! many there are in between.
//!
//! A record names its run, and the first record of a run its tenant; what was not seen to begin is
//! looked up once and remembered for as long as somebody looks.

use std::collections::HashMap;
use std::sync::Arc;

use crate::ids::RunId;
use crate::journal::{self, Entry, Journal, Record};
use crate::runs::{self, Runs};
use crate::tap::{Event, Tap};
use crate::tenant::Tenant;

/// Most runs of which is known whose they are; more are looked up again.
const RUNS_MAX: usize = 4_096;

/// Why a tenant's records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The runs.
    #[error(transparent)]
    Runs(#[from] runs::Error),
}

/// Who asked for which of a tenant's runs.
pub(crate) struct Ours {
    tenant: Tenant,
    runs: Arc<dyn Runs>,
    /// The subject that asked; `None` if the run is of another tenant.
    known: HashMap<RunId, Option<Arc<str>>>,
}

impl Ours {
    pub(crate) fn of(tenant: Tenant, runs: Arc<dyn Runs>) -> Self {
        Self { tenant, runs, known: HashMap::new() }
    }

    /// Learns from a record whose run it is.
    fn learn(&mut self, record: &Record) {
        if let Entry::RunStarted { run_id, tenant, subject, .. } = &record.entry {
            let is_ours = **tenant == *self.tenant.as_str();
            self.note(*run_id, is_ours.then(|| subject.clone()));
        }
    }

    /// The subject that asked for the run, if it is of the tenant.
    async fn subject(&mut self, run: RunId) -> Result<Option<Arc<str>>, runs::Error> {
        if let Some(known) = self.known.get(&run) {
            return Ok(known.clone());
        }
        let found = self.runs.get(&self.tenant, run).await?.map(|found| found.subject);
        self.note(run, found.clone());
        Ok(found)
    }

    fn note(&mut self, run: RunId, subject: Option<Arc<str>>) {
        if self.known.len() >= RUNS_MAX {
            self.known.clear();
        }
        self.known.insert(run, subject);
    }
}

/// Something of a tenant's, with the subject that asked for its run.
#[derive(Debug, Clone)]
pub struct Of<T> {
    /// Who asked.
    pub subject: Arc<str>,
    /// What there is.
    pub it: T,
}

/// A tenant's records, chain by chain: each process over a store writes one of its own.
pub struct OurRecords {
    journal: Arc<dyn Journal>,
    ours: Ours,
}

/// What was found in a stretch of the chain.
pub struct Stretch {
    /// The tenant's records, in order.
    pub records: Vec<Of<Arc<Record>>>,
    /// The last record of the stretch, whoever's it is.
    pub last: u64,
    /// Whether the chain ends there.
    pub is_end: bool,
}

impl OurRecords {
    pub(crate) fn new(journal: Arc<dyn Journal>, ours: Ours) -> Self {
        Self { journal, ours }
    }

    /// The chain with the smallest number above this one; `None` if there is none.
    ///
    /// # Errors
    /// A journal that cannot be read.
    pub async fn next_chain(&self, chain: i64) -> Result<Option<i64>, Error> {
        Ok(self.journal.next_chain(chain).await?)
    }

    /// Looks through the next `length` records of a chain after one. On a chain of another process
    /// are those that it has made durable.
    ///
    /// # Errors
    /// A journal that no longer has them, or cannot be read.
    pub async fn read(&mut self, chain: i64, after: u64, length: usize) -> Result<Stretch, Error> {
        let read = self.journal.read_chain(chain, after, length).await?;
        let is_end = read.len() < length;
        let last = read.last().map_or(after, |record| record.seq);
        let mut records = Vec::new();
        for record in read {
            self.ours.learn(&record);
            if let Some(subject) = self.ours.subject(record.entry.run_id()).await? {
                records.push(Of { subject, it: record });
            }
        }
        Ok(Stretch { records, last, is_end })
    }
}

/// A tenant's events, as they happen. Those that clients do not see by a name are left out.
pub struct OurEvents {
    tap: Tap,
    ours: Ours,
    /// What was taken from the tap, until it is known whose it is.
    held: Option<Event>,
}

impl OurEvents {
    pub(crate) fn new(tap: Tap, ours: Ours) -> Self {
        Self { tap, ours, held: None }
    }

    /// The next event; `None` once the kernel is gone. Dropping the future loses nothing.
    ///
    /// # Errors
    /// A journal that no longer has what was missed, or a store that does not answer.
    pub async fn next(&mut self) -> Result<Option<Of<Event>>, Error> {
        loop {
            if self.held.is_none() {
                let Some(event) = self.tap.next().await? else { return Ok(None) };
                if let Event::Recorded(record) = &event {
                    self.ours.learn(record);
                }
                self.held = event.name().is_some().then_some(event);
            }
            let Some(event) = &self.held else { continue };
            let subject = self.ours.subject(event.run_id()).await?;
            let event = self.held.take();
            if let (Some(subject), Some(it)) = (subject, event) {
                return Ok(Some(Of { subject, it }));
            }
        }
    }
}
