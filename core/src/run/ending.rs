//! How a run ends: once, on record, durably, and told to whoever asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ractor::ActorRef;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Place, Run, SlotId, State};
use crate::approval::{self, Approval, ApprovalId, Status};
use crate::crew::Wake;
use crate::failure::Failure;
use crate::journal::writer::Close;
use crate::outcome::Outcome;

/// What is to be told and stopped when a run ends.
type Stopped = (Option<oneshot::Sender<Arc<Outcome>>>, Vec<ActorRef<Wake>>);

impl Run {
    /// Ends the run from outside, wherever it is: at work, on its way out of the memory, or parked.
    pub(crate) async fn end(self: &Arc<Self>, outcome: Outcome) {
        let left = {
            let mut state = self.state();
            if state.place == Place::Leaving {
                return self.end_later(&mut state, outcome);
            }
            state.place == Place::Gone
        };
        if left {
            // Only the shell of the run is here; it is parked, or somebody has taken it up.
            Box::pin(self.shared.end_after_all(self.id, outcome)).await;
        } else {
            self.finish(outcome, None).await;
        }
    }

    /// Lets a run end as soon as it is parked, when it belongs to somebody again.
    fn end_later(&self, state: &mut State, outcome: Outcome) {
        state.after_parking.get_or_insert(outcome);
        self.moved.notify_waiters();
    }

    /// Ends the run from within. Only the first outcome counts, and what a handler still says
    /// once the run has left the memory does not; `by` may finish what it is doing.
    pub(crate) async fn finish(self: &Arc<Self>, outcome: Outcome, by: Option<SlotId>) {
        let (sender, actors) = {
            let mut state = self.state();
            if state.place == Place::Leaving && !state.ended {
                return self.end_later(&mut state, outcome);
            }
            if std::mem::replace(&mut state.ended, true) {
                return;
            }
            state.ended_by = by;
            self.stop(&mut state)
        };
        let outcome = Arc::new(outcome);
        let closed = self.close(&outcome);
        self.leave();
        for actor in actors {
            actor.kill();
        }
        // Whoever ends a run may be dropped while the disk is slow: a handler has a deadline, a
        // caller goes away. So the rest is a task of its own, unless it is done at once.
        let run = self.clone();
        let mut rest = Box::pin(async move { run.conclude(outcome, closed, sender).await });
        if futures::poll!(&mut rest).is_pending() {
            self.shared.tasks.spawn(rest);
        }
    }

    /// Takes the run apart: who waits for the outcome, and the actors that are to be killed.
    fn stop(&self, state: &mut State) -> Stopped {
        let mut actors = Vec::with_capacity(state.slots.len());
        let by = state.ended_by;
        for (index, slot) in state.slots.iter_mut().enumerate() {
            let inbox = std::mem::take(&mut slot.inbox);
            let counters = &self.shared.registry.entry(slot.agent).counters;
            counters.queued.fetch_sub(inbox.queue.len(), Ordering::Relaxed);
            actors.extend(slot.actor.take().filter(|_| by != Some(SlotId(index))));
            slot.notify.notify_one();
        }
        (state.outcome.take(), actors)
    }

    /// Records the outcome.
    fn close(&self, outcome: &Arc<Outcome>) -> Result<u64, Failure> {
        let now = self.shared.clock.now();
        let close = Close {
            run_id: self.id,
            at: now,
            outcome: outcome.clone(),
            duration_us: now.micros_since(self.started),
        };
        self.shared.writer.close(&self.tally, close)
    }

    /// Gives out the outcome once it is durable: no durable record, no answer.
    async fn conclude(
        &self,
        outcome: Arc<Outcome>,
        closed: Result<u64, Failure>,
        sender: Option<oneshot::Sender<Arc<Outcome>>>,
    ) {
        let mut ending = Ending { run: self, outcome: None, sender };
        let durable = match closed {
            Ok(seq) => {
                let closed = Instant::now();
                let stored = self.shared.writer.store().durable(seq).await;
                self.shared.figures.waited_for_disk(closed.elapsed());
                stored.map_err(|error| Failure::Journal { reason: error.to_string() })
            }
            Err(failure) => Err(failure),
        };
        let ended = durable.is_ok();
        let is_denied = matches!(&*outcome, Outcome::Denied { .. });
        ending.outcome = Some(match durable {
            Ok(()) => outcome,
            Err(cause) => Arc::new(Outcome::Failed { cause }),
        });
        if let Some(outcome) = &ending.outcome {
            self.shared.figures.run_ended(outcome);
        }
        if ended {
            self.withdraw().await;
            self.settle_charges(is_denied).await;
        }
    }

    /// Nobody need decide any more on what the run has asked for.
    async fn withdraw(&self) {
        let asked = std::mem::take(&mut self.state().asked);
        for (id, approval) in asked {
            if let Err(error) = self.withdraw_one(id, approval).await {
                tracing::error!(run = %self.id, approval = %id, %error, "it cannot be withdrawn");
            }
        }
    }

    async fn withdraw_one(
        &self,
        id: ApprovalId,
        asked: Option<Approval>,
    ) -> Result<(), approval::Error> {
        let (approvals, tenant) = (&self.shared.approvals, self.principal.tenant());
        loop {
            let Some(found) = approvals.get(tenant, id).await? else {
                // Whoever was about to ask may still do so; the first version is the one kept.
                let withdrawn = asked.and_then(|asked| asked.ended(Status::Withdrawn));
                return match withdrawn {
                    Some(withdrawn) => approvals.put(tenant, &withdrawn).await,
                    None => Ok(()),
                };
            };
            let Some(withdrawn) = found.ended(Status::Withdrawn) else { return Ok(()) };
            if approvals.swap(tenant, &withdrawn).await? {
                return Ok(());
            }
        }
    }
}

/// Lets go of an ended run and tells whoever asked, also if the kernel stops before the disk says
/// that the outcome is durable.
struct Ending<'a> {
    run: &'a Run,
    outcome: Option<Arc<Outcome>>,
    sender: Option<oneshot::Sender<Arc<Outcome>>>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.run.shared.retire(self.run.id);
        let outcome = self.outcome.take().unwrap_or_else(|| {
            let reason = "the installation stopped before the outcome was durable".to_owned();
            Arc::new(Outcome::Failed { cause: Failure::Journal { reason } })
        });
        if let Some(sender) = self.sender.take() {
            // Nobody may be waiting any more; the journal has the outcome all the same.
            let _ = sender.send(outcome);
        }
    }
}
