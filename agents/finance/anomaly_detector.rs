//! The anomaly detector: finds rows that stand out, by robust statistics that work for few rows.

use genie_core::{Agent, AgentError, AgentSpec, Context, Governed, async_trait};

use super::clearance::Cleared;
use super::domain::anomaly::{Anomalies, anomalies};
use super::messages::Analysed;
use super::shelf::Shelf;

/// Finds what stands out.
pub(crate) struct AnomalyDetector;

#[async_trait]
impl Agent for AnomalyDetector {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("anomaly_detector", "finds rows that stand out")
            .capability("detect_anomalies")
            .accepts::<Analysed>()
            .emits::<Anomalies>()
            .cleared()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let analysed: Analysed = message.decode()?;
        let shelf = Shelf::open(cx, &analysed.book).await?;
        let found = anomalies(&shelf.book()?);
        cx.publish(&found).await?;
        Ok(())
    }
}
