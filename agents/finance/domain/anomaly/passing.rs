//! Money that only passes through: many strangers pay in and most of it leaves at once.
//!
//! Owns this one pattern, typical of lent-out accounts. A salary, a refund or interest is never
//! counted, nor is anybody who paid in before.

use std::collections::BTreeSet;

use super::super::book::{Book, Row};
use super::super::day::{Day, days_between};
use super::super::money::percent_of;
use super::super::taxonomy::{INCOME_OTHER, TRANSFER_IN};
use super::{Finding, LINES_MAX, Rule, leaves_unnamed, moved, shown};

/// Fewest different strangers.
const STRANGERS_MIN: usize = 5;
/// Days within which they all pay in, the first included.
const WINDOW_DAYS: i64 = 3;
/// Share of it, in percent, that has to leave.
const LEAVES_PERCENT_MIN: i64 = 80;

/// Every burst of strangers whose money left by the day after.
pub(super) fn pass_through(book: &Book<'_>) -> Vec<Finding> {
    let mut strangers = first_credits(book);
    strangers.sort_by_key(|row| (row.date, row.line));
    let mut leaving: Vec<Row<'_>> = book
        .rows()
        .filter(|row| row.amount_minor < 0 && leaves_unnamed(book.code_of(row)))
        .collect();
    leaving.sort_by_key(|row| (row.date, row.line));
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = strangers.get(at) {
        let burst: Vec<Row<'_>> = strangers[at..]
            .iter()
            .take_while(|row| days_between(first.date, row.date) < WINDOW_DAYS)
            .copied()
            .collect();
        let finding =
            (burst.len() >= STRANGERS_MIN).then(|| judge(book, &burst, &leaving)).flatten();
        if let Some(finding) = finding {
            at += burst.len();
            found.push(finding);
        } else {
            // The next burst can only begin on a later day.
            at += burst.iter().take_while(|row| row.date == first.date).count().max(1);
        }
    }
    found
}

/// The first credit of everybody who is not an employer, a bank or a shop.
fn first_credits<'a>(book: &Book<'a>) -> Vec<Row<'a>> {
    let mut credits: Vec<Row<'a>> = book
        .rows()
        .filter(|row| row.amount_minor > 0)
        .filter(|row| [TRANSFER_IN, INCOME_OTHER].contains(&book.code_of(row)))
        .collect();
    credits.sort_by_key(|row| (row.date, row.line));
    let mut seen = BTreeSet::new();
    credits.retain(|row| seen.insert(row.merchant));
    credits
}

fn judge(book: &Book<'_>, burst: &[Row<'_>], leaving: &[Row<'_>]) -> Option<Finding> {
    let (first, last) = (burst.first()?, burst.last()?);
    let from = leaving.partition_point(|row| row.date < first.date);
    let gone: Vec<Row<'_>> = leaving[from..]
        .iter()
        .take_while(|row| days_between(last.date, row.date) <= 1)
        .copied()
        .collect();
    let (came, went) = (moved(burst), moved(&gone));
    let percent = percent_of(went, came)?;
    if percent < LEAVES_PERCENT_MIN {
        return None;
    }
    let mut lines: Vec<u32> = burst.iter().chain(&gone).map(|row| row.line).collect();
    lines.truncate(LINES_MAX);
    Some(Finding {
        rule: Rule::PassThrough,
        title: format!(
            "{} strangers paid in {} from {} to {}, and {} left at once",
            burst.len(),
            shown(book, came),
            Day(first.date),
            Day(last.date),
            shown(book, went)
        ),
        rationale: format!(
            "none of them paid before, and {percent} % as much left by transfer or cash by the day \
             after; accounts that are used to pass on other people's money look like this"
        ),
        amount_minor: came,
        date: gone.last().map_or(last.date, |row| row.date.max(last.date)).into(),
        lines,
        score_milli: None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::anomalies;
    use super::*;
    use crate::finance::domain::fixture::statement;

    const STRANGERS: [&str; 6] = ["ABEL", "BORIS", "CHITRA", "DINESH", "EKTA", "FARAH"];

    fn bursts(leaves: i64) -> usize {
        let texts: Vec<String> =
            STRANGERS.iter().map(|name| format!("UPI/412345678901/{name}/x@y")).collect();
        let mut lines: Vec<_> =
            texts.iter().map(|text| ("2026-01-05", text.as_str(), "", 500_000)).collect();
        lines.push(("2026-01-06", "IMPS/412345678902/GOPAL/HDFC", "", -leaves));
        let found = anomalies(&statement(lines).book()).findings;
        found.iter().filter(|found| found.rule == Rule::PassThrough).count()
    }

    #[test]
    fn strangers_whose_money_leaves_at_once_are_remarked_on() {
        assert_eq!(bursts(2_900_000), 1);
        assert_eq!(bursts(1_000_000), 0, "most of it stays");
    }

    #[test]
    fn a_salary_that_pays_rent_and_loan_is_no_pass_through() {
        let lines = [
            ("2026-01-01", "NEFT CR-ACME CORP-SALARY", "", 8_000_000),
            ("2026-01-02", "Rent payment", "", -5_000_000),
            ("2026-01-02", "HOME LOAN EMI", "", -3_000_000),
        ];
        let found = anomalies(&statement(lines).book()).findings;
        assert!(found.is_empty(), "{found:?}");
    }
}
