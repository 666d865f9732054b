//! Rules without code: TOML files with conditions in CEL, one policy per rule.
//!
//! This module owns a loaded rule and how it judges a message. A file is read and checked in
//! `parse.rs` and `typing.rs`, which know every field, function and operator, so that a slip is an
//! error with a line at load time and never a rule that silently does not bite.
//!
//! ```toml
//! [[rule]]
//! id = "large-payment"
//! description = "A payment above one lakh rupees needs a human."
//! kinds = ["payment.request"]          # optional; a rule without kinds is run on every message
//! when = "has(message.payload.amount_minor) && message.payload.amount_minor > 10000000"
//! decision = "require_approval"        # or "deny", or "redact" with fields = ["/note"]
//! approver_role = "treasurer"          # optional, as the next three: "approver" otherwise
//! quorum = 2                           # 1 otherwise
//! expires = "24h"                      # "72h" otherwise
//! requester_may_approve = false
//! reason = "the payment is above one lakh rupees"
//! ```
//!
//! A condition sees `message.kind`, `.from`, `.to`, `.payload`, `.bytes`, `.hops`,
//! `.label.classification|categories|regions` and
//! `.principal.tenant|subject|roles|scopes|consents`. The payload has no fixed shape: test an
//! optional field with `has(…)` first. A condition that fails when it is run denies, naming the
//! rule.

mod approval;
mod context;
mod parse;
mod schema;
mod typing;

use std::fmt;
use std::sync::Arc;

use cel::{Env, Program, Value};
use genie_core::message::Message;
use genie_core::policy::{Decision, Facts, Judgement, Policy, PolicyError, Redaction, Requirement};
use serde::Serialize;

use crate::payload;

pub(crate) use parse::{content_version, line_at, toml_problem};
pub use schema::nearest;

/// What the id of every rule begins with, so that a rule is told from a built-in check.
pub const ID_PREFIX: &str = "rule/";

/// Something wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Problem {
    /// The name of the file as it was given.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What might be meant.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A checked file of rules.
#[derive(Debug)]
pub struct RuleFile {
    name: String,
    version: String,
    rules: Vec<Arc<Rule>>,
}

impl RuleFile {
    /// Reads and checks the text of a file; `name` is used in messages only.
    ///
    /// # Errors
    /// Everything that is wrong with the file, in order of lines; at least one problem.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        parse::file(name, text)
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first twelve hex digits of the SHA-256 of the file.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The rules in the order of the file.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }
}

/// What a rule does with a message that meets its condition.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Deny,
    RequireApproval(Requirement),
    /// Replace these fields (JSON pointers), as far as they are there.
    Redact(Vec<String>),
}

/// One rule, ready to judge.
pub struct Rule {
    id: String,
    version: String,
    description: String,
    line: usize,
    kinds: Vec<String>,
    program: Program,
    parts: context::Parts,
    action: Action,
    reason: String,
    env: Arc<Env>,
}

impl Rule {
    /// The id as the file has it, without [`ID_PREFIX`].
    pub fn name(&self) -> &str {
        &self.id[ID_PREFIX.len()..]
    }

    /// Where the rule begins in its file, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The kinds that it is run on; empty for all.
    pub fn kinds(&self) -> &[String] {
        &self.kinds
    }

    /// What it decides when its condition is met.
    pub fn decision(&self) -> Decision {
        match self.action {
            Action::Deny => Decision::Deny,
            Action::RequireApproval(_) => Decision::RequireApproval,
            Action::Redact(_) => Decision::Redact,
        }
    }

    /// What the approval needs that it asks for, if it asks for one.
    pub fn requirement(&self) -> Option<&Requirement> {
        match &self.action {
            Action::RequireApproval(requirement) => Some(requirement),
            Action::Deny | Action::Redact(_) => None,
        }
    }

    fn concerns(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|own| own == kind)
    }

    /// The judgement on a message that meets the condition.
    fn judgement(&self, message: &Message) -> Result<Judgement, PolicyError> {
        let reason = self.reason.clone();
        let fields = match &self.action {
            Action::Deny => return Ok(Judgement::Deny { reason }),
            Action::RequireApproval(requirement) => {
                let requirement = requirement.clone();
                return Ok(Judgement::RequireApproval { reason, requirement });
            }
            Action::Redact(fields) => fields,
        };
        let payload = payload::value(message)?;
        let redactions: Vec<Redaction> = fields
            .iter()
            .filter(|pointer| payload.pointer(pointer).is_some())
            .map(|pointer| Redaction {
                pointer: pointer.clone(),
                range: None,
                what: self.name().to_owned(),
            })
            .collect();
        if redactions.is_empty() {
            return Ok(Judgement::Allow);
        }
        Ok(Judgement::Redact { redactions, reason })
    }
}

impl Policy for Rule {
    fn id(&self) -> &str {
        &self.id
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn describe(&self) -> &str {
        &self.description
    }

    /// A condition that looks into what is not known fails, unless the rest of it decides.
    fn may_hold(&self, message: &Message, facts: &Facts<'_>) -> bool {
        self.requirement().is_some()
            && !matches!(self.evaluate(message, facts), Ok(Judgement::Allow))
    }

    fn evaluate(&self, message: &Message, _: &Facts<'_>) -> Result<Judgement, PolicyError> {
        if !self.concerns(message.kind()) {
            return Ok(Judgement::Allow);
        }
        let name = self.name();
        match context::with(message, self.parts, &self.env, |context| {
            self.program.execute(context)
        })? {
            Ok(Value::Bool(true)) => self.judgement(message),
            Ok(Value::Bool(false)) => Ok(Judgement::Allow),
            Ok(_) => Err(PolicyError(format!("rule `{name}` gave no boolean"))),
            Err(error) => Err(PolicyError(format!(
                "rule `{name}` could not be evaluated: {error}; test optional fields with `has(…)`"
            ))),
        }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Rule").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
