//! Following one run: every record once and in order, whichever process works on it.
//!
//! What is live comes from the hub, what was missed from the journal; the numbers of the records
//! within their run say which is which, so that there is neither a gap nor a repetition.

use std::collections::VecDeque;
use std::sync::Arc;

use genie_core::ids::RunId;
use genie_core::journal::{self, Entry, Record};
use genie_core::outcome::Outcome;
use genie_core::tap::{Event, outcome_of};
use genie_core::{Kernel, Tenant};
use tokio::sync::broadcast::error::RecvError;

use crate::edge::{Edge, Fresh};
use crate::runs::Visible;

mod hub;

pub(crate) use hub::Hub;
use hub::{News, Subscription};

/// Reads on in one run: one that its caller may see, or is about to begin.
pub(crate) struct Follower {
    kernel: Kernel,
    tenant: Tenant,
    run: RunId,
    live: Subscription,
    /// The number of the last record that was given.
    seen: u64,
    behind: bool,
    backlog: VecDeque<Arc<Record>>,
    /// How the run ended, with its answer, if that was read from the journal.
    outcome: Option<Outcome>,
}

impl Follower {
    /// Follows the run from its beginning.
    pub(crate) fn of(edge: &Edge, run: &Visible) -> Self {
        Self::new(edge, run.tenant(), run.run_id)
    }

    /// Follows a run that has not begun: nothing is to be looked up.
    pub(crate) fn of_new(edge: &Edge, tenant: &Tenant, run: Fresh) -> Self {
        Self { behind: false, ..Self::new(edge, tenant, run.id()) }
    }

    fn new(edge: &Edge, tenant: &Tenant, run: RunId) -> Self {
        Self {
            kernel: edge.kernel().clone(),
            tenant: tenant.clone(),
            run,
            live: edge.hub.follow(tenant, run),
            seen: 0,
            behind: true,
            backlog: VecDeque::new(),
            outcome: None,
        }
    }

    /// Skips what a client has seen: everything up to the record with this number in the journal.
    /// Gives whether anything is left and the run has not ended with what is left out.
    pub(crate) async fn resume(&mut self, seq: u64) -> Result<bool, journal::Error> {
        let records = self.kernel.records(&self.tenant, self.run).await?;
        let exact = records.iter().rev().find(|record| record.seq == seq);
        let before = || records.iter().filter(|record| record.seq <= seq).map(|r| r.number).max();
        self.seen = exact.map(|record| record.number).or_else(before).unwrap_or(0);
        let rest = records.iter().filter(|record| record.number > self.seen);
        let has_more = rest.clone().any(|record| Event::Recorded(record.clone()).name().is_some());
        Ok(has_more || outcome_of(&records).is_none())
    }

    /// The outcome with its answer, if the journal gave it rather than an event.
    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Whether all that is on record has been given, which is found out first if need be.
    ///
    /// # Errors
    /// A journal that cannot be read.
    pub(crate) async fn caught_up(&mut self) -> Result<bool, journal::Error> {
        if self.behind {
            self.catch_up().await?;
        }
        Ok(self.backlog.is_empty())
    }

    /// The next event. Dropping the future loses nothing.
    ///
    /// # Errors
    /// A journal that cannot be read; `None` once the kernel is gone.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, journal::Error> {
        loop {
            if let Some(record) = self.backlog.pop_front() {
                self.seen = record.number;
                return Ok(Some(Event::Recorded(record)));
            }
            if self.behind {
                self.catch_up().await?;
                continue;
            }
            match self.live.receiver.recv().await {
                Ok(News::Event(Event::Recorded(record))) if record.number <= self.seen => {}
                Ok(News::Event(Event::Recorded(record))) if record.number == self.seen + 1 => {
                    self.seen = record.number;
                    return Ok(Some(Event::Recorded(record)));
                }
                Ok(News::Event(event @ Event::Ephemeral(_))) => return Ok(Some(event)),
                Ok(News::Event(Event::Recorded(_)) | News::Missed) | Err(RecvError::Lagged(_)) => {
                    self.behind = true;
                }
                Ok(News::Grown(records)) => self.behind = records > self.seen,
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }

    async fn catch_up(&mut self) -> Result<(), journal::Error> {
        let records = self.kernel.records(&self.tenant, self.run).await?;
        self.outcome = outcome_of(&records);
        self.backlog = records.into_iter().filter(|record| record.number > self.seen).collect();
        self.behind = false;
        Ok(())
    }

    /// Returns once the record is on disk: what a client has seen must not be undone by a crash.
    ///
    /// # Errors
    /// A journal that does not take it.
    pub(crate) async fn durable(&self, record: &Record) -> Result<(), journal::Error> {
        // A number beyond the head is of another process's chain, and was read from the disk.
        if record.seq > self.kernel.head().seq {
            return Ok(());
        }
        self.kernel.durable(record.seq).await
    }
}

/// Whether the record says that the run waits for a human.
pub(crate) fn waits(record: &Record) -> bool {
    matches!(&record.entry, Entry::RunWaiting { approvals, .. } if !approvals.is_empty())
}
