//! What a handler can do: everything that it does to the world goes through here.
//!
//! Each call is a step with a number; ids of messages are derived from it, and what a step gave is
//! journaled, so that a replay can hand back the same.

mod calls;
mod content;
mod fan;
mod tools;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bus::{Draft, Judged, Target};
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::governed::Governed;
use crate::ids::{MessageId, RunId};
use crate::journal::Entry;
use crate::journal::steps::{Call, Pattern, Route};
use crate::label::Label;
use crate::payload::{Body, Payload};
use crate::principal::Principal;
use crate::registry;
use crate::run::{Delivery, Run, SlotId, Wait, WaitFor, Waited};

/// The handler's hands.
pub struct Context {
    run: Arc<Run>,
    slot: SlotId,
    agent: usize,
    delivery: Delivery,
    seen: Arc<Label>,
    own: Option<Box<dyn Any + Send>>,
    permit: Option<OwnedSemaphorePermit>,
    step: u32,
    replied: bool,
}

/// What a context starts with.
pub(crate) struct Scene {
    pub(crate) run: Arc<Run>,
    pub(crate) slot: SlotId,
    pub(crate) agent: usize,
    pub(crate) delivery: Delivery,
    pub(crate) seen: Arc<Label>,
    pub(crate) own: Option<Box<dyn Any + Send>>,
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// One request of a scatter.
#[derive(Debug, Clone)]
pub struct Request {
    to: String,
    kind: &'static str,
    body: Result<Body, crate::payload::Error>,
}

impl Request {
    /// A request to an agent, by id or by capability.
    #[must_use]
    pub fn new<T: Payload>(to: &str, payload: &T) -> Self {
        Self { to: to.to_owned(), kind: T::KIND, body: Body::of(payload) }
    }
}

/// What a publication reached.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// How many recipients got the message.
    pub delivered: usize,
    /// The recipients that did not, and why.
    pub refused: Vec<(Arc<str>, Failure)>,
}

impl Context {
    pub(crate) fn new(scene: Scene) -> Self {
        Self {
            run: scene.run,
            slot: scene.slot,
            agent: scene.agent,
            delivery: scene.delivery,
            seen: scene.seen,
            own: scene.own,
            permit: scene.permit,
            step: 0,
            replied: false,
        }
    }

    pub(crate) fn is_untouched(&self) -> bool {
        self.step == 0
    }

    pub(crate) fn has_replied(&self) -> bool {
        self.replied
    }

    pub(crate) fn into_private(self) -> (Option<Box<dyn Any + Send>>, Arc<Label>) {
        (self.own, self.seen)
    }

    /// The run.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        self.run.id
    }

    /// Who asked.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.run.principal
    }

    /// Why the agent before failed, if this one has its turn as its fallback.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.delivery.after.as_ref()
    }

    /// Whether the run has ended, so that further work is for nothing.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.run.has_ended()
    }

    /// What this agent keeps between the messages of one run; a restart begins anew.
    pub fn state<T: Default + Send + 'static>(&mut self) -> &mut T {
        if !self.own.as_ref().is_some_and(|own| own.is::<T>()) {
            self.own = Some(Box::<T>::default());
        }
        match self.own.as_mut().and_then(|own| own.downcast_mut()) {
            Some(state) => state,
            // The line above has just put a `T` there.
            None => unreachable!("the state has the type it was made with"),
        }
    }

    /// Tells observers how far the work is; lost if nobody looks.
    pub fn progress(&self, text: &str) {
        if self.run.shared.taps.watched() {
            let data = json!({ "agent": &*self.entry().id, "text": text });
            self.run.shared.taps.ephemeral(self.run.id, "progress", data);
        }
    }

    /// The time of day, recorded.
    pub fn now(&mut self) -> Result<Timestamp, Failure> {
        match self.recall("now")? {
            None => {}
            Some(Call::Now { value }) => return Ok(value),
            Some(other) => return Err(self.otherwise(&other, "now")),
        }
        let value = self.run.shared.clock.now();
        self.record(Call::Now { value })?;
        Ok(value)
    }

    /// 64 random bits, recorded.
    pub fn random(&mut self) -> Result<u64, Failure> {
        match self.recall("random")? {
            None => {}
            Some(Call::Random { value }) => {
                let drawn = u64::from_str_radix(&value, 16);
                return drawn.map_err(|error| Failure::Payload { reason: error.to_string() });
            }
            Some(other) => return Err(self.otherwise(&other, "random")),
        }
        let value = self.run.shared.ids.random();
        self.record(Call::Random { value: format!("{value:016x}") })?;
        Ok(value)
    }

    /// Waits. A long wait takes no memory and survives the process.
    pub async fn sleep(&mut self, duration: Duration) -> Result<(), Failure> {
        let until = match self.recall("sleep")? {
            Some(Call::Sleep { until }) => until,
            Some(other) => return Err(self.otherwise(&other, "sleep")),
            None => {
                let until = self.run.shared.clock.now().plus(duration);
                self.record(Call::Sleep { until })?;
                until
            }
        };
        if self.run.shared.clock.now() >= until {
            return Ok(());
        }
        self.permit = None;
        let wait = Wait { on: WaitFor::Timer, until: Some(until), gather: None };
        let waited = self.run.wait(self.slot, wait, |_| None::<()>).await;
        self.resume().await;
        match waited {
            Waited::Ended => Err(Failure::RunEnded),
            Waited::Ready(()) | Waited::Stalled | Waited::TimedOut => Ok(()),
        }
    }

    /// What is recorded of this step, if the handler has come so far before.
    fn recall(&mut self, asked: &str) -> Result<Option<Call>, Failure> {
        let found = self.recorded(asked)?;
        self.step += u32::from(found.is_some());
        Ok(found)
    }

    /// What is recorded of this step; whoever takes it goes on to the next.
    fn recorded(&self, asked: &str) -> Result<Option<Call>, Failure> {
        if let Some(diverged) = self.run.diverged.get() {
            return Err(diverged.clone());
        }
        let Some(history) = &self.run.history else { return Ok(None) };
        let cause = self.delivery.message.id();
        match history.call(cause, self.step) {
            Some(call) => Ok(Some(call.clone())),
            None if history.has_reached(cause, self.step) => {
                let recorded = history.describe(cause, self.step);
                Err(self.diverged(self.step, &recorded, asked))
            }
            // The handler had come no further, and only its state was wanted.
            None if self.delivery.again => Err(Failure::RunEnded),
            None => Ok(None),
        }
    }

    fn diverged(&self, step: u32, recorded: &str, asked: &str) -> Failure {
        let agent = &self.entry().id;
        self.run.diverge(agent, step, recorded.to_owned(), asked.to_owned())
    }

    /// Something else was called at the step that was just recalled.
    fn otherwise(&self, recorded: &Call, asked: &str) -> Failure {
        self.diverged(self.step.saturating_sub(1), recorded.name(), asked)
    }

    /// Takes the number of a step that sends something, before anything is waited for: whoever
    /// gives up a wait goes on with the next number.
    fn next_step(&mut self) -> u32 {
        self.step += 1;
        self.step - 1
    }

    /// Has a message judged and waits for a human if policy wants one; `true` if it is to be
    /// delivered, `false` if it was before.
    async fn pass(&mut self, draft: Draft) -> Result<(Governed, bool), Failure> {
        let (id, cause) = (draft.id, self.delivery.message.id());
        if let Some(history) = &self.run.history {
            let step = draft.route.step;
            if !history.sent.contains_key(&id) && history.has_passed(cause, step) {
                // Nothing is recorded of a message that was one too many.
                self.run.has_room_for_messages()?;
                let asked = format!("{} to {}", draft.kind, self.run.address(draft.to));
                return Err(self.diverged(step, &history.describe(cause, step), &asked));
            }
            if !history.sent.contains_key(&id) && self.delivery.again {
                return Err(Failure::RunEnded);
            }
        }
        match self.run.govern(draft)? {
            Judged::Fresh(message) => Ok((message, true)),
            Judged::Recalled(message) => Ok((message, false)),
            // The handler had come no further, and only its state was wanted.
            Judged::Held(held) if self.delivery.again && !held.is_decided() => {
                Err(Failure::RunEnded)
            }
            Judged::Held(held) => {
                self.permit = None;
                let run = self.run.clone();
                let decided = run.decide_held(self.slot, *held).await;
                self.resume().await;
                decided.map(|message| (message, true))
            }
        }
    }

    fn entry(&self) -> &registry::Entry {
        self.run.shared.registry.entry(self.agent)
    }

    /// The kind must be among those that the spec says the agent sends.
    fn declared<T: Payload>(&self) -> Result<(), Failure> {
        if self.entry().spec.emits.iter().any(|kind| kind.name() == T::KIND) {
            return Ok(());
        }
        let reason = format!("its spec does not declare that it emits `{}`", T::KIND);
        Err(Failure::Failed { agent: self.entry().id.clone(), reason })
    }

    fn draft(
        &self,
        (to, pattern): (Target, Pattern),
        kind: &'static str,
        body: Body,
        (step, leg): (u32, u32),
    ) -> Draft {
        let cause = self.delivery.message.id();
        Draft {
            id: MessageId::derived(self.run.id, cause, step, leg),
            route: Route { pattern, step, leg },
            cause: Some(cause),
            from: self.entry().id.clone(),
            to,
            kind: self.run.shared.kind_name(kind),
            body,
            label: self.seen.clone(),
            hops: self.delivery.message.hops().saturating_add(1),
        }
    }

    /// Takes on a label: what is sent from now on is at least as protected.
    fn see(&mut self, label: &Arc<Label>) {
        self.seen = Label::joined(&self.seen, label);
    }

    fn record(&mut self, call: Call) -> Result<(), Failure> {
        let entry = Entry::Step {
            run_id: self.run.id,
            cause: self.delivery.message.id(),
            number: self.step,
            agent: self.entry().id.clone(),
            call,
        };
        self.step += 1;
        self.run.shared.writer.append(&self.run.tally, [entry]).map(|_| ())
    }

    /// Takes a place among the agent's handlers again after a wait.
    async fn resume(&mut self) {
        if self.permit.is_none() {
            let slots = self.entry().slots.clone();
            self.permit = Semaphore::acquire_owned(slots).await.ok();
        }
    }
}
