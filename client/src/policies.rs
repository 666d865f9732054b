//! Policies: the chain, and what it would say of a message that nobody sends.

use std::collections::BTreeSet;

use genie_core::label::Label;
use genie_core::policy::{Decision, Explained, Redaction, Requirement};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::{Client, Request};
use crate::error::Error;

/// The chain of policies.
#[derive(Debug, Clone, Deserialize)]
pub struct Policies {
    /// The version of the whole.
    pub policy_set: String,
    /// The policies, in the order in which they are asked.
    #[serde(rename = "data")]
    pub policies: Vec<Policy>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Policy {
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// How often it has objected since the server started; only operators are told.
    pub hits: Option<u64>,
}

/// A message that nobody sends. What is left out is as if the caller had sent it over HTTP.
#[derive(Debug, Clone, Serialize)]
pub struct Imagined {
    /// Its kind, such as `question.asked`.
    pub kind: String,
    /// Who is to get it: an agent, `user`, or `tool:` with the name of a tool.
    pub to: String,
    /// Who sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// Who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Asker>,
    /// How sensitive it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// How many messages led to it.
    pub hops: u16,
}

impl Imagined {
    /// A message of this kind to somebody.
    #[must_use]
    pub fn new(kind: &str, to: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            to: to.to_owned(),
            from: None,
            payload: None,
            principal: None,
            label: None,
            hops: 0,
        }
    }
}

/// Somebody of the caller's tenant.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Asker {
    /// Who.
    pub subject: String,
    /// Their roles.
    pub roles: BTreeSet<String>,
    /// What they ask for.
    pub scopes: BTreeSet<String>,
    /// What they have consented to.
    pub consents: BTreeSet<String>,
}

/// What the chain would say.
#[derive(Debug, Clone, Deserialize)]
pub struct Evaluation {
    /// What becomes of the message.
    pub decision: Decision,
    /// The policy that says so.
    pub policy: String,
    /// That policy's version.
    pub policy_version: String,
    /// Why.
    pub reason: String,
    /// What is replaced in it.
    pub redactions: Vec<Redaction>,
    /// What an approval would take.
    pub approval: Option<Requirement>,
    /// The version of the whole chain.
    pub policy_set: String,
    /// What each policy says, in order.
    pub steps: Vec<Explained>,
}

impl Client {
    /// The policies in force.
    ///
    /// # Errors
    /// A server that says no, or is not reached.
    pub async fn policies(&self) -> Result<Policies, Error> {
        self.json(Request::get(&["v1", "policies"])).await
    }

    /// What the policies would say of a message; nothing is recorded, counted or sent.
    ///
    /// # Errors
    /// [`Error::Problem`] with `invalid` for a message that nobody could get.
    pub async fn evaluate(&self, message: &Imagined) -> Result<Evaluation, Error> {
        let body = json!(message);
        let request = Request::post(&["v1", "policies", "evaluate"], Some(&body));
        self.json(request.repeatable()).await
    }
}
