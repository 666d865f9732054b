//! The fallback: stands in for the reporter with the totals alone, and says that it does.

use std::sync::Arc;

use genie_core::{Agent, AgentError, AgentSpec, Context, Governed, async_trait};

use super::clearance::Cleared;
use super::domain::analysis::Analysis;
use super::domain::answer::Answer;
use super::domain::money::Money;
use super::messages::{Brief, Drafted, MissingLeg, Report};

/// Stands in for the reporter.
pub(crate) struct Fallback;

#[async_trait]
impl Agent for Fallback {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("fallback", "answers with the totals when the report cannot be written")
            .accepts::<Brief>()
            .emits::<Drafted>()
            .cleared()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let brief: Brief = message.decode()?;
        let analysis = cx.load::<Analysis>(&brief.analysed.analysis).await?;
        let reason = cx.failure().map_or_else(
            || "the reporter did not answer".to_owned(),
            |failure| format!("the report could not be written: {failure}"),
        );
        let mut missing = brief.missing;
        let answer = totals_only(&analysis, &reason);
        missing.push(MissingLeg { what: "report".to_owned(), reason });
        let report = Report { answer, partial: true, missing };
        let report = cx.store(Arc::new(report)).await?;
        Ok(cx.reply(&Drafted { report }).await?)
    }
}

/// The answer that needs nothing but the totals.
fn totals_only(analysis: &Analysis, reason: &str) -> Answer {
    let shown = |minor| Money::new(minor, analysis.currency).display();
    let totals = &analysis.totals;
    Answer {
        answer: format!(
            "Over the whole statement, {} came in and {} went out, which leaves {}.",
            shown(totals.income_minor),
            shown(totals.expense_minor),
            shown(totals.net_minor),
        ),
        findings: Vec::new(),
        tables: Vec::new(),
        citations: Vec::new(),
        citations_total: 0,
        could_not: vec![format!("Your question itself was not answered: {reason}.")],
        left_out: None,
        can_ask: Vec::new(),
    }
}
