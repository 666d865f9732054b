//! The contract of a tool: what an agent calls to reach the world outside.
//!
//! A tool declares what a repetition would do; the effect ledger goes by that after a crash.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::async_trait;
use crate::ids::RunId;
use crate::label::{Classification, Clearance};
use crate::payload::Payload;
use crate::policy::Recipient;
use crate::registry::Error;
use crate::tenant::Tenant;

/// What goes before a tool's name in an address.
pub const ADDRESS: &str = "tool:";

/// The kind of a request to call a tool: for the rights to tools to judge, not for those to agents.
pub const REQUEST: &str = "tool.request";

/// What a call does to the world, and so what a repetition would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effects {
    /// Nothing: it may be called again at will.
    None,
    /// The same key does the same thing once, however often it is called.
    Idempotent,
    /// Each call does it: it is never repeated unless a human says so.
    Once,
}

/// A tool call, as policy, humans and the journal see it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ToolCall {
    /// The tool.
    pub tool: String,
    /// What the tool says of its effects.
    pub effects: Effects,
    /// The arguments, following the tool's schema.
    pub arguments: Value,
}

impl Payload for ToolCall {
    const KIND: &'static str = "tool.call";
}

/// What a tool gave.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ToolResult {
    /// The tool.
    pub tool: String,
    /// What it gave.
    pub output: Value,
}

impl Payload for ToolResult {
    const KIND: &'static str = "tool.result";
}

/// What a tool declares about itself.
#[derive(Debug, Clone)]
pub struct ToolSpec {
    /// The unique name, dotted lower case, e.g. `payment.transfer`.
    pub name: &'static str,
    /// What the tool does, in one sentence.
    pub description: &'static str,
    /// The JSON Schema (2020-12) of its arguments.
    pub schema: fn() -> Value,
    /// What a call does to the world.
    pub effects: Effects,
    /// What it may be given.
    pub clearance: Clearance,
    /// Roles of which the principal must hold at least one.
    pub roles_any: Vec<&'static str>,
    /// Scopes that the principal must all hold.
    pub scopes_all: Vec<&'static str>,
    /// Longest time that one attempt may take.
    pub deadline: Duration,
}

impl ToolSpec {
    /// A tool whose arguments are read as `T`; its effects are `once` until it says otherwise.
    #[must_use]
    pub fn new<T: JsonSchema + DeserializeOwned>(
        name: &'static str,
        description: &'static str,
    ) -> Self {
        Self {
            name,
            description,
            schema: || schemars::schema_for!(T).to_value(),
            effects: Effects::Once,
            clearance: Clearance::default(),
            roles_any: Vec::new(),
            scopes_all: Vec::new(),
            deadline: crate::limits::TOOL_DEADLINE,
        }
    }

    /// Says what a call does to the world.
    #[must_use]
    pub fn effects(mut self, effects: Effects) -> Self {
        self.effects = effects;
        self
    }

    /// Clears the tool for content up to `ceiling`.
    #[must_use]
    pub fn cleared_for(mut self, ceiling: Classification) -> Self {
        self.clearance.ceiling = ceiling;
        self
    }

    /// Clears the tool for one more category of content.
    #[must_use]
    pub fn cleared_for_category(mut self, category: &'static str) -> Self {
        self.clearance.categories.insert(category.to_owned());
        self
    }

    /// Adds a role; the principal must hold at least one of those added.
    #[must_use]
    pub fn requires_role(mut self, role: &'static str) -> Self {
        self.roles_any.push(role);
        self
    }

    /// Adds a scope; the principal must hold all of those added.
    #[must_use]
    pub fn requires_scope(mut self, scope: &'static str) -> Self {
        self.scopes_all.push(scope);
        self
    }

    /// Sets the longest time that one attempt may take.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

/// One attempt at a call.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The arguments; they follow the schema.
    pub arguments: &'a Value,
    /// The same for every attempt at this call: hand it on to whatever can refuse a repetition.
    pub idempotency_key: &'a str,
    /// The run.
    pub run_id: RunId,
    /// The tenant of whoever asked for the run.
    pub tenant: &'a Tenant,
    /// Whoever asked for it.
    pub subject: &'a str,
}

impl Attempt<'_> {
    /// The arguments as `T`.
    ///
    /// # Errors
    /// [`ToolError::Failed`] if the schema lets through what `T` does not take.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ToolError> {
        T::deserialize(self.arguments).map_err(|error| ToolError::Failed(error.to_string()))
    }
}

/// Why a tool gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ToolError {
    /// It did not happen, for certain.
    #[error("{0}")]
    Failed(String),
    /// It may or may not have happened: a lost connection, an answer that cannot be read.
    #[error("{0}")]
    Unknown(String),
}

/// Something that reaches the world outside.
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// What the tool is. Asked once, at registration.
    fn spec(&self) -> ToolSpec;

    /// Makes one attempt.
    ///
    /// # Errors
    /// [`ToolError`] says whether it may have happened.
    async fn call(&self, attempt: Attempt<'_>) -> Result<Value, ToolError>;
}

/// One registered tool.
pub(crate) struct Entry {
    pub(crate) tool: Arc<dyn Tool>,
    pub(crate) spec: ToolSpec,
    pub(crate) address: Arc<str>,
    pub(crate) recipient: Recipient,
    validator: OnceLock<Option<jsonschema::Validator>>,
}

impl Entry {
    /// Checks arguments against the schema.
    pub(crate) fn validate(&self, arguments: &Value) -> Result<(), String> {
        let compiled = || jsonschema::validator_for(&(self.spec.schema)()).ok();
        let Some(validator) = self.validator.get_or_init(compiled) else {
            return Err("its schema is not usable".to_owned());
        };
        validator.validate(arguments).map_err(|error| {
            let pointer = error.instance_path().to_string();
            let place = if pointer.is_empty() { "the arguments" } else { &pointer };
            format!("{place}: {error}")
        })
    }
}

/// The registered tools.
#[derive(Default)]
pub struct Tools {
    entries: Vec<Entry>,
    by_name: HashMap<&'static str, usize>,
}

impl Tools {
    /// Registers these tools.
    ///
    /// # Errors
    /// A name that is taken or is not a name.
    pub fn new(tools: &[Arc<dyn Tool>]) -> Result<Self, Error> {
        let mut registered = Self::default();
        for tool in tools {
            let spec = tool.spec();
            let well_formed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.');
            if spec.name.is_empty() || !spec.name.bytes().all(well_formed) {
                return Err(Error::BadTool(spec.name.to_owned()));
            }
            if registered.by_name.insert(spec.name, registered.entries.len()).is_some() {
                return Err(Error::TakenTool(spec.name.to_owned()));
            }
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            registered.entries.push(Entry {
                tool: tool.clone(),
                address: format!("{ADDRESS}{}", spec.name).into(),
                recipient: Recipient {
                    clearance: spec.clearance.clone(),
                    roles_any: owned(&spec.roles_any),
                    scopes_all: owned(&spec.scopes_all),
                    consent: None,
                },
                validator: OnceLock::new(),
                spec,
            });
        }
        Ok(registered)
    }

    /// The specs, in the order of registration.
    pub fn specs(&self) -> impl Iterator<Item = &ToolSpec> {
        self.entries.iter().map(|entry| &entry.spec)
    }

    pub(crate) fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    pub(crate) fn resolve(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}
