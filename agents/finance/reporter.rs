//! The reporter: writes the answer from all that the others found.

use std::sync::Arc;

use genie_core::{Agent, AgentError, AgentSpec, Context, Governed, Risk, async_trait};

use super::clearance::Cleared;
use super::domain::analysis::Analysis;
use super::domain::answer::{Legs, compose};
use super::messages::{Brief, Drafted, Report};
use super::shelf::Shelf;

/// Writes reports.
pub(crate) struct Reporter;

#[async_trait]
impl Agent for Reporter {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("reporter", "writes the answer from all that the others found")
            .capability("write_report")
            .risk(Risk::Medium)
            .accepts::<Brief>()
            .emits::<Drafted>()
            .fallback("fallback")
            .cleared()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let brief: Brief = message.decode()?;
        let shelf = Shelf::open(cx, &brief.analysed.book).await?;
        let analysis = cx.load::<Analysis>(&brief.analysed.analysis).await?;
        let book = shelf.book()?;
        let answer = compose(
            &brief.intent,
            &book,
            &Legs {
                analysis: &analysis,
                forecast: brief.forecast.as_ref(),
                anomalies: brief.anomalies.as_ref(),
                recurring: brief.recurring.as_ref(),
                affordability: brief.affordability.as_ref(),
                recommendations: brief.recommendations.as_ref(),
            },
        );
        let partial = !brief.missing.is_empty();
        let report = Report { answer, partial, missing: brief.missing };
        let report = cx.store(Arc::new(report)).await?;
        Ok(cx.reply(&Drafted { report }).await?)
    }
}
