//! One run: its activations, what they wait for, and its one outcome.
//!
//! Everything that must be decided together is under one short lock per run: who is at work, who
//! waits, what has arrived. When no activation can make progress by itself any more, those who wait
//! wait in vain: they are told so one by one, at once instead of at a deadline.

mod ending;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ractor::ActorRef;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::activation::Wake;
use crate::blob::Scope;
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::governed::Governed;
use crate::ids::{MessageId, RunId};
use crate::journal::writer::Tally;
use crate::kernel::Shared;
use crate::label::Label;
use crate::outcome::Outcome;
use crate::principal::Principal;

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
}

/// What a blocked handler waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitFor {
    Replies,
    Kinds,
    Room,
}

/// Everything that has arrived for one activation.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) queue: VecDeque<Delivery>,
    pub(crate) replies: Vec<(MessageId, Result<Governed, Failure>)>,
    pub(crate) gathered: Vec<Governed>,
    blocked: Option<WaitFor>,
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

#[derive(Default)]
pub(crate) struct State {
    ended: bool,
    pub(crate) slots: Vec<Slot>,
    failures: Vec<(Arc<str>, Failure)>,
    outcome: Option<oneshot::Sender<Arc<Outcome>>>,
}

/// How a wait ended.
pub(crate) enum Waited<T> {
    Ready(T),
    /// Nobody in the run can make progress any more.
    Stalled,
    TimedOut,
    Ended,
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
    pub(crate) trace_id: u128,
    pub(crate) started: Timestamp,
    pub(crate) deadline: Timestamp,
    pub(crate) expires: Instant,
    pub(crate) tally: Tally,
    pub(crate) messages: AtomicU32,
    pub(crate) blob_bytes: std::sync::atomic::AtomicUsize,
    pub(crate) ended: CancellationToken,
    pub(crate) shared: Arc<Shared>,
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
}

impl Run {
    pub(crate) fn new(
        shared: Arc<Shared>,
        birth: Birth,
        outcome: oneshot::Sender<Arc<Outcome>>,
    ) -> Self {
        Self {
            id: birth.id,
            principal: birth.principal,
            trace_id: birth.trace_id,
            started: birth.started,
            deadline: birth.deadline,
            expires: birth.expires,
            tally: Tally::default(),
            messages: AtomicU32::new(0),
            blob_bytes: 0.into(),
            ended: CancellationToken::new(),
            shared,
            state: Mutex::new(State { outcome: Some(outcome), ..State::default() }),
        }
    }

    /// Whose content this run stores and reads.
    pub(crate) fn scope(&self) -> Scope {
        Scope {
            tenant: self.principal.tenant().into(),
            subject: self.principal.subject().into(),
            run: self.id,
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

    /// Lets go of an actor that has served its first message and has nothing else to do; `false`
    /// if it must stay. Most agents get one message a run, and an actor takes about 8 KiB.
    pub(crate) fn let_go(&self, slot_id: SlotId, seen: &Arc<Label>) -> bool {
        let mut state = self.state();
        let ended = state.ended;
        let slot = &mut state.slots[slot_id.0];
        if ended || slot.inbox.scheduled || slot.served != 1 {
            return false;
        }
        slot.actor = None;
        slot.seen = Some(seen.clone());
        true
    }

    /// What an activation had seen before its actor was let go.
    pub(crate) fn seen_before(&self, slot_id: SlotId) -> Option<Arc<Label>> {
        self.state().slots[slot_id.0].seen.clone()
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
        state.unblock(index, WaitFor::Kinds);
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
        state.unblock(slot_id.0, WaitFor::Replies);
    }

    /// Waits until `ready` finds what it looks for.
    pub(crate) async fn wait<T>(
        &self,
        slot_id: SlotId,
        waits: WaitFor,
        deadline: Option<Instant>,
        mut ready: impl FnMut(&mut State) -> Option<T>,
    ) -> Waited<T> {
        let mut timed_out = false;
        let notify = self.state().slots[slot_id.0].notify.clone();
        let _waiting = Waiting { run: self, slot_id };
        loop {
            {
                let mut state = self.state();
                state.slots[slot_id.0].inbox.blocked = None;
                if state.ended {
                    return Waited::Ended;
                }
                if let Some(found) = ready(&mut state) {
                    return Waited::Ready(found);
                }
                if timed_out {
                    return Waited::TimedOut;
                }
                if std::mem::take(&mut state.slots[slot_id.0].inbox.stalled) {
                    return Waited::Stalled;
                }
                state.slots[slot_id.0].inbox.blocked = Some(waits);
                state.rest();
            }
            match deadline {
                None => notify.notified().await,
                Some(deadline) => tokio::select! {
                    biased;
                    () = notify.notified() => {}
                    () = tokio::time::sleep_until(deadline) => timed_out = true,
                },
            }
        }
    }

    /// The activation has come to an end with its message; whoever waits in vain is woken.
    pub(crate) fn finished_one(&self, slot_id: SlotId) {
        let mut state = self.state();
        state.slots[slot_id.0].working = false;
        state.rest();
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
    pub(crate) fn has_slot(&self, agent: usize) -> bool {
        self.slots.iter().any(|slot| slot.agent == agent)
    }

    fn slot_for(&mut self, agent: usize, depth: u16) -> SlotId {
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

    fn schedule(&mut self, slot_id: SlotId) -> Schedule {
        let slot = &mut self.slots[slot_id.0];
        if std::mem::replace(&mut slot.inbox.scheduled, true) {
            return Schedule::Nothing;
        }
        slot.actor.clone().map_or(Schedule::Spawn(slot_id), Schedule::Wake)
    }

    /// Lets a blocked handler look again, if it is blocked on this.
    fn unblock(&mut self, index: usize, waits: WaitFor) {
        let slot = &mut self.slots[index];
        if slot.inbox.blocked == Some(waits) {
            slot.inbox.blocked = None;
            slot.notify.notify_one();
        }
    }

    /// Lets everyone who waits for room look again.
    fn unblock_room(&mut self) {
        for index in 0..self.slots.len() {
            self.unblock(index, WaitFor::Room);
        }
    }

    /// Somebody has come to rest. If nobody can make progress any more, one of those who wait is
    /// told so: the newest, since the older ones may wait for it.
    fn rest(&mut self) {
        if self.slots.iter().any(Slot::can_progress) {
            return;
        }
        let waiting = self.slots.iter_mut().rev().find(|slot| slot.inbox.blocked.is_some());
        if let Some(slot) = waiting {
            slot.inbox.blocked = None;
            slot.inbox.stalled = true;
            slot.notify.notify_one();
        }
    }
}

impl Slot {
    /// Whether the activation can go on without anybody else's doing.
    fn can_progress(&self) -> bool {
        if self.working { self.inbox.blocked.is_none() } else { !self.inbox.queue.is_empty() }
    }
}

/// A handler that waits. Its wait may be dropped at any time, by its deadline or by its own doing;
/// it is not blocked from then on.
struct Waiting<'a> {
    run: &'a Run,
    slot_id: SlotId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.run.state();
        let inbox = &mut state.slots[self.slot_id.0].inbox;
        inbox.blocked = None;
        inbox.stalled = false;
    }
}
