//! What the finance agents know: money, statements, taxonomy and the arithmetic over them.
//!
//! Pure functions over plain data; no bus, no clock, no I/O.

pub mod ledger;
pub mod money;
