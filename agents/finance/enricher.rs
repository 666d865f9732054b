//! The enricher: places each row in the one taxonomy of categories.

use std::sync::Arc;

use genie_core::{Agent, AgentError, AgentSpec, Context, Governed, async_trait};

use super::clearance::Cleared;
use super::domain::ledger::{Ledger, Merchants};
use super::domain::taxonomy::categorise;
use super::messages::{BookRef, Named};

/// Categorises rows.
pub(crate) struct Enricher;

#[async_trait]
impl Agent for Enricher {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("enricher", "places each row in the taxonomy of categories")
            .capability("categorise")
            .accepts::<Named>()
            .emits::<BookRef>()
            .cleared()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let named: Named = message.decode()?;
        let ledger = cx.load::<Ledger>(&named.ledger).await?;
        let merchants = cx.load::<Merchants>(&named.merchants).await?;
        let categories = cx.store(Arc::new(categorise(&ledger, &merchants))).await?;
        let (ledger, merchants) = (named.ledger, named.merchants);
        cx.publish(&BookRef { ledger, merchants, categories }).await?;
        Ok(())
    }
}
