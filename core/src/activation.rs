//! One agent at work for one run: one message at a time, private state, no panic out.
//!
//! The mailbox that counts is the run's bounded queue; the actor that serves the activation is only
//! woken. So what is queued survives a crash of the actor, and the bound is ours.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::bus::{Draft, Judged, Target, outcome_of};
use crate::context::{Context, Scene};
use crate::failure::Failure;
use crate::ids::MessageId;
use crate::journal::Entry;
use crate::journal::steps::{Pattern, Route};
use crate::label::Label;
use crate::outcome::Outcome;
use crate::policy::panic_text;
use crate::registry;
use crate::run::{Caller, Delivery, Run, SlotId};

/// The step number of the message to a fallback: no handler gets that far.
const FALLBACK_STEP: u32 = u32::MAX;

/// What one activation is.
pub(crate) struct Activation {
    pub(crate) run: Arc<Run>,
    pub(crate) slot: SlotId,
    pub(crate) agent: usize,
}

/// The private state of one activation.
pub(crate) struct Private {
    /// What the agent keeps.
    pub(crate) own: Option<Box<dyn Any + Send>>,
    /// The join of the labels of all it has seen.
    pub(crate) seen: Arc<Label>,
}

/// What the supervisor is told when a handler has panicked.
pub(crate) struct Crash {
    pub(crate) run: Arc<Run>,
    pub(crate) slot: SlotId,
    pub(crate) agent: usize,
    pub(crate) delivery: Delivery,
    pub(crate) reason: String,
    /// Whether the handler may be started again: it had not yet sent or asked anything.
    pub(crate) untouched: bool,
    /// Whether whoever called it has its reply already.
    pub(crate) replied: bool,
}

impl std::fmt::Debug for Crash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl std::fmt::Display for Crash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl std::error::Error for Crash {}

/// How one handler ended.
enum Ended {
    Well { replied: bool },
    Badly { failure: Failure, replied: bool },
    Panicked { reason: String, untouched: bool, replied: bool },
}

impl Activation {
    /// What it starts with.
    pub(crate) fn begin(&self) -> Private {
        let seen = self.run.seen_before(self.slot);
        Private { own: None, seen: seen.unwrap_or_else(|| self.run.shared.public.clone()) }
    }

    /// Handles all that is queued.
    ///
    /// # Errors
    /// The handler that panicked: the actor must not go on.
    pub(crate) async fn serve(&self, private: &mut Private) -> Result<(), Box<Crash>> {
        while let Some(delivery) = self.run.next_again(self.slot) {
            self.handle_one(&delivery, private).await;
        }
        while let Some(delivery) = self.run.next(self.slot) {
            let started = tokio::time::Instant::now();
            let ended = self.handle_one(&delivery, private).await;
            let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            if let Some(crash) = self.settle(delivery, ended, took, private.own.is_some()).await {
                return Err(Box::new(crash));
            }
        }
        Ok(())
    }

    /// Lets go of the actor if it has nothing left to do; `false` if it must stay.
    pub(crate) fn let_go(&self, private: &Private) -> bool {
        self.run.let_go(self.slot, private)
    }

    fn entry(&self) -> &registry::Entry {
        self.run.shared.registry.entry(self.agent)
    }

    async fn handle_one(&self, delivery: &Delivery, private: &mut Private) -> Ended {
        let entry = self.entry();
        let store = self.run.shared.writer.store();
        if !store.has_room() {
            store.room().await;
        }
        let permit = Semaphore::acquire_owned(entry.slots.clone()).await.ok();
        if self.run.shared.taps.watched() {
            let data = json!({ "agent": &*entry.id, "message_id": delivery.message.id() });
            self.run.shared.taps.ephemeral(self.run.id, "agent.started", data);
        }
        private.seen = Label::joined(&private.seen, &delivery.message.message().label);
        let mut context = Context::new(Scene {
            run: self.run.clone(),
            slot: self.slot,
            agent: self.agent,
            delivery: delivery.clone(),
            seen: private.seen.clone(),
            own: private.own.take(),
            permit,
        });
        let handler = entry.agent.handle(delivery.message.clone(), &mut context);
        let handler = AssertUnwindSafe(handler).catch_unwind();
        let result = self.within(entry.spec.handler_deadline, handler).await;
        let (untouched, replied) = (context.is_untouched(), context.has_replied());
        (private.own, private.seen) = context.into_private();
        match result {
            Some(Ok(Ok(()))) => Ended::Well { replied },
            Some(Ok(Err(error))) => Ended::Badly { failure: error.failure_of(&entry.id), replied },
            Some(Err(panic)) => {
                Ended::Panicked { reason: panic_text(panic.as_ref()), untouched, replied }
            }
            None => {
                let deadline_ms = entry.spec.handler_deadline.as_millis();
                let deadline_ms = u64::try_from(deadline_ms).unwrap_or(u64::MAX);
                let failure = Failure::HandlerDeadline { agent: entry.id.clone(), deadline_ms };
                Ended::Badly { failure, replied }
            }
        }
    }

    /// Runs a handler under its deadline. Time in which it waits for a human or a timer does not
    /// count: it begins anew afterwards.
    async fn within<T>(&self, deadline: Duration, handler: impl Future<Output = T>) -> Option<T> {
        let mut handler = std::pin::pin!(handler);
        // Most handlers never wait, and need no timer.
        if let Poll::Ready(done) = futures::poll!(handler.as_mut()) {
            return Some(done);
        }
        loop {
            match tokio::time::timeout(deadline, handler.as_mut()).await {
                Ok(done) => return Some(done),
                Err(_) if self.run.waits_outside(self.slot) => {}
                Err(_) => return None,
            }
        }
    }

    /// Records how the handler ended and tells whoever waits; a crash goes to the supervisor.
    async fn settle(
        &self,
        delivery: Delivery,
        ended: Ended,
        took: u64,
        stateful: bool,
    ) -> Option<Crash> {
        let entry = self.entry();
        if let Some(cause) = self.run.diverged.get() {
            self.run.finish(Outcome::Failed { cause: cause.clone() }, Some(self.slot)).await;
            return None;
        }
        entry.counters.handled.fetch_add(1, Ordering::Relaxed);
        entry.counters.busy_us.fetch_add(took, Ordering::Relaxed);
        let (failure, replied, crash) = match ended {
            Ended::Well { replied } => (None, replied, None),
            Ended::Badly { failure, replied } => (Some(failure), replied, None),
            Ended::Panicked { reason, untouched, replied } => {
                let failure = Failure::Panicked { agent: entry.id.clone(), reason: reason.clone() };
                (Some(failure), replied, Some((reason, untouched)))
            }
        };
        if failure.is_some() {
            entry.counters.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.run.handled(&entry.id, &delivery, took, failure.clone(), stateful);
        if let Some((reason, untouched)) = crash {
            return Some(Crash {
                run: self.run.clone(),
                slot: self.slot,
                agent: self.agent,
                delivery,
                reason,
                untouched,
                replied,
            });
        }
        match failure {
            None if replied => {}
            None => self.run.unanswered(&delivery, &entry.id).await,
            Some(failure) if replied => self.run.note(&entry.id, failure),
            Some(failure) => self.run.failed(self.agent, delivery, failure).await,
        }
        self.run.finished_one(self.slot);
        None
    }
}

impl Run {
    fn handled(
        &self,
        agent: &Arc<str>,
        delivery: &Delivery,
        duration_us: u64,
        failure: Option<Failure>,
        stateful: bool,
    ) {
        // A run that has ended needs no further records.
        let _ = self.shared.writer.append(
            &self.tally,
            [Entry::Handled {
                run_id: self.id,
                message_id: delivery.message.id(),
                agent: agent.clone(),
                at: self.shared.clock.now(),
                duration_us,
                failure,
                stateful,
            }],
        );
    }

    /// A handler ended well without a reply: a failure only if someone waits for one.
    pub(crate) async fn unanswered(self: &Arc<Self>, delivery: &Delivery, agent: &Arc<str>) {
        let failure = Failure::NoReply { agent: agent.clone() };
        match delivery.caller {
            Caller::Nobody => {}
            Caller::Handler(slot) => self.answer(slot, delivery.request, Err(failure)),
            Caller::Edge => self.finish(outcome_of(failure), None).await,
        }
    }

    /// Gives a message to the fallback of the agent that failed at it.
    async fn to_fallback(
        self: &Arc<Self>,
        fallback: usize,
        delivery: &Delivery,
        failure: Failure,
    ) -> Result<(), Failure> {
        let message = &delivery.message;
        let judged = self.govern(Draft {
            id: MessageId::derived(self.id, message.id(), FALLBACK_STEP, 0),
            route: Route { pattern: Pattern::Fallback, step: FALLBACK_STEP, leg: 0 },
            cause: Some(message.id()),
            from: message.message().from.clone(),
            to: Target::Agent(fallback),
            kind: message.message().kind.clone(),
            body: message.payload().clone(),
            label: message.message().label.clone(),
            hops: message.hops().saturating_add(1),
        });
        let second = match judged? {
            Judged::Fresh(second) | Judged::Recalled(second) => second,
            Judged::Held(held) => {
                return Err(Failure::Rejected {
                    policy: held.approval.policy.clone(),
                    policy_version: held.approval.policy_version.clone(),
                    by: "nobody".into(),
                    reason: "a message to a fallback cannot wait for a human".into(),
                });
            }
        };
        let delivery = Delivery {
            message: second,
            request: delivery.request,
            caller: delivery.caller,
            chain: delivery.chain.clone(),
            after: Some(failure),
            restarts: 0,
            again: false,
        };
        Box::pin(self.deliver(fallback, delivery)).await
    }

    /// Records something that an operator should look at. An ended run needs no further records.
    pub(crate) fn incident(&self, agent: &Arc<str>, delivery: &Delivery, failure: &Failure) {
        let incident = Entry::Incident {
            run_id: self.id,
            message_id: delivery.message.id(),
            agent: agent.clone(),
            failure: failure.clone(),
        };
        let _ = self.shared.writer.append(&self.tally, [incident]);
    }

    /// A handler failed: its fallback gets the message, or else whoever waits gets the failure.
    pub(crate) async fn failed(
        self: &Arc<Self>,
        agent: usize,
        delivery: Delivery,
        failure: Failure,
    ) {
        let entry = self.shared.registry.entry(agent);
        let crashed = matches!(&failure, Failure::Panicked { agent, .. } if **agent == *entry.id);
        if crashed {
            self.incident(&entry.id, &delivery, &failure);
        }
        if let Some(fallback) = entry.fallback {
            let next = self.to_fallback(fallback, &delivery, failure.clone()).await;
            let Err(second) = next else { return };
            self.note(&self.shared.registry.entry(fallback).id, second);
        }
        if !crashed {
            self.incident(&entry.id, &delivery, &failure);
        }
        if crashed || matches!(delivery.caller, Caller::Nobody) {
            self.dead_letter(&delivery.message, "its handler failed and nothing stood in for it");
        }
        match delivery.caller {
            Caller::Nobody => self.note(&entry.id, failure),
            Caller::Handler(slot) => self.answer(slot, delivery.request, Err(failure)),
            Caller::Edge => self.finish(failed_outcome(failure), None).await,
        }
    }
}

/// A handler's failure ends the run as failed, whatever the cause: only a refused root message or
/// a refused answer makes a run denied, and those are settled where they are sent.
fn failed_outcome(cause: Failure) -> crate::outcome::Outcome {
    crate::outcome::Outcome::Failed { cause }
}
