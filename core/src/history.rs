//! What the journal says a run has done, so that a handler that is started again gets the same.
//!
//! A handler is replayed from its message: what is recorded of a step is handed back at once, and
//! a handler that asks for something else than what is recorded has diverged.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::approval::{ApprovalId, Decision, Status};
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::governed::Governed;
use crate::ids::MessageId;
use crate::journal::chain::Hash;
use crate::journal::steps::{Call, Effect, Pattern, Route};
use crate::journal::{Entry, Record};
use crate::message::Message;
use crate::policy::{self, Requirement, Verdict};

/// A recorded message.
pub(crate) struct Sent {
    pub(crate) route: Route,
    pub(crate) message: Arc<Message>,
    pub(crate) verdict: Option<Arc<Verdict>>,
    pub(crate) original_sha256: Option<Hash>,
    /// The approvals that were asked for it, the latest last.
    pub(crate) approvals: Vec<Asked>,
    /// The approvals that were asked for because nobody knew what became of the effect.
    pub(crate) doubts: Vec<Asked>,
    /// What became of it, if it calls a tool.
    pub(crate) effects: Vec<Effect>,
    /// How its handler ended.
    pub(crate) handled: Option<Handled>,
    /// Whether it was given up before it reached anybody.
    pub(crate) undelivered: bool,
    /// How often its handler was restarted.
    pub(crate) restarts: u32,
    /// The record of the last restart.
    pub(crate) restarted_at: usize,
    /// The record with which it was let through, if it was.
    pub(crate) passed_at: usize,
}

/// An approval that was asked for.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) id: ApprovalId,
    pub(crate) at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) policy_set: Arc<str>,
    pub(crate) requirement: Requirement,
    pub(crate) decided: Option<(Status, Vec<Decision>)>,
}

/// How a handler ended.
pub(crate) struct Handled {
    pub(crate) failure: Option<Failure>,
    pub(crate) stateful: bool,
    /// The record that says so.
    pub(crate) at: usize,
}

/// Everything recorded of one run.
#[derive(Default)]
pub(crate) struct History {
    /// The messages in the order of their records.
    pub(crate) order: Vec<MessageId>,
    pub(crate) sent: HashMap<MessageId, Sent>,
    /// Messages that took another's place: the replies and failures that a step has used up.
    pub(crate) consumed: HashSet<MessageId>,
    calls: HashMap<(MessageId, u32), Call>,
    legs: HashMap<(MessageId, u32), Vec<MessageId>>,
    last: HashMap<MessageId, u32>,
    gathers: HashMap<(MessageId, u32), Timestamp>,
    /// How much content was stored.
    pub(crate) stored_bytes: usize,
}

impl History {
    /// Reads the records of a run, in their order.
    pub(crate) fn of(records: &[Arc<Record>]) -> Self {
        let mut history = Self::default();
        for (at, record) in records.iter().enumerate() {
            history.read(at, &record.entry);
        }
        history
    }

    fn read(&mut self, at: usize, entry: &Entry) {
        match entry {
            Entry::Message { route, message } => self.message(*route, message),
            Entry::Verdict { message_id, verdict, original_sha256, .. } => {
                if let Some(sent) = self.sent.get_mut(message_id) {
                    sent.verdict = Some(verdict.clone());
                    sent.passed_at = at;
                    // A second verdict finds it redacted already.
                    sent.original_sha256 = sent.original_sha256.or(*original_sha256);
                }
            }
            Entry::Step { cause, number, call, .. } => self.step(*cause, *number, call),
            Entry::Handled { message_id, failure, stateful, .. } => {
                if let Some(sent) = self.sent.get_mut(message_id) {
                    let failure = failure.clone();
                    sent.handled = Some(Handled { failure, stateful: *stateful, at });
                }
            }
            Entry::Restarted { message_id, restart, .. } => {
                if let Some(sent) = self.sent.get_mut(message_id) {
                    sent.restarts = *restart;
                    sent.handled = None;
                    sent.restarted_at = at;
                }
            }
            Entry::ApprovalRequested { .. } => self.requested(entry),
            Entry::ApprovalDecided { message_id, approval_id, status, decisions, .. } => {
                let asked = self.sent.get_mut(message_id).and_then(|sent| {
                    sent.passed_at = at;
                    let mut asked = sent.approvals.iter_mut().chain(&mut sent.doubts);
                    asked.find(|asked| asked.id == *approval_id)
                });
                if let Some(asked) = asked {
                    asked.decided = Some((status.clone(), decisions.clone()));
                }
            }
            Entry::Effect { message_id, effect, .. } => {
                if let Some(sent) = self.sent.get_mut(message_id) {
                    sent.effects.push(effect.clone());
                }
            }
            Entry::RunWaiting { gathers, .. } => {
                for gather in gathers {
                    self.gathers.insert((gather.cause, gather.number), gather.until);
                }
            }
            Entry::DeadLetter { message_id, .. } => {
                if let Some(sent) = self.sent.get_mut(message_id) {
                    sent.undelivered = sent.handled.is_none();
                }
            }
            Entry::RunStarted { .. }
            | Entry::Incident { .. }
            | Entry::RunResumed { .. }
            | Entry::Outcome { .. }
            | Entry::RunEnd { .. }
            | Entry::Erased { .. } => {}
        }
    }

    fn step(&mut self, cause: MessageId, number: u32, call: &Call) {
        match call {
            Call::Ask { request, reply, .. } => {
                self.consumed.insert(*request);
                self.consumed.extend(*reply);
            }
            Call::Gather { arrived, .. } => self.consumed.extend(arrived),
            Call::Store { bytes, .. } => {
                self.stored_bytes += usize::try_from(*bytes).unwrap_or(usize::MAX);
            }
            Call::Now { .. } | Call::Random { .. } | Call::Sleep { .. } | Call::Refused { .. } => {}
        }
        self.calls.insert((cause, number), call.clone());
        self.reached(cause, number);
    }

    fn requested(&mut self, entry: &Entry) {
        let Entry::ApprovalRequested {
            message_id,
            approval_id,
            at,
            expires_at,
            policy_set,
            requirement,
            ..
        } = entry
        else {
            return;
        };
        let Some(sent) = self.sent.get_mut(message_id) else { return };
        let asked = Asked {
            id: *approval_id,
            at: *at,
            expires_at: *expires_at,
            policy_set: policy_set.clone(),
            requirement: requirement.clone(),
            decided: None,
        };
        // A call is made once it is let through, and only then there is an effect.
        let first = sent.effects.is_empty();
        if first { &mut sent.approvals } else { &mut sent.doubts }.push(asked);
    }

    fn message(&mut self, route: Route, message: &Arc<Message>) {
        let id = message.id();
        self.order.push(id);
        if let Some(cause) = message.causation_id()
            && !matches!(route.pattern, Pattern::Fallback | Pattern::ToolResult)
        {
            self.legs.entry((cause, route.step)).or_default().push(id);
            self.reached(cause, route.step);
        }
        let sent = Sent {
            route,
            message: message.clone(),
            verdict: None,
            original_sha256: None,
            approvals: Vec::new(),
            doubts: Vec::new(),
            effects: Vec::new(),
            handled: None,
            undelivered: false,
            restarts: 0,
            restarted_at: 0,
            passed_at: 0,
        };
        self.sent.insert(id, sent);
    }

    fn reached(&mut self, cause: MessageId, step: u32) {
        let last = self.last.entry(cause).or_default();
        *last = step.max(*last);
    }

    /// The call that is recorded as this step.
    pub(crate) fn call(&self, cause: MessageId, step: u32) -> Option<&Call> {
        self.calls.get(&(cause, step))
    }

    /// Whether the handler has come at least as far as this step.
    pub(crate) fn has_reached(&self, cause: MessageId, step: u32) -> bool {
        self.last.get(&cause).is_some_and(|last| *last >= step)
    }

    /// Whether the handler has gone beyond this step.
    pub(crate) fn has_passed(&self, cause: MessageId, step: u32) -> bool {
        self.last.get(&cause).is_some_and(|last| *last > step)
    }

    /// The deadline of a gather that was waiting when the run was parked.
    pub(crate) fn gather_until(&self, cause: MessageId, step: u32) -> Option<Timestamp> {
        self.gathers.get(&(cause, step)).copied()
    }

    /// What is recorded as this step, in words.
    pub(crate) fn describe(&self, cause: MessageId, step: u32) -> String {
        if let Some(call) = self.call(cause, step) {
            return call.name().to_owned();
        }
        let first = self.legs.get(&(cause, step)).and_then(|legs| self.sent.get(legs.first()?));
        first.map_or_else(
            || "nothing".to_owned(),
            |sent| format!("{} to {}", sent.message.kind(), sent.message.to()),
        )
    }

    /// The messages that were let through, in the order in which they were.
    pub(crate) fn passed(&self) -> Vec<(MessageId, Governed)> {
        let passed = |id: &MessageId| Some((*id, self.sent[id].passed()?));
        let mut passed: Vec<_> = self.order.iter().filter_map(passed).collect();
        passed.retain(|(id, _)| !self.sent[id].undelivered);
        passed.sort_by_key(|(id, _)| self.sent[id].passed_at);
        passed
    }

    /// The approvals on which no decision is on record.
    pub(crate) fn undecided(&self) -> impl Iterator<Item = ApprovalId> {
        let asked = self.sent.values().flat_map(|sent| sent.approvals.iter().chain(&sent.doubts));
        asked.filter(|asked| asked.decided.is_none()).map(|asked| asked.id)
    }

    /// The message as its recipient got it, if it did.
    pub(crate) fn governed(&self, id: MessageId) -> Option<Governed> {
        self.sent.get(&id)?.passed()
    }
}

impl Sent {
    /// The message, if policy or a human let it through.
    pub(crate) fn passed(&self) -> Option<Governed> {
        let verdict = self.verdict.as_ref()?;
        let approved = || {
            let decided = self.approvals.last().and_then(|asked| asked.decided.as_ref());
            decided.is_some_and(|(status, _)| *status == Status::Approved)
        };
        let passes = match verdict.decision {
            policy::Decision::Allow | policy::Decision::Redact => true,
            policy::Decision::RequireApproval => approved(),
            policy::Decision::Deny => false,
        };
        passes.then(|| Governed::new(self.message.clone(), verdict.clone()))
    }

    /// Whether the payload that a handler wants to send now is the one that is recorded.
    pub(crate) fn is_of(&self, to: &str, kind: &str, text: &str) -> bool {
        let same = match self.original_sha256 {
            Some(original) => original == Hash::of(text.as_bytes()),
            None => self.message.payload().text() == text,
        };
        same && self.message.to() == to && self.message.kind() == kind
    }
}
