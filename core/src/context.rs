//! What a handler can do: everything that it does to the world goes through here.
//!
//! Each call is a step with a number; ids of messages are derived from it, and what a step gave is
//! journaled, so that a replay can hand back the same.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::blob::{Blob, Stored};
use crate::bus::{Draft, Target};
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::gather::{Gather, Gathered, Missing};
use crate::governed::Governed;
use crate::ids::{MessageId, RunId};
use crate::journal::Entry;
use crate::journal::record::Call;
use crate::label::Label;
use crate::outcome::Outcome;
use crate::payload::{Body, Payload};
use crate::principal::Principal;
use crate::registry;
use crate::run::{Caller, Chain, Delivery, Run, SlotId, WaitFor, Waited};

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
        Self {
            to: to.to_owned(),
            kind: T::KIND,
            body: Body::of(payload),
        }
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
        self.run.ended.is_cancelled()
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
            self.run
                .shared
                .taps
                .ephemeral(self.run.id, "progress", data);
        }
    }

    /// The time of day, recorded.
    pub fn now(&mut self) -> Result<Timestamp, Failure> {
        let value = self.run.shared.clock.now();
        self.record(Call::Now { value })?;
        Ok(value)
    }

    /// 64 random bits, recorded.
    pub fn random(&mut self) -> Result<u64, Failure> {
        let value = self.run.shared.ids.random();
        self.record(Call::Random {
            value: format!("{value:016x}"),
        })?;
        Ok(value)
    }

    /// Waits.
    pub async fn sleep(&mut self, duration: Duration) -> Result<(), Failure> {
        self.permit = None;
        tokio::time::sleep(duration).await;
        self.resume().await;
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.record(Call::Sleep { duration_ms })
    }

    /// Answers the message that is being handled. At most one answer counts.
    ///
    /// # Errors
    /// [`Failure::Denied`] if policy refuses the answer; the run of a refused final answer ends.
    pub async fn reply<T: Payload>(&mut self, payload: &T) -> Result<(), Failure> {
        let body = Body::of(payload)?;
        self.declared::<T>()?;
        if self.replied {
            let agent = self.entry().id.clone();
            return Err(Failure::Failed {
                agent,
                reason: "it has replied already".to_owned(),
            });
        }
        let target = match self.delivery.caller {
            Caller::Nobody => {
                return Err(Failure::NoRecipient {
                    to: format!("reply `{}`", T::KIND),
                });
            }
            Caller::Handler(slot) => Target::Agent(self.run.state().slots[slot.0].agent),
            Caller::Edge => Target::User,
        };
        let draft = self.draft(target, T::KIND, body, 0);
        let governed = self.run.govern(draft);
        self.step += 1;
        match (self.delivery.caller, governed) {
            (Caller::Edge, Ok(answer)) => {
                self.replied = true;
                let outcome = Outcome::Completed {
                    kind: T::KIND.to_owned(),
                    answer_sha256: crate::journal::chain::Hash::of(
                        answer.payload().text().as_bytes(),
                    ),
                    answer: answer.payload().clone(),
                };
                self.run.finish(outcome, Some(self.slot)).await;
                Ok(())
            }
            (Caller::Edge, Err(Failure::Denied(denied))) => {
                let outcome = Outcome::Denied {
                    denied: denied.clone(),
                };
                self.run.finish(outcome, Some(self.slot)).await;
                Err(Failure::Denied(denied))
            }
            (Caller::Handler(slot), Ok(answer)) => {
                self.replied = true;
                self.run.answer(slot, self.delivery.request, Ok(answer));
                Ok(())
            }
            (_, Err(failure)) => Err(failure),
            (Caller::Nobody, Ok(_)) => Ok(()),
        }
    }

    /// Sends one request, by agent id or capability, and waits for its typed reply.
    pub async fn ask<Q: Payload, A: Payload>(
        &mut self,
        to: &str,
        payload: &Q,
    ) -> Result<A, Failure> {
        let sent = self.send(&Request::new(to, payload), 0).await;
        let answered = match sent {
            Ok(request) => {
                let reply = self.await_replies(&[request], 1, None).await;
                let reply = reply.into_iter().next().and_then(|(_, reply)| reply);
                let waited = reply.unwrap_or_else(|| Err(self.no_reply(to)));
                waited
                    .map(|reply| (request, reply))
                    .map_err(|failure| (Some(request), failure))
            }
            Err(failure) => Err((None, failure)),
        };
        match answered {
            Ok((request, reply)) => {
                let reply_id = Some(reply.id());
                self.record(Call::Ask {
                    request,
                    reply: reply_id,
                    failure: None,
                })?;
                self.see(reply.message().label.clone());
                Ok(reply.decode()?)
            }
            Err((request, failure)) => {
                if let Some(request) = request {
                    let failed = Some(failure.clone());
                    self.record(Call::Ask {
                        request,
                        reply: None,
                        failure: failed,
                    })?;
                }
                Err(failure)
            }
        }
    }

    /// Sends several requests at once and gathers their replies, in the order of the requests.
    pub async fn ask_all(
        &mut self,
        requests: &[Request],
        gather: Gather,
    ) -> Result<Gathered, Failure> {
        let deadline = gather.longest_wait().map(|wait| Instant::now() + wait);
        let mut sent = Vec::with_capacity(requests.len());
        for (leg, request) in (0_u32..).zip(requests) {
            sent.push(self.send(request, leg).await);
        }
        let waiting: Vec<MessageId> = sent.iter().filter_map(|sent| sent.clone().ok()).collect();
        let mut replies = self
            .await_replies(&waiting, gather.needed_of(requests.len()), deadline)
            .await;
        let mut gathered = Gathered::default();
        for (request, sent) in requests.iter().zip(sent) {
            let reply = match sent {
                Err(failure) => Some(Err(failure)),
                Ok(id) => {
                    let found = replies.iter_mut().find(|(request, _)| *request == id);
                    found.and_then(|(_, reply)| reply.take())
                }
            };
            match reply {
                Some(Ok(message)) => gathered.arrived.push(message),
                Some(Err(failure)) => gathered.missing.push(Missing {
                    leg: request.to.clone(),
                    reason: failure.to_string(),
                }),
                None => gathered.missing.push(Missing {
                    leg: request.to.clone(),
                    reason: "it did not answer in time".to_owned(),
                }),
            }
        }
        self.close_gather(gather, gathered)
    }

    /// Sends a message to every subscriber of its kind.
    ///
    /// # Errors
    /// [`Failure::NoRecipient`] if nobody takes the kind; the first refusal if all refuse.
    pub async fn publish<T: Payload>(&mut self, payload: &T) -> Result<Published, Failure> {
        let body = Body::of(payload)?;
        self.declared::<T>()?;
        let run = self.run.clone();
        let mut published = Published::default();
        for (leg, agent) in (0_u32..).zip(run.shared.registry.receivers(T::KIND)) {
            let entry = run.shared.registry.entry(*agent);
            let collects = entry.collects(T::KIND);
            if collects && !run.state().has_slot(*agent) {
                continue;
            }
            let draft = self.draft(Target::Agent(*agent), T::KIND, body.clone(), leg);
            let delivered = match run.govern(draft) {
                Ok(message) if collects => Ok(run.collect(*agent, &message)),
                Ok(message) => {
                    let delivery = delivery_of(message, Caller::Nobody, None);
                    run.deliver(*agent, delivery, Some(self.slot))
                        .await
                        .map(|()| true)
                }
                Err(failure) => Err(failure),
            };
            match delivered {
                Ok(_) => published.delivered += 1,
                Err(failure) => {
                    run.note(&entry.id, failure.clone());
                    published.refused.push((entry.id.clone(), failure));
                }
            }
        }
        self.step += 1;
        if published.delivered > 0 {
            return Ok(published);
        }
        Err(match published.refused.into_iter().next() {
            Some((_, failure)) => failure,
            None => Failure::NoRecipient {
                to: T::KIND.to_owned(),
            },
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
        let deadline = gather.longest_wait().map(|wait| Instant::now() + wait);
        let (slot, needed) = (self.slot, gather.needed_of(kinds.len()));
        self.permit = None;
        let waited = self.run.wait(slot, WaitFor::Kinds, deadline, |state| {
            let gathered = &state.slots[slot.0].inbox.gathered;
            let arrived = kinds
                .iter()
                .filter(|kind| gathered.iter().any(|m| m.kind() == **kind));
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

    /// Stores a value as JSON under its hash and gives the reference to put into a payload.
    pub async fn store<T>(&mut self, value: Arc<T>) -> Result<Blob, Failure>
    where
        T: Serialize + Send + Sync + 'static,
    {
        let content =
            serde_json::to_vec(&*value).map_err(|error| self.blob_failure(&error.to_string()))?;
        let blob = Blob::of(&content);
        let stored = Stored::new(content.into(), self.seen.clone());
        stored.remember(value);
        self.run.keep(blob, stored).await?;
        let bytes = blob.bytes;
        self.record(Call::Store {
            blob: blob.sha256,
            bytes,
            label: self.seen.clone(),
        })?;
        Ok(blob)
    }

    /// Reads stored content as the value that it was made from.
    pub async fn load<T>(&mut self, blob: &Blob) -> Result<Arc<T>, Failure>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let stored = self.fetch(blob).await?;
        if let Some(value) = stored.decoded() {
            return Ok(value);
        }
        let value: Arc<T> = serde_json::from_slice(&stored.content)
            .map(Arc::new)
            .map_err(|error| self.blob_failure(&error.to_string()))?;
        stored.remember(value.clone());
        Ok(value)
    }

    /// Reads stored content as bytes.
    pub async fn load_bytes(&mut self, blob: &Blob) -> Result<Arc<[u8]>, Failure> {
        Ok(self.fetch(blob).await?.content.clone())
    }

    /// The stored content, if this agent is cleared for it; its label is taken on.
    async fn fetch(&mut self, blob: &Blob) -> Result<Arc<Stored>, Failure> {
        let found = self.run.shared.blobs.get(self.run.id, *blob).await;
        let stored = found
            .map_err(|error| self.blob_failure(&error.to_string()))?
            .ok_or_else(|| self.blob_failure("the run has no such content"))?;
        let clearance = &self.entry().recipient.clearance;
        let cleared = stored.label.classification <= clearance.ceiling
            && stored.label.categories.is_subset(&clearance.categories);
        if !cleared {
            let reason = format!("it is not cleared for the content `{}`", blob.sha256);
            return Err(Failure::Failed {
                agent: self.entry().id.clone(),
                reason,
            });
        }
        self.see(stored.label.clone());
        self.record(Call::Load { blob: blob.sha256 })?;
        Ok(stored)
    }

    fn blob_failure(&self, reason: &str) -> Failure {
        Failure::Failed {
            agent: self.entry().id.clone(),
            reason: reason.to_owned(),
        }
    }

    fn entry(&self) -> &registry::Entry {
        self.run.shared.registry.entry(self.agent)
    }

    /// The kind must be among those that the spec says the agent sends.
    fn declared<T: Payload>(&self) -> Result<(), Failure> {
        if self
            .entry()
            .spec
            .emits
            .iter()
            .any(|kind| kind.name() == T::KIND)
        {
            return Ok(());
        }
        let reason = format!("its spec does not declare that it emits `{}`", T::KIND);
        Err(Failure::Failed {
            agent: self.entry().id.clone(),
            reason,
        })
    }

    fn draft(&self, to: Target, kind: &'static str, body: Body, leg: u32) -> Draft {
        let cause = self.delivery.message.id();
        Draft {
            id: MessageId::derived(self.run.id, cause, self.step, leg),
            cause: Some(cause),
            from: self.entry().id.clone(),
            to,
            kind: self.run.shared.kind_name(kind),
            body,
            label: self.seen.clone(),
            hops: self.delivery.message.hops().saturating_add(1),
        }
    }

    /// Sends a request without waiting for its reply.
    async fn send(&mut self, request: &Request, leg: u32) -> Result<MessageId, Failure> {
        let run = self.run.clone();
        let body = request.body.clone()?;
        if !self
            .entry()
            .spec
            .emits
            .iter()
            .any(|kind| kind.name() == request.kind)
        {
            let reason = format!("its spec does not declare that it emits `{}`", request.kind);
            return Err(Failure::Failed {
                agent: self.entry().id.clone(),
                reason,
            });
        }
        let Some(agent) = run.shared.registry.resolve(&request.to) else {
            return Err(Failure::NoRecipient {
                to: request.to.clone(),
            });
        };
        let entry = run.shared.registry.entry(agent);
        if !entry.accepts(request.kind) {
            return Err(Failure::NoRecipient {
                to: format!("{}: {}", entry.id, request.kind),
            });
        }
        let chain = Arc::new(Chain {
            agent: self.agent,
            below: self.delivery.chain.clone(),
        });
        if !entry.spec.reentrant {
            self.refuse_cycle(&chain, agent)?;
        }
        let message = run.govern(self.draft(Target::Agent(agent), request.kind, body, leg));
        self.step += 1;
        let message = message?;
        let id = message.id();
        let delivery = delivery_of(message, Caller::Handler(self.slot), Some(chain));
        run.deliver(agent, delivery, Some(self.slot)).await?;
        Ok(id)
    }

    /// An agent that waits, directly or not, for this call cannot be called by it.
    fn refuse_cycle(&self, chain: &Arc<Chain>, agent: usize) -> Result<(), Failure> {
        let waiting: Vec<usize> =
            std::iter::successors(Some(&**chain), |link| link.below.as_deref())
                .map(|link| link.agent)
                .collect();
        let Some(first) = waiting.iter().position(|waits| *waits == agent) else {
            return Ok(());
        };
        let mut path: Vec<&str> = waiting[..=first]
            .iter()
            .rev()
            .map(|index| &*self.run.shared.registry.entry(*index).id)
            .collect();
        path.push(&self.run.shared.registry.entry(agent).id);
        Err(Failure::Cycle {
            path: path.join(" → "),
        })
    }

    /// Waits until `needed` of the requests are answered well, or all are answered.
    async fn await_replies(
        &mut self,
        requests: &[MessageId],
        needed: usize,
        deadline: Option<Instant>,
    ) -> Vec<(MessageId, Option<Result<Governed, Failure>>)> {
        let slot = self.slot;
        self.permit = None;
        let ours = |id: &MessageId| requests.contains(id);
        let waited = self.run.wait(slot, WaitFor::Replies, deadline, |state| {
            let replies = &state.slots[slot.0].inbox.replies;
            let answered = replies.iter().filter(|(id, _)| ours(id));
            let well = answered.clone().filter(|(_, reply)| reply.is_ok()).count();
            (well >= needed || answered.count() >= requests.len()).then_some(())
        });
        let ended = matches!(waited.await, Waited::Ended);
        self.resume().await;
        if ended {
            return requests
                .iter()
                .map(|id| (*id, Some(Err(Failure::RunEnded))))
                .collect();
        }
        let mut state = self.run.state();
        let Some(slot) = state.slots.get_mut(slot.0) else {
            return Vec::new();
        };
        let (taken, kept) = std::mem::take(&mut slot.inbox.replies)
            .into_iter()
            .partition(|(id, _)| ours(id));
        slot.inbox.replies = kept;
        let taken: Vec<(MessageId, Result<Governed, Failure>)> = taken;
        taken
            .into_iter()
            .map(|(id, reply)| (id, Some(reply)))
            .collect()
    }

    fn no_reply(&self, to: &str) -> Failure {
        let known = self.run.shared.registry.resolve(to);
        let agent = known.map_or_else(
            || to.into(),
            |agent| self.run.shared.registry.entry(agent).id.clone(),
        );
        Failure::NoReply { agent }
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
            match arrived.iter().position(|message| message.kind() == *kind) {
                Some(index) => gathered.arrived.push(arrived.remove(index)),
                None => gathered.missing.push(Missing {
                    leg: (*kind).to_owned(),
                    reason: self.run.shared.why_missing(kind, &noted, cause),
                }),
            }
        }
        gathered
    }

    fn close_gather(&mut self, gather: Gather, gathered: Gathered) -> Result<Gathered, Failure> {
        for message in &gathered.arrived {
            self.see(message.message().label.clone());
        }
        self.record(Call::Gather {
            arrived: gathered
                .arrived
                .iter()
                .map(|message| message.id())
                .collect(),
            missing: gathered.missing.clone(),
        })?;
        gather.close(gathered)
    }

    /// Takes on a label: what is sent from now on is at least as protected.
    fn see(&mut self, label: Arc<Label>) {
        if label.covers(&self.seen) {
            self.seen = label;
        } else if !self.seen.covers(&label) {
            self.seen = Arc::new(self.seen.join(&label));
        }
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
        self.run
            .shared
            .writer
            .append(&self.run.tally, [entry])
            .map(|_| ())
    }

    /// Takes a place among the agent's handlers again after a wait.
    async fn resume(&mut self) {
        if self.permit.is_none() {
            let slots = self.entry().slots.clone();
            self.permit = Semaphore::acquire_owned(slots).await.ok();
        }
    }
}

fn delivery_of(message: Governed, caller: Caller, chain: Option<Arc<Chain>>) -> Delivery {
    Delivery {
        request: message.id(),
        message,
        caller,
        chain,
        after: None,
        restarts: 0,
    }
}

impl Run {
    /// Keeps content for this run, within its bounds.
    pub(crate) async fn keep(&self, blob: Blob, stored: Stored) -> Result<(), Failure> {
        let limits = &self.shared.limits;
        let over = |limit: &str, value: usize| Failure::Limit {
            limit: limit.to_owned(),
            value: value as u64,
        };
        let size = stored.content.len();
        if size > limits.blob_bytes_max {
            return Err(over("blob_bytes_max", limits.blob_bytes_max));
        }
        if self.blob_bytes.fetch_add(size, Ordering::Relaxed) + size
            > limits.blobs_per_run_bytes_max
        {
            return Err(over(
                "blobs_per_run_bytes_max",
                limits.blobs_per_run_bytes_max,
            ));
        }
        let kept = self.shared.blobs.put(self.id, blob, Arc::new(stored)).await;
        kept.map_err(|error| Failure::Journal {
            reason: error.to_string(),
        })
    }
}
