//! The affordability agent: judges whether an amount fits the months that the statement covers.

use genie_core::{Agent, AgentError, AgentSpec, Context, Governed, Risk, async_trait};

use super::clearance::Cleared;
use super::domain::affordability::{Affordability as Judged, afford};
use super::messages::CanAfford;
use super::shelf::Shelf;

/// Judges amounts.
pub(crate) struct Affordability;

#[async_trait]
impl Agent for Affordability {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("affordability", "judges whether an amount is affordable")
            .capability("judge_amount")
            .risk(Risk::Medium)
            .accepts::<CanAfford>()
            .emits::<Judged>()
            .cleared()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let asked: CanAfford = message.decode()?;
        let shelf = Shelf::open(cx, &asked.book).await?;
        let judged = afford(&shelf.book()?, asked.amount_minor, asked.monthly);
        Ok(cx.reply(&judged).await?)
    }
}
