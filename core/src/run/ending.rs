//! How a run ends: once, on record, durably, and told to whoever asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::{Run, SlotId};
use crate::failure::Failure;
use crate::journal::writer::Close;
use crate::outcome::Outcome;

impl Run {
    /// Ends the run. Only the first outcome counts; `by` may finish what it is doing.
    pub(crate) async fn finish(self: &Arc<Self>, outcome: Outcome, by: Option<SlotId>) {
        let (sender, actors) = {
            let mut state = self.state();
            if state.parking && !state.ended {
                // It ends as soon as it is parked, when it belongs to somebody again.
                state.after_parking.get_or_insert(outcome);
                return;
            }
            if std::mem::replace(&mut state.ended, true) {
                return;
            }
            let mut actors = Vec::with_capacity(state.slots.len());
            for slot in &mut state.slots {
                let inbox = std::mem::take(&mut slot.inbox);
                let counters = &self.shared.registry.entry(slot.agent).counters;
                counters.queued.fetch_sub(inbox.queue.len(), Ordering::Relaxed);
                actors.push(slot.actor.take());
                slot.notify.notify_one();
            }
            (state.outcome.take(), actors)
        };
        let outcome = Arc::new(outcome);
        let closed = self.close(&outcome);
        self.ended.cancel();
        for (index, actor) in actors.into_iter().enumerate() {
            match actor {
                Some(actor) if by == Some(SlotId(index)) => actor.stop(None),
                Some(actor) => actor.kill(),
                None => {}
            }
        }
        // Whoever ends a run may be dropped while the disk is slow: a handler has a deadline, a
        // caller goes away. So the rest is a task of its own, unless it is done at once.
        let run = self.clone();
        let mut rest = Box::pin(async move { run.conclude(outcome, closed, sender).await });
        if futures::poll!(&mut rest).is_pending() {
            self.shared.tasks.spawn(rest);
        }
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
                let stored = self.shared.writer.store().durable(seq).await;
                stored.map_err(|error| Failure::Journal { reason: error.to_string() })
            }
            Err(failure) => Err(failure),
        };
        ending.outcome = Some(match durable {
            Ok(()) => outcome,
            Err(cause) => Arc::new(Outcome::Failed { cause }),
        });
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
