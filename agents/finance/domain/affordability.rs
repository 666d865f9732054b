//! Whether an amount fits into what past months left over.
//!
//! Owns the verdict and its reasons. It deliberately counts only months that the statement covers
//! in full and lends no money: credit, interest and other accounts are outside a statement.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::book::Book;
use super::day::Day;
use super::months;
use super::statistics::median;

/// Months that the verdict looks back on.
pub const LOOK_BACK: usize = 12;
/// Fewest full months for a plain yes.
pub const MONTHS_FOR_YES: usize = 3;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The median month covers it, and at most one month in six would have fallen short.
    Yes,
    /// The median month covers it, but more months would have fallen short, or there are fewer
    /// than [`MONTHS_FOR_YES`].
    Tight,
    /// The median month does not cover it.
    No,
    /// There is no full month to judge by.
    Unknown,
}

/// Whether an amount is affordable, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Affordability {
    /// Minor units asked about.
    pub amount_minor: i64,
    /// Whether they are asked about every month, rather than once.
    pub monthly: bool,
    /// The verdict.
    pub verdict: Verdict,
    /// Full months looked at, at most [`LOOK_BACK`].
    pub months: u32,
    /// Median surplus of those months, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surplus_minor: Option<i64>,
    /// The worst of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_minor: Option<i64>,
    /// How many of them would have ended below zero with the amount taken off.
    pub short_months: u32,
    /// The latest balance that the statement names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_minor: Option<i64>,
    /// Months of median surplus that a single amount takes, rounded up; absent if monthly, or if
    /// nothing is left over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub months_to_save: Option<i64>,
    /// Why it cannot be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_because: Option<String>,
}

/// Judges an amount, monthly or once.
///
/// A single amount is affordable if the latest balance less one month of median spending covers
/// it, tight if the balance alone or six months of median surplus do.
#[must_use]
pub fn afford(book: &Book<'_>, amount_minor: i64, monthly: bool) -> Affordability {
    let full = months::full(book);
    let recent = &full[full.len().saturating_sub(LOOK_BACK)..];
    let surpluses: Vec<i64> = recent.iter().map(months::Bucket::net_minor).collect();
    let expenses: Vec<i64> = recent.iter().map(|bucket| bucket.expense_minor).collect();
    let surplus_minor = median(&surpluses);
    let after = |surplus: &i64| surplus.saturating_sub(amount_minor);
    let short = surpluses.iter().filter(|surplus| after(surplus) < 0).count();
    let balance_minor = book.latest_balance().map(|(_, balance)| balance);
    let months_to_save = surplus_minor
        .filter(|surplus| *surplus > 0 && !monthly)
        .map(|surplus| amount_minor.max(0) / surplus + i64::from(amount_minor % surplus > 0));
    let verdict = match surplus_minor {
        None => Verdict::Unknown,
        Some(surplus) if monthly && after(&surplus) < 0 => Verdict::No,
        Some(_) if monthly && surpluses.len() >= MONTHS_FOR_YES && short * 6 <= surpluses.len() => {
            Verdict::Yes
        }
        Some(_) if monthly => Verdict::Tight,
        Some(_) => {
            let spare = median(&expenses).unwrap_or(0);
            match balance_minor {
                Some(balance) if balance.saturating_sub(spare) >= amount_minor => Verdict::Yes,
                Some(balance) if balance >= amount_minor => Verdict::Tight,
                _ if months_to_save.is_some_and(|months| months <= 6) => Verdict::Tight,
                _ => Verdict::No,
            }
        }
    };
    Affordability {
        amount_minor,
        monthly,
        verdict,
        months: surpluses.len() as u32,
        surplus_minor,
        worst_minor: surpluses.iter().min().copied(),
        short_months: short as u32,
        balance_minor,
        months_to_save,
        unknown_because: surplus_minor.is_none().then(|| reason(book)),
    }
}

fn reason(book: &Book<'_>) -> String {
    match book.span() {
        None => "the statement has no rows".to_owned(),
        Some((first, last)) => format!(
            "the statement covers {} to {}, which is no full calendar month to judge by",
            Day(first),
            Day(last)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finance::domain::fixture::{any_statement, half_a_year, ten_rows};
    use proptest::prelude::*;

    #[test]
    fn a_monthly_amount_is_weighed_against_each_past_month() {
        let statement = half_a_year();
        let book = statement.book();
        // The months leave 47,350, 47,349, 47,348, 47,197, 47,196 and, with a second order, 43,995;
        // their median is 47,272.50.
        let judged = afford(&book, 1_500_000, true);
        assert_eq!((judged.verdict, judged.short_months, judged.months), (Verdict::Yes, 0, 6));
        let judged = afford(&book, 4_500_000, true);
        assert_eq!((judged.verdict, judged.short_months), (Verdict::Yes, 1));
        let judged = afford(&book, 4_722_000, true);
        assert_eq!((judged.verdict, judged.short_months), (Verdict::Tight, 3));
        let judged = afford(&book, 4_728_000, true);
        assert_eq!((judged.verdict, judged.surplus_minor), (Verdict::No, Some(4_727_250)));
    }

    #[test]
    fn without_a_full_month_nothing_is_promised() {
        let judged = afford(&ten_rows().book(), 1_500_000, true);
        assert_eq!(judged.verdict, Verdict::Unknown);
        assert!(judged.unknown_because.unwrap().contains("2026-01-22"));
    }

    #[test]
    fn a_single_amount_counts_the_months_it_takes() {
        let judged = afford(&half_a_year().book(), 10_000_000, false);
        assert_eq!((judged.verdict, judged.months_to_save), (Verdict::Tight, Some(3)));
    }

    proptest! {
        #[test]
        fn any_amount_is_judged(statement in any_statement(), amount in any::<i64>()) {
            let _ = afford(&statement.book(), amount, true);
            let _ = afford(&statement.book(), amount, false);
        }
    }
}
