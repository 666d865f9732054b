//! Taking the rows and their overlays off the shelf by reference.

use std::sync::Arc;

use genie_core::{AgentError, Context};

use super::domain::book::Book;
use super::domain::ledger::{Categories, Ledger, Merchants};
use super::messages::BookRef;

/// A ledger with its overlays, shared with everyone else in the run who reads them.
pub(super) struct Shelf {
    ledger: Arc<Ledger>,
    merchants: Arc<Merchants>,
    categories: Arc<Categories>,
}

impl Shelf {
    /// Loads what the reference names.
    pub(super) async fn open(cx: &mut Context, book: &BookRef) -> Result<Self, AgentError> {
        Ok(Self {
            ledger: cx.load(&book.ledger).await?,
            merchants: cx.load(&book.merchants).await?,
            categories: cx.load(&book.categories).await?,
        })
    }

    /// The joined view.
    pub(super) fn book(&self) -> Result<Book<'_>, AgentError> {
        Book::new(&self.ledger, &self.merchants, &self.categories)
            .map_err(|error| AgentError::new(error.to_string()))
    }
}
