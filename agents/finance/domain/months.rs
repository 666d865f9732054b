//! The statement cut into calendar months, and which of them it covers in full.
//!
//! Owns the notion of a full month. It deliberately scales no partial month up.

use super::book::Book;
use super::day::{MonthKey, days_between};

/// Days at either end of a month without rows that still count as covered: a statement has no row
/// on days when nothing happened.
pub const EDGE_DAYS: i64 = 2;

/// Most months that are looked at, counted back from the last row: a hundred years.
pub const MONTHS_MAX: i32 = 1_200;

/// What happened in one calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Which month.
    pub month: MonthKey,
    /// Money in, without matched refunds.
    pub income_minor: i64,
    /// Money out, less matched refunds.
    pub expense_minor: i64,
    /// Rows in the month.
    pub count: u32,
    /// Whether the statement covers the month from its first to its last day, give or take
    /// [`EDGE_DAYS`].
    pub full: bool,
}

impl Bucket {
    /// Income less expense.
    #[must_use]
    pub fn net_minor(&self) -> i64 {
        self.income_minor.saturating_sub(self.expense_minor)
    }
}

/// Every month from the first to the last row, oldest first, months without rows included.
#[must_use]
pub fn buckets(book: &Book<'_>) -> Vec<Bucket> {
    let Some((first, last)) = book.span() else {
        return Vec::new();
    };
    let (from, to) = (MonthKey::of(first), MonthKey::of(last));
    let from = from.max(to.plus(1 - MONTHS_MAX));
    let mut buckets: Vec<Bucket> = (from.0..=to.0)
        .map(MonthKey)
        .map(|month| Bucket {
            month,
            income_minor: 0,
            expense_minor: 0,
            count: 0,
            full: days_between(month.first(), first) <= EDGE_DAYS
                && days_between(last, month.last()) <= EDGE_DAYS,
        })
        .collect();
    for row in book.rows() {
        let at = usize::try_from(MonthKey::of(row.date).0 - from.0).ok();
        let Some(bucket) = at.and_then(|at| buckets.get_mut(at)) else {
            continue;
        };
        bucket.count = bucket.count.saturating_add(1);
        bucket.income_minor = bucket.income_minor.saturating_add(row.income_minor());
        bucket.expense_minor = bucket.expense_minor.saturating_add(row.spend_minor());
    }
    buckets
}

/// The months that the statement covers in full, oldest first.
#[must_use]
pub fn full(book: &Book<'_>) -> Vec<Bucket> {
    buckets(book).into_iter().filter(|bucket| bucket.full).collect()
}
