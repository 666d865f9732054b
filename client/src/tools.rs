//! Tools: which there are, and calling one.

use genie_core::ids::RunId;
use genie_core::tool::Effects;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ask::Halt;
use crate::client::{Client, Request};
use crate::error::{Error, Problem};
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

impl ToolCall {
    fn body(&self) -> Value {
        let function = json!({ "name": self.tool, "arguments": self.arguments });
        json!({ "id": self.id, "type": "function", "function": function })
    }
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
        let body = call.body();
        self.halt(Request::post(&["v1", "tools", "execute"], Some(&body)).keyed(&*self.ids)).await
    }

    /// Calls tools at once, 1 to 32 of them with ids that differ, each once however often it has to
    /// be sent; gives what becomes of each, in their order. One that fails is in nobody's way.
    ///
    /// # Errors
    /// A batch that makes no sense as a whole, or a server that is not reached.
    pub async fn execute_all(&self, calls: &[ToolCall]) -> Result<Vec<Called>, Error> {
        let calls: Vec<Value> = calls.iter().map(ToolCall::body).collect();
        let body = json!({ "calls": calls });
        let request = Request::post(&["v1", "tools", "batch"], Some(&body)).keyed(&*self.ids);
        let results: Results = self.json(request).await?;
        results.results.into_iter().map(called).collect()
    }
}

/// What became of a call of a batch.
pub type Called = Result<Halt<ToolAnswer>, Problem>;

/// The answer to a batch.
#[derive(Deserialize)]
struct Results {
    results: Vec<Value>,
}

fn called(mut result: Value) -> Result<Called, Error> {
    let Some(error) = result.get_mut("error").map(Value::take) else {
        return Halt::read(result).map(Ok);
    };
    let read = Problem::of_part(error, result["run_id"].take());
    read.map(Err).map_err(|error| Error::unreadable(&error))
}
