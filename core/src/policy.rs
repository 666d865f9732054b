//! Policies, verdicts and the chain that combines them: the strictest wins.
//!
//! A policy is a pure function of a message and the facts around it: no clock, no I/O, so that a
//! replay of the journal arrives at the same verdict. A policy that errors or panics denies.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::Denied;
use crate::label::Clearance;
use crate::message::Message;
use crate::spec::KindSpec;

/// What a policy decides, from the most lenient to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Deliver as it is.
    Allow,
    /// Deliver with fields replaced.
    Redact,
    /// Park until a human has approved it.
    RequireApproval,
    /// Do not deliver.
    Deny,
}

/// One replacement in a string of the payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redaction {
    /// The string, as a JSON pointer (RFC 6901), e.g. `/question`.
    pub pointer: String,
    /// The bytes to replace within the decoded string, as `[start, end)`; `None` replaces all.
    pub range: Option<(u32, u32)>,
    /// What was found there, e.g. `card`; the text becomes `[redacted:card]`.
    pub what: String,
}

/// Who may approve a message, how many must, and for how long it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The role that whoever decides must hold.
    pub role: Arc<str>,
    /// How many must approve; one rejection is enough.
    pub quorum: u32,
    /// How long it waits, in milliseconds.
    pub expires_ms: u64,
    /// Whether whoever asked may decide too.
    pub requester_may: bool,
}

impl Default for Requirement {
    fn default() -> Self {
        let expires_ms = crate::approval::EXPIRES_AFTER.as_millis();
        Self {
            role: "approver".into(),
            quorum: 1,
            expires_ms: u64::try_from(expires_ms).unwrap_or(u64::MAX),
            requester_may: false,
        }
    }
}

impl Requirement {
    /// What satisfies both, as far as one approval can: the role of this one, the larger quorum,
    /// the shorter wait, and the requester only if both let them.
    fn and(mut self, other: &Self) -> Self {
        self.quorum = self.quorum.max(other.quorum);
        self.expires_ms = self.expires_ms.min(other.expires_ms);
        self.requester_may &= other.requester_may;
        self
    }
}

/// What one policy says of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// No objection.
    Allow,
    /// Deliver with these replacements.
    Redact {
        /// What to replace.
        redactions: Vec<Redaction>,
        /// Why, in a clause without the personal data itself.
        reason: String,
    },
    /// Deliver only after a human has approved.
    RequireApproval {
        /// Why.
        reason: String,
        /// Who may decide, how many, until when.
        requirement: Requirement,
    },
    /// Do not deliver.
    Deny {
        /// Why, in a clause that tells the sender what to change.
        reason: String,
    },
}

impl Judgement {
    /// A denial.
    #[must_use]
    pub fn deny(reason: impl Into<String>) -> Self {
        Self::Deny { reason: reason.into() }
    }

    /// The decision without its reason.
    #[must_use]
    pub fn decision(&self) -> Decision {
        match self {
            Self::Allow => Decision::Allow,
            Self::Redact { .. } => Decision::Redact,
            Self::RequireApproval { .. } => Decision::RequireApproval,
            Self::Deny { .. } => Decision::Deny,
        }
    }
}

/// A policy that could not decide; the chain denies.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(pub String);

/// What is known about the recipient of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// What it may be given.
    pub clearance: Clearance,
    /// Roles of which the principal must hold at least one; empty means any principal.
    pub roles_any: Vec<String>,
    /// Scopes that the principal must all hold.
    pub scopes_all: Vec<String>,
    /// The purpose that the principal must have consented to.
    pub consent: Option<String>,
}

/// What a policy may know besides the message.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The recipient.
    pub recipient: &'a Recipient,
    /// The declared kind; `None` if nobody declared it.
    pub kind: Option<&'a KindSpec>,
    /// The tenant that the run belongs to.
    pub run_tenant: &'a str,
    /// The region in which this installation processes, e.g. `in`.
    pub home_region: &'a str,
    /// Most bytes of a payload.
    pub message_bytes_max: usize,
    /// Most hops of a run.
    pub hops_max: u16,
}

/// One rule about messages.
pub trait Policy: Send + Sync + 'static {
    /// The stable id, e.g. `message-size`.
    fn id(&self) -> &str;

    /// The version: changes whenever the policy may decide differently.
    fn version(&self) -> &str;

    /// What the policy is for, in one sentence.
    fn describe(&self) -> &str;

    /// Judges one message on its way to one recipient.
    fn evaluate(&self, message: &Message, facts: &Facts<'_>) -> Result<Judgement, PolicyError>;

    /// Whether it could want a human's approval of such a message, of which what is `null` in the
    /// payload is not known yet.
    fn may_hold(&self, message: &Message, facts: &Facts<'_>) -> bool {
        matches!(self.evaluate(message, facts), Ok(Judgement::RequireApproval { .. }))
    }

    /// The label categories that this content deserves; asked once, when content is stored.
    fn inspect(&self, _content: &str) -> Vec<&'static str> {
        Vec::new()
    }
}

/// The chain's answer for one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The strictest decision of the chain.
    pub decision: Decision,
    /// The first policy that decided so; `chain` when all allow.
    pub policy: Arc<str>,
    /// That policy's version; the version of the whole set when all allow.
    pub policy_version: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// The replacements that every redacting policy asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redactions: Vec<Redaction>,
    /// What an approval needs, if one is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirement: Option<Requirement>,
}

impl Verdict {
    /// The refusal that this verdict is, if it is one.
    #[must_use]
    pub fn denied(&self) -> Option<Denied> {
        (self.decision == Decision::Deny).then(|| Denied {
            policy: self.policy.clone(),
            policy_version: self.policy_version.clone(),
            reason: self.reason.clone(),
        })
    }
}

/// What one policy of the chain said, for an explanation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explained {
    /// The policy.
    pub policy: String,
    /// Its version.
    pub version: String,
    /// Its decision.
    pub decision: Decision,
    /// Its reason; empty if it allows.
    pub reason: String,
}

/// What a chain would say of a message, as a whole and one by one.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The verdict.
    pub verdict: Arc<Verdict>,
    /// What each policy says, in order.
    pub steps: Vec<Explained>,
    /// Whether one could want a human's approval, once what is `null` in the payload is known.
    pub may_hold: bool,
}

/// A chain without policies would allow everything, so there is none.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a policy set needs at least one policy; load the built-in baseline")]
pub struct EmptySet;

struct Link {
    policy: Arc<dyn Policy>,
    id: Arc<str>,
    version: Arc<str>,
    hits: AtomicU64,
}

/// The policies in force, in order, with the version of the whole.
pub struct PolicySet {
    links: Vec<Link>,
    version: Arc<str>,
    allow: Arc<Verdict>,
}

impl PolicySet {
    /// A chain of these policies, in this order.
    ///
    /// # Errors
    /// [`EmptySet`] if there are none.
    pub fn new(policies: Vec<Arc<dyn Policy>>) -> Result<Self, EmptySet> {
        if policies.is_empty() {
            return Err(EmptySet);
        }
        let mut hasher = Sha256::new();
        for policy in &policies {
            hasher.update(policy.id());
            hasher.update(b"\0");
            hasher.update(policy.version());
            hasher.update(b"\0");
        }
        let version: Arc<str> = hex_prefix(&hasher.finalize()).into();
        let allow = Arc::new(Verdict {
            decision: Decision::Allow,
            policy: "chain".into(),
            policy_version: version.clone(),
            reason: "all policies allow".into(),
            redactions: Vec::new(),
            requirement: None,
        });
        let links = policies
            .into_iter()
            .map(|policy| Link {
                id: policy.id().into(),
                version: policy.version().into(),
                policy,
                hits: AtomicU64::new(0),
            })
            .collect();
        Ok(Self { links, version, allow })
    }

    /// Twelve hex digits over the ids and versions of all policies, in order.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Id, version, description and number of non-allowing decisions of each policy, in order.
    pub fn list(&self) -> impl Iterator<Item = (&str, &str, &str, u64)> {
        self.links.iter().map(|link| {
            (&*link.id, &*link.version, link.policy.describe(), link.hits.load(Ordering::Relaxed))
        })
    }

    /// The verdict on one message: every policy is asked, the strictest decision wins, and among
    /// equals the first.
    #[must_use]
    pub fn evaluate(&self, message: &Message, facts: &Facts<'_>) -> Arc<Verdict> {
        self.combined(message, facts, |link| {
            link.hits.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// The verdict that a message would get; no policy counts it.
    #[must_use]
    pub fn preview(&self, message: &Message, facts: &Facts<'_>) -> Arc<Verdict> {
        self.combined(message, facts, |_| {})
    }

    fn combined(
        &self,
        message: &Message,
        facts: &Facts<'_>,
        objected: impl Fn(&Link),
    ) -> Arc<Verdict> {
        let mut strictest: Option<(usize, Judgement)> = None;
        let mut redactions = Vec::new();
        let mut requirement: Option<Requirement> = None;
        for (index, link) in self.links.iter().enumerate() {
            let mut judgement = link.judge(message, facts);
            if judgement == Judgement::Allow {
                continue;
            }
            objected(link);
            if let Judgement::Redact { redactions: asked, .. } = &mut judgement {
                redactions.append(asked);
            }
            if let Judgement::RequireApproval { requirement: asked, .. } = &judgement {
                requirement = Some(match requirement {
                    Some(held) => held.and(asked),
                    None => asked.clone(),
                });
            }
            if strictest.as_ref().is_none_or(|(_, held)| judgement.decision() > held.decision()) {
                strictest = Some((index, judgement));
            }
        }
        match strictest {
            None => self.allow.clone(),
            Some((index, judgement)) => {
                let mut verdict = self.links[index].verdict(judgement, redactions);
                if verdict.decision == Decision::RequireApproval {
                    verdict.requirement = requirement;
                }
                Arc::new(verdict)
            }
        }
    }

    /// What every policy says of a message, in order.
    #[must_use]
    pub fn explain(&self, message: &Message, facts: &Facts<'_>) -> Vec<Explained> {
        let explained = |link: &Link| {
            let judgement = link.judge(message, facts);
            Explained {
                policy: link.id.to_string(),
                version: link.version.to_string(),
                decision: judgement.decision(),
                reason: reason_of(judgement),
            }
        };
        self.links.iter().map(explained).collect()
    }

    /// Whether a policy could want a human's approval of such a message; one that panics denies.
    #[must_use]
    pub fn may_hold(&self, message: &Message, facts: &Facts<'_>) -> bool {
        let may_hold = |link: &Link| link.policy.may_hold(message, facts);
        let holds = |link| catch_unwind(AssertUnwindSafe(|| may_hold(link))).unwrap_or(false);
        self.links.iter().any(holds)
    }

    /// The label categories that the policies find in content that is about to be stored.
    ///
    /// # Errors
    /// A policy that panics denies, as it does for a message.
    pub fn inspect(&self, content: &str) -> Result<Vec<&'static str>, Denied> {
        let mut categories = Vec::new();
        for link in &self.links {
            match catch_unwind(AssertUnwindSafe(|| link.policy.inspect(content))) {
                Ok(found) => categories.extend(found),
                Err(panic) => {
                    let reason = format!("the policy crashed: {}", panic_text(panic.as_ref()));
                    return Err(Denied {
                        policy: link.id.clone(),
                        policy_version: link.version.clone(),
                        reason: reason.into(),
                    });
                }
            }
        }
        Ok(categories)
    }
}

impl std::fmt::Debug for PolicySet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PolicySet").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Link {
    /// The policy's judgement; an error or a panic inside it is a denial.
    fn judge(&self, message: &Message, facts: &Facts<'_>) -> Judgement {
        match catch_unwind(AssertUnwindSafe(|| self.policy.evaluate(message, facts))) {
            Ok(Ok(judgement)) => judgement,
            Ok(Err(error)) => Judgement::deny(format!("the policy could not decide: {error}")),
            Err(panic) => {
                Judgement::deny(format!("the policy crashed: {}", panic_text(panic.as_ref())))
            }
        }
    }

    fn verdict(&self, judgement: Judgement, redactions: Vec<Redaction>) -> Verdict {
        Verdict {
            decision: judgement.decision(),
            policy: self.id.clone(),
            policy_version: self.version.clone(),
            reason: reason_of(judgement).into(),
            redactions,
            requirement: None,
        }
    }
}

fn reason_of(judgement: Judgement) -> String {
    match judgement {
        Judgement::Allow => String::new(),
        Judgement::Redact { reason, .. }
        | Judgement::RequireApproval { reason, .. }
        | Judgement::Deny { reason } => reason,
    }
}

/// The text of a caught panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "panicked without a message".to_owned())
}

/// The first twelve hex digits of a digest: enough to tell versions apart.
fn hex_prefix(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest.iter().take(6).fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
