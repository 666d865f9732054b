//! How a handler waits: for replies, for kinds, for room, for a timer, for a human.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Place, Run, Slot, SlotId, State};
use crate::approval::ApprovalId;
use crate::clock::Timestamp;
use crate::ids::MessageId;
use crate::kernel::Shared;

/// What a blocked handler waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitFor {
    Replies,
    Kinds,
    Room,
    /// The time alone.
    Timer,
    /// A human.
    Decision(ApprovalId),
}

impl WaitFor {
    /// Whether something outside the run ends the wait.
    pub(super) fn is_outside(self) -> bool {
        matches!(self, Self::Timer | Self::Decision(_))
    }
}

/// One wait of one handler.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) on: WaitFor,
    /// When it ends at the latest, on the clock that survives the process.
    pub(crate) until: Option<Timestamp>,
    /// The step that waits, if it is a gather, to find its deadline again.
    pub(crate) gather: Option<(MessageId, u32)>,
}

impl Wait {
    pub(crate) fn on(on: WaitFor) -> Self {
        Self { on, until: None, gather: None }
    }
}

/// How a wait ended.
pub(crate) enum Waited<T> {
    Ready(T),
    /// Nobody in the run can make progress any more.
    Stalled,
    TimedOut,
    Ended,
}

impl Run {
    /// Waits until `ready` finds what it looks for.
    pub(crate) async fn wait<T>(
        self: &Arc<Self>,
        slot_id: SlotId,
        wait: Wait,
        ready: impl FnMut(&mut State) -> Option<T>,
    ) -> Waited<T> {
        let until = wait.until.unwrap_or(Timestamp::NEVER);
        self.wait_until(slot_id, wait, until, ready).await
    }

    /// As [`Self::wait`], but gives up at `until` whatever the wait itself says.
    pub(crate) async fn wait_until<T>(
        self: &Arc<Self>,
        slot_id: SlotId,
        wait: Wait,
        until: Timestamp,
        mut ready: impl FnMut(&mut State) -> Option<T>,
    ) -> Waited<T> {
        let deadline = (until < Timestamp::NEVER).then(|| {
            let left = until.micros_since(self.shared.clock.now());
            Instant::now().checked_add(std::time::Duration::from_micros(left))
        });
        // A deadline beyond what the timer can count is none.
        let deadline = deadline.flatten();
        let mut timed_out = false;
        let notify = self.state().slots[slot_id.0].notify.clone();
        let _waiting = Waiting { run: self, slot_id };
        loop {
            let (park, parking) = {
                let mut state = self.state();
                if state.ended {
                    return Waited::Ended;
                }
                let mut park = false;
                if state.place == Place::Memory {
                    state.slots[slot_id.0].inbox.blocked = None;
                    if let Some(found) = ready(&mut state) {
                        return Waited::Ready(found);
                    }
                    if timed_out {
                        return Waited::TimedOut;
                    }
                    if std::mem::take(&mut state.slots[slot_id.0].inbox.stalled) {
                        return Waited::Stalled;
                    }
                    state.slots[slot_id.0].inbox.blocked = Some(wait);
                    park = state.rest(&self.shared);
                }
                (park, state.place != Place::Memory)
            };
            if park {
                self.park_soon();
            }
            match deadline.filter(|_| !parking) {
                None => notify.notified().await,
                Some(deadline) => tokio::select! {
                    biased;
                    () = notify.notified() => {}
                    () = tokio::time::sleep_until(deadline) => timed_out = true,
                },
            }
        }
    }
}

impl State {
    /// Lets a blocked handler look again, if it is blocked on this.
    pub(super) fn unblock(&mut self, index: usize, on: impl Fn(WaitFor) -> bool) {
        let slot = &mut self.slots[index];
        if slot.inbox.blocked.is_some_and(|wait| on(wait.on)) {
            if self.place == Place::Memory {
                slot.inbox.blocked = None;
            }
            slot.notify.notify_one();
        }
    }

    /// Lets whoever waits for this decision look again.
    pub(crate) fn unblock_decision(&mut self, id: ApprovalId) {
        for index in 0..self.slots.len() {
            self.unblock(index, |on| on == WaitFor::Decision(id));
        }
    }

    /// Lets everyone who waits for room look again.
    pub(super) fn unblock_room(&mut self) {
        for index in 0..self.slots.len() {
            self.unblock(index, |on| on == WaitFor::Room);
        }
    }

    /// Somebody has come to rest. If nobody can make progress any more, one of those who wait is
    /// told so: the newest, since the older ones may wait for it. If someone waits for the outside,
    /// nobody waits in vain; `true` then says that the run is to be parked.
    pub(super) fn rest(&mut self, shared: &Shared) -> bool {
        if self.held || self.place != Place::Memory || self.slots.iter().any(Slot::can_progress) {
            return false;
        }
        if self.root.is_some() {
            return true;
        }
        if self.waits().any(|wait| wait.on.is_outside()) {
            let first = self.waits().filter_map(|wait| wait.until).min();
            let soon = shared.clock.now().plus(shared.limits.park_after);
            return first.is_some_and(|first| first > soon);
        }
        let waiting = self.slots.iter_mut().rev().find(|slot| slot.inbox.blocked.is_some());
        if let Some(slot) = waiting {
            slot.inbox.blocked = None;
            slot.inbox.stalled = true;
            slot.notify.notify_one();
        }
        false
    }

    /// Who is blocked, and on what.
    pub(super) fn waits(&self) -> impl Iterator<Item = Wait> {
        self.slots.iter().filter_map(|slot| slot.inbox.blocked).chain(self.root)
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
