//! The recommender: says what could be done about it, in money, from what the other legs found.

use genie_core::{
    Agent, AgentError, AgentSpec, Context, Gather, Governed, Payload, Risk, async_trait,
};

use super::clearance::Cleared;
use super::domain::advice::{Recommendations, recommend};
use super::domain::anomaly::Anomalies;
use super::domain::recurring::Recurring;
use super::messages::Analysed;
use super::shelf::Shelf;
use super::{LEGS_WAIT, need};

/// Advises.
pub(crate) struct Recommender;

#[async_trait]
impl Agent for Recommender {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("recommender", "says what could be done about it, in money")
            .capability("recommend")
            .risk(Risk::Medium)
            .accepts::<Analysed>()
            .collects::<Anomalies>()
            .collects::<Recurring>()
            .emits::<Recommendations>()
            .cleared()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let analysed: Analysed = message.decode()?;
        // Advice that ignores a duplicate charge or a price rise would be wrong, not partial.
        let legs = Gather::all().deadline(LEGS_WAIT).partial(true);
        let gathered = cx.collect(&[Anomalies::KIND, Recurring::KIND], legs).await?;
        let anomalies: Anomalies = need(&gathered)?;
        let recurring: Recurring = need(&gathered)?;
        let shelf = Shelf::open(cx, &analysed.book).await?;
        let advice = recommend(&shelf.book()?, &anomalies, &recurring);
        cx.publish(&advice).await?;
        Ok(())
    }
}
