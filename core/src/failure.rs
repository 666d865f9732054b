//! Why something did not happen, as a value that travels back to whoever asked.
//!
//! No denial, error or lost recipient ever surfaces as a timeout: each is one of these, at once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A refusal by policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("policy `{policy}` denies it: {reason}")]
pub struct Denied {
    /// The policy whose verdict was the strictest.
    pub policy: Arc<str>,
    /// The version of that policy.
    pub policy_version: Arc<str>,
    /// What it objected to.
    pub reason: Arc<str>,
}

/// A typed failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Failure {
    /// A policy refused the message.
    #[error("{0}")]
    Denied(Denied),
    /// A human was asked to approve the message and did not.
    #[error("`{by}` rejected it: {reason}")]
    Rejected {
        /// The policy that asked for the approval.
        policy: Arc<str>,
        /// That policy's version.
        policy_version: Arc<str>,
        /// Who rejected it.
        by: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
    /// Nobody decided in time.
    #[error("nobody approved it within {expires_ms} ms, as policy `{policy}` requires")]
    ApprovalExpired {
        /// The policy that asked for the approval.
        policy: Arc<str>,
        /// How long it waited in milliseconds.
        expires_ms: u64,
    },
    /// The arguments of a tool do not follow its schema.
    #[error("the tool `{tool}` cannot be called so: {reason}")]
    BadArguments {
        /// The tool.
        tool: Arc<str>,
        /// What is wrong with them.
        reason: String,
    },
    /// The tool did not do it.
    #[error("the tool `{tool}` failed: {reason}")]
    Tool {
        /// The tool.
        tool: Arc<str>,
        /// What it said.
        reason: String,
    },
    /// A budget of whoever asked has too little left for the call.
    #[error(
        "the tool `{tool}` costs {price_minor}, and the budget of the credential has {left_minor} \
         left (minor units)"
    )]
    BudgetExhausted {
        /// The tool.
        tool: Arc<str>,
        /// What the call costs.
        price_minor: u64,
        /// What is left.
        left_minor: u64,
    },
    /// The handler does not do again what it did before its process stopped.
    #[error(
        "agent `{agent}` is not deterministic: at step {step} it did `{recorded}` before and asks \
         for `{asked}` now; make what it does depend on its messages and its context only"
    )]
    Nondeterministic {
        /// The agent.
        agent: Arc<str>,
        /// The number of the step.
        step: u32,
        /// What is recorded of the step.
        recorded: String,
        /// What the handler asks for.
        asked: String,
    },
    /// The agent's handler returned an error.
    #[error("agent `{agent}` failed: {reason}")]
    Failed {
        /// The agent.
        agent: Arc<str>,
        /// What it said.
        reason: String,
    },
    /// The agent's handler panicked, also after its restarts.
    #[error("agent `{agent}` crashed: {reason}")]
    Panicked {
        /// The agent.
        agent: Arc<str>,
        /// The panic message.
        reason: String,
    },
    /// The handler did not finish within its deadline.
    #[error("agent `{agent}` did not finish within {deadline_ms} ms")]
    HandlerDeadline {
        /// The agent.
        agent: Arc<str>,
        /// The deadline in milliseconds.
        deadline_ms: u64,
    },
    /// Nobody is registered under the address, capability or kind.
    #[error("nobody receives `{to}`; `genie agents` lists who is registered")]
    NoRecipient {
        /// The address, capability or kind.
        to: String,
    },
    /// The call would come back to an agent that waits for it.
    #[error("the call is a cycle: {path}")]
    Cycle {
        /// The agents in the order of their calls, e.g. `a → b → a`.
        path: String,
    },
    /// The agent finished without answering the call.
    #[error("agent `{agent}` finished without a reply")]
    NoReply {
        /// The agent.
        agent: Arc<str>,
    },
    /// A bound of the installation was reached.
    #[error("the limit `{limit}` of {value} is reached")]
    Limit {
        /// The name of the bound, as in the limits table.
        limit: String,
        /// Its value, in the unit that the name ends with.
        value: u64,
    },
    /// A payload could not be written or read.
    #[error("{reason}")]
    Payload {
        /// What is wrong with it.
        reason: String,
    },
    /// A gather closed before it had what it needs.
    #[error("the gather is incomplete: {reason}")]
    Incomplete {
        /// Which legs are missing and why.
        reason: String,
    },
    /// The journal cannot be written, so nothing may go on.
    #[error("the journal cannot be written: {reason}")]
    Journal {
        /// What the store said.
        reason: String,
    },
    /// The run had not ended when its records were erased, so that nobody can go on with it.
    #[error("its records were erased with the data of whoever asked for it")]
    Erased,
    /// The run has ended meanwhile.
    #[error("the run has ended")]
    RunEnded,
}

impl Failure {
    /// The stable code of the failure, as in its JSON form.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Rejected { .. } => "rejected",
            Self::ApprovalExpired { .. } => "approval_expired",
            Self::BadArguments { .. } => "bad_arguments",
            Self::Tool { .. } => "tool",
            Self::BudgetExhausted { .. } => "budget_exhausted",
            Self::Nondeterministic { .. } => "nondeterministic",
            Self::Failed { .. } => "failed",
            Self::Panicked { .. } => "panicked",
            Self::HandlerDeadline { .. } => "handler_deadline",
            Self::NoRecipient { .. } => "no_recipient",
            Self::Cycle { .. } => "cycle",
            Self::NoReply { .. } => "no_reply",
            Self::Limit { .. } => "limit",
            Self::Payload { .. } => "payload",
            Self::Incomplete { .. } => "incomplete",
            Self::Journal { .. } => "journal",
            Self::Erased => "erased",
            Self::RunEnded => "run_ended",
        }
    }
}

impl From<crate::payload::Error> for Failure {
    fn from(error: crate::payload::Error) -> Self {
        Self::Payload { reason: error.to_string() }
    }
}
