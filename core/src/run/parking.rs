//! How a run leaves the memory while it waits for a human or a timer: on record, and whole.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Place, Run, State, WaitFor};
use crate::approval::ApprovalId;
use crate::clock::Timestamp;
use crate::journal::Entry;
use crate::journal::record::Gathering;
use crate::keeper::{Parked, STORE_BACKOFF};

/// What a run waits for when it is parked.
struct Plan {
    wake_at: Timestamp,
    approvals: Vec<ApprovalId>,
    gathers: Vec<Gathering>,
}

impl Run {
    /// Parks the run unless something happens before.
    pub(crate) fn park_soon(self: &Arc<Self>) {
        let run = self.clone();
        self.shared.tasks.spawn(async move { run.park().await });
    }

    async fn park(self: Arc<Self>) {
        let Some(plan) = self.plan() else { return };
        let Plan { wake_at, approvals, gathers } = plan;
        let waiting = Entry::RunWaiting {
            run_id: self.id,
            at: self.shared.clock.now(),
            wake_at,
            approvals: approvals.clone(),
            gathers,
        };
        let recorded = match self.shared.writer.append(&self.tally, [waiting]) {
            Ok(seq) => self.shared.writer.store().durable(seq).await.is_ok(),
            Err(_) => false,
        };
        if !recorded {
            // What is not on record cannot be taken up again: the run stays in memory.
            return self.unpark().await;
        }
        let (records, actors, sender) = {
            let mut state = self.state();
            // First, so that nothing that a handler does on its way out gets on record.
            let records = self.tally.leave();
            state.ended = true;
            let mut actors = Vec::with_capacity(state.slots.len());
            for slot in &mut state.slots {
                let queued = std::mem::take(&mut slot.inbox.queue).len();
                let counters = &self.shared.registry.entry(slot.agent).counters;
                counters.queued.fetch_sub(queued, Ordering::Relaxed);
                actors.extend(slot.actor.take());
                slot.notify.notify_one();
            }
            (records, actors, state.outcome.take())
        };
        let tenant = self.principal.tenant().clone();
        self.shared.park(self.id, Parked { tenant, records, outcome: sender }, wake_at);
        self.leave();
        self.moved.notify_waiters();
        for actor in actors {
            actor.kill();
        }
        let after = {
            let mut state = self.state();
            state.place = Place::Gone;
            state.after_parking.take()
        };
        if let Some(outcome) = after {
            return self.shared.end_after_all(self.id, outcome).await;
        }
        // A decision that fell while the run was on its way out has found nobody to tell.
        for id in approvals {
            let tenant = self.principal.tenant();
            let found = self.shared.approvals.get(tenant, id).await.ok().flatten();
            if let Some(decided) = found.filter(|found| found.status.is_final()) {
                return self.shared.wake(&decided).await;
            }
        }
    }

    /// Decides whether the run can be parked now, and stops it if so.
    fn plan(&self) -> Option<Plan> {
        let mut state = self.state();
        if state.ended || !state.rest(&self.shared) {
            return None;
        }
        let approvals: Vec<ApprovalId> = state
            .waits()
            .filter_map(|wait| match wait.on {
                WaitFor::Decision(id) => Some(id),
                _ => None,
            })
            .collect();
        let gathers = state.waits().filter_map(|wait| {
            let ((cause, number), until) = (wait.gather?, wait.until?);
            Some(Gathering { cause, number, until })
        });
        let gathers = gathers.collect();
        let mut wake_at = state.waits().filter_map(|wait| wait.until).min()?;
        // Time that passes while a human thinks does not count.
        if approvals.is_empty() {
            wake_at = wake_at.min(self.deadline);
        }
        state.place = Place::Leaving;
        Some(Plan { wake_at, approvals, gathers })
    }

    /// Lets a run go on that could not be parked, but not at once: the journal needs time to mend.
    async fn unpark(self: &Arc<Self>) {
        let ended = self.moved.notified();
        let ends = self.state().after_parking.is_some();
        if !ends {
            let _ = tokio::time::timeout(STORE_BACKOFF, ended).await;
        }
        let (after, root) = {
            let mut state = self.state();
            state.place = Place::Memory;
            for slot in &state.slots {
                slot.notify.notify_one();
            }
            (state.after_parking.take(), state.root.is_some())
        };
        self.moved.notify_waiters();
        if let Some(outcome) = after {
            Box::pin(self.finish(outcome, None)).await;
        } else if root {
            // No handler is there that would find out that the run can be parked.
            self.let_rest();
        }
    }

    /// Returns once the run is no longer about to leave the memory; `true` if it has left it.
    pub(crate) async fn has_left(&self) -> bool {
        loop {
            let moved = self.moved.notified();
            if self.has_ended() || self.state().place != Place::Leaving {
                return self.has_ended();
            }
            moved.await;
        }
    }
}

impl State {
    /// Lets a recovery fill the queues before anyone may stall.
    pub(crate) fn hold(&mut self) {
        self.held = true;
    }
}

impl Run {
    /// Ends the hold of a recovery.
    pub(crate) fn let_rest(self: &Arc<Self>) {
        let park = {
            let mut state = self.state();
            state.held = false;
            state.rest(&self.shared)
        };
        if park {
            self.park_soon();
        }
    }
}
