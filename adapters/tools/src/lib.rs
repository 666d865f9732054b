//! Genie's tools, one file each: what its agents can do to the world outside.
//!
//! A tool says what a repetition of it would do, and hands the idempotency key of its attempt to
//! whatever can refuse one. Who may call it, and whether a human must agree, is not its business.

mod calculator;
mod clock_now;
mod document_query;
mod payment_transfer;
#[cfg(test)]
mod trial;

pub use calculator::Calculator;
pub use clock_now::ClockNow;
pub use document_query::{DocumentQuery, ReadRows, Row, Rows};
pub use payment_transfer::{Bank, PaymentTransfer};
