//! The assistant family: agents that work for a person at a keyboard or behind an API.

pub mod messages;
pub(crate) mod tool_executor;

use genie_core::Ask;
use serde_json::Value;

/// The request that has one tool called in the name of whoever asks.
#[must_use]
pub fn execute(tool: &str, arguments: Value) -> Ask {
    let request = messages::ToolRequest { tool: tool.to_owned(), arguments };
    Ask::new("tool_executor", &request)
}
