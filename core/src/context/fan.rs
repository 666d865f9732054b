//! Fan-out to every subscriber of a kind, fan-in of kinds that others publish.

use super::{Context, Published};
use crate::bus::Target;
use crate::failure::Failure;
use crate::gather::{Gather, Gathered, Missing};
use crate::ids::MessageId;
use crate::journal::steps::{Call, Pattern};
use crate::payload::{Body, Payload};
use crate::run::{Caller, Delivery, WaitFor, Waited};

impl Context {
    /// Sends a message to every subscriber of its kind.
    ///
    /// # Errors
    /// [`Failure::NoRecipient`] if nobody takes the kind; the first refusal if all refuse.
    pub async fn publish<T: Payload>(&mut self, payload: &T) -> Result<Published, Failure> {
        let body = Body::of(payload)?;
        self.declared::<T>()?;
        let run = self.run.clone();
        let step = self.next_step();
        let mut published = Published::default();
        // Before anybody is told: who is told first may publish what another of them collects, and
        // that one must have a place where it waits.
        let told = run.shared.registry.receivers(T::KIND).iter().copied();
        let told = told.filter(|agent| !run.shared.registry.entry(*agent).collects(T::KIND));
        run.make_places(told);
        for (leg, agent) in (0_u32..).zip(run.shared.registry.receivers(T::KIND)) {
            let entry = run.shared.registry.entry(*agent);
            let collects = entry.collects(T::KIND);
            let cause = self.delivery.message.id();
            let id = MessageId::derived(run.id, cause, step, leg);
            let before = run.history.as_ref().filter(|history| !history.sent.contains_key(&id));
            if before.is_some_and(|history| history.has_passed(cause, step)) {
                // It had not gathered when this was published.
                continue;
            }
            if collects && !run.state().has_slot(*agent) {
                continue;
            }
            let pattern = if collects { Pattern::Collect } else { Pattern::Publish };
            let to = (Target::Agent(*agent), pattern);
            let draft = self.draft(to, T::KIND, body.clone(), (step, leg));
            let delivered = match self.pass(draft).await {
                Ok((message, false)) => run.undelivered(message.id()),
                Ok((message, true)) if collects => {
                    run.collect(*agent, &message);
                    Ok(())
                }
                Ok((message, true)) => {
                    self.deliver(*agent, Delivery::of(message, Caller::Nobody, None)).await
                }
                Err(failure) => Err(failure),
            };
            match delivered {
                Ok(()) => published.delivered += 1,
                Err(failure) => {
                    run.note(&entry.id, failure.clone());
                    published.refused.push((entry.id.clone(), failure));
                }
            }
        }
        if published.delivered > 0 {
            return Ok(published);
        }
        Err(match published.refused.into_iter().next() {
            Some((_, failure)) => failure,
            None => Failure::NoRecipient { to: T::KIND.to_owned() },
        })
    }

    /// Waits for messages of kinds that other agents of this run publish, one of each.
    ///
    /// The spec must declare the kinds under `collects`. A leg that nobody can deliver any more,
    /// because its agent failed or ended, is missing at once, not at the deadline.
    pub async fn collect(&mut self, kinds: &[&str], gather: Gather) -> Result<Gathered, Failure> {
        if let Some(kind) = kinds.iter().find(|kind| !self.entry().collects(kind)) {
            let agent = self.entry().id.clone();
            let reason = format!("its spec does not declare that it collects `{kind}`");
            return Err(Failure::Failed { agent, reason });
        }
        if let Some(gathered) = self.recalled_gather(gather) {
            return gathered;
        }
        let began = self.run.shared.clock.now();
        let wait = self.gather_wait(WaitFor::Kinds, gather, began);
        let (slot, needed) = (self.slot, gather.needed_of(kinds.len()));
        self.permit = None;
        let waited = self.run.wait(slot, wait, |state| {
            let gathered = &state.slots[slot.0].inbox.gathered;
            let arrived = kinds.iter().filter(|kind| gathered.iter().any(|m| m.kind() == **kind));
            (arrived.count() >= needed).then_some(())
        });
        let cause = match waited.await {
            Waited::Ready(()) => "the others were enough",
            Waited::Stalled => "nobody in this run can send it any more",
            Waited::TimedOut => "it did not come in time",
            Waited::Ended => return Err(Failure::RunEnded),
        };
        self.resume().await;
        let gathered = self.take_kinds(kinds, cause);
        self.close_gather(gather, gathered)
    }

    /// Takes what has arrived of these kinds, one message each; the rest stays.
    fn take_kinds(&mut self, kinds: &[&str], cause: &str) -> Gathered {
        let noted = self.run.noted();
        let mut gathered = Gathered::default();
        let mut state = self.run.state();
        let Some(slot) = state.slots.get_mut(self.slot.0) else {
            return gathered;
        };
        for kind in kinds {
            let arrived = &mut slot.inbox.gathered;
            if let Some(index) = arrived.iter().position(|message| message.kind() == *kind) {
                gathered.arrived.push(arrived.remove(index));
            } else {
                let failure = self.run.shared.blamed_for(kind, &noted);
                let reason = failure.as_ref().map_or(cause.to_owned(), Failure::to_string);
                gathered.missing.push(Missing { leg: (*kind).to_owned(), reason, failure });
            }
        }
        gathered
    }

    pub(super) fn close_gather(
        &mut self,
        gather: Gather,
        gathered: Gathered,
    ) -> Result<Gathered, Failure> {
        for message in &gathered.arrived {
            self.see(&message.message().label);
        }
        self.record(Call::Gather {
            arrived: gathered.arrived.iter().map(|message| message.id()).collect(),
            missing: gathered.missing.clone(),
        })?;
        gather.close(gathered)
    }
}
