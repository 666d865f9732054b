//! Runs in memory: what is parked is known here, the rest is read from the journal in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Error, Progress, Query, Runs, Summary};
use crate::async_trait;
use crate::clock::Timestamp;
use crate::ids::RunId;
use crate::journal::memory::MemoryJournal;
use crate::journal::{Entry, Record};
use crate::tenant::Tenant;

/// Runs of one process, over its journal in memory.
#[derive(Debug)]
pub struct MemoryRuns {
    journal: Arc<MemoryJournal>,
    parked: Mutex<BTreeSet<(Timestamp, RunId)>>,
    doomed: Mutex<BTreeMap<RunId, String>>,
}

impl MemoryRuns {
    /// The runs that this journal records.
    #[must_use]
    pub fn over(journal: Arc<MemoryJournal>) -> Self {
        Self { journal, parked: Mutex::default(), doomed: Mutex::default() }
    }

    /// The runs among the kept records, oldest first.
    fn summaries(&self) -> Vec<Summary> {
        let mut runs: Vec<Summary> = Vec::new();
        for record in self.journal.kept() {
            note(&mut runs, &record);
        }
        runs
    }
}

fn locked<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(runs: &mut Vec<Summary>, record: &Record) {
    if let Entry::RunStarted { run_id, at, tenant, subject, agent, .. } = &record.entry {
        runs.push(Summary {
            run_id: *run_id,
            tenant: tenant.clone(),
            subject: subject.clone(),
            agent: agent.clone(),
            status: "running".into(),
            started_at: *at,
            ended_at: None,
            wake_at: None,
        });
        return;
    }
    let id = record.entry.run_id();
    let Some(run) = runs.iter_mut().rev().find(|run| run.run_id == id) else { return };
    match &record.entry {
        Entry::RunWaiting { wake_at, .. } => {
            run.status = "waiting".into();
            run.wake_at = Some(*wake_at);
        }
        Entry::RunResumed { .. } => {
            run.status = "running".into();
            run.wake_at = None;
        }
        Entry::Outcome { at, outcome, .. } => {
            run.status = outcome.name().into();
            run.ended_at = Some(*at);
        }
        _ => {}
    }
}

#[async_trait]
impl Runs for MemoryRuns {
    async fn claim(&self, now: Timestamp, max: usize) -> Result<Vec<RunId>, Error> {
        let mut parked = locked(&self.parked);
        let due: Vec<_> =
            parked.iter().take_while(|(wake_at, _)| *wake_at <= now).take(max).copied().collect();
        for run in &due {
            parked.remove(run);
        }
        Ok(due.into_iter().map(|(_, run)| run).collect())
    }

    async fn claim_run(&self, run: RunId) -> Result<bool, Error> {
        let mut parked = locked(&self.parked);
        let before = parked.len();
        parked.retain(|(_, held)| *held != run);
        Ok(parked.len() < before)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        Ok(locked(&self.parked).first().map(|(wake_at, _)| *wake_at))
    }

    fn poll_every(&self) -> Option<Duration> {
        None
    }

    async fn get(&self, tenant: &Tenant, run: RunId) -> Result<Option<Summary>, Error> {
        let found = self.summaries().into_iter().find(|summary| summary.run_id == run);
        Ok(found.filter(|summary| *summary.tenant == *tenant.as_str()))
    }

    async fn progress(&self, runs: &[RunId]) -> Result<Vec<Progress>, Error> {
        let mut records: BTreeMap<RunId, u64> = runs.iter().map(|run| (*run, 0)).collect();
        for record in self.journal.kept() {
            if let Some(records) = records.get_mut(&record.entry.run_id()) {
                *records = record.number;
            }
        }
        let asked = self.summaries().into_iter().filter_map(|run| {
            let (records, has_ended) = (*records.get(&run.run_id)?, run.ended_at.is_some());
            Some(Progress { run_id: run.run_id, tenant: run.tenant, records, has_ended })
        });
        Ok(asked.collect())
    }

    async fn list(&self, tenant: &Tenant, query: &Query) -> Result<Vec<Summary>, Error> {
        let mut listed = self.summaries();
        listed.retain(|summary| {
            *summary.tenant == *tenant.as_str()
                && query.subject.as_ref().is_none_or(|subject| *summary.subject == **subject)
                && query.status.as_ref().is_none_or(|status| *summary.status == **status)
                && query.before.is_none_or(|before| summary.run_id < before)
        });
        listed.sort_by_key(|summary| std::cmp::Reverse(summary.run_id));
        listed.truncate(query.limit);
        Ok(listed)
    }

    async fn ask_to_cancel(
        &self,
        tenant: &Tenant,
        run: RunId,
        reason: &str,
    ) -> Result<bool, Error> {
        let open = self.get(tenant, run).await?.is_some_and(|run| run.ended_at.is_none());
        if open {
            locked(&self.doomed).insert(run, reason.to_owned());
        }
        Ok(open)
    }

    async fn to_cancel(&self) -> Result<Vec<(RunId, String)>, Error> {
        let mut doomed = locked(&self.doomed);
        let mut open = if doomed.is_empty() { Vec::new() } else { self.summaries() };
        open.retain(|run| run.ended_at.is_none());
        doomed.retain(|run, _| open.iter().any(|open| open.run_id == *run));
        Ok(doomed.iter().map(|(run, reason)| (*run, reason.clone())).collect())
    }

    async fn release(&self, run: RunId, until: Timestamp) -> Result<(), Error> {
        locked(&self.parked).insert((until, run));
        Ok(())
    }

    fn parked(&self, run: RunId, wake_at: Timestamp) {
        locked(&self.parked).insert((wake_at, run));
    }
}
