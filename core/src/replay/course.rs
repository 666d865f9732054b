//! What may follow what in a run: ids, causes, labels, approvals, effects, ends and counts.

use std::collections::HashMap;
use std::sync::Arc;

use super::Departure;
use crate::approval::{Approval, ApprovalId, Choice, Decision, Status};
use crate::clock::Timestamp;
use crate::gate::DOUBTS;
use crate::ids::{MessageId, RunId};
use crate::journal::chain::Hash;
use crate::journal::steps::{Call, Effect, Pattern, Route};
use crate::journal::{Entry, Record};
use crate::message::{Message, USER};
use crate::outcome::Outcome;
use crate::policy::{self, Requirement, Verdict};

/// A message so far.
struct Sent {
    pattern: Pattern,
    message: Arc<Message>,
    verdict: Option<Arc<Verdict>>,
    asked: Vec<Asked>,
    effects: Vec<Effect>,
}

struct Asked {
    id: ApprovalId,
    requirement: Requirement,
    expires_at: Timestamp,
    decided: Option<Status>,
}

/// Where the run is.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Before,
    Running,
    Waiting,
    Ended(&'static str),
    Closed(&'static str),
}

/// A run as far as it was read.
#[derive(Default)]
pub(super) struct Course {
    phase: Phase,
    run_id: Option<RunId>,
    requester: Arc<str>,
    sent: HashMap<MessageId, Sent>,
    root: Option<MessageId>,
    /// The message that the next record must judge.
    unjudged: Option<MessageId>,
    /// What was last sent to whoever asked, and passed.
    answer: Option<MessageId>,
    messages: u64,
    number: u64,
    departures: Vec<Departure>,
}

impl Course {
    pub(super) fn message(&self, id: MessageId) -> Option<Arc<Message>> {
        Some(self.sent.get(&id)?.message.clone())
    }

    pub(super) fn is_judged(&self, id: MessageId) -> bool {
        self.sent.get(&id).is_some_and(|sent| sent.verdict.is_some())
    }

    pub(super) fn end(mut self) -> (Vec<Departure>, &'static str) {
        if self.unjudged.is_some() {
            self.depart("is a message without a verdict");
        }
        let status = match self.phase {
            Phase::Before | Phase::Running => "running",
            Phase::Waiting => "waiting",
            Phase::Ended(status) | Phase::Closed(status) => status,
        };
        if matches!(self.phase, Phase::Ended(_)) {
            self.depart("is the outcome, and no end record follows");
        }
        (self.departures, status)
    }

    fn depart(&mut self, problem: impl Into<String>) {
        self.departures.push(Departure { number: self.number, problem: problem.into() });
    }

    /// Notes that something does not hold.
    fn must(&mut self, holds: bool, problem: &str) {
        if !holds {
            self.depart(problem);
        }
    }

    /// Takes in the next record; `set` is the version of the policy set in force.
    pub(super) fn step(&mut self, number: u64, record: &Record, set: &Arc<str>) {
        self.number = number;
        let entry = &record.entry;
        self.must(record.number == number, "is not filed under its number in the run");
        let run_id = *self.run_id.get_or_insert(entry.run_id());
        self.must(entry.run_id() == run_id, "belongs to another run");
        self.phase(entry);
        if let Some(unjudged) = self.unjudged.take() {
            let judges =
                matches!(entry, Entry::Verdict { message_id, .. } if *message_id == unjudged);
            self.must(judges, "does not judge the message before it");
        }
        match entry {
            Entry::Message { route, message } => self.sends(*route, message),
            Entry::Verdict { message_id, verdict, .. } => self.judges(*message_id, verdict),
            Entry::ApprovalRequested { .. } => self.asks(entry, set),
            Entry::ApprovalDecided { .. } => self.decides(entry),
            Entry::Effect { message_id, effect, .. } => self.affects(*message_id, effect),
            Entry::Step { cause, call, .. } => self.calls(*cause, call),
            Entry::Handled { message_id, .. } | Entry::Restarted { message_id, .. } => {
                let passed = self.sent.get(message_id).is_some_and(Sent::passed);
                self.must(passed, "handles a message that was not let through");
            }
            Entry::DeadLetter { message_id, .. } | Entry::Incident { message_id, .. } => {
                let known = self.sent.contains_key(message_id);
                self.must(known, "is about a message that is not on record");
            }
            Entry::RunResumed { records, messages, .. } => {
                let counts = (*records, *messages) == (number - 1, self.messages);
                self.must(counts, "does not count what was recorded before it");
            }
            Entry::Outcome { outcome, .. } => self.ends(outcome),
            Entry::RunEnd { records, messages, .. } => {
                let counts = (*records, *messages) == (number, self.messages);
                self.must(counts, "does not count what was recorded of the run");
            }
            Entry::RunStarted { subject, .. } => self.requester = subject.clone(),
            Entry::RunWaiting { .. } => {}
            Entry::Erased { .. } => self.depart("was erased, so that nothing follows from it"),
        }
    }

    /// Where a record leads from where the run is.
    fn phase(&mut self, entry: &Entry) {
        use Phase::{Before, Closed, Ended, Running, Waiting};
        self.phase = match (self.phase, entry) {
            (Before, Entry::RunStarted { .. }) | (Running | Waiting, Entry::RunResumed { .. }) => {
                Running
            }
            (Running, Entry::RunWaiting { .. }) => Waiting,
            (Running | Waiting, Entry::Outcome { outcome, .. }) => Ended(outcome.name()),
            (Ended(status), Entry::RunEnd { .. }) => Closed(status),
            (phase, Entry::RunStarted { .. }) => {
                self.depart("starts the run once more");
                phase
            }
            (phase @ Running, Entry::RunEnd { .. }) => {
                self.depart("ends the run without an outcome");
                phase
            }
            (phase @ Running, _) => phase,
            (phase, _) => {
                self.depart(match phase {
                    Before => "comes before the run has started",
                    Waiting => "goes on while the run waits",
                    Ended(_) | Closed(_) | Running => "comes after the run has ended",
                });
                phase
            }
        };
    }

    fn sends(&mut self, route: Route, message: &Arc<Message>) {
        self.messages += 1;
        let Some(run) = self.run_id else { return };
        let id = message.id();
        self.unjudged = Some(id);
        self.must(!self.sent.contains_key(&id), "sends a message that is there already");
        match message.causation_id() {
            None => {
                let first = self.root.replace(id).is_none() && route.pattern == Pattern::Root;
                self.must(first, "is a second message without a cause");
                self.must(message.hops() == 0, "does not begin at hop 0");
                self.must(message.from() == USER, "is a first message, and not of the user");
                let asked = message.principal().subject() == &*self.requester;
                self.must(asked, "is not asked by whoever the run was started for");
            }
            Some(cause) => self.follows(run, route, message, cause),
        }
        let sent = Sent {
            pattern: route.pattern,
            message: message.clone(),
            verdict: None,
            asked: Vec::new(),
            effects: Vec::new(),
        };
        self.sent.insert(id, sent);
    }

    fn follows(&mut self, run: RunId, route: Route, message: &Message, cause: MessageId) {
        let derived = MessageId::derived(run, cause, route.step, route.leg);
        self.must(message.id() == derived, "has an id that does not follow from its cause");
        let Some(before) = self.sent.get(&cause) else {
            return self.depart("is caused by a message that is not on record");
        };
        let (passed, before) = (before.passed(), before.message.clone());
        self.must(passed, "is caused by a message that was not let through");
        let hops = before.hops().saturating_add(1);
        self.must(message.hops() == hops, "is not one hop behind its cause");
        let covers = message.label().covers(before.label());
        self.must(covers, "is less protected than its cause");
        let identity = message.principal().identity() == before.principal().identity();
        self.must(identity, "has another principal than its cause");
        let from = if route.pattern == Pattern::Fallback { before.from() } else { before.to() };
        self.must(message.from() == from, "is not of whoever had its cause");
        if route.pattern == Pattern::Reply {
            self.must(message.to() == before.from(), "replies to someone else");
        }
    }

    fn judges(&mut self, id: MessageId, verdict: &Arc<Verdict>) {
        let Some(sent) = self.sent.get_mut(&id) else {
            return self.depart("judges a message that is not on record");
        };
        let again = sent.verdict.replace(verdict.clone()).is_some();
        let approved = sent.asked.last().and_then(|asked| asked.decided.as_ref());
        let approved = approved == Some(&Status::Approved);
        let answers = sent.pattern == Pattern::Reply && sent.message.to() == USER;
        let passed = sent.passed();
        if answers && passed {
            self.answer = Some(id);
        }
        self.must(!again || approved, "judges a message again that nobody has approved");
    }

    fn asks(&mut self, entry: &Entry, set: &Arc<str>) {
        let Entry::ApprovalRequested {
            run_id,
            message_id,
            approval_id,
            at,
            digest,
            policy,
            policy_version,
            policy_set,
            requirement,
            expires_at,
        } = entry
        else {
            return;
        };
        let Some(sent) = self.sent.get_mut(message_id) else {
            return self.depart("asks about a message that is not on record");
        };
        let doubts = sent.effects.iter().filter(|effect| matches!(effect, Effect::Unknown { .. }));
        let doubts = u32::try_from(doubts.count()).unwrap_or(u32::MAX >> 1);
        let unknown = matches!(sent.effects.last(), Some(Effect::Unknown { .. }));
        let count = if unknown {
            DOUBTS + doubts
        } else {
            u32::try_from(sent.asked.len()).unwrap_or(u32::MAX)
        };
        let derived = ApprovalId::derived(*run_id, *message_id, count);
        let message = sent.message.clone();
        let verdict = sent.verdict.clone();
        sent.asked.push(Asked {
            id: *approval_id,
            requirement: requirement.clone(),
            expires_at: *expires_at,
            decided: None,
        });
        self.must(*approval_id == derived, "has an id that does not follow from its message");
        let of = Approval::digest_of(message.to(), message.kind(), &message.payload().value());
        self.must(of.ok() == Some(*digest), "asks about something else than its message");
        self.must(policy_set == set, "names another policy set than the one in force");
        if unknown {
            return self.must(*expires_at == Timestamp::NEVER, "lets a doubt expire");
        }
        let wants = verdict.is_some_and(|verdict| {
            verdict.decision == policy::Decision::RequireApproval
                && (&verdict.policy, &verdict.policy_version) == (policy, policy_version)
                && verdict.requirement.clone().unwrap_or_default() == *requirement
        });
        self.must(wants, "asks for what no verdict wants");
        let until = at.plus(std::time::Duration::from_millis(requirement.expires_ms));
        self.must(*expires_at == until, "expires at another time than its policy says");
    }

    fn decides(&mut self, entry: &Entry) {
        let Entry::ApprovalDecided { message_id, approval_id, at, status, decisions, .. } = entry
        else {
            return;
        };
        let requester = self.requester.clone();
        let asked = self
            .sent
            .get_mut(message_id)
            .and_then(|sent| sent.asked.iter_mut().find(|asked| asked.id == *approval_id));
        let Some(asked) = asked else {
            return self.depart("decides on what nobody has asked");
        };
        let first = asked.decided.replace(status.clone()).is_none();
        let allowed = entitled(decisions, &asked.requirement, &requester);
        let sound = match status {
            Status::Approved => {
                let approvals = said(decisions, &Choice::Approve);
                approvals >= asked.requirement.quorum.max(1)
                    && said(decisions, &Choice::Reject) == 0
            }
            Status::Rejected => said(decisions, &Choice::Reject) == 1,
            Status::Resolved { .. } => !decisions.is_empty(),
            Status::Expired => *at >= asked.expires_at,
            Status::Withdrawn => true,
            Status::Pending => false,
        };
        self.must(first, "decides a second time");
        self.must(allowed, "counts whoever may not decide, or may not decide twice");
        self.must(sound, "does not follow from what was said");
        let answers = self.sent.get(message_id).is_some_and(|sent| {
            sent.pattern == Pattern::Reply && sent.message.to() == USER && sent.passed()
        });
        if answers {
            self.answer = Some(*message_id);
        }
    }

    fn affects(&mut self, id: MessageId, effect: &Effect) {
        let Some(run) = self.run_id else { return };
        let Some(sent) = self.sent.get_mut(&id) else {
            return self.depart("is the effect of a message that is not on record");
        };
        let last = sent.effects.last().cloned();
        let attempts = sent.effects.iter().filter_map(|effect| match effect {
            Effect::Intent { attempt, .. } => Some(*attempt),
            _ => None,
        });
        let attempts = attempts.max().unwrap_or(0);
        let once = sent.message.payload().value()["effects"] == "once";
        let passed = sent.pattern == Pattern::Tool && sent.passed();
        sent.effects.push(effect.clone());
        self.must(passed, "is the effect of a call that was not let through");
        let legal = match (&last, effect) {
            (None, Effect::Intent { .. } | Effect::Unpaid { .. })
            | (
                Some(Effect::Intent { .. }),
                Effect::Done { .. } | Effect::Failed { .. } | Effect::Unknown { .. },
            )
            | (Some(Effect::Unknown { .. }), Effect::Intent { .. } | Effect::Resolved { .. }) => {
                true
            }
            (Some(Effect::Intent { .. }), Effect::Intent { .. }) => !once,
            _ => false,
        };
        self.must(legal, "is an effect that cannot follow the one before it");
        match effect {
            Effect::Intent { key, attempt } => {
                self.must(*key == id.to_string(), "has a key that is not that of its call");
                self.must(*attempt == attempts + 1, "is not the next attempt");
            }
            Effect::Done { result, .. } => {
                let derived = MessageId::derived(run, id, attempts, 0);
                let there = self.sent.contains_key(result);
                self.must(*result == derived && there, "names a result that is not on record");
            }
            Effect::Unpaid { .. }
            | Effect::Failed { .. }
            | Effect::Unknown { .. }
            | Effect::Resolved { .. } => {}
        }
    }

    fn calls(&mut self, cause: MessageId, call: &Call) {
        let passed = self.sent.get(&cause).is_some_and(Sent::passed);
        self.must(passed, "is a step on a message that was not let through");
        let used: Vec<MessageId> = match call {
            Call::Ask { request, reply, .. } => reply.iter().chain([request]).copied().collect(),
            Call::Gather { arrived, .. } => arrived.clone(),
            Call::Now { .. }
            | Call::Random { .. }
            | Call::Sleep { .. }
            | Call::Store { .. }
            | Call::Refused { .. } => Vec::new(),
        };
        let known = used.iter().all(|id| self.sent.contains_key(id));
        self.must(known, "names messages that are not on record");
    }

    fn ends(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Completed { kind, answer_sha256, .. } => {
                let answer = self.answer.and_then(|id| self.message(id));
                let answered = answer.is_some_and(|answer| {
                    answer.kind() == kind
                        && Hash::of(answer.payload().text().as_bytes()) == *answer_sha256
                });
                self.must(answered, "completes with something else than the answer");
            }
            Outcome::Denied { denied } => {
                let by = |sent: &Sent| {
                    sent.verdict.as_ref().is_some_and(|verdict| verdict.policy == denied.policy)
                };
                let asked = self.sent.is_empty();
                let denies = asked || self.sent.values().any(by);
                self.must(denies, "is denied by a policy that has not denied anything");
            }
            Outcome::Failed { .. } | Outcome::Cancelled { .. } | Outcome::Expired { .. } => {}
        }
    }
}

impl Sent {
    /// Whether policy or a human has let it through.
    fn passed(&self) -> bool {
        let approved = || {
            let first = self.asked.iter().rev().find_map(|asked| asked.decided.as_ref());
            matches!(first, Some(Status::Approved | Status::Resolved { .. }))
        };
        self.verdict.as_ref().is_some_and(|verdict| match verdict.decision {
            policy::Decision::Allow | policy::Decision::Redact => true,
            policy::Decision::RequireApproval => approved(),
            policy::Decision::Deny => false,
        })
    }
}

fn said(decisions: &[Decision], choice: &Choice) -> u32 {
    let said = decisions.iter().filter(|decision| decision.choice == *choice).count();
    u32::try_from(said).unwrap_or(u32::MAX)
}

/// Whether everyone who decided may, and decided once.
fn entitled(decisions: &[Decision], requirement: &Requirement, requester: &Arc<str>) -> bool {
    decisions.iter().enumerate().all(|(at, decision)| {
        let again = decisions[..at].iter().any(|before| before.by == decision.by);
        !again && (requirement.requester_may || decision.by != *requester)
    })
}
