//! The one gate for what a human must decide: a message is parked as it is, and what comes of it
//! depends on the decision and on the policies in force when it falls.

use std::sync::Arc;
use std::time::Duration;

use crate::approval::{self, Approval, ApprovalId, Decision, Status, Subject};
use crate::bus::{Judged, Target};
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::governed::Governed;
use crate::history::{Asked, Sent};
use crate::journal::Entry;
use crate::message::Message;
use crate::policy::{self, Requirement, Verdict};
use crate::redact;
use crate::run::{Run, SlotId, Wait, WaitFor, Waited};

/// What a human has said.
type Decided = (Status, Vec<Decision>);

/// A message that waits for a human.
pub(crate) struct Held {
    target: Target,
    message: Arc<Message>,
    verdict: Arc<Verdict>,
    /// How often approval was asked for this message before.
    count: u32,
    pub(crate) approval: Approval,
    decided: Option<Decided>,
}

impl Held {
    /// Whether the decision is on record.
    pub(crate) fn is_decided(&self) -> bool {
        self.decided.is_some()
    }

    /// The record of the request.
    pub(crate) fn requested(&self) -> Entry {
        requested(&self.approval)
    }
}

/// Where the requests begin that ask what became of an effect: they are counted by themselves.
pub(crate) const DOUBTS: u32 = 1 << 31;

/// Approvals that cannot be read or written stop a run as a journal does.
fn unkept(error: &approval::Error) -> Failure {
    Failure::Journal { reason: error.to_string() }
}

fn requested(approval: &Approval) -> Entry {
    Entry::ApprovalRequested {
        run_id: approval.run_id,
        message_id: approval.message_id,
        approval_id: approval.id,
        at: approval.requested_at,
        digest: approval.digest,
        policy: approval.policy.clone(),
        policy_version: approval.policy_version.clone(),
        policy_set: approval.policy_set.clone(),
        requirement: approval.requirement.clone(),
        expires_at: approval.expires_at,
    }
}

/// Why a decision does not let the message through, if it does not.
fn refused(held: &Held, (status, decisions): &Decided) -> Option<Failure> {
    let Held { message, verdict, approval, .. } = held;
    let policy = verdict.policy.clone();
    match status {
        Status::Approved => {}
        Status::Rejected => {
            let last = decisions.last();
            return Some(Failure::Rejected {
                policy,
                policy_version: verdict.policy_version.clone(),
                by: last.map_or_else(|| "nobody".into(), |decision| decision.by.clone()),
                reason: last.map_or_else(|| "".into(), |decision| decision.reason.clone()),
            });
        }
        Status::Expired => {
            let expires_ms = approval.requirement.expires_ms;
            return Some(Failure::ApprovalExpired { policy, expires_ms });
        }
        Status::Pending | Status::Withdrawn | Status::Resolved { .. } => {
            return Some(Failure::RunEnded);
        }
    }
    let digest = Approval::digest_of(&message.to, &message.kind, &message.payload.value());
    (digest.ok() != Some(approval.digest))
        .then(|| Failure::Payload { reason: "what was approved is not what waits".to_owned() })
}

/// Whether a verdict would leave less of a message than there is.
fn would_redact(message: &Message, verdict: &Verdict) -> bool {
    let left = redact::apply(&message.kind, &message.payload, &verdict.redactions);
    !verdict.redactions.is_empty()
        && left.map_or(true, |left| left.text() != message.payload.text())
}

impl Run {
    /// Asks for an approval of a message; nothing is recorded or stored yet.
    pub(crate) fn hold(
        &self,
        target: Target,
        message: Arc<Message>,
        verdict: Arc<Verdict>,
        count: u32,
    ) -> Result<Held, Failure> {
        let requirement = verdict.requirement.clone().unwrap_or_default();
        let now = self.shared.clock.now();
        let asked = Asked {
            id: ApprovalId::derived(self.id, message.id, count),
            at: now,
            expires_at: now.plus(Duration::from_millis(requirement.expires_ms)),
            policy_set: self.shared.policy_set.clone(),
            requirement,
            decided: None,
        };
        let approval = self.approval(&message, &verdict, Subject::Message, &asked)?;
        Ok(Held { target, message, verdict, count, approval, decided: None })
    }

    /// What a human is shown.
    fn approval(
        &self,
        message: &Message,
        verdict: &Verdict,
        subject: Subject,
        asked: &Asked,
    ) -> Result<Approval, Failure> {
        let arguments = message.payload.value();
        let digest = Approval::digest_of(&message.to, &message.kind, &arguments)
            .map_err(|error| Failure::Payload { reason: error.to_string() })?;
        Ok(Approval {
            id: asked.id,
            run_id: self.id,
            message_id: message.id,
            tenant: self.principal.tenant().name(),
            requester: self.principal.subject().into(),
            subject,
            from: message.from.clone(),
            to: message.to.clone(),
            kind: message.kind.clone(),
            arguments,
            digest,
            policy: verdict.policy.clone(),
            policy_version: verdict.policy_version.clone(),
            policy_set: asked.policy_set.clone(),
            reason: verdict.reason.clone(),
            requirement: asked.requirement.clone(),
            requested_at: asked.at,
            expires_at: asked.expires_at,
            status: Status::Pending,
            decisions: Vec::new(),
            revision: 0,
        })
    }

    /// A message that was held before the run was started again.
    pub(crate) fn recall_held(
        &self,
        sent: &Sent,
        target: Target,
        verdict: Arc<Verdict>,
    ) -> Result<Judged, Failure> {
        let Some(asked) = sent.approvals.last() else {
            return Err(Failure::Journal { reason: "a held message has no approval".to_owned() });
        };
        let decided = asked.decided.clone();
        // Whatever the policies then in force had to say about it stands in the same append.
        if matches!(&decided, Some((Status::Approved, _))) {
            return Ok(Judged::Recalled(Governed::new(sent.message.clone(), verdict)));
        }
        let approval = self.approval(&sent.message, &verdict, Subject::Message, asked)?;
        let count = u32::try_from(sent.approvals.len()).unwrap_or(u32::MAX).saturating_sub(1);
        let message = sent.message.clone();
        Ok(Judged::Held(Box::new(Held { target, message, verdict, count, approval, decided })))
    }

    /// Waits for the decision on a held message and says what comes of it.
    pub(crate) async fn decide_held(
        self: &Arc<Self>,
        slot: SlotId,
        mut held: Held,
    ) -> Result<Governed, Failure> {
        loop {
            if let Some(failure) = held.decided.take().and_then(|known| refused(&held, &known)) {
                return Err(failure);
            }
            let decided = self.decision(slot, &held.approval).await?;
            if let Some(settled) = self.settle_held(&mut held, &decided)? {
                return Ok(settled);
            }
        }
    }

    /// What a decision makes of a held message; `None` if other policies ask once more.
    ///
    /// All that follows from a decision is recorded with it: a process that dies has taken it down
    /// as a whole or not at all.
    fn settle_held(&self, held: &mut Held, decided: &Decided) -> Result<Option<Governed>, Failure> {
        let taken = self.taken(&held.approval, decided);
        if let Some(refused) = refused(held, decided) {
            self.shared.writer.append(&self.tally, [taken])?;
            return Err(refused);
        }
        let Held { message, verdict, approval, .. } = &*held;
        let governed = Governed::new(message.clone(), verdict.clone());
        if approval.policy_set != self.shared.policy_set {
            return self.judge_again(held, taken, governed);
        }
        self.shared.writer.append(&self.tally, [taken])?;
        Ok(Some(governed))
    }

    /// The record of a decision.
    fn taken(&self, approval: &Approval, (status, decisions): &Decided) -> Entry {
        self.state().asked.remove(&approval.id);
        Entry::ApprovalDecided {
            run_id: self.id,
            message_id: approval.message_id,
            approval_id: approval.id,
            at: self.shared.clock.now(),
            status: status.clone(),
            decisions: decisions.clone(),
        }
    }

    /// Other policies are in force than when approval was asked for: they have the last word.
    fn judge_again(
        &self,
        held: &mut Held,
        taken: Entry,
        governed: Governed,
    ) -> Result<Option<Governed>, Failure> {
        let message = held.message.clone();
        let facts = self.facts(held.target, &message);
        let mut now = self.shared.policies.evaluate(&message, &facts);
        if would_redact(&message, &now) {
            // What was approved is the whole of it, and what is left of it nobody has approved.
            now = Arc::new(Verdict {
                decision: policy::Decision::Deny,
                reason: format!("it was approved before it had to be redacted: {}", now.reason)
                    .into(),
                redactions: Vec::new(),
                ..Verdict::clone(&now)
            });
        }
        let approved = (&held.verdict.policy, &held.verdict.policy_version);
        let judged = Entry::Verdict {
            run_id: self.id,
            message_id: message.id,
            verdict: now.clone(),
            original_sha256: None,
            message: Some(message.clone()),
        };
        match now.decision {
            policy::Decision::RequireApproval if (&now.policy, &now.policy_version) != approved => {
                let next = self.hold(held.target, message.clone(), now.clone(), held.count + 1)?;
                self.shared.writer.append(&self.tally, [taken, judged, next.requested()])?;
                *held = next;
                Ok(None)
            }
            policy::Decision::Deny => {
                self.shared.writer.append(&self.tally, [taken, judged])?;
                Err(now.denied().map_or(Failure::RunEnded, Failure::Denied))
            }
            policy::Decision::Allow
            | policy::Decision::Redact
            | policy::Decision::RequireApproval => {
                self.shared.writer.append(&self.tally, [taken])?;
                Ok(Some(governed))
            }
        }
    }

    /// Asks a human what became of an effect, and waits for the answer.
    pub(crate) async fn resolution(
        self: &Arc<Self>,
        slot: SlotId,
        call: &Governed,
        count: u32,
        reason: &str,
    ) -> Result<Decided, Failure> {
        let now = self.shared.clock.now();
        let known = self.history.as_ref().and_then(|history| history.sent.get(&call.id()));
        let id = ApprovalId::derived(self.id, call.id(), DOUBTS + count);
        let known = known.and_then(|sent| sent.doubts.iter().find(|asked| asked.id == id));
        let requirement = Requirement::default();
        let asked = known.cloned().unwrap_or_else(|| Asked {
            id,
            at: now,
            // Nobody may forget it: the effect may have happened.
            expires_at: Timestamp::NEVER,
            policy_set: self.shared.policy_set.clone(),
            requirement,
            decided: None,
        });
        if let Some(decided) = asked.decided.clone() {
            return Ok(decided);
        }
        let verdict = Verdict {
            policy: "effect-ledger".into(),
            policy_version: "1".into(),
            reason: reason.into(),
            ..call.verdict().clone()
        };
        let approval = self.approval(call.message(), &verdict, Subject::UnknownEffect, &asked)?;
        if known.is_none() {
            self.shared.writer.append(&self.tally, [requested(&approval)])?;
        }
        let decided = self.decision(slot, &approval).await?;
        self.shared.writer.append(&self.tally, [self.taken(&approval, &decided)])?;
        Ok(decided)
    }

    /// Waits for a human, in the name of a handler.
    async fn decision(
        self: &Arc<Self>,
        slot: SlotId,
        approval: &Approval,
    ) -> Result<Decided, Failure> {
        self.state().asked.insert(approval.id, Some(approval.clone()));
        let poll = self.shared.run_index.poll_every();
        let (approvals, tenant, id) =
            (&self.shared.approvals, self.principal.tenant(), approval.id);
        let mut published = false;
        loop {
            if let Some(decided) = self.state().decisions.remove(&id) {
                return Ok(decided);
            }
            let found = approvals.get(tenant, id).await.map_err(|error| unkept(&error))?;
            let Some(found) = found else {
                if published {
                    return Err(Failure::Journal { reason: "the approval is gone".to_owned() });
                }
                // A run that was taken up again has done so before, if it lived that long.
                self.publish_approval(approval).await?;
                published = true;
                continue;
            };
            if found.status.is_final() {
                return Ok((found.status, found.decisions));
            }
            let now = self.shared.clock.now();
            if now >= approval.expires_at {
                if let Some(expired) = found.ended(Status::Expired) {
                    // Whoever was quicker is found by looking once more.
                    approvals.swap(tenant, &expired).await.map_err(|error| unkept(&error))?;
                }
                continue;
            }
            // Until the run is parked, a decision in another process is found by looking again.
            let look = poll.map_or(approval.expires_at, |poll| now.plus(poll));
            let wait =
                Wait { on: WaitFor::Decision(id), until: Some(approval.expires_at), gather: None };
            let waited = self.wait_until(slot, wait, look, |state| state.decisions.remove(&id));
            match waited.await {
                Waited::Ready(decided) => return Ok(decided),
                Waited::Ended => return Err(Failure::RunEnded),
                Waited::Stalled | Waited::TimedOut => {}
            }
        }
    }

    /// Lets humans see an approval once all that led to it is durable.
    async fn publish_approval(&self, approval: &Approval) -> Result<(), Failure> {
        let head = self.shared.writer.head().seq;
        let durable = self.shared.writer.store().durable(head).await;
        durable.map_err(|error| Failure::Journal { reason: error.to_string() })?;
        let tenant = self.principal.tenant();
        self.shared.approvals.put(tenant, approval).await.map_err(|error| unkept(&error))
    }

    /// Parks a run whose very request needs a human.
    pub(crate) async fn hold_root(self: &Arc<Self>, held: &Held) -> Result<(), Failure> {
        self.state().asked.insert(held.approval.id, Some(held.approval.clone()));
        self.publish_approval(&held.approval).await?;
        let on = WaitFor::Decision(held.approval.id);
        let until = Some(held.approval.expires_at);
        self.state().root = Some(Wait { on, until, gather: None });
        self.let_rest();
        Ok(())
    }

    /// Goes on with a held root message if its decision has fallen; `false` if it has not.
    pub(crate) async fn root_decided(&self, held: &mut Held) -> Result<Option<Governed>, Failure> {
        if let Some(failure) = held.decided.take().and_then(|known| refused(held, &known)) {
            return Err(failure);
        }
        let approvals = &self.shared.approvals;
        let (tenant, id) = (self.principal.tenant(), held.approval.id);
        let told = self.state().decisions.remove(&id);
        if let Some(decided) = told {
            return self.settle_held(held, &decided);
        }
        let mut found = approvals.get(tenant, id).await.map_err(|error| unkept(&error))?;
        if self.shared.clock.now() >= held.approval.expires_at
            && let Some(expired) = found.as_ref().and_then(|found| found.ended(Status::Expired))
        {
            approvals.swap(tenant, &expired).await.map_err(|error| unkept(&error))?;
            found = approvals.get(tenant, id).await.map_err(|error| unkept(&error))?;
        }
        let Some(found) = found.filter(|found| found.status.is_final()) else { return Ok(None) };
        self.settle_held(held, &(found.status, found.decisions))
    }

    /// Tells whoever waits that a human has decided.
    pub(crate) fn decided(&self, approval: &Approval) {
        let mut state = self.state();
        let decided = (approval.status.clone(), approval.decisions.clone());
        state.decisions.insert(approval.id, decided);
        state.unblock_decision(approval.id);
    }
}
