//! What the finance agents know: money, statements, taxonomy and the arithmetic over them.
//!
//! Pure functions over plain data; no bus, no clock, no I/O.

pub mod advice;
pub mod affordability;
pub mod analysis;
pub mod anomaly;
pub mod answer;
pub mod book;
pub mod compare;
pub mod day;
#[cfg(test)]
mod fixture;
pub mod forecast;
pub mod generate;
pub mod ledger;
pub mod merchant;
pub mod money;
pub mod months;
pub mod period;
pub mod question;
pub mod recurring;
pub mod statement;
pub mod statistics;
pub mod taxonomy;
pub mod words;
