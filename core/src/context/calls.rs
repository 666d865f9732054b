//! Requests and replies: one call, many calls, and the answer.

use std::sync::Arc;

use tokio::time::Instant;

use super::fan::delivery_of;
use super::{Context, Request};
use crate::bus::Target;
use crate::failure::Failure;
use crate::gather::{Gather, Gathered, Missing};
use crate::governed::Governed;
use crate::ids::MessageId;
use crate::journal::chain::Hash;
use crate::journal::record::Call;
use crate::outcome::Outcome;
use crate::payload::{Body, Payload};
use crate::run::{Caller, Chain, WaitFor, Waited};

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
        let draft = self.draft(target, T::KIND, body, 0);
        let governed = self.run.govern(draft);
        self.step += 1;
        match (self.delivery.caller, governed) {
            (Caller::Edge, Ok(answer)) => {
                self.replied = true;
                let outcome = Outcome::Completed {
                    kind: T::KIND.to_owned(),
                    answer_sha256: Hash::of(answer.payload().text().as_bytes()),
                    answer: answer.payload().clone(),
                };
                self.run.finish(outcome, Some(self.slot)).await;
                Ok(())
            }
            (Caller::Edge, Err(Failure::Denied(denied))) => {
                let outcome = Outcome::Denied { denied: denied.clone() };
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
                waited.map(|reply| (request, reply)).map_err(|failure| (Some(request), failure))
            }
            Err(failure) => Err((None, failure)),
        };
        match answered {
            Ok((request, reply)) => {
                let reply_id = Some(reply.id());
                self.record(Call::Ask { request, reply: reply_id, failure: None })?;
                self.see(reply.message().label.clone());
                Ok(reply.decode()?)
            }
            Err((request, failure)) => {
                if let Some(request) = request {
                    let failed = Some(failure.clone());
                    self.record(Call::Ask { request, reply: None, failure: failed })?;
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
        let mut replies =
            self.await_replies(&waiting, gather.needed_of(requests.len()), deadline).await;
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
                None => gathered.missing.push(Missing {
                    leg: request.to.clone(),
                    reason: "it did not answer in time".to_owned(),
                    failure: None,
                }),
            }
        }
        self.close_gather(gather, gathered)
    }

    /// Sends a request without waiting for its reply.
    async fn send(&mut self, request: &Request, leg: u32) -> Result<MessageId, Failure> {
        let run = self.run.clone();
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
        Err(Failure::Cycle { path: path.join(" → ") })
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
            return requests.iter().map(|id| (*id, Some(Err(Failure::RunEnded)))).collect();
        }
        let mut state = self.run.state();
        let Some(slot) = state.slots.get_mut(slot.0) else {
            return Vec::new();
        };
        let (taken, kept) =
            std::mem::take(&mut slot.inbox.replies).into_iter().partition(|(id, _)| ours(id));
        slot.inbox.replies = kept;
        let taken: Vec<(MessageId, Result<Governed, Failure>)> = taken;
        taken.into_iter().map(|(id, reply)| (id, Some(reply))).collect()
    }

    fn no_reply(&self, to: &str) -> Failure {
        let known = self.run.shared.registry.resolve(to);
        let agent = known
            .map_or_else(|| to.into(), |agent| self.run.shared.registry.entry(agent).id.clone());
        Failure::NoReply { agent }
    }
}
