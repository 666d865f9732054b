//! Tools: which there are, and calling one.

use genie_core::ids::RunId;
use genie_core::tool::Effects;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ask::Halt;
use crate::client::{Client, Request};
use crate::error::Error;
use crate::page::Page;

/// A tool that this token may call.
#[derive(Debug, Clone, Deserialize)]
pub struct Tool {
    /// What it is called and takes, as `OpenAI` defines a function.
    pub function: Function,
    /// What a call does to the world.
    pub effects: Effects,
    /// Whether a human must approve a call, unless a rule says otherwise.
    pub requires_approval: bool,
}

/// What a tool is called and takes.
#[derive(Debug, Clone, Deserialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub parameters: Value,
}

/// A call.
#[derive(Debug, Clone, Serialize)]
pub struct ToolCall {
    /// What the caller calls this call.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// Its arguments, an object.
    pub arguments: Value,
}

/// What a tool gave.
#[derive(Debug, Clone, Deserialize)]
pub struct ToolAnswer {
    /// The id of the call.
    pub tool_call_id: String,
    /// What it gave.
    pub output: Value,
    /// How long it took, in milliseconds, rounded up.
    pub duration_ms: u64,
    /// The run that the call was.
    pub run_id: RunId,
}

impl Client {
    /// The tools that this token may call.
    ///
    /// # Errors
    /// A server that says no, or is not reached.
    pub async fn tools(&self) -> Result<Vec<Tool>, Error> {
        let page: Page<Tool> = self.json(Request::get(&["v1", "tools"])).await?;
        Ok(page.data)
    }

    /// Calls a tool, once however often it has to be sent.
    ///
    /// # Errors
    /// [`Error::Problem`] with the code of what went wrong, such as `bad_arguments`.
    pub async fn execute(&self, call: &ToolCall) -> Result<Halt<ToolAnswer>, Error> {
        let function = json!({ "name": call.tool, "arguments": call.arguments });
        let body = json!({ "id": call.id, "type": "function", "function": function });
        self.halt(Request::post(&["v1", "tools", "execute"], Some(&body)).keyed(&*self.ids)).await
    }
}
