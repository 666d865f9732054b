//! The same charge twice: same merchant, same amount, same or next day.
//!
//! Owns telling a slip from a habit. Rows that came back as a refund are left alone.

use super::super::book::{Book, Row};
use super::super::day::{Day, days_between};
use super::super::taxonomy::CASH;
use super::{Finding, LINES_MAX, Rule, shown};

/// Repetitions of one amount at one merchant from which it is a habit.
const HABIT_RUNS: usize = 3;
/// Days within which a credit of the same amount settles a duplicate.
const REFUND_DAYS: i64 = 10;

/// Every charge that looks as if it was made twice.
pub(super) fn duplicates(book: &Book<'_>, debits: &[Row<'_>]) -> Vec<Finding> {
    let key = |row: &Row<'_>| (row.merchant, row.amount_minor);
    let mut charges: Vec<Row<'_>> =
        debits.iter().filter(|row| book.code_of(row) != CASH).copied().collect();
    charges.sort_unstable_by_key(|row| (key(row), row.date, row.line));
    let mut credits: Vec<Row<'_>> = book.rows().filter(|row| row.amount_minor > 0).collect();
    credits.sort_unstable_by_key(|row| (key(row), row.date, row.line));
    let mut found = Vec::new();
    for rows in charges.chunk_by(|a, b| key(a) == key(b)).filter(|rows| rows.len() >= 2) {
        let runs: Vec<&[Row<'_>]> = rows
            .chunk_by(|a, b| days_between(a.date, b.date) <= 1)
            .filter(|run| run.len() >= 2)
            .collect();
        if runs.len() >= HABIT_RUNS || runs.iter().any(|run| run.len() > LINES_MAX) {
            continue;
        }
        let settled = rows.first().map(|row| (row.merchant, row.amount_minor.saturating_neg()));
        let from = credits.partition_point(|row| Some(key(row)) < settled);
        let to = credits.partition_point(|row| Some(key(row)) <= settled);
        let back = credits.get(from..to).unwrap_or_default();
        found.extend(runs.into_iter().filter_map(|run| duplicate(book, run, back)));
    }
    found
}

fn duplicate(book: &Book<'_>, run: &[Row<'_>], back: &[Row<'_>]) -> Option<Finding> {
    let (first, last) = (run.first()?, run.last()?);
    let returned = back
        .iter()
        .filter(|credit| (0..=REFUND_DAYS).contains(&days_between(first.date, credit.date)))
        .count();
    let extra = (run.len() - 1).checked_sub(returned).filter(|extra| *extra > 0)?;
    let amount = first.spend_minor();
    let when = if first.date == last.date {
        format!("on {}", Day(first.date))
    } else {
        format!("between {} and {}", Day(first.date), Day(last.date))
    };
    Some(Finding {
        rule: Rule::Duplicate,
        title: format!(
            "{} charged {} {} times {when}",
            book.merchant_of(first),
            shown(book, amount),
            run.len()
        ),
        rationale: "the same merchant and amount on the same or the next day, and no refund of it \
                    within ten days; two real purchases look the same, so check before claiming"
            .to_owned(),
        amount_minor: amount.saturating_mul(i64::try_from(extra).unwrap_or(i64::MAX)),
        date: last.date.into(),
        lines: run.iter().map(|row| row.line).collect(),
        score_milli: None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::anomalies;
    use super::*;
    use crate::finance::domain::fixture::{Line, statement};

    fn found(lines: &[Line<'_>]) -> Vec<(i64, Vec<u32>)> {
        let statement = statement(lines.iter().copied());
        let findings = anomalies(&statement.book()).findings;
        let twice = findings.into_iter().filter(|found| found.rule == Rule::Duplicate);
        twice.map(|found| (found.amount_minor, found.lines)).collect()
    }

    #[test]
    fn a_charge_repeated_the_same_or_the_next_day_is_found() {
        let same = [("2026-01-05", "Amazon", "", -9_900), ("2026-01-05", "AMAZON", "", -9_900)];
        assert_eq!(found(&same), [(9_900, vec![2, 3])]);
        let next = [("2026-01-05", "Amazon", "", -9_900), ("2026-01-06", "AMAZON", "", -9_900)];
        assert_eq!(found(&next), [(9_900, vec![2, 3])]);
    }

    #[test]
    fn monthly_rent_a_habit_and_a_refunded_charge_are_not_duplicates() {
        let rent = [("2026-01-05", "Rent", "", -9_900), ("2026-02-05", "Rent", "", -9_900)];
        assert_eq!(found(&rent), []);
        let dates: Vec<String> = (1..=20).map(|day| format!("2026-01-{day:02}")).collect();
        let tea: Vec<_> =
            dates.iter().map(|date| (date.as_str(), "Tea stall", "", -2_000)).collect();
        assert_eq!(found(&tea), []);
        let refunded = [
            ("2026-01-05", "Amazon", "", -9_900),
            ("2026-01-05", "Amazon", "", -9_900),
            ("2026-01-09", "Amazon refund", "", 9_900),
        ];
        assert_eq!(found(&refunded), []);
    }
}
