//! The tool executor: calls one tool for whoever asks.
//!
//! It decides nothing: policies judge the call, humans approve it, and the tool itself says which
//! roles and scopes it wants of whoever asks.

use genie_core::label::{Classification, PERSONAL};
use genie_core::tool::ToolResult;
use genie_core::{Agent, AgentError, AgentSpec, Context, Governed, Risk, async_trait};

use super::messages::ToolRequest;

/// Calls tools.
pub(crate) struct ToolExecutor;

#[async_trait]
impl Agent for ToolExecutor {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("tool_executor", "calls one tool for whoever asks")
            .accepts::<ToolRequest>()
            .emits::<ToolResult>()
            .uses_every_tool()
            .risk(Risk::High)
            .cleared_for(Classification::Confidential)
            .cleared_for_category(PERSONAL)
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let ToolRequest { tool, arguments } = message.decode()?;
        let output = cx.tool(&tool, arguments).await?;
        Ok(cx.reply(&ToolResult { tool, output }).await?)
    }
}
