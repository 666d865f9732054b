//! What the assistant's agents are asked.

use genie_core::Payload;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tool to call, from whoever asks to the tool executor, which answers with what the tool gave.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolRequest {
    /// The name of the tool.
    #[schemars(length(min = 1, max = 200))]
    pub tool: String,
    /// Its arguments, following its schema.
    pub arguments: Value,
}

impl Payload for ToolRequest {
    const KIND: &'static str = genie_core::tool::REQUEST;
}
