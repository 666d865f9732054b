//! Approvals: what a human is asked, who may decide, and the one decision that counts.
//!
//! The rules are here, pure; a store keeps approvals and swaps one version for the next only if
//! nobody else has done so before.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::async_trait;
use crate::clock::Timestamp;
use crate::ids::{MessageId, RunId};
use crate::journal::chain::Hash;
use crate::policy::Requirement;
use crate::principal::Identity;
use crate::tenant::Tenant;

mod memory;

pub use memory::MemoryApprovals;

/// The id of an approval: derived from the run, the message that waits and which request for it
/// this is, so that a replay asks for the same approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApprovalId(pub Uuid);

impl std::fmt::Display for ApprovalId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl ApprovalId {
    /// The id of the request number `count`, from 0, for a message: the first 16 bytes of
    /// `SHA-256("genie/approval/v1" ‖ run ‖ message ‖ count)` marked as `UUIDv8` (RFC 9562).
    #[must_use]
    pub fn derived(run: RunId, message: MessageId, count: u32) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"genie/approval/v1");
        hasher.update(run.0.as_bytes());
        hasher.update(message.0.as_bytes());
        hasher.update(count.to_be_bytes());
        let digest = hasher.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(Uuid::new_v8(bytes))
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// May this message be delivered?
    Message,
    /// Did this effect happen?
    UnknownEffect,
}

/// The status of an approval. All but the first are final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// Nobody, or not enough, have decided.
    Pending,
    /// Enough have approved.
    Approved,
    /// One has rejected.
    Rejected,
    /// The time for a decision has passed.
    Expired,
    /// The run ended before a decision.
    Withdrawn,
    /// Someone has found out about an unknown effect.
    Resolved {
        /// What is to be done about it.
        resolution: Resolution,
        /// What is known of the result, if it happened.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        result: Value,
    },
}

impl Status {
    /// The word for the status, as in its JSON form.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Resolved { .. } => "resolved",
        }
    }

    /// Whether the status will never change again.
    #[must_use]
    pub fn is_final(&self) -> bool {
        *self != Self::Pending
    }
}

/// What became of an effect that nobody knew about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It happened; go on with the result, if one is given.
    Happened,
    /// It did not; the call fails.
    DidNotHappen,
    /// It did not, or once more does no harm: call again.
    Retry,
}

/// What one person says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "choice", rename_all = "snake_case")]
pub enum Choice {
    /// Let it through.
    Approve,
    /// Do not.
    Reject,
    /// This is what became of the effect.
    Resolve {
        /// What became of it.
        resolution: Resolution,
        /// What is known of the result.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        result: Value,
    },
}

/// A decision of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Who.
    pub by: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub choice: Choice,
    /// Why.
    pub reason: Arc<str>,
}

/// What a human is asked, with everything needed to decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// The run that waits.
    pub run_id: RunId,
    /// The message that waits.
    pub message_id: MessageId,
    /// The tenant of the run.
    pub tenant: Arc<str>,
    /// Who asked for the run.
    pub requester: Arc<str>,
    /// What is asked.
    pub subject: Subject,
    /// Who wants to send the message.
    pub from: Arc<str>,
    /// The recipient: an agent, `user`, or `tool:` and the name of a tool.
    pub to: Arc<str>,
    /// The kind of the message.
    pub kind: Arc<str>,
    /// Its payload: the arguments of a tool.
    pub arguments: Value,
    /// SHA-256 over the canonical JSON (RFC 8785) of recipient, kind and arguments.
    pub digest: Hash,
    /// The policy that asks.
    pub policy: Arc<str>,
    /// Its version.
    pub policy_version: Arc<str>,
    /// The version of the policy set in force when it was asked.
    pub policy_set: Arc<str>,
    /// Why it asks.
    pub reason: Arc<str>,
    /// Who may decide, how many, until when.
    pub requirement: Requirement,
    /// When it was asked.
    pub requested_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Where it stands.
    #[serde(flatten)]
    pub status: Status,
    /// What people have said, in order.
    pub decisions: Vec<Decision>,
    /// Counts the changes, from 0: who changes it must name the one before.
    pub revision: u64,
}

/// Why a decision does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has been decided.
    #[error("the approval is {status} already; it can be decided once")]
    Decided {
        /// Its final status.
        status: &'static str,
    },
    /// The time has passed.
    #[error("the approval expired at {at}; ask for the action again")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// The requester may not decide.
    #[error("`{0}` asked for this and may not decide on it; someone else must")]
    Requester(Arc<str>),
    /// The decider has not the role.
    #[error("deciding needs the role `{role}`")]
    Role {
        /// The role.
        role: Arc<str>,
    },
    /// The same person has decided.
    #[error("`{0}` has decided already; {1} more must")]
    Again(Arc<str>, u32),
    /// The choice does not fit what is asked.
    #[error("{0}")]
    Unfit(&'static str),
    /// What is approved is not what waits.
    #[error("the digest is not that of what waits; read the approval again")]
    Digest,
}

impl Approval {
    /// What the digest is over: recipient, kind and arguments, as canonical JSON (RFC 8785).
    ///
    /// # Errors
    /// Arguments with numbers that JSON cannot carry.
    pub fn digest_of(to: &str, kind: &str, arguments: &Value) -> Result<Hash, serde_json::Error> {
        let action = json!({ "to": to, "kind": kind, "arguments": arguments });
        Ok(Hash::of(&serde_json_canonicalizer::to_vec(&action)?))
    }

    /// The approval with one more decision.
    ///
    /// # Errors
    /// [`Refusal`] if the decision does not count; nothing changes then.
    pub fn decide(
        &self,
        by: &Identity,
        choice: Choice,
        reason: &str,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let subject: Arc<str> = by.subject.as_str().into();
        if self.status.is_final() && self.status != Status::Expired {
            return Err(Refusal::Decided { status: self.status.name() });
        }
        if self.status == Status::Expired || now >= self.expires_at {
            return Err(Refusal::Expired { at: self.expires_at });
        }
        if !by.roles.contains(&*self.requirement.role) {
            return Err(Refusal::Role { role: self.requirement.role.clone() });
        }
        if subject == self.requester && !self.requirement.requester_may {
            return Err(Refusal::Requester(subject));
        }
        match (self.subject, &choice) {
            (Subject::Message, Choice::Resolve { .. }) => {
                return Err(Refusal::Unfit("only an unknown effect can be resolved"));
            }
            (Subject::UnknownEffect, Choice::Approve | Choice::Reject) => {
                return Err(Refusal::Unfit(
                    "an unknown effect is resolved as `happened`, `did_not_happen` or `retry`",
                ));
            }
            _ => {}
        }
        let approved =
            self.decisions.iter().filter(|decision| decision.choice == Choice::Approve).count();
        let missing = self.requirement.quorum.saturating_sub(approved as u32);
        if self.decisions.iter().any(|decision| decision.by == subject) {
            return Err(Refusal::Again(subject, missing));
        }
        let mut decided = self.clone();
        decided.status = match &choice {
            Choice::Approve if missing <= 1 => Status::Approved,
            Choice::Approve => Status::Pending,
            Choice::Reject => Status::Rejected,
            Choice::Resolve { resolution, result } => {
                Status::Resolved { resolution: *resolution, result: result.clone() }
            }
        };
        decided.decisions.push(Decision { by: subject, at: now, choice, reason: reason.into() });
        decided.revision += 1;
        Ok(decided)
    }

    /// Refuses to be kept among the things of a tenant whose it is not.
    ///
    /// # Errors
    /// It is of another tenant.
    pub fn check_tenant(&self, tenant: &Tenant) -> Result<(), Error> {
        if *self.tenant == *tenant.as_str() {
            return Ok(());
        }
        Err(Error(format!("the approval is of `{}`, not of `{tenant}`", self.tenant)))
    }

    /// The approval as one that ended without a decision; `None` if it has ended.
    #[must_use]
    pub fn ended(&self, status: Status) -> Option<Self> {
        (!self.status.is_final()).then(|| Self {
            status,
            revision: self.revision + 1,
            ..self.clone()
        })
    }

    /// Whether it is as it is because somebody decided, rather than because it expired or its run
    /// ended.
    #[must_use]
    pub fn was_decided_on(&self) -> bool {
        !matches!(self.status, Status::Expired | Status::Withdrawn)
    }
}

/// Why approvals could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the approval store failed: {0}")]
pub struct Error(pub String);

/// Why a decision was not taken down.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DecideError {
    /// There is no such approval in the decider's tenant.
    #[error("there is no approval `{0}`; `genie approvals list` shows those that wait")]
    NotFound(ApprovalId),
    /// The decision does not count.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The approvals cannot be read or written.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Takes down one person's decision, once, whoever else decides at the same moment.
///
/// `digest` is that of the action as the person has seen it. The caller vouches that `by` was read
/// from a verified credential; they decide in `tenant` if it is theirs.
///
/// # Errors
/// [`DecideError`]; nothing has changed then.
pub async fn decide(
    (store, tenant): (&dyn Approvals, &Tenant),
    by: &Identity,
    id: ApprovalId,
    digest: Option<Hash>,
    (choice, reason): (Choice, &str),
    now: Timestamp,
) -> Result<Approval, DecideError> {
    if by.tenant != tenant.as_str() {
        return Err(DecideError::NotFound(id));
    }
    let mut tried = None;
    loop {
        let approval = store.get(tenant, id).await?.ok_or(DecideError::NotFound(id))?;
        if tried == Some(approval.revision) {
            // Nobody was quicker: its run has ended, and it is to be withdrawn.
            return Err(Refusal::Decided { status: Status::Withdrawn.name() }.into());
        }
        tried = Some(approval.revision);
        if digest.is_some_and(|seen| seen != approval.digest) {
            return Err(Refusal::Digest.into());
        }
        let next = approval.decide(by, choice.clone(), reason, now)?;
        if store.swap(tenant, &next).await? {
            return Ok(next);
        }
        // Someone else was quicker: what counts now is decided on what they left.
    }
}

/// Which approvals to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those of this run.
    pub run_id: Option<RunId>,
    /// Only those with this status word.
    pub status: Option<String>,
    /// Only those after this one, in the order of their requests.
    pub after: Option<ApprovalId>,
    /// At most so many.
    pub limit: usize,
}

/// Where approvals are kept.
#[async_trait]
pub trait Approvals: Send + Sync + 'static {
    /// Keeps a new approval of this tenant; one with the same id stays as it is.
    ///
    /// # Errors
    /// An approval of another tenant, for one.
    async fn put(&self, tenant: &Tenant, approval: &Approval) -> Result<(), Error>;

    /// The approval with this id, if it is of this tenant.
    async fn get(&self, tenant: &Tenant, id: ApprovalId) -> Result<Option<Approval>, Error>;

    /// The tenant's approvals, oldest first.
    async fn list(&self, tenant: &Tenant, filter: &Filter) -> Result<Vec<Approval>, Error>;

    /// Puts `next` in the place of the revision before it; `false` if this tenant no longer has
    /// that, or if it is decided and its run has ended: nobody decides on what no longer waits.
    /// Once the status is final, the run is due.
    async fn swap(&self, tenant: &Tenant, next: &Approval) -> Result<bool, Error>;

    /// Pending ones of ended runs, whoever's they are, at most `max`: for the kernel to withdraw.
    async fn of_ended_runs(&self, max: usize) -> Result<Vec<Approval>, Error>;
}

/// How long an approval waits for a decision, unless its policy says otherwise: a working day is
/// too short over a weekend, a month is forgotten.
pub const EXPIRES_AFTER: Duration = Duration::from_hours(72);
