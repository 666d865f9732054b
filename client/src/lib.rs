//! A typed client of Genie's HTTP interface.
//!
//! It retries what may be retried, as long as the server asks and within bounds: everything that
//! changes something carries a key, or is such that a second time changes nothing. A stream that
//! breaks goes on behind its last event.
//!
//! It sees the core only, for the types that cross the wire; what a route is called and what its
//! answers look like is in `docs/http.md`.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use genie_client::{Client, Error, Question, Token};
//! use genie_core::ids::Ids;
//!
//! # async fn example(ids: Arc<dyn Ids>) -> Result<(), Error> {
//!
//! let client = Client::new("https://genie.example", &Token::new("gk_…"), ids)?;
//! let question = Question::new("How much did I spend?", "Date,Description,Debit,Credit\n…");
//! let mut events = client.ask_events(&question).await?;
//! while let Some(event) = events.next().await? {
//!     println!("{}", event.name);
//! }
//! # Ok(()) }
//! ```

mod address;
mod agents;
mod approvals;
mod ask;
mod audit;
mod client;
mod documents;
mod error;
mod events;
mod everything;
mod feed;
mod frames;
mod keys;
mod pace;
mod page;
mod policies;
mod runs;
mod tools;
mod upload;
#[cfg(test)]
mod wire_tests;

pub use agents::{Agent, Agents, Health, Needs};
pub use approvals::{Approvals, Decision};
pub use ask::{Answered, Halt, Question, Receipt, Statement, Usage, Waiting};
pub use audit::Verification;
pub use client::{Client, Token};
pub use documents::{Contents, Document, Reject};
pub use error::{Error, FieldError, Problem};
pub use events::{Event, Events};
pub use everything::Everything;
pub use keys::{Key, NewKey, Wanted};
pub use page::Page;
pub use policies::{Asker, Evaluation, Imagined, Policies, Policy};
pub use runs::{Run, Runs};
pub use tools::{Called, Tool, ToolAnswer, ToolCall};
pub use upload::Upload;
