//! The analyzer: adds the statement up by month, category and merchant.

use std::sync::Arc;

use genie_core::{Agent, AgentError, AgentSpec, Context, Governed, async_trait};

use super::clearance::Cleared;
use super::domain::analysis::analyse;
use super::messages::{Analysed, BookRef};
use super::shelf::Shelf;

/// Adds up.
pub(crate) struct Analyzer;

#[async_trait]
impl Agent for Analyzer {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("analyzer", "adds the statement up by month, category and merchant")
            .capability("analyse_spending")
            .accepts::<BookRef>()
            .emits::<Analysed>()
            .cleared()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let book: BookRef = message.decode()?;
        let shelf = Shelf::open(cx, &book).await?;
        let analysis = analyse(&shelf.book()?);
        let totals = analysis.totals;
        let analysis = cx.store(Arc::new(analysis)).await?;
        cx.publish(&Analysed { book, analysis, totals }).await?;
        Ok(())
    }
}
