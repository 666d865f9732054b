//! Requests and replies: one call, many calls, and the answer.

use std::sync::Arc;

use super::{Context, Request};
use crate::bus::{Target, depth_of, outcome_of};
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::gather::{Gather, Gathered, Missing};
use crate::governed::Governed;
use crate::ids::MessageId;
use crate::journal::chain::Hash;
use crate::journal::steps::{Call, Pattern};
use crate::outcome::Outcome;
use crate::payload::{Body, Payload};
use crate::run::{Caller, Chain, Delivery, Schedule, Wait, WaitFor, Waited};

impl Context {
    /// Answers the message that is being handled. At most one answer counts.
    ///
    /// # Errors
    /// [`Failure::Denied`] if policy refuses the answer; the run of a refused final answer ends.
    pub async fn reply<T: Payload>(&mut self, payload: &T) -> Result<(), Failure> {
        let body = Body::of(payload)?;
        self.declared::<T>()?;
        if self.replied {
            let agent = self.entry().id.clone();
            return Err(Failure::Failed { agent, reason: "it has replied already".to_owned() });
        }
        let target = match self.delivery.caller {
            Caller::Nobody => {
                return Err(Failure::NoRecipient { to: format!("reply `{}`", T::KIND) });
            }
            Caller::Handler(slot) => Target::Agent(self.run.state().slots[slot.0].agent),
            Caller::Edge => Target::User,
        };
        let step = self.next_step();
        let draft = self.draft((target, Pattern::Reply), T::KIND, body, (step, 0));
        let governed = self.pass(draft).await;
        match (self.delivery.caller, governed) {
            (_, Ok(_)) if self.delivery.again => {
                self.replied = true;
                Ok(())
            }
            (Caller::Edge, Ok((answer, _))) => {
                self.replied = true;
                let outcome = Outcome::Completed {
                    kind: T::KIND.to_owned(),
                    answer_sha256: Hash::of(answer.payload().text().as_bytes()),
                    answer: answer.payload().clone(),
                };
                self.run.finish(outcome, Some(self.slot)).await;
                Ok(())
            }
            (
                Caller::Edge,
                Err(
                    failure @ (Failure::Denied(_)
                    | Failure::Rejected { .. }
                    | Failure::ApprovalExpired { .. }),
                ),
            ) => {
                self.run.finish(outcome_of(failure.clone()), Some(self.slot)).await;
                Err(failure)
            }
            (Caller::Handler(slot), Ok((answer, fresh))) => {
                self.replied = true;
                if fresh {
                    self.run.answer(slot, self.delivery.request, Ok(answer));
                }
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
        let (request, sent) = match self.send(&Request::new(to, payload), 0).await {
            Ok(request) => (request, Ok(())),
            Err((Some(request), failure)) => (request, Err(failure)),
            Err((None, failure)) => return Err(failure),
        };
        let answered = if let Some(call) = self.recall("ask")? {
            self.recalled_answer(call)?
        } else {
            let answered = match sent {
                Ok(()) => self.await_reply(request, to).await,
                Err(failure) => Err(failure),
            };
            let reply = answered.as_ref().ok().map(|reply| reply.id());
            let failure = answered.as_ref().err().cloned();
            self.record(Call::Ask { request, reply, failure })?;
            answered
        };
        let reply = answered?;
        self.see(&reply.message().label);
        Ok(reply.decode()?)
    }

    async fn await_reply(&mut self, request: MessageId, to: &str) -> Result<Governed, Failure> {
        let wait = Wait::on(WaitFor::Replies);
        let (replies, _) = self.await_replies(&[request], |_, _| false, wait).await;
        let reply = replies.into_iter().next().and_then(|(_, reply)| reply);
        reply.unwrap_or_else(|| Err(self.circle(to)))
    }

    /// What a call gave before the run was started again.
    fn recalled_answer(&self, call: Call) -> Result<Result<Governed, Failure>, Failure> {
        match call {
            Call::Ask { reply: Some(reply), .. } => Ok(Ok(self.recalled_message(reply)?)),
            Call::Ask { failure, .. } => Ok(Err(failure.unwrap_or(Failure::RunEnded))),
            other => Err(self.otherwise(&other, "ask")),
        }
    }

    /// A message that the handler got before the run was started again.
    fn recalled_message(&self, id: MessageId) -> Result<Governed, Failure> {
        let found = self.run.history.as_ref().and_then(|history| history.governed(id));
        let missing = || Failure::Journal { reason: format!("there is no record of message {id}") };
        found.ok_or_else(missing)
    }

    /// What a gather gave before the run was started again.
    pub(super) fn recalled_gather(&mut self, gather: Gather) -> Option<Result<Gathered, Failure>> {
        let (arrived, missing) = match self.recall("gather") {
            Ok(None) => return None,
            Ok(Some(Call::Gather { arrived, missing })) => (arrived, missing),
            Ok(Some(other)) => return Some(Err(self.otherwise(&other, "gather"))),
            Err(failure) => return Some(Err(failure)),
        };
        let arrived: Result<Vec<Governed>, Failure> =
            arrived.into_iter().map(|id| self.recalled_message(id)).collect();
        Some(arrived.and_then(|arrived| {
            for message in &arrived {
                self.see(&message.message().label);
            }
            gather.close(Gathered { arrived, missing })
        }))
    }

    /// When a gather that begins now ends; one that was waiting before keeps its deadline.
    pub(super) fn gather_wait(&self, on: WaitFor, gather: Gather, began: Timestamp) -> Wait {
        let cause = self.delivery.message.id();
        let history = self.run.history.as_ref();
        let before = history.and_then(|history| history.gather_until(cause, self.step));
        let until = gather.longest_wait().map(|wait| before.unwrap_or_else(|| began.plus(wait)));
        Wait { on, until, gather: Some((cause, self.step)) }
    }

    /// Sends several requests at once and gathers their replies, in the order of the requests.
    pub async fn ask_all(
        &mut self,
        requests: &[Request],
        gather: Gather,
    ) -> Result<Gathered, Failure> {
        let began = self.run.shared.clock.now();
        let mut sent = Vec::with_capacity(requests.len());
        for (leg, request) in (0_u32..).zip(requests) {
            sent.push(self.send(request, leg).await.map_err(|(_, failure)| failure));
        }
        if let Some(gathered) = self.recalled_gather(gather) {
            return gathered;
        }
        let wait = self.gather_wait(WaitFor::Replies, gather, began);
        let waiting: Vec<MessageId> = sent.iter().filter_map(|sent| sent.clone().ok()).collect();
        let (legs, unsent) = (requests.len(), requests.len() - waiting.len());
        let settled = |well, badly| gather.is_settled(legs, well, badly + unsent);
        let (mut replies, waited) = self.await_replies(&waiting, settled, wait).await;
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
                    failure: Some(failure),
                }),
                None => {
                    let failure =
                        matches!(waited, Waited::Stalled).then(|| self.circle(&request.to));
                    let reason = match &failure {
                        Some(failure) => failure.to_string(),
                        None if matches!(waited, Waited::TimedOut) => {
                            "it did not answer in time".to_owned()
                        }
                        None => "the other legs had settled the gather".to_owned(),
                    };
                    gathered.missing.push(Missing { leg: request.to.clone(), reason, failure });
                }
            }
        }
        self.close_gather(gather, gathered)
    }

    /// Sends a request without waiting for its reply.
    ///
    /// # Errors
    /// The failure, with the id of the message if it was let through but not delivered.
    async fn send(
        &mut self,
        request: &Request,
        leg: u32,
    ) -> Result<MessageId, (Option<MessageId>, Failure)> {
        let (agent, body, chain) = self.addressed(request).map_err(|failure| (None, failure))?;
        let route = (self.next_step(), leg);
        let draft = self.draft((Target::Agent(agent), Pattern::Ask), request.kind, body, route);
        let message = self.pass(draft).await;
        let (message, fresh) = message.map_err(|failure| (None, failure))?;
        let id = message.id();
        if fresh {
            let delivery = Delivery::of(message, Caller::Handler(self.slot), Some(chain));
            let delivered = self.deliver(agent, delivery).await;
            delivered.map_err(|failure| (Some(id), failure))?;
        }
        self.run.undelivered(id).map_err(|failure| (Some(id), failure))?;
        Ok(id)
    }

    /// Who gets a request, and in which chain of calls.
    fn addressed(&self, request: &Request) -> Result<(usize, Body, Arc<Chain>), Failure> {
        let run = &self.run;
        let body = request.body.clone()?;
        if !self.entry().spec.emits.iter().any(|kind| kind.name() == request.kind) {
            let reason = format!("its spec does not declare that it emits `{}`", request.kind);
            return Err(Failure::Failed { agent: self.entry().id.clone(), reason });
        }
        let Some(agent) = run.shared.registry.resolve(&request.to) else {
            return Err(Failure::NoRecipient { to: request.to.clone() });
        };
        let entry = run.shared.registry.entry(agent);
        if !entry.accepts(request.kind) {
            return Err(Failure::NoRecipient { to: format!("{}: {}", entry.id, request.kind) });
        }
        let chain = Arc::new(Chain { agent: self.agent, below: self.delivery.chain.clone() });
        if !entry.spec.reentrant {
            self.refuse_cycle(&chain, agent)?;
        }
        Ok((agent, body, chain))
    }

    /// Delivers a message. While the recipient's queue is full, this handler waits and gives up its
    /// place among the agent's handlers, as in every wait.
    pub(super) async fn deliver(
        &mut self,
        agent: usize,
        mut delivery: Delivery,
    ) -> Result<(), Failure> {
        let run = self.run.clone();
        let depth = depth_of(&delivery, agent);
        loop {
            match run.enqueue(agent, depth, delivery) {
                Schedule::Full(back) => delivery = *back,
                schedule => return run.carry_out(schedule).await,
            }
            self.permit = None;
            let room = run.room(self.slot, agent, depth).await;
            self.resume().await;
            if let Err(failure) = room {
                run.dead_letter(&delivery.message, "its recipient's queue stayed full");
                return Err(failure);
            }
        }
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
        Err(Failure::Cycle { path: path.join(" → ") })
    }

    /// Waits until all requests are answered, or until so many are, well and badly, that it is
    /// `settled`.
    async fn await_replies(
        &mut self,
        requests: &[MessageId],
        settled: impl Fn(usize, usize) -> bool,
        wait: Wait,
    ) -> (Vec<(MessageId, Option<Result<Governed, Failure>>)>, Waited<()>) {
        let slot = self.slot;
        self.permit = None;
        let ours = |id: &MessageId| requests.contains(id);
        let waited = self.run.wait(slot, wait, |state| {
            let replies = &state.slots[slot.0].inbox.replies;
            let answered = replies.iter().filter(|(id, _)| ours(id));
            let well = answered.clone().filter(|(_, reply)| reply.is_ok()).count();
            let answered = answered.count();
            (answered >= requests.len() || settled(well, answered - well)).then_some(())
        });
        let waited = waited.await;
        self.resume().await;
        if matches!(waited, Waited::Ended) {
            let ended = |id: &MessageId| (*id, Some(Err(Failure::RunEnded)));
            return (requests.iter().map(ended).collect(), waited);
        }
        let mut state = self.run.state();
        let Some(slot) = state.slots.get_mut(slot.0) else {
            return (Vec::new(), waited);
        };
        let (taken, kept) =
            std::mem::take(&mut slot.inbox.replies).into_iter().partition(|(id, _)| ours(id));
        slot.inbox.replies = kept;
        let taken: Vec<(MessageId, Result<Governed, Failure>)> = taken;
        (taken.into_iter().map(|(id, reply)| (id, Some(reply))).collect(), waited)
    }

    /// Nobody in the run can answer any more: activations wait for each other, each called by
    /// another chain, so that no single chain shows the cycle.
    fn circle(&self, to: &str) -> Failure {
        let (from, registry) = (&self.entry().id, &self.run.shared.registry);
        let to = registry.resolve(to).map_or(to, |agent| &registry.entry(agent).id);
        Failure::Cycle { path: format!("{from} → {to} → … → {from}") }
    }
}
