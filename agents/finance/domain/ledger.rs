//! The rows of a statement after parsing, and the two overlays that later agents add.
//!
//! A ledger is stored once; the merchant and category overlays refer to its rows by index, so that
//! no agent copies the rows to say something about them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::Date;

use super::money::Currency;

/// One row of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Line of the file that the row came from, counted from 1 with the header as a line.
    pub line: u32,
    /// Booking date.
    pub date: Date,
    /// Signed minor units: money in is positive, money out negative.
    pub amount_minor: i64,
    /// The narration, trimmed, otherwise as the bank wrote it.
    pub description: Box<str>,
    /// The category that the file itself gave, if it has such a column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_category: Option<Box<str>>,
    /// Running balance after this row in minor units, if the file has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_minor: Option<i64>,
}

/// One row, or one value in a row, that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reject {
    /// Line of the file, counted from 1 with the header as a line.
    pub line: u32,
    /// Name of the column as the header has it, or empty if the whole row is unusable.
    pub column: String,
    /// The offending text, cut to 80 characters.
    pub value: String,
    /// What is wrong, as a clause: `is not an amount`.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

/// A parsed statement: the rows that count and an account of those that do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The one currency of every amount in the ledger.
    pub currency: Currency,
    /// Name of the recognised column layout, e.g. `plain`.
    pub layout: String,
    /// Usable rows, in the order of the file.
    pub entries: Vec<Entry>,
    /// How many rows were left out.
    pub rejected_count: u32,
    /// The first rejected rows, at most [`REJECTS_MAX`].
    pub rejects: Vec<Reject>,
}

/// Most rejected rows that a ledger describes one by one; the rest are only counted.
pub const REJECTS_MAX: usize = 50;

/// The normalizer's overlay: who each row was paid to or came from, and over which channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merchants {
    /// Distinct merchant names, cleaned for display, e.g. `Swiggy`.
    pub names: Vec<Box<str>>,
    /// For each ledger row, the index into `names`.
    pub of_row: Vec<u32>,
}

/// The enricher's overlay: one taxonomy category for each row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Categories {
    /// Distinct category codes of the taxonomy, e.g. `food:delivery`.
    pub codes: Vec<Box<str>>,
    /// For each ledger row, the index into `codes`.
    pub of_row: Vec<u16>,
}
