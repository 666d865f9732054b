//! Why a file as a whole is not a statement.
//!
//! Rows that are wrong while the file is right are rejects of the ledger, not errors.

use super::layout::LayoutName;
use crate::finance::domain::ledger::Reject;

/// Why no ledger could be made of a file.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// No bytes, or nothing but space.
    #[error("the statement is empty; send a CSV file with a header and at least one row")]
    Empty,
    /// A header was recognised, but no row follows it.
    #[error("the statement has a header at line {line} but no rows; export a period with rows")]
    HeaderOnly {
        /// Line of the header, counted from 1.
        line: u32,
    },
    /// No line near the start of the file names the columns of a known layout.
    #[error(
        "no header was recognised: found {}; the closest layout `{closest}` also needs {}; \
         accepted layouts are {accepted}",
        quoted(found),
        quoted(missing)
    )]
    NoHeader {
        /// The fields of the line that came closest, cut to 20 fields of 40 characters.
        found: Vec<String>,
        /// Columns that the closest layout needs and that line does not have.
        missing: Vec<String>,
        /// The layout that lacks the fewest columns.
        closest: LayoutName,
        /// Every layout with the columns it needs.
        accepted: String,
    },
    /// The file is something else than text.
    #[error("the file is {what}, not a CSV statement; {fix}")]
    Binary {
        /// What the file looks like, with its article: `a PDF document`.
        what: &'static str,
        /// What to do about it.
        fix: &'static str,
    },
    /// More bytes than the limit.
    #[error(
        "the statement has {bytes} bytes, more than the limit of {bytes_max}; \
         split it by month or year"
    )]
    TooLarge {
        /// Size of the file.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// More rows than the limit.
    #[error("the statement has more than {rows_max} rows; split it by month or year")]
    TooManyRows {
        /// The limit.
        rows_max: u32,
    },
    /// So many quotes are never closed that the rows cannot be told apart.
    #[error(
        "too many quotes are opened and never closed, the last one at line {line}; \
         double every `\"` inside a quoted field"
    )]
    UnclosedQuotes {
        /// Line where the reader gave up, counted from 1.
        line: u32,
    },
    /// There are rows, but none of them is usable.
    #[error(
        "none of the {count} rows is usable; the first one, line {}: {}{} {}; {}",
        first.line, column(&first.column), shown(&first.value), first.problem, first.fix
    )]
    AllRejected {
        /// How many rows there are.
        count: u32,
        /// The first of them.
        first: Box<Reject>,
    },
}

fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn column(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("column `{name}`: ") }
}

fn shown(value: &str) -> String {
    if value.is_empty() { "the row".to_owned() } else { format!("`{value}`") }
}
