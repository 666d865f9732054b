//! Starts a run again from its records: after a crash, a decision or a timer.
//!
//! Nothing is sent twice: what is recorded as let through and not as handled is put back into the
//! queues, replies that nobody has used are put where they are waited for, and the handlers that
//! had not come to their end are replayed from their messages.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::bus::{Judged, Target, depth_of, outcome_of};
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::governed::Governed;
use crate::history::{Handled, History, Sent};
use crate::ids::{MessageId, RunId};
use crate::journal::steps::Pattern;
use crate::journal::{Entry, Record};
use crate::kernel::Shared;
use crate::message::Message;
use crate::outcome::Outcome;
use crate::policy;
use crate::principal::Principal;
use crate::run::{Birth, Caller, Chain, Delivery, Run, Schedule, SlotId};

/// What is recorded of the run as a whole.
struct Start {
    started: Timestamp,
    deadline: Timestamp,
    last: Timestamp,
    /// When it was parked, and whether for a human.
    parked: Option<(Timestamp, bool)>,
}

/// The run as its records tell it. One of which records were erased can only be ended.
///
/// # Errors
/// What its records lack.
pub(crate) fn recover(
    shared: &Arc<Shared>,
    id: RunId,
    records: Vec<Arc<Record>>,
    outcome: Option<oneshot::Sender<Arc<Outcome>>>,
) -> Result<Arc<Run>, String> {
    let start = start_of(&records).ok_or("there is no record of its start")?;
    let now = shared.clock.now();
    let mut history = History::of(&records);
    let root = history.order.first().and_then(|id| history.sent.get(id));
    let principal =
        root.map_or_else(|| shared.nobody(), |root| root.message.principal.in_realm(shared.realm));
    history.reseal(&principal);
    let trace_id = root_trace(&history, id);
    let deadline = deadline_of(&start, now);
    let left = Duration::from_micros(deadline.micros_since(now));
    let run = Arc::new(Run::new(
        shared.clone(),
        Birth {
            id,
            principal,
            trace_id,
            started: start.started,
            deadline,
            expires: Instant::now() + left,
            before: records,
            history: Some(Box::new(history)),
        },
        outcome,
    ));
    Ok(run)
}

fn root_trace(history: &History, id: RunId) -> u128 {
    let root = history.order.first().and_then(|id| history.sent.get(id));
    root.map_or_else(|| id.0.as_u128(), |root| root.message.trace_id)
}

/// Reads start, deadline and the last sign of life; `None` without a start.
fn start_of(records: &[Arc<Record>]) -> Option<Start> {
    let mut start: Option<Start> = None;
    for record in records {
        if let Entry::RunStarted { at, deadline, .. } = &record.entry {
            start = Some(Start { started: *at, deadline: *deadline, last: *at, parked: None });
        }
        let Some(start) = &mut start else { continue };
        if let Some(at) = at_of(&record.entry) {
            start.last = start.last.max(at);
        }
        match &record.entry {
            Entry::RunWaiting { at, approvals, .. } => {
                start.parked = Some((*at, !approvals.is_empty()));
            }
            Entry::RunResumed { deadline, .. } => {
                start.deadline = *deadline;
                start.parked = None;
            }
            _ => {}
        }
    }
    start
}

fn at_of(entry: &Entry) -> Option<Timestamp> {
    match entry {
        Entry::Message { message, .. } => Some(message.created_at),
        Entry::RunStarted { at, .. }
        | Entry::Handled { at, .. }
        | Entry::ApprovalRequested { at, .. }
        | Entry::ApprovalDecided { at, .. }
        | Entry::Effect { at, .. }
        | Entry::RunWaiting { at, .. }
        | Entry::RunResumed { at, .. } => Some(*at),
        _ => None,
    }
}

/// Time in which a human thought or the process was dead does not count; a timer's does.
fn deadline_of(start: &Start, now: Timestamp) -> Timestamp {
    let stopped = match start.parked {
        Some((_, false)) => return start.deadline,
        Some((at, true)) => at,
        None => start.last,
    };
    now.plus(Duration::from_micros(start.deadline.micros_since(stopped)))
}

/// A handler that came to its end without anybody being told.
struct Unsettled {
    agent: usize,
    delivery: Delivery,
    failure: Option<Failure>,
}

impl Run {
    /// Records that the run goes on, and lets everyone in it go on.
    pub(crate) async fn take_up(self: &Arc<Self>) {
        let (records, messages) = self.tally.counts();
        let resumed = Entry::RunResumed {
            run_id: self.id,
            at: self.shared.clock.now(),
            policy_set: self.shared.policy_set.clone(),
            deadline: self.deadline,
            records,
            messages,
        };
        if let Err(cause) = self.shared.writer.append(&self.tally, [resumed]) {
            return self.finish(Outcome::Failed { cause }, None).await;
        }
        if self.deadline <= self.shared.clock.now() {
            let deadline_ms = self.deadline.micros_since(self.started) / 1_000;
            return self.finish(Outcome::Expired { deadline_ms }, None).await;
        }
        self.shared.deadlines.watch(self);
        let Some(history) = &self.history else { return };
        let Some(root) = history.order.first().and_then(|id| history.sent.get(id)) else {
            let reason = "the process stopped before the request was on record".to_owned();
            return self.finish(Outcome::Cancelled { reason }, None).await;
        };
        match self.root_again(root).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(failure) => return self.finish(outcome_of(failure), None).await,
        }
        self.state().hold();
        match self.refill(history) {
            Ok((schedules, unsettled)) => {
                for schedule in schedules {
                    // A run that has ended meanwhile needs nothing more.
                    let _ = self.carry_out(schedule).await;
                }
                for Unsettled { agent, delivery, failure } in unsettled {
                    match failure {
                        Some(failure) => self.failed(agent, delivery, failure).await,
                        None => self.unanswered(&delivery, &self.agent_id(agent)).await,
                    }
                }
            }
            Err(cause) => self.finish(Outcome::Failed { cause }, None).await,
        }
        self.let_rest();
    }

    fn agent_id(&self, agent: usize) -> Arc<str> {
        self.shared.registry.entry(agent).id.clone()
    }

    /// The root message, refused, held or let through: `true` if its handler may be at work.
    async fn root_again(self: &Arc<Self>, root: &Sent) -> Result<bool, Failure> {
        let agent = self.resolve(root.message.to())?;
        let verdict = root.verdict.clone().ok_or(Failure::RunEnded)?;
        match verdict.decision {
            policy::Decision::Deny => {
                Err(verdict.denied().map_or(Failure::RunEnded, Failure::Denied))
            }
            policy::Decision::Allow | policy::Decision::Redact => Ok(true),
            policy::Decision::RequireApproval => {
                match self.recall_held(root, Target::Agent(agent), verdict)? {
                    Judged::Held(mut held) => {
                        if let Some(message) = self.root_decided(&mut held).await? {
                            let delivery = Delivery::of(message, Caller::Edge, None);
                            self.deliver(agent, delivery).await?;
                        } else {
                            self.hold_root(&held).await?;
                        }
                        Ok(false)
                    }
                    Judged::Fresh(_) | Judged::Recalled(_) => Ok(true),
                }
            }
        }
    }

    fn resolve(&self, address: &str) -> Result<usize, Failure> {
        let found = self.shared.registry.resolve(address);
        found.ok_or_else(|| Failure::NoRecipient { to: address.to_owned() })
    }

    /// Puts everything that is recorded and not yet used where it belongs.
    fn refill(&self, history: &History) -> Result<(Vec<Schedule>, Vec<Unsettled>), Failure> {
        let mut rebuilt = Rebuilt { run: self, history, deliveries: HashMap::new() };
        let mut unsettled = Vec::new();
        let mut live: Vec<SlotId> = Vec::new();
        let mut again: Vec<(SlotId, usize, Delivery)> = Vec::new();
        for (id, message) in &history.passed() {
            let sent = &history.sent[id];
            match sent.route.pattern {
                Pattern::Root | Pattern::Ask | Pattern::Publish | Pattern::Fallback => {
                    let (agent, slot, delivery) = rebuilt.delivery(*id)?;
                    self.state().saw(slot, &message.message().label);
                    match &sent.handled {
                        Some(handled) if rebuilt.is_to_restart(*id, agent, handled) => {
                            self.state().put(&self.shared, slot, delivery, false);
                            live.push(slot);
                        }
                        None => {
                            let begun = history.has_reached(*id, 0);
                            self.state().put(&self.shared, slot, delivery, begun);
                            live.push(slot);
                        }
                        Some(handled) => {
                            if handled.stateful {
                                let delivery = Delivery { again: true, ..delivery.clone() };
                                again.push((slot, handled.at, delivery));
                            }
                            if rebuilt.is_unsettled(*id, &delivery) {
                                let failure = handled.failure.clone();
                                unsettled.push(Unsettled { agent, delivery, failure });
                            }
                        }
                    }
                }
                Pattern::Reply => rebuilt.reply(message)?,
                Pattern::Collect => {
                    if !history.consumed.contains(id) {
                        let agent = self.resolve(message.to())?;
                        // It may not have been told yet what it collects for.
                        self.make_places(std::iter::once(agent));
                        self.collect(agent, message);
                    }
                }
                Pattern::Tool | Pattern::ToolResult => {}
            }
        }
        let mut state = self.state();
        again.sort_by_key(|(_, at, _)| *at);
        for (slot, at, delivery) in again {
            if at >= rebuilt.lost_at(slot) {
                state.slots[slot.0].inbox.before.push_back(delivery);
            }
        }
        live.dedup();
        let schedules = live.into_iter().map(|slot| state.schedule(slot)).collect();
        Ok((schedules, unsettled))
    }
}

/// The deliveries of a run, made again from its messages.
struct Rebuilt<'a> {
    run: &'a Run,
    history: &'a History,
    deliveries: HashMap<MessageId, (usize, SlotId, Delivery)>,
}

impl Rebuilt<'_> {
    fn sent(&self, id: MessageId) -> Result<&Sent, Failure> {
        let missing = || Failure::Journal { reason: format!("there is no record of message {id}") };
        self.history.sent.get(&id).ok_or_else(missing)
    }

    /// The agent, activation and delivery of a message that starts a handler.
    fn delivery(&mut self, id: MessageId) -> Result<(usize, SlotId, Delivery), Failure> {
        if let Some(made) = self.deliveries.get(&id) {
            return Ok(made.clone());
        }
        let sent = self.sent(id)?;
        let (restarts, pattern) = (sent.restarts, sent.route.pattern);
        let message = sent.passed().ok_or(Failure::RunEnded)?;
        let agent = self.run.resolve(message.to())?;
        let cause = message.causation_id();
        let mut delivery = match (pattern, cause) {
            (Pattern::Ask, Some(cause)) => {
                let (sender, slot, before) = self.delivery(cause)?;
                let chain = Arc::new(Chain { agent: sender, below: before.chain.clone() });
                Delivery::of(message, Caller::Handler(slot), Some(chain))
            }
            (Pattern::Fallback, Some(cause)) => {
                let (_, _, before) = self.delivery(cause)?;
                let failure =
                    self.sent(cause)?.handled.as_ref().and_then(|handled| handled.failure.clone());
                Delivery { message, after: failure, ..before }
            }
            (Pattern::Root, _) => Delivery::of(message, Caller::Edge, None),
            _ => Delivery::of(message, Caller::Nobody, None),
        };
        delivery.restarts = restarts;
        let depth = depth_of(&delivery, agent);
        let slot = self.run.state().slot_for(agent, depth);
        let made = (agent, slot, delivery);
        self.deliveries.insert(id, made.clone());
        Ok(made)
    }

    /// Puts a reply where it is waited for, unless it has been used.
    fn reply(&mut self, reply: &Governed) -> Result<(), Failure> {
        let Some(cause) = reply.causation_id() else { return Ok(()) };
        let (_, _, answered) = self.delivery(cause)?;
        let Caller::Handler(slot) = answered.caller else { return Ok(()) };
        self.run.state().saw(slot, &reply.message().label);
        if self.history.consumed.contains(&reply.id()) {
            return Ok(());
        }
        self.run.answer(slot, answered.request, Ok(reply.clone()));
        Ok(())
    }

    /// Whether the handler panicked and would have been started again, had the process not stopped.
    fn is_to_restart(&self, id: MessageId, agent: usize, handled: &Handled) -> bool {
        let entry = self.run.shared.registry.entry(agent);
        let panicked = matches!(
            &handled.failure,
            Some(Failure::Panicked { agent, .. }) if *agent == entry.id
        );
        panicked
            && !self.history.has_reached(id, 0)
            && self.history.sent[&id].restarts < entry.spec.restarts_max
            && !self.has_caused(id, Pattern::Fallback)
    }

    /// The last record at which an activation lost what it kept, since its handler panicked.
    fn lost_at(&self, slot: SlotId) -> usize {
        let panicked = self.deliveries.iter().filter(|(_, (_, of, _))| *of == slot);
        let panicked = panicked.filter_map(|(id, (agent, ..))| {
            let sent = self.history.sent.get(id)?;
            let id = &self.run.shared.registry.entry(*agent).id;
            let handled = sent.handled.as_ref().filter(|handled| {
                matches!(&handled.failure, Some(Failure::Panicked { agent, .. }) if agent == id)
            });
            Some(handled.map_or(sent.restarted_at, |handled| handled.at + 1))
        });
        panicked.max().unwrap_or(0)
    }

    /// Whether a message of this pattern was let through that this one caused.
    fn has_caused(&self, id: MessageId, pattern: Pattern) -> bool {
        let mut sent = self.history.sent.values();
        sent.any(|sent| {
            sent.route.pattern == pattern
                && sent.message.causation_id() == Some(id)
                && sent.passed().is_some()
        })
    }

    /// Whether someone still has to be told how the handler of this message ended.
    fn is_unsettled(&self, id: MessageId, delivery: &Delivery) -> bool {
        let failed = self.history.sent[&id].handled.as_ref();
        let failed = failed.is_some_and(|handled| handled.failure.is_some());
        if self.has_caused(id, Pattern::Reply) || self.has_caused(id, Pattern::Fallback) {
            return false;
        }
        match delivery.caller {
            Caller::Handler(_) => !self.history.consumed.contains(&delivery.request),
            Caller::Edge => true,
            Caller::Nobody => failed,
        }
    }
}

impl History {
    /// Gives the messages the principal of the kernel that goes on with the run.
    fn reseal(&mut self, principal: &Principal) {
        for sent in self.sent.values_mut() {
            if sent.message.principal.realm() != principal.realm() {
                let message = Message { principal: principal.clone(), ..(*sent.message).clone() };
                sent.message = Arc::new(message);
            }
        }
    }
}
