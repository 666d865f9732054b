//! The forecaster: says what the coming months will leave over, with its interval and method.

use genie_core::{Agent, AgentError, AgentSpec, Context, Governed, async_trait};

use super::clearance::Cleared;
use super::domain::forecast::{Forecast, forecast};
use super::messages::Analysed;
use super::shelf::Shelf;

/// Looks ahead.
pub(crate) struct Forecaster;

#[async_trait]
impl Agent for Forecaster {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("forecaster", "forecasts the coming months with an interval")
            .capability("forecast_cashflow")
            .accepts::<Analysed>()
            .emits::<Forecast>()
            .cleared()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let analysed: Analysed = message.decode()?;
        let shelf = Shelf::open(cx, &analysed.book).await?;
        let found = forecast(&shelf.book()?);
        cx.publish(&found).await?;
        Ok(())
    }
}
