//! What an agent declares about itself; the registry and the policies read it, nobody else sets it.

use std::any::TypeId;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::label::{Classification, Clearance};
use crate::limits;
use crate::payload::Payload;

/// How much harm an agent can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Computes; nothing leaves.
    #[default]
    Low,
    /// Advises people.
    Medium,
    /// Moves money or data.
    High,
}

/// One declared message kind with the JSON Schema of its payload.
#[derive(Clone)]
pub struct KindSpec {
    name: &'static str,
    shared: Arc<str>,
    writer: TypeId,
    schema: fn() -> Value,
    validator: Arc<OnceLock<Option<jsonschema::Validator>>>,
}

impl KindSpec {
    /// The kind of a typed payload.
    #[must_use]
    pub fn of<T: Payload>() -> Self {
        Self {
            name: T::KIND,
            shared: T::KIND.into(),
            writer: TypeId::of::<T>(),
            schema: schema_of::<T>,
            validator: Arc::new(OnceLock::new()),
        }
    }

    /// The name, e.g. `analysis.result`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The name, shared with every message of the kind.
    pub(crate) fn shared(&self) -> Arc<str> {
        self.shared.clone()
    }

    /// The Rust type whose serialised form follows the schema by construction.
    #[must_use]
    pub fn writer(&self) -> TypeId {
        self.writer
    }

    /// The JSON Schema (2020-12) of the payload.
    #[must_use]
    pub fn schema(&self) -> Value {
        (self.schema)()
    }

    /// Checks a payload against the schema.
    ///
    /// # Errors
    /// The first violation, with the JSON pointer of the offending value.
    pub fn validate(&self, payload: &Value) -> Result<(), String> {
        let validator =
            self.validator.get_or_init(|| jsonschema::validator_for(&self.schema()).ok());
        let Some(validator) = validator else {
            return Err(format!("the schema of `{}` is not usable", self.name));
        };
        validator.validate(payload).map_err(|error| {
            let pointer = error.instance_path().to_string();
            let place = if pointer.is_empty() { "the payload" } else { &pointer };
            format!("{place}: {error}")
        })
    }
}

fn schema_of<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

impl std::fmt::Debug for KindSpec {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

/// What an agent declares about itself.
#[derive(Debug, Clone)]
pub struct AgentSpec {
    /// The unique id, equal to the name of its file, e.g. `forecaster`.
    pub id: &'static str,
    /// What the agent is for, in one sentence.
    pub description: &'static str,
    /// What it can do, for addressing by capability.
    pub capabilities: Vec<&'static str>,
    /// Kinds that start its handler.
    pub accepts: Vec<KindSpec>,
    /// Kinds that it may send.
    pub emits: Vec<KindSpec>,
    /// Kinds that it gathers while its handler runs; they never start the handler.
    pub collects: Vec<KindSpec>,
    /// Tools that it may call.
    pub tools: Vec<&'static str>,
    /// Whether it may call any tool that whoever asked may call.
    pub every_tool: bool,
    /// How much harm it can do.
    pub risk: Risk,
    /// The agent that gets the message if this one fails.
    pub fallback: Option<&'static str>,
    /// What it may be given.
    pub clearance: Clearance,
    /// Roles of which the principal must hold at least one.
    pub roles_any: Vec<&'static str>,
    /// Scopes that the principal must all hold.
    pub scopes_all: Vec<&'static str>,
    /// The purpose that the principal must have consented to.
    pub consent: Option<&'static str>,
    /// Whether it may be called again from below its own call.
    pub reentrant: bool,
    /// Longest time that one handler may take.
    pub handler_deadline: Duration,
    /// Most handlers of this agent at work at once, over all runs.
    pub concurrency_max: usize,
    /// Most restarts of one activation after a panic.
    pub restarts_max: u32,
}

impl AgentSpec {
    /// A spec with the defaults of the limits table, accepting and sending nothing yet.
    #[must_use]
    pub fn new(id: &'static str, description: &'static str) -> Self {
        Self {
            id,
            description,
            capabilities: Vec::new(),
            accepts: Vec::new(),
            emits: Vec::new(),
            collects: Vec::new(),
            tools: Vec::new(),
            every_tool: false,
            risk: Risk::Low,
            fallback: None,
            clearance: Clearance::default(),
            roles_any: Vec::new(),
            scopes_all: Vec::new(),
            consent: None,
            reentrant: false,
            handler_deadline: limits::HANDLER_DEADLINE,
            concurrency_max: limits::HANDLERS_PER_AGENT_MAX,
            restarts_max: limits::RESTARTS_MAX,
        }
    }

    /// Adds a capability that others can address.
    #[must_use]
    pub fn capability(mut self, name: &'static str) -> Self {
        self.capabilities.push(name);
        self
    }

    /// Adds a kind that starts the handler.
    #[must_use]
    pub fn accepts<T: Payload>(mut self) -> Self {
        self.accepts.push(KindSpec::of::<T>());
        self
    }

    /// Adds a kind that the agent may send.
    #[must_use]
    pub fn emits<T: Payload>(mut self) -> Self {
        self.emits.push(KindSpec::of::<T>());
        self
    }

    /// Adds a kind that the handler gathers.
    #[must_use]
    pub fn collects<T: Payload>(mut self) -> Self {
        self.collects.push(KindSpec::of::<T>());
        self
    }

    /// Names a tool that the agent may call.
    #[must_use]
    pub fn uses(mut self, tool: &'static str) -> Self {
        self.tools.push(tool);
        self
    }

    /// Lets the agent call any tool, as the hand of whoever asks: what keeps them from a tool is
    /// what the tool asks of them.
    #[must_use]
    pub fn uses_every_tool(mut self) -> Self {
        self.every_tool = true;
        self
    }

    /// Sets the risk.
    #[must_use]
    pub fn risk(mut self, risk: Risk) -> Self {
        self.risk = risk;
        self
    }

    /// Names the agent that gets the message if this one fails.
    #[must_use]
    pub fn fallback(mut self, agent: &'static str) -> Self {
        self.fallback = Some(agent);
        self
    }

    /// Clears the agent for content up to `ceiling`.
    #[must_use]
    pub fn cleared_for(mut self, ceiling: Classification) -> Self {
        self.clearance.ceiling = ceiling;
        self
    }

    /// Clears the agent for one more category of content.
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

    /// Names the purpose that the principal must have consented to.
    #[must_use]
    pub fn requires_consent(mut self, purpose: &'static str) -> Self {
        self.consent = Some(purpose);
        self
    }

    /// Lets the agent be called again from below its own call, with a fresh private state.
    #[must_use]
    pub fn reentrant(mut self) -> Self {
        self.reentrant = true;
        self
    }

    /// Sets the longest time that one handler may take.
    #[must_use]
    pub fn handler_deadline(mut self, deadline: Duration) -> Self {
        self.handler_deadline = deadline;
        self
    }

    /// Sets how many handlers of this agent may be at work at once.
    #[must_use]
    pub fn concurrency_max(mut self, handlers: usize) -> Self {
        self.concurrency_max = handlers.max(1);
        self
    }

    /// Sets how often one activation is restarted after a panic.
    #[must_use]
    pub fn restarts_max(mut self, restarts: u32) -> Self {
        self.restarts_max = restarts;
        self
    }
}
