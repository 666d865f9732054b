//! One run: its activations, what they wait for, and its one outcome.
//!
//! Everything that must be decided together is under one short lock per run: who is at work, who
//! waits, what has arrived. When no activation can make progress by itself any more, those who wait
//! wait in vain: they are told so one by one, at once instead of at a deadline. If they wait for a
//! human or a timer that is far away, the run leaves the memory.

mod ending;
mod parking;
mod waiting;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ractor::ActorRef;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::activation::Private;
use crate::approval::{Approval, ApprovalId, Decision, Status};
use crate::blob::Scope;
use crate::clock::Timestamp;
use crate::crew::Wake;
use crate::failure::Failure;
use crate::governed::Governed;
use crate::history::History;
use crate::ids::{MessageId, RunId};
use crate::journal::Record;
use crate::journal::writer::Tally;
use crate::kernel::Shared;
use crate::label::Label;
use crate::outcome::Outcome;
use crate::principal::Principal;

pub(crate) use waiting::{Wait, WaitFor, Waited};

/// The place of one activation within its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotId(pub(crate) usize);

/// Who waits for the reply to a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller {
    /// Nobody: the message was published.
    Nobody,
    /// A handler of this run.
    Handler(SlotId),
    /// Whoever made the request.
    Edge,
}

/// The agents that wait for each other, newest first, to find cycles.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) agent: usize,
    pub(crate) below: Option<Arc<Self>>,
}

/// A message on its way to a handler.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) message: Governed,
    /// The message whose reply the caller waits for: this one, or the one it stands in for.
    pub(crate) request: MessageId,
    pub(crate) caller: Caller,
    pub(crate) chain: Option<Arc<Chain>>,
    /// Why the agent before failed, if this is the fallback's turn.
    pub(crate) after: Option<Failure>,
    pub(crate) restarts: u32,
    /// Whether it was handled before the run was started again, and is handled once more only to
    /// give the agent its state back.
    pub(crate) again: bool,
}

impl Delivery {
    /// A message on its way, with whoever waits for its reply.
    pub(crate) fn of(message: Governed, caller: Caller, chain: Option<Arc<Chain>>) -> Self {
        let request = message.id();
        Self { message, request, caller, chain, after: None, restarts: 0, again: false }
    }
}

/// Everything that has arrived for one activation.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) queue: VecDeque<Delivery>,
    pub(crate) replies: Vec<(MessageId, Result<Governed, Failure>)>,
    pub(crate) gathered: Vec<Governed>,
    /// Messages that were handled before the run was started again.
    pub(crate) before: VecDeque<Delivery>,
    blocked: Option<Wait>,
    stalled: bool,
    scheduled: bool,
}

/// One activation.
pub(crate) struct Slot {
    pub(crate) agent: usize,
    pub(crate) depth: u16,
    pub(crate) inbox: Inbox,
    /// Whether it has taken a message that it has not come to an end with.
    working: bool,
    actor: Option<ActorRef<Wake>>,
    notify: Arc<Notify>,
    /// How many messages it has taken.
    served: u32,
    /// The join of the labels of all that it had seen when its actor was let go.
    seen: Option<Arc<Label>>,
}

/// Whether a run is in the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Memory,
    /// It is about to leave; nobody goes on meanwhile.
    Leaving,
    /// It has left; whoever still holds this holds an empty shell.
    Gone,
}

#[derive(Default)]
pub(crate) struct State {
    ended: bool,
    /// The activation whose handler ended the run; its actor goes on.
    ended_by: Option<SlotId>,
    pub(crate) slots: Vec<Slot>,
    failures: Vec<(Arc<str>, Failure)>,
    pub(crate) outcome: Option<oneshot::Sender<Arc<Outcome>>>,
    /// What humans have been asked and nobody has taken a decision on yet; without the approval
    /// itself if it was asked for before the run was started again.
    pub(crate) asked: BTreeMap<ApprovalId, Option<Approval>>,
    /// What humans have decided, until whoever waits for it takes it.
    pub(crate) decisions: HashMap<ApprovalId, (Status, Vec<Decision>)>,
    /// What the root message waits for, if policy wants a human to see it first.
    pub(crate) root: Option<Wait>,
    /// A recovery is filling the queues: nobody stalls until it is done.
    held: bool,
    place: Place,
    /// How the run is to end, decided while it was being parked.
    after_parking: Option<Outcome>,
}

/// What to do to get a delivery handled.
pub(crate) enum Schedule {
    /// The activation is at work or already woken.
    Nothing,
    /// The activation sleeps.
    Wake(ActorRef<Wake>),
    /// There is no actor yet.
    Spawn(SlotId),
    /// The queue is full; the delivery comes back.
    Full(Box<Delivery>),
    /// The run has ended; the delivery is dropped.
    Ended,
}

/// One run.
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) principal: Principal,
    /// Whose content this run stores and reads.
    pub(crate) scope: Scope,
    pub(crate) trace_id: u128,
    pub(crate) started: Timestamp,
    pub(crate) deadline: Timestamp,
    pub(crate) expires: Instant,
    pub(crate) tally: Tally,
    pub(crate) messages: AtomicU32,
    pub(crate) blob_bytes: std::sync::atomic::AtomicUsize,
    ended: AtomicBool,
    /// The run has left the memory, or will not do so after all.
    moved: Notify,
    pub(crate) shared: Arc<Shared>,
    /// What is recorded of the run from before it was started again.
    pub(crate) history: Option<Box<History>>,
    /// The first divergence of a handler from its record.
    pub(crate) diverged: OnceLock<Failure>,
    state: Mutex<State>,
}

/// What a run starts with.
pub(crate) struct Birth {
    pub(crate) id: RunId,
    pub(crate) principal: Principal,
    pub(crate) trace_id: u128,
    pub(crate) started: Timestamp,
    pub(crate) deadline: Timestamp,
    pub(crate) expires: Instant,
    /// What is recorded of it, if it is not new.
    pub(crate) before: Vec<Arc<Record>>,
    pub(crate) history: Option<Box<History>>,
}

impl Run {
    pub(crate) fn new(
        shared: Arc<Shared>,
        birth: Birth,
        outcome: Option<oneshot::Sender<Arc<Outcome>>>,
    ) -> Self {
        let asked = birth.history.iter().flat_map(|history| history.undecided());
        let asked = asked.map(|id| (id, None)).collect();
        let tally = Tally::new(shared.writer.store().is_durable(), birth.before);
        let scope = Scope {
            tenant: birth.principal.tenant().clone(),
            subject: birth.principal.subject().into(),
            run: birth.id,
        };
        Self {
            id: birth.id,
            scope,
            principal: birth.principal,
            trace_id: birth.trace_id,
            started: birth.started,
            deadline: birth.deadline,
            expires: birth.expires,
            messages: u32::try_from(tally.counts().1).unwrap_or(u32::MAX).into(),
            tally,
            blob_bytes: birth.history.as_ref().map_or(0, |history| history.stored_bytes).into(),
            ended: AtomicBool::new(false),
            moved: Notify::new(),
            shared,
            history: birth.history,
            diverged: OnceLock::new(),
            state: Mutex::new(State { outcome, asked, ..State::default() }),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a delivery into the activation's queue, making the activation if there is none.
    pub(crate) fn enqueue(&self, agent: usize, depth: u16, delivery: Delivery) -> Schedule {
        let mut state = self.state();
        if state.ended {
            return Schedule::Ended;
        }
        let slot_id = state.slot_for(agent, depth);
        let bound = self.shared.limits.queued_per_activation_max;
        if state.slots[slot_id.0].inbox.queue.len() >= bound {
            return Schedule::Full(Box::new(delivery));
        }
        state.slots[slot_id.0].inbox.queue.push_back(delivery);
        self.shared.registry.entry(agent).counters.queued.fetch_add(1, Ordering::Relaxed);
        state.schedule(slot_id)
    }

    /// Queues a delivery again in front, for an activation that is started anew.
    pub(crate) fn requeue(&self, slot_id: SlotId, delivery: Delivery) -> Schedule {
        let mut state = self.state();
        if state.ended {
            return Schedule::Ended;
        }
        let slot = &mut state.slots[slot_id.0];
        slot.actor = None;
        slot.inbox.scheduled = false;
        slot.working = false;
        let agent = slot.agent;
        slot.inbox.queue.push_front(delivery);
        self.shared.registry.entry(agent).counters.queued.fetch_add(1, Ordering::Relaxed);
        state.schedule(slot_id)
    }

    /// Forgets the actor of a slot that has died; the next delivery starts another.
    pub(crate) fn actor_died(&self, slot_id: SlotId) -> Schedule {
        let mut state = self.state();
        if state.ended {
            return Schedule::Ended;
        }
        let slot = &mut state.slots[slot_id.0];
        slot.actor = None;
        slot.inbox.scheduled = false;
        if slot.inbox.queue.is_empty() { Schedule::Nothing } else { state.schedule(slot_id) }
    }

    /// Notes the actor that serves a slot; `false` if the run has ended meanwhile.
    pub(crate) fn attach(&self, slot_id: SlotId, actor: ActorRef<Wake>) -> bool {
        let mut state = self.state();
        let open = !state.ended;
        if open {
            state.slots[slot_id.0].actor = Some(actor);
        }
        open
    }

    /// Takes the next message to handle; `None` lets the activation sleep.
    pub(crate) fn next(&self, slot_id: SlotId) -> Option<Delivery> {
        let mut state = self.state();
        if state.ended {
            return None;
        }
        let slot = &mut state.slots[slot_id.0];
        let was_full = slot.inbox.queue.len() >= self.shared.limits.queued_per_activation_max;
        let Some(delivery) = slot.inbox.queue.pop_front() else {
            slot.inbox.scheduled = false;
            return None;
        };
        slot.working = true;
        slot.served = slot.served.saturating_add(1);
        let agent = slot.agent;
        self.shared.registry.entry(agent).counters.queued.fetch_sub(1, Ordering::Relaxed);
        if was_full {
            state.unblock_room();
        }
        Some(delivery)
    }

    /// Lets go of an actor that has nothing else to do: after its first message, if the agent keeps
    /// nothing, or after the run has ended by its own hand. `false` if it must stay, or is
    /// another's to stop. Most agents get one message a run, and an actor takes about 8 KiB.
    pub(crate) fn let_go(&self, slot_id: SlotId, private: &Private) -> bool {
        let mut state = self.state();
        if state.ended {
            return state.ended_by == Some(slot_id);
        }
        let slot = &mut state.slots[slot_id.0];
        if private.own.is_some() || slot.inbox.scheduled || slot.served != 1 {
            return false;
        }
        slot.actor = None;
        slot.seen = Some(private.seen.clone());
        true
    }

    /// What an activation had seen before its actor was let go.
    pub(crate) fn seen_before(&self, slot_id: SlotId) -> Option<Arc<Label>> {
        self.state().slots[slot_id.0].seen.clone()
    }

    /// Makes places for activations of these agents, in which what they collect may wait before
    /// they have anything to handle.
    pub(crate) fn make_places(&self, agents: impl Iterator<Item = usize>) {
        let mut state = self.state();
        if !state.ended {
            for agent in agents {
                state.slot_for(agent, 0);
            }
        }
    }

    /// Hands a message of a collected kind to the agent's activation; `false` if it has none.
    pub(crate) fn collect(&self, agent: usize, message: &Governed) -> bool {
        let mut state = self.state();
        if state.ended {
            return false;
        }
        let Some(index) = state.slots.iter().position(|slot| slot.agent == agent) else {
            return false;
        };
        state.slots[index].inbox.gathered.push(message.clone());
        state.unblock(index, |on| on == WaitFor::Kinds);
        true
    }

    /// Hands a reply, or the failure in its place, to whoever waits for it.
    pub(crate) fn answer(
        &self,
        slot_id: SlotId,
        request: MessageId,
        reply: Result<Governed, Failure>,
    ) {
        let mut state = self.state();
        if state.ended {
            return;
        }
        state.slots[slot_id.0].inbox.replies.push((request, reply));
        state.unblock(slot_id.0, |on| on == WaitFor::Replies);
    }

    /// The activation has come to an end with its message; whoever waits in vain is woken.
    pub(crate) fn finished_one(self: &Arc<Self>, slot_id: SlotId) {
        let park = {
            let mut state = self.state();
            state.slots[slot_id.0].working = false;
            state.rest(&self.shared)
        };
        if park {
            self.park_soon();
        }
    }

    /// The next message that is handled again only for the agent's state.
    pub(crate) fn next_again(&self, slot_id: SlotId) -> Option<Delivery> {
        self.state().slots[slot_id.0].inbox.before.pop_front()
    }

    /// Whether a handler waits for a human or a timer, so that its own deadline stands still.
    pub(crate) fn waits_outside(&self, slot_id: SlotId) -> bool {
        let state = self.state();
        let blocked = state.slots[slot_id.0].inbox.blocked;
        blocked.is_some_and(|wait| wait.on.is_outside())
    }

    /// Whether the run has ended or left the memory.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Takes note that it has.
    fn leave(&self) {
        self.ended.store(true, Ordering::Release);
        self.shared.deadlines.let_go(self);
    }

    /// Remembers a failure that no caller waits for, to explain a missing leg later.
    pub(crate) fn note(&self, agent: &Arc<str>, failure: Failure) {
        let mut state = self.state();
        if state.failures.len() < self.shared.limits.failures_per_run_max {
            state.failures.push((agent.clone(), failure));
        }
    }

    /// The failures noted so far.
    pub(crate) fn noted(&self) -> Vec<(Arc<str>, Failure)> {
        self.state().failures.clone()
    }
}

impl State {
    /// Puts a recorded message into the queue of its activation, in front if its handler had begun.
    pub(crate) fn put(&mut self, shared: &Shared, to: SlotId, delivery: Delivery, begun: bool) {
        let slot = &mut self.slots[to.0];
        if begun {
            slot.inbox.queue.push_front(delivery);
        } else {
            slot.inbox.queue.push_back(delivery);
        }
        shared.registry.entry(slot.agent).counters.queued.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes what an activation had seen before the run was started again.
    pub(crate) fn saw(&mut self, slot_id: SlotId, label: &Arc<Label>) {
        let slot = &mut self.slots[slot_id.0];
        slot.seen = Some(match &slot.seen {
            Some(seen) => Label::joined(seen, label),
            None => label.clone(),
        });
    }

    pub(crate) fn has_slot(&self, agent: usize) -> bool {
        self.slots.iter().any(|slot| slot.agent == agent)
    }

    pub(crate) fn slot_for(&mut self, agent: usize, depth: u16) -> SlotId {
        let known = self.slots.iter().position(|slot| slot.agent == agent && slot.depth == depth);
        SlotId(known.unwrap_or_else(|| {
            self.slots.push(Slot {
                agent,
                depth,
                inbox: Inbox::default(),
                working: false,
                actor: None,
                notify: Arc::default(),
                served: 0,
                seen: None,
            });
            self.slots.len() - 1
        }))
    }

    pub(crate) fn schedule(&mut self, slot_id: SlotId) -> Schedule {
        let slot = &mut self.slots[slot_id.0];
        if std::mem::replace(&mut slot.inbox.scheduled, true) {
            return Schedule::Nothing;
        }
        slot.actor.clone().map_or(Schedule::Spawn(slot_id), Schedule::Wake)
    }
}

impl Slot {
    /// Whether the activation can go on without anybody else's doing.
    fn can_progress(&self) -> bool {
        if self.working { self.inbox.blocked.is_none() } else { !self.inbox.queue.is_empty() }
    }
}
