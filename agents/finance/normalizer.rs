//! The normalizer: finds who each row was paid to behind the bank's narration.

use std::sync::Arc;

use genie_core::{Agent, AgentError, AgentSpec, Context, Governed, async_trait};

use super::clearance::Cleared;
use super::domain::ledger::Ledger;
use super::domain::merchant::merchants;
use super::messages::{Named, Rows};

/// Names merchants.
pub(crate) struct Normalizer;

#[async_trait]
impl Agent for Normalizer {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("normalizer", "finds the merchant behind each narration")
            .capability("name_merchants")
            .accepts::<Rows>()
            .emits::<Named>()
            .cleared()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let rows: Rows = message.decode()?;
        let ledger = cx.load::<Ledger>(&rows.ledger).await?;
        let merchants = cx.store(Arc::new(merchants(&ledger))).await?;
        cx.publish(&Named { ledger: rows.ledger, merchants }).await?;
        Ok(())
    }
}
