//! Agents: what each takes and sends, and how it is doing.

use std::collections::BTreeMap;

use genie_core::label::Clearance;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Client, Request};
use crate::error::Error;

/// The agents of a server.
#[derive(Debug, Clone, Deserialize)]
pub struct Agents {
    /// The agents, in the order in which they are registered.
    #[serde(rename = "data")]
    pub agents: Vec<Agent>,
    /// The JSON Schema of every kind that one of them takes or sends.
    #[serde(default)]
    pub kinds: BTreeMap<String, Value>,
}

/// An agent.
#[derive(Debug, Clone, Deserialize)]
pub struct Agent {
    /// Its name.
    pub id: String,
    /// What it does.
    pub description: String,
    /// What it can be asked for in place of its name.
    pub capabilities: Vec<String>,
    /// The kinds that it takes.
    pub accepts: Vec<String>,
    /// The kinds that it sends.
    pub emits: Vec<String>,
    /// The kinds that it gathers.
    pub collects: Vec<String>,
    /// How much harm it could do.
    pub risk: Value,
    /// The agent that stands in for it.
    pub fallback: Option<String>,
    /// What it may be given.
    pub clearance: Clearance,
    /// What whoever asks must have.
    pub requires: Needs,
    /// Whether it may be asked by whoever waits for it.
    pub reentrant: bool,
    /// Longest time of a handler in milliseconds.
    pub handler_deadline_ms: u64,
    /// Most handlers at work at once.
    pub concurrency_max: u64,
    /// Most restarts after a panic.
    pub restarts_max: u64,
    /// How it is doing; only operators are told.
    pub health: Option<Health>,
}

/// What whoever asks must have.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Needs {
    /// One of these roles.
    pub roles_any: Vec<String>,
    /// All of these scopes.
    pub scopes_all: Vec<String>,
    /// The consent to this purpose.
    pub consent: Option<String>,
}

/// How an agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Health {
    /// Messages handled.
    pub handled: u64,
    /// Of those, how many failed.
    pub failed: u64,
    /// Restarts after a panic.
    pub restarts: u64,
    /// Messages that wait.
    pub queued: u64,
    /// Time at work, in microseconds.
    pub busy_us: u64,
}

impl Client {
    /// All agents.
    ///
    /// # Errors
    /// A server that says no, or is not reached.
    pub async fn agents(&self) -> Result<Agents, Error> {
        self.json(Request::get(&["v1", "agents"])).await
    }

    /// One agent.
    ///
    /// # Errors
    /// [`Error::Problem`] with `not_found` if there is none.
    pub async fn agent(&self, id: &str) -> Result<Agent, Error> {
        self.json(Request::get(&["v1", "agents", id])).await
    }
}
