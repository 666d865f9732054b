//! The bus: stamps a message, has it judged, records it, delivers it.
//!
//! The only place that makes a [`Governed`] message. Ingress, internal hops and egress all pass
//! through [`Run::govern`]; there is no second way.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::activation::Activation;
use crate::crew::Wake;
use crate::failure::{Denied, Failure};
use crate::gate::Held;
use crate::governed::Governed;
use crate::history::Sent;
use crate::ids::MessageId;
use crate::journal::Entry;
use crate::journal::chain::Hash;
use crate::journal::steps::Route;
use crate::label::Label;
use crate::message::{Message, USER};
use crate::outcome::Outcome;
use crate::payload::Body;
use crate::policy::{Decision, Facts, Verdict};
use crate::redact;
use crate::run::{Caller, Delivery, Run, Schedule, SlotId, Wait, WaitFor, Waited};

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Agent(usize),
    User,
    Tool(usize),
}

/// What the bus says of a message.
pub(crate) enum Judged {
    /// It may be delivered.
    Fresh(Governed),
    /// It was let through before the run was started again, and whoever gets it has it.
    Recalled(Governed),
    /// A human must decide first.
    Held(Box<Held>),
}

/// What its sender gives of a message.
pub(crate) struct Draft {
    pub(crate) id: MessageId,
    pub(crate) route: Route,
    pub(crate) cause: Option<MessageId>,
    pub(crate) from: Arc<str>,
    pub(crate) to: Target,
    pub(crate) kind: Arc<str>,
    pub(crate) body: Body,
    pub(crate) label: Arc<Label>,
    pub(crate) hops: u16,
}

impl Run {
    /// Stamps, judges and records a message.
    pub(crate) fn govern(&self, draft: Draft) -> Result<Judged, Failure> {
        if let Some(diverged) = self.diverged.get() {
            return Err(diverged.clone());
        }
        if let Some(sent) = self.history.as_ref().and_then(|history| history.sent.get(&draft.id)) {
            return self.recall(sent, &draft);
        }
        let limit = self.shared.limits.messages_per_run_max;
        if self.messages.fetch_add(1, Ordering::Relaxed) >= limit {
            self.messages.fetch_sub(1, Ordering::Relaxed);
            let limit = u64::from(limit);
            return Err(Failure::Limit { limit: "messages_per_run_max".into(), value: limit });
        }
        let to = self.address(draft.to);
        let message = Message {
            id: draft.id,
            run_id: self.id,
            causation_id: draft.cause,
            from: draft.from,
            to,
            kind: draft.kind,
            payload: draft.body,
            principal: self.principal.clone(),
            label: draft.label,
            deadline: self.deadline,
            created_at: self.shared.clock.now(),
            trace_id: self.trace_id,
            hops: draft.hops,
        };
        let verdict = self.shared.policies.evaluate(&message, &self.facts(draft.to, &message));
        self.record(draft.route, draft.to, message, verdict)
    }

    /// Whether the run may send one more message.
    pub(crate) fn has_room_for_messages(&self) -> Result<(), Failure> {
        let limit = self.shared.limits.messages_per_run_max;
        let value = u64::from(limit);
        let full = || Failure::Limit { limit: "messages_per_run_max".into(), value };
        if self.messages.load(Ordering::Relaxed) < limit { Ok(()) } else { Err(full()) }
    }

    pub(crate) fn address(&self, target: Target) -> Arc<str> {
        match target {
            Target::Agent(index) => self.shared.registry.entry(index).id.clone(),
            Target::User => self.shared.user.clone(),
            Target::Tool(index) => self.shared.tools.entry(index).address.clone(),
        }
    }

    pub(crate) fn facts<'a>(&'a self, target: Target, message: &Message) -> Facts<'a> {
        let shared = &*self.shared;
        Facts {
            recipient: match target {
                Target::Agent(index) => &shared.registry.entry(index).recipient,
                Target::User => &shared.user_recipient,
                Target::Tool(index) => &shared.tools.entry(index).recipient,
            },
            kind: shared.registry.kind(message.kind()),
            run_tenant: self.principal.tenant().as_str(),
            home_region: &shared.home_region,
            message_bytes_max: shared.limits.message_bytes_max,
            hops_max: shared.limits.hops_max,
        }
    }

    /// Applies the verdict's redactions and writes both to the journal.
    fn record(
        &self,
        route: Route,
        target: Target,
        mut message: Message,
        mut verdict: Arc<Verdict>,
    ) -> Result<Judged, Failure> {
        let mut original_sha256 = None;
        if !verdict.redactions.is_empty() {
            original_sha256 = Some(Hash::of(message.payload.text().as_bytes()));
            match redact::apply(&message.kind, &message.payload, &verdict.redactions) {
                Ok(redacted) => message.payload = redacted,
                // What should have been taken out cannot be, so nothing of it is kept.
                Err(error) => {
                    message.payload = Body::null();
                    verdict = Arc::new(Verdict {
                        decision: Decision::Deny,
                        reason: format!("its redaction cannot be applied: {error}").into(),
                        redactions: Vec::new(),
                        ..Verdict::clone(&verdict)
                    });
                }
            }
        }
        self.shared.figures.judged(verdict.decision);
        let message = Arc::new(message);
        let sent = Entry::Message { route, message: message.clone() };
        let judged = Entry::Verdict {
            run_id: self.id,
            message_id: message.id,
            verdict: verdict.clone(),
            original_sha256,
            message: Some(message.clone()),
        };
        if verdict.decision == Decision::RequireApproval {
            let held = self.hold(target, message, verdict, 0)?;
            self.shared.writer.append(&self.tally, [sent, judged, held.requested()])?;
            return Ok(Judged::Held(Box::new(held)));
        }
        self.shared.writer.append(&self.tally, [sent, judged])?;
        match verdict.decision {
            Decision::Allow | Decision::Redact => {
                Ok(Judged::Fresh(Governed::new(message, verdict)))
            }
            Decision::Deny | Decision::RequireApproval => {
                Err(verdict.denied().map_or(Failure::RunEnded, Failure::Denied))
            }
        }
    }

    /// Delivers a message to an agent, unless its activation's queue is full.
    pub(crate) async fn deliver(
        self: &Arc<Self>,
        agent: usize,
        delivery: Delivery,
    ) -> Result<(), Failure> {
        let schedule = self.enqueue(agent, depth_of(&delivery, agent), delivery);
        self.carry_out(schedule).await
    }

    /// What became of a message that is recorded, for a handler that sends it once more.
    fn recall(&self, sent: &Sent, draft: &Draft) -> Result<Judged, Failure> {
        if !sent.is_of(&self.address(draft.to), &draft.kind, draft.body.text()) {
            let recorded = format!("{} to {}", sent.message.kind(), sent.message.to());
            let asked = format!("{} to {}", draft.kind, self.address(draft.to));
            let asked = if asked == recorded { format!("another {asked}") } else { asked };
            return Err(self.diverge(&draft.from, draft.route.step, recorded, asked));
        }
        let unjudged = || Failure::Journal { reason: "a message has no verdict".to_owned() };
        let verdict = sent.verdict.clone().ok_or_else(unjudged)?;
        match verdict.decision {
            Decision::Deny => Err(verdict.denied().map_or(Failure::RunEnded, Failure::Denied)),
            Decision::Allow | Decision::Redact => {
                Ok(Judged::Recalled(Governed::new(sent.message.clone(), verdict)))
            }
            Decision::RequireApproval => self.recall_held(sent, draft.to, verdict),
        }
    }

    /// Notes that a handler does not do again what it did before.
    pub(crate) fn diverge(
        &self,
        agent: &Arc<str>,
        step: u32,
        recorded: String,
        asked: String,
    ) -> Failure {
        let agent = agent.clone();
        let failure = Failure::Nondeterministic { agent, step, recorded, asked };
        self.diverged.get_or_init(|| failure).clone()
    }

    /// Waits, in the name of the activation that sends, until the recipient's queue has room.
    pub(crate) async fn room(
        self: &Arc<Self>,
        sender: SlotId,
        agent: usize,
        depth: u16,
    ) -> Result<(), Failure> {
        let bound = self.shared.limits.queued_per_activation_max;
        let room = self.wait(sender, Wait::on(WaitFor::Room), |state| {
            let mut slots = state.slots.iter();
            let full = slots.find(|slot| slot.agent == agent && slot.depth == depth);
            full.is_none_or(|slot| slot.inbox.queue.len() < bound).then_some(())
        });
        match room.await {
            Waited::Ready(()) => Ok(()),
            Waited::Ended => Err(Failure::RunEnded),
            Waited::Stalled | Waited::TimedOut => Err(self.queue_full()),
        }
    }

    /// Why a message that was let through before the run was started again did not reach anybody.
    pub(crate) fn undelivered(&self, id: MessageId) -> Result<(), Failure> {
        let sent = self.history.as_ref().and_then(|history| history.sent.get(&id));
        if sent.is_some_and(|sent| sent.undelivered) { Err(self.queue_full()) } else { Ok(()) }
    }

    fn queue_full(&self) -> Failure {
        Failure::Limit {
            limit: "queued_per_activation_max".into(),
            value: self.shared.limits.queued_per_activation_max as u64,
        }
    }

    /// Wakes or starts the activation that a schedule asks for.
    pub(crate) async fn carry_out(self: &Arc<Self>, schedule: Schedule) -> Result<(), Failure> {
        match schedule {
            Schedule::Nothing => Ok(()),
            Schedule::Full(delivery) => {
                self.dead_letter(&delivery.message, "its recipient's queue is full");
                Err(self.queue_full())
            }
            Schedule::Ended => Err(Failure::RunEnded),
            // If the actor has just died, its supervisor starts another for what is queued.
            Schedule::Wake(actor) => {
                let _ = actor.cast(Wake::Look);
                Ok(())
            }
            Schedule::Spawn(slot) => self.start(slot).await,
        }
    }

    /// Has an actor serve an activation.
    async fn start(self: &Arc<Self>, slot: SlotId) -> Result<(), Failure> {
        let agent = self.state().slots[slot.0].agent;
        loop {
            let Some(actor) = self.shared.crew(agent).muster(&self.shared).await else {
                let reason = "the installation is shutting down".to_owned();
                Box::pin(self.finish(Outcome::Cancelled { reason }, None)).await;
                return Err(Failure::RunEnded);
            };
            if !self.attach(slot, actor.clone()) {
                self.shared.crew(agent).stand_down(actor);
                return Ok(());
            }
            let activation = Activation { run: self.clone(), slot, agent };
            // One that stood by may have died with its supervisor.
            if actor.cast(Wake::Serve(activation)).is_ok() {
                return Ok(());
            }
        }
    }

    /// Sends one request on behalf of the edge: the root of the run.
    pub(crate) async fn begin(self: &Arc<Self>, root: Draft) {
        let Target::Agent(agent) = root.to else {
            return;
        };
        let sent = match self.govern(root) {
            Ok(Judged::Fresh(message) | Judged::Recalled(message)) => {
                self.deliver(agent, Delivery::of(message, Caller::Edge, None)).await
            }
            Ok(Judged::Held(held)) => self.hold_root(&held).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = sent {
            self.finish(outcome_of(failure), None).await;
        }
    }

    /// Records that a message came to nobody.
    pub(crate) fn dead_letter(&self, message: &Message, reason: &str) {
        // After the end of the run there is nothing to record it in.
        let _ = self.shared.writer.append(
            &self.tally,
            [Entry::DeadLetter {
                run_id: self.id,
                message_id: message.id,
                agent: message.to.clone(),
                reason: reason.to_owned(),
            }],
        );
    }
}

/// The outcome of a run whose root or answer failed so.
pub(crate) fn outcome_of(failure: Failure) -> Outcome {
    match failure {
        Failure::Denied(denied) => Outcome::Denied { denied },
        Failure::Rejected { policy, policy_version, by, reason } => {
            let reason = format!("`{by}` rejected it: {reason}").into();
            Outcome::Denied { denied: Denied { policy, policy_version, reason } }
        }
        Failure::ApprovalExpired { expires_ms, .. } => Outcome::Expired { deadline_ms: expires_ms },
        cause => Outcome::Failed { cause },
    }
}

/// How often the agent stands in the chain of calls already.
pub(crate) fn depth_of(delivery: &Delivery, agent: usize) -> u16 {
    let chain = std::iter::successors(delivery.chain.as_deref(), |link| link.below.as_deref());
    u16::try_from(chain.filter(|link| link.agent == agent).count()).unwrap_or(u16::MAX)
}

/// The address of the edge, shared by all messages.
pub(crate) fn user_address() -> Arc<str> {
    USER.into()
}
