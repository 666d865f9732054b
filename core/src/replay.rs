//! Replay: derives every verdict and every transition of a run again, from its records alone, and
//! compares.
//!
//! Owns the verdicts; what may follow what is in [`course`]. Nothing here does I/O: records,
//! policies and the facts around the messages come in, a report goes out. What was redacted cannot
//! be judged again, since only the hash of the original is kept; then what is left of it must pass.

use std::sync::Arc;

use serde::Serialize;

use crate::agent::Agent;
use crate::ids::{MessageId, RunId};
use crate::journal::{Entry, Record};
use crate::label::Clearance;
use crate::limits::Limits;
use crate::message::{Message, USER};
use crate::policy::{Decision, Facts, PolicySet, Recipient, Verdict};
use crate::redact;
use crate::registry::{self, Registry};
use crate::tool::{ADDRESS, Tool, Tools};

mod course;

use course::Course;

/// What stands around the messages of an installation: the facts that its policies are given.
pub struct World {
    registry: Registry,
    tools: Tools,
    user: Recipient,
    home_region: String,
    message_bytes_max: usize,
    hops_max: u16,
}

impl World {
    /// The world of a kernel with these agents, tools and settings.
    ///
    /// # Errors
    /// [`registry::Error`] if such a kernel would not start.
    pub fn new(
        agents: &[&'static dyn Agent],
        tools: &[Arc<dyn Tool>],
        user_clearance: Clearance,
        home_region: &str,
        limits: &Limits,
    ) -> Result<Self, registry::Error> {
        let mut registry = Registry::new(agents)?;
        let tools = Tools::new(tools)?;
        registry.link_tools(&tools)?;
        let user = Recipient {
            clearance: user_clearance,
            roles_any: Vec::new(),
            scopes_all: Vec::new(),
            consent: None,
        };
        let (message_bytes_max, hops_max) = (limits.message_bytes_max, limits.hops_max);
        let home_region = home_region.to_owned();
        Ok(Self { registry, tools, user, home_region, message_bytes_max, hops_max })
    }

    /// The facts around a message; `None` if its recipient is not registered.
    fn facts<'a>(&'a self, message: &Message, run_tenant: &'a str) -> Option<Facts<'a>> {
        let recipient = match message.to() {
            USER => &self.user,
            to => match to.strip_prefix(ADDRESS) {
                Some(tool) => &self.tools.entry(self.tools.resolve(tool)?).recipient,
                None => self.registry.recipient(to)?,
            },
        };
        Some(Facts {
            recipient,
            kind: self.registry.kind(message.kind()),
            run_tenant,
            home_region: &self.home_region,
            message_bytes_max: self.message_bytes_max,
            hops_max: self.hops_max,
        })
    }
}

/// A verdict, then and now.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// The record of the verdict, as its number within the run.
    pub number: u64,
    /// The message.
    pub message_id: MessageId,
    /// Its sender.
    pub from: String,
    /// Its recipient.
    pub to: String,
    /// Its kind.
    pub kind: String,
    /// What was decided.
    pub then: Arc<Verdict>,
    /// What is decided now.
    pub now: Arc<Verdict>,
    /// The version of the policy set in force then.
    pub set_then: Arc<str>,
    /// Whether what is judged now is what a redaction has left of the message.
    pub redacted: bool,
}

impl Difference {
    /// Whether something else is done with the message, and not only said of it.
    #[must_use]
    pub fn is_of_decision(&self) -> bool {
        let (then, now) = (&self.then, &self.now);
        then.decision != now.decision
            || then.redactions != now.redactions
            || then.requirement != now.requirement
    }
}

/// A verdict that cannot be derived again.
#[derive(Debug, Clone, Serialize)]
pub struct Underived {
    /// The record of the verdict, as its number within the run.
    pub number: u64,
    /// The message.
    pub message_id: MessageId,
    /// Its kind.
    pub kind: String,
    /// Why not, in a clause.
    pub reason: String,
}

/// A record that cannot follow what is recorded before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Departure {
    /// The number of the record within the run.
    pub number: u64,
    /// What is wrong, in a clause.
    pub problem: String,
}

/// What a replay of a run has found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The run; absent without records.
    pub run_id: Option<RunId>,
    /// How it stands: `running`, `waiting` or how it ended.
    pub status: &'static str,
    /// How many records it has; each is checked against what is before it.
    pub records: u64,
    /// How many messages.
    pub messages: u64,
    /// How many verdicts.
    pub verdicts: u64,
    /// How many of them come out the same, byte for byte.
    pub same: u64,
    /// The versions of the policy sets that were in force, in order.
    pub sets_then: Vec<Arc<str>>,
    /// The version of the set that judges now.
    pub set_now: Arc<str>,
    /// The verdicts that come out otherwise.
    pub differences: Vec<Difference>,
    /// The verdicts that cannot be derived again.
    pub underived: Vec<Underived>,
    /// The records that cannot follow what is recorded before them.
    pub departures: Vec<Departure>,
}

impl Report {
    /// Whether the set that judges now was in force all the time.
    #[must_use]
    pub fn same_set(&self) -> bool {
        self.sets_then.iter().all(|then| *then == self.set_now)
    }

    /// Whether nothing differs from what is recorded.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.differences.is_empty() && self.departures.is_empty()
    }
}

/// Derives the verdicts and transitions of one run again; `records` are all of them, in order.
#[must_use]
pub fn check(records: &[Arc<Record>], policies: &PolicySet, world: &World) -> Report {
    let mut replay = Replay {
        policies,
        world,
        tenant: "".into(),
        set: "".into(),
        course: Course::default(),
        report: Report {
            run_id: records.first().map(|record| record.entry.run_id()),
            status: "running",
            records: records.len() as u64,
            messages: 0,
            verdicts: 0,
            same: 0,
            sets_then: Vec::new(),
            set_now: policies.version().into(),
            differences: Vec::new(),
            underived: Vec::new(),
            departures: Vec::new(),
        },
    };
    for (number, record) in (1..).zip(records) {
        replay.step(number, record);
    }
    let (departures, status) = replay.course.end();
    Report { status, departures, ..replay.report }
}

struct Replay<'a> {
    policies: &'a PolicySet,
    world: &'a World,
    tenant: Arc<str>,
    /// The version of the policy set in force at the record.
    set: Arc<str>,
    course: Course,
    report: Report,
}

impl Replay<'_> {
    fn step(&mut self, number: u64, record: &Record) {
        match &record.entry {
            Entry::RunStarted { tenant, policy_set, .. } => {
                self.tenant = tenant.clone();
                self.set(policy_set);
            }
            Entry::RunResumed { policy_set, .. } => self.set(policy_set),
            Entry::Message { .. } => self.report.messages += 1,
            Entry::Verdict { message_id, verdict, original_sha256, .. } => {
                self.report.verdicts += 1;
                if let Some(message) = self.course.message(*message_id) {
                    let again = self.course.is_judged(*message_id);
                    let redacted = original_sha256.is_some();
                    self.judge(number, &message, verdict, Judged { again, redacted });
                }
            }
            _ => {}
        }
        self.course.step(number, record, &self.set);
    }

    fn set(&mut self, set: &Arc<str>) {
        self.set = set.clone();
        if !self.report.sets_then.contains(set) {
            self.report.sets_then.push(set.clone());
        }
    }

    fn judge(&mut self, number: u64, message: &Message, then: &Arc<Verdict>, judged: Judged) {
        let underived = |reason: String| Underived {
            number,
            message_id: message.id(),
            kind: message.kind().to_owned(),
            reason,
        };
        let Some(facts) = self.world.facts(message, &self.tenant) else {
            let reason = format!("its recipient `{}` is not registered here", message.to());
            self.report.underived.push(underived(reason));
            return;
        };
        let mut now = self.policies.evaluate(message, &facts);
        if judged.again {
            now = whole(message, now);
        }
        let passes = if judged.redacted {
            let reason = "its payload was redacted, and only the hash of the original is kept";
            self.report.underived.push(underived(reason.to_owned()));
            now.decision <= then.decision.max(Decision::Redact)
        } else {
            let same = same(then, &now, &self.set);
            self.report.same += u64::from(same);
            same
        };
        if !passes {
            self.report.differences.push(Difference {
                number,
                message_id: message.id(),
                from: message.from().to_owned(),
                to: message.to().to_owned(),
                kind: message.kind().to_owned(),
                then: then.clone(),
                now,
                set_then: self.set.clone(),
                redacted: judged.redacted,
            });
        }
    }
}

/// What is special about a verdict.
#[derive(Clone, Copy)]
struct Judged {
    /// It was given once more, after a human had approved.
    again: bool,
    redacted: bool,
}

/// A message that was approved is delivered as a whole or not at all.
fn whole(message: &Message, now: Arc<Verdict>) -> Arc<Verdict> {
    let left = redact::apply(&message.kind, &message.payload, &now.redactions);
    let less = left.map_or(true, |left| left.text() != message.payload.text());
    if now.redactions.is_empty() || !less {
        return now;
    }
    Arc::new(Verdict {
        decision: Decision::Deny,
        reason: format!("it was approved before it had to be redacted: {}", now.reason).into(),
        redactions: Vec::new(),
        ..Verdict::clone(&now)
    })
}

/// Whether two verdicts are written the same. Where all policies allow, the version is that of the
/// set in force, which says nothing about the message.
fn same(then: &Verdict, now: &Verdict, set_then: &Arc<str>) -> bool {
    let by_all =
        |verdict: &Verdict| verdict.decision == Decision::Allow && &*verdict.policy == "chain";
    if by_all(then) && by_all(now) {
        let expected = Verdict { policy_version: set_then.clone(), ..now.clone() };
        return *then == expected;
    }
    match (serde_json::to_string(then), serde_json::to_string(now)) {
        (Ok(then), Ok(now)) => then == now,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
