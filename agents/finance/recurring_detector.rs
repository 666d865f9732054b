//! The recurring detector: finds payments that come back, with subscriptions, and price rises.

use genie_core::{Agent, AgentError, AgentSpec, Context, Governed, async_trait};

use super::clearance::Cleared;
use super::domain::recurring::{Recurring, recurring};
use super::messages::Analysed;
use super::shelf::Shelf;

/// Finds what comes back.
pub(crate) struct RecurringDetector;

#[async_trait]
impl Agent for RecurringDetector {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("recurring_detector", "finds recurring payments and price rises")
            .capability("detect_recurring")
            .accepts::<Analysed>()
            .emits::<Recurring>()
            .cleared()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let analysed: Analysed = message.decode()?;
        let shelf = Shelf::open(cx, &analysed.book).await?;
        let found = recurring(&shelf.book()?);
        cx.publish(&found).await?;
        Ok(())
    }
}
