//! A ledger with its two overlays, checked once, and read row by row.
//!
//! Owns what counts as income and what as spending. It deliberately computes no totals.
//!
//! A debit is spending of its category. A credit is income, except a refund whose merchant also
//! took money in this statement: that is negative spending of the category that most of the
//! merchant's debits have, so that buying and returning adds up to nothing on both sides. A refund
//! of an unknown purchase stays income.

use std::collections::HashMap;

use time::Date;

use super::ledger::{Categories, Ledger, Merchants};
use super::money::Currency;
use super::taxonomy::REFUND;

/// Why ledger and overlays do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An overlay covers another number of rows than the ledger has.
    #[error("the {overlay} overlay covers {found} rows, the ledger has {expected}")]
    Length {
        /// Which overlay: `merchant` or `category`.
        overlay: &'static str,
        /// Rows that it covers.
        found: usize,
        /// Rows of the ledger.
        expected: usize,
    },
    /// An overlay refers to a name that it does not list.
    #[error("the {overlay} overlay refers to name {index}, which it does not list")]
    Index {
        /// Which overlay: `merchant` or `category`.
        overlay: &'static str,
        /// The offending index.
        index: usize,
    },
}

/// A ledger joined with its overlays; every index is known to be valid.
#[derive(Debug, Clone)]
pub struct Book<'a> {
    ledger: &'a Ledger,
    merchants: &'a Merchants,
    categories: &'a Categories,
    /// For each merchant, the category that its refunds are taken from; empty without refunds.
    refunded: Vec<Option<u16>>,
    refund_code: Option<u16>,
    span: Option<(Date, Date)>,
}

/// One row of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Position in the ledger.
    pub index: usize,
    /// Line of the file.
    pub line: u32,
    /// Booking date.
    pub date: Date,
    /// Signed minor units.
    pub amount_minor: i64,
    /// The narration.
    pub description: &'a str,
    /// Index of the merchant.
    pub merchant: u32,
    /// Index of the category that the row counts towards; for a matched refund, that of the
    /// purchase.
    pub category: u16,
    /// Whether the row gives earlier spending back.
    pub refund: bool,
}

impl Row<'_> {
    /// Minor units received that are not a matched refund; 0 otherwise.
    #[must_use]
    pub fn income_minor(&self) -> i64 {
        if self.refund { 0 } else { self.amount_minor.max(0) }
    }

    /// Minor units spent; negative for a matched refund, 0 for income.
    #[must_use]
    pub fn spend_minor(&self) -> i64 {
        if self.amount_minor < 0 || self.refund { self.amount_minor.saturating_neg() } else { 0 }
    }

    /// Whether the row counts as spending, refunds included.
    #[must_use]
    pub fn is_spending(&self) -> bool {
        self.amount_minor < 0 || self.refund
    }
}

impl<'a> Book<'a> {
    /// Joins the three.
    ///
    /// # Errors
    ///
    /// If an overlay does not cover exactly the ledger's rows, or refers to a name it lacks.
    pub fn new(
        ledger: &'a Ledger,
        merchants: &'a Merchants,
        categories: &'a Categories,
    ) -> Result<Self, Error> {
        let expected = ledger.entries.len();
        let lengths = [("merchant", merchants.of_row.len()), ("category", categories.of_row.len())];
        if let Some((overlay, found)) = lengths.into_iter().find(|(_, found)| *found != expected) {
            return Err(Error::Length { overlay, found, expected });
        }
        let merchant = merchants.of_row.iter().map(|at| *at as usize);
        if let Some(index) = merchant.clone().find(|at| *at >= merchants.names.len()) {
            return Err(Error::Index { overlay: "merchant", index });
        }
        let category = categories.of_row.iter().map(|at| usize::from(*at));
        if let Some(index) = category.clone().find(|at| *at >= categories.codes.len()) {
            return Err(Error::Index { overlay: "category", index });
        }
        let refund_code =
            categories.codes.iter().position(|code| &**code == REFUND).map(|at| at as u16);
        // Only refunds are taken from another category, and few statements have one.
        let refunded = match refund_code {
            Some(_) => refunded(ledger, merchants, categories),
            None => Vec::new(),
        };
        let first = ledger.entries.iter().map(|entry| entry.date).min();
        let last = ledger.entries.iter().map(|entry| entry.date).max();
        Ok(Self { ledger, merchants, categories, refunded, refund_code, span: first.zip(last) })
    }

    /// Every row, in the order of the file.
    pub fn rows(&self) -> impl Iterator<Item = Row<'a>> + '_ {
        let overlays = self.merchants.of_row.iter().zip(&self.categories.of_row);
        self.ledger.entries.iter().zip(overlays).enumerate().map(
            |(index, (entry, (merchant, category)))| {
                let origin = (entry.amount_minor > 0 && Some(*category) == self.refund_code)
                    .then(|| self.refunded.get(*merchant as usize).copied().flatten())
                    .flatten();
                Row {
                    index,
                    line: entry.line,
                    date: entry.date,
                    amount_minor: entry.amount_minor,
                    description: &entry.description,
                    merchant: *merchant,
                    category: origin.unwrap_or(*category),
                    refund: origin.is_some(),
                }
            },
        )
    }

    /// The first and the last booking date; `None` for a statement without rows.
    #[must_use]
    pub fn span(&self) -> Option<(Date, Date)> {
        self.span
    }

    /// The currency of every amount.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.ledger.currency
    }

    /// The ledger underneath.
    #[must_use]
    pub fn ledger(&self) -> &'a Ledger {
        self.ledger
    }

    /// Distinct merchant names; [`Row::merchant`] indexes them.
    #[must_use]
    pub fn merchant_names(&self) -> &'a [Box<str>] {
        &self.merchants.names
    }

    /// Distinct category codes; [`Row::category`] indexes them.
    #[must_use]
    pub fn category_codes(&self) -> &'a [Box<str>] {
        &self.categories.codes
    }

    /// The merchant's name of a row.
    #[must_use]
    pub fn merchant_of(&self, row: &Row<'_>) -> &'a str {
        self.merchants.names.get(row.merchant as usize).map_or("", |name| name)
    }

    /// The category code of a row.
    #[must_use]
    pub fn code_of(&self, row: &Row<'_>) -> &'a str {
        self.categories.codes.get(usize::from(row.category)).map_or("", |code| code)
    }

    /// The latest row that states a balance: its line and the balance in minor units.
    #[must_use]
    pub fn latest_balance(&self) -> Option<(u32, i64)> {
        let entries = &self.ledger.entries;
        // Statements run either way; within the last day, the row furthest from the other end wins.
        let ascending = entries.first().map(|row| row.date) <= entries.last().map(|row| row.date);
        let stated = entries.iter().enumerate().filter(|(_, row)| row.balance_minor.is_some());
        let (_, row) = stated
            .max_by_key(|(at, row)| (row.date, if ascending { *at } else { usize::MAX - at }))?;
        row.balance_minor.map(|balance| (row.line, balance))
    }
}

/// For each merchant, the category of most of its debits; the lower index wins a tie.
fn refunded(ledger: &Ledger, merchants: &Merchants, categories: &Categories) -> Vec<Option<u16>> {
    let mut counts: HashMap<(u32, u16), u32> = HashMap::new();
    let mut most: Vec<Option<(u32, u16)>> = vec![None; merchants.names.len()];
    let overlays = merchants.of_row.iter().zip(&categories.of_row);
    for (entry, (merchant, category)) in ledger.entries.iter().zip(overlays) {
        if entry.amount_minor >= 0 {
            continue;
        }
        let count = counts.entry((*merchant, *category)).or_insert(0);
        *count += 1;
        if let Some(slot) = most.get_mut(*merchant as usize) {
            let better =
                slot.is_none_or(|(top, code)| *count > top || (*count == top && *category < code));
            if better {
                *slot = Some((*count, *category));
            }
        }
    }
    most.into_iter().map(|slot| slot.map(|(_, category)| category)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finance::domain::fixture::statement;

    #[test]
    fn a_refund_takes_spending_back_and_is_no_income() {
        let statement = statement([
            ("2026-01-02", "Amazon order", "", -100_000),
            ("2026-01-09", "AMAZON REFUND", "", 40_000),
            ("2026-01-10", "REFUND SOMEBODY", "", 5_000),
        ]);
        let book = statement.book();
        let rows: Vec<Row<'_>> = book.rows().collect();
        assert_eq!(book.code_of(&rows[1]), "shopping:online");
        assert_eq!((rows[1].income_minor(), rows[1].spend_minor()), (0, -40_000));
        assert_eq!((rows[2].income_minor(), rows[2].spend_minor()), (5_000, 0));
    }

    #[test]
    fn the_latest_balance_is_found_in_either_order() {
        let mut statement = statement([
            ("2026-01-02", "Amazon", "", -100),
            ("2026-01-03", "Amazon", "", -100),
            ("2026-01-03", "Amazon", "", -100),
        ]);
        for (entry, balance) in statement.ledger.entries.iter_mut().zip([900, 800, 700]) {
            entry.balance_minor = Some(balance);
        }
        assert_eq!(statement.book().latest_balance(), Some((4, 700)));
        statement.ledger.entries.reverse();
        assert_eq!(statement.book().latest_balance(), Some((4, 700)));
    }

    #[test]
    fn overlays_of_another_ledger_are_refused() {
        let statement = statement([("2026-01-02", "Amazon order", "", -100)]);
        let short = Merchants { names: Vec::new(), of_row: Vec::new() };
        let error = Book::new(&statement.ledger, &short, &statement.categories).unwrap_err();
        assert_eq!(error.to_string(), "the merchant overlay covers 0 rows, the ledger has 1");
        let wild = Categories { codes: Vec::new(), of_row: vec![7] };
        let error = Book::new(&statement.ledger, &statement.merchants, &wild).unwrap_err();
        assert_eq!(error, Error::Index { overlay: "category", index: 7 });
    }
}
