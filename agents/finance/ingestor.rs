//! The ingestor: reads a bank's CSV file into exact rows and an account of those it cannot use.

use std::sync::Arc;

use genie_core::{Agent, AgentError, AgentSpec, Context, Governed, async_trait};

use super::clearance::Cleared;
use super::domain::statement::{ParseOptions, parse};
use super::messages::{Rows, Statement};

/// Reads statements.
pub(crate) struct Ingestor;

#[async_trait]
impl Agent for Ingestor {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("ingestor", "reads a bank's CSV file into exact rows")
            .capability("read_statement")
            .accepts::<Statement>()
            .emits::<Rows>()
            .cleared()
            .requires_consent(super::CONSENT)
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let received: Statement = message.decode()?;
        let file = cx.load_bytes(&received.statement).await?;
        cx.progress("reading the statement");
        let ledger = parse(&file, &ParseOptions::default())
            .map_err(|error| AgentError::new(error.to_string()))?;
        let rows = u32::try_from(ledger.entries.len()).unwrap_or(u32::MAX);
        let rejected = ledger.rejected_count;
        let ledger = cx.store(Arc::new(ledger)).await?;
        cx.publish(&Rows { ledger, rows, rejected }).await?;
        Ok(())
    }
}
