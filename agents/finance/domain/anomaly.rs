//! Rows that deserve a second look, each with the reason and its rows.
//!
//! Owns the rules below. It deliberately accuses nobody: a finding is a remark, not a verdict.
//!
//! - **Outlier**: debits of one merchant (if it has at least three), else of one category, on a
//!   log scale. From [`MODIFIED_Z_ROWS_MIN`] rows the modified z-score
//!   0.6745·(x − median)/MAD decides, at 3.5 and above (Iglewicz & Hoaglin, *How to Detect and
//!   Handle Outliers*, 1993); a row must also be 1.5 times the median, so that a group of nearly
//!   equal prices does not flag a few paise. With fewer rows, or when the MAD is 0, a row is
//!   flagged if it is at least 3 times the median of the other rows.
//! - **Duplicate**: the same merchant and amount on the same or the next day, unless that happens
//!   so often that it is a habit, or the amount came back within ten days.
//! - **Pass-through**: at least five strangers pay in within three days, and at least 80 % of it
//!   leaves by transfer or cash by the day after.
//! - **New payee**: a first payment to somebody after a month of history that is at least five
//!   times the usual debit and among the largest 5 %.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::book::{Book, Row};
use super::day::{Day, days_between};
use super::money::{Currency, Money, ratio};
use super::statistics::{from_float, mad, median_float, median_of_others, median_of_sorted, total};
use super::taxonomy::{CASH, TRANSFER_OUT, Taxonomy, UNCATEGORIZED};

mod duplicate;
mod passing;

/// Most findings listed; the rest are counted.
pub const FINDINGS_MAX: usize = 20;
/// Most lines that one finding cites.
pub const LINES_MAX: usize = 10;
/// Modified z-score from which a row is an outlier, in thousandths.
pub const THRESHOLD_MILLI: i64 = 3_500;
/// Fewest rows of a group for the modified z-score.
pub const MODIFIED_Z_ROWS_MIN: usize = 8;
/// Fewest rows of a group for any remark about amounts.
pub const GROUP_ROWS_MIN: usize = 3;
/// How many times the median of the other rows flags a row of a small group.
pub const SMALL_GROUP_TIMES: i64 = 3;

/// Which rule made a finding.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Many strangers pay in, and the money leaves at once.
    PassThrough,
    /// The same charge twice.
    Duplicate,
    /// An amount far from its group.
    Outlier,
    /// A large first payment to somebody.
    NewPayee,
}

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// What was seen, for a person.
    pub title: String,
    /// Why it is remarked on, with the figures that decided.
    pub rationale: String,
    /// Minor units at stake.
    pub amount_minor: i64,
    /// Day of the latest row concerned.
    pub date: Day,
    /// Lines concerned, at most [`LINES_MAX`].
    pub lines: Vec<u32>,
    /// The modified z-score in thousandths, where it decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_milli: Option<i64>,
}

/// Every remark about a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Anomalies {
    /// Currency of every amount.
    pub currency: Currency,
    /// Remarks by rule, then largest amount first; at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// Remarks not listed.
    pub more: u32,
    /// Rows examined.
    pub examined: u32,
}

/// Applies every rule.
#[must_use]
pub fn anomalies(book: &Book<'_>) -> Anomalies {
    let debits: Vec<Row<'_>> = book.rows().filter(|row| row.amount_minor < 0).collect();
    let mut findings = passing::pass_through(book);
    findings.extend(duplicate::duplicates(book, &debits));
    findings.extend(outliers(book, &debits));
    let outlying: BTreeSet<u32> =
        findings.iter().flat_map(|found| found.lines.iter().copied()).collect();
    findings.extend(
        new_payees(book, &debits)
            .into_iter()
            .filter(|found| !found.lines.iter().any(|line| outlying.contains(line))),
    );
    findings.sort_by(|a, b| {
        a.rule
            .cmp(&b.rule)
            .then(b.amount_minor.cmp(&a.amount_minor))
            .then_with(|| a.lines.cmp(&b.lines))
    });
    let more = findings.len().saturating_sub(FINDINGS_MAX) as u32;
    findings.truncate(FINDINGS_MAX);
    let examined = u32::try_from(book.ledger().entries.len()).unwrap_or(u32::MAX);
    Anomalies { currency: book.currency(), findings, more, examined }
}

/// Amount for a person.
fn shown(book: &Book<'_>, amount_minor: i64) -> String {
    Money::new(amount_minor, book.currency()).display()
}

fn outliers(book: &Book<'_>, debits: &[Row<'_>]) -> Vec<Finding> {
    let mut by_merchant: Vec<Vec<Row<'_>>> = vec![Vec::new(); book.merchant_names().len()];
    let mut by_category: Vec<Vec<Row<'_>>> = vec![Vec::new(); book.category_codes().len()];
    for row in debits {
        if let Some(rows) = by_merchant.get_mut(row.merchant as usize) {
            rows.push(*row);
        }
        if let Some(rows) = by_category.get_mut(usize::from(row.category)) {
            rows.push(*row);
        }
    }
    let mut found = Vec::new();
    let own_group: Vec<bool> =
        by_merchant.iter().map(|rows| rows.len() >= GROUP_ROWS_MIN).collect();
    for (rows, name) in by_merchant.into_iter().zip(book.merchant_names()) {
        found.extend(outliers_of(book, rows, name, |_| true));
    }
    for (rows, code) in by_category.into_iter().zip(book.category_codes()) {
        // What a transfer, cash or an unplaced row should cost cannot be known from its category,
        // nor can the price of one essential from another (a term's fees, a year's premium).
        let taxonomy = Taxonomy::bundled();
        if taxonomy.get(code).is_none_or(|one| one.opaque || one.essential) {
            continue;
        }
        let alone = |row: &Row<'_>| !own_group.get(row.merchant as usize).is_some_and(|own| *own);
        found.extend(outliers_of(book, rows, taxonomy.name(code), alone));
    }
    found
}

/// Outliers among the rows of one group, of those that `asked` is true for.
fn outliers_of(
    book: &Book<'_>,
    mut rows: Vec<Row<'_>>,
    group: &str,
    asked: impl Fn(&Row<'_>) -> bool,
) -> Vec<Finding> {
    if rows.len() < GROUP_ROWS_MIN {
        return Vec::new();
    }
    rows.sort_by_key(|row| (row.spend_minor(), row.line));
    let amounts: Vec<i64> = rows.iter().map(Row::spend_minor).collect();
    let logs: Vec<f64> = amounts.iter().map(|amount| (*amount as f64).max(1.0).ln()).collect();
    let (Some(middle), Some(spread)) = (median_float(&logs), mad(&logs)) else {
        return Vec::new();
    };
    let robust = rows.len() >= MODIFIED_Z_ROWS_MIN && spread > 1e-9;
    let mut found = Vec::new();
    let upper = rows.len() / 2;
    for (at, row) in rows.iter().enumerate().skip(upper).filter(|(_, row)| asked(row)) {
        let amount = amounts[at];
        let (usual, score) = if robust {
            let score = from_float(0.6745 * (logs[at] - middle) / spread * 1_000.0);
            let usual = median_of_sorted(&amounts).unwrap_or(0);
            let far = i128::from(amount) * 2 >= i128::from(usual) * 3;
            if score < THRESHOLD_MILLI || !far {
                continue;
            }
            (usual, Some(score))
        } else {
            let usual = median_of_others(&amounts, at).unwrap_or(0);
            if i128::from(amount) < i128::from(usual) * i128::from(SMALL_GROUP_TIMES) {
                continue;
            }
            (usual, None)
        };
        found.push(outlier(book, row, &Judged { group, usual, score, rows: rows.len() }));
    }
    found
}

/// What decided about an outlier.
struct Judged<'a> {
    group: &'a str,
    usual: i64,
    score: Option<i64>,
    rows: usize,
}

fn outlier(book: &Book<'_>, row: &Row<'_>, judged: &Judged<'_>) -> Finding {
    let amount = row.spend_minor();
    let tenths = ratio(amount, 10, judged.usual).unwrap_or(0);
    let times = format!("{}.{}", tenths / 10, tenths % 10);
    let merchant = book.merchant_of(row);
    let reason = match judged.score {
        Some(score) => format!(
            "modified z-score {}.{} on log amounts over {} payments, remarked on from 3.5",
            score / 1_000,
            score % 1_000 / 100,
            judged.rows
        ),
        None => format!(
            "{} payments are too few or too alike for statistics, so a payment of at least \
             {SMALL_GROUP_TIMES} times the median of the others is remarked on",
            judged.rows
        ),
    };
    Finding {
        rule: Rule::Outlier,
        title: format!(
            "{} to {merchant} on {} is {times} times the usual {}",
            shown(book, amount),
            Day(row.date),
            shown(book, judged.usual)
        ),
        rationale: format!("compared with {}: {reason}", judged.group),
        amount_minor: amount,
        date: row.date.into(),
        lines: vec![row.line],
        score_milli: judged.score,
    }
}

/// Days of history before a payee can be new.
const HISTORY_DAYS: i64 = 30;

fn new_payees(book: &Book<'_>, debits: &[Row<'_>]) -> Vec<Finding> {
    let Some((start, _)) = book.span() else {
        return Vec::new();
    };
    let mut amounts: Vec<i64> = debits.iter().map(Row::spend_minor).collect();
    amounts.sort_unstable();
    let Some(usual) = median_of_sorted(&amounts).filter(|_| amounts.len() >= 20) else {
        return Vec::new();
    };
    let high = amounts.get(amounts.len() * 95 / 100).copied().unwrap_or(i64::MAX);
    let mut in_order: Vec<&Row<'_>> = debits.iter().collect();
    in_order.sort_by_key(|row| (row.date, row.line));
    let mut seen = vec![false; book.merchant_names().len()];
    let mut found = Vec::new();
    for row in in_order {
        let Some(known) = seen.get_mut(row.merchant as usize) else {
            continue;
        };
        let first = !std::mem::replace(known, true);
        let amount = row.spend_minor();
        let large = amount >= high && i128::from(amount) >= 5 * i128::from(usual);
        if !first || !large || days_between(start, row.date) < HISTORY_DAYS {
            continue;
        }
        found.push(Finding {
            rule: Rule::NewPayee,
            title: format!(
                "first payment to {}: {} on {}",
                book.merchant_of(row),
                shown(book, amount),
                Day(row.date)
            ),
            rationale: format!(
                "nobody of that name was paid before; it is among the largest 5 % of payments, \
                 and the usual payment is {}",
                shown(book, usual)
            ),
            amount_minor: amount,
            date: row.date.into(),
            lines: vec![row.line],
            score_milli: None,
        });
    }
    found
}

/// Whether money in this category left without saying for what.
fn leaves_unnamed(code: &str) -> bool {
    [CASH, TRANSFER_OUT, UNCATEGORIZED].contains(&code)
}

/// The sum of what rows moved, whichever way.
fn moved(rows: &[Row<'_>]) -> i64 {
    total(rows.iter().map(|row| row.amount_minor.saturating_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finance::domain::fixture::{any_statement, statement, ten_rows};
    use proptest::prelude::*;

    #[test]
    fn the_third_of_three_payments_is_remarked_on() {
        let statement = ten_rows();
        let found = anomalies(&statement.book());
        let [only] = found.findings.as_slice() else { panic!("{:?}", found.findings) };
        assert_eq!((only.rule, only.amount_minor), (Rule::Outlier, 200_000));
        assert_eq!(only.lines, [8]);
        // The median of 350.00 and 450.00 is 400.00, a fifth of 2,000.00.
        assert!(only.title.contains("5.0 times the usual ₹400.00"), "{}", only.title);
    }

    #[test]
    fn many_payments_are_judged_by_the_modified_z_score() {
        // Eight payments of 400.00 to 470.00 and one of 1,600.00.
        let dates = (1..=8).map(|day| format!("2026-01-{:02}", day * 3)).collect::<Vec<_>>();
        let mut lines: Vec<_> = dates
            .iter()
            .zip(0..)
            .map(|(date, step)| (date.as_str(), "Swiggy", "", -40_000 - step * 1_000))
            .collect();
        lines.push(("2026-01-29", "Swiggy", "", -160_000));
        let found = anomalies(&statement(lines).book());
        let [only] = found.findings.as_slice() else { panic!("{:?}", found.findings) };
        // ln 44000 = 10.69194 is the median, the MAD is ln(44/42) = 0.04652, so that
        // 0.6745·ln(160/44)/0.04652 = 18.718.
        assert_eq!(only.score_milli, Some(18_718));
    }

    #[test]
    fn equal_prices_with_a_small_step_are_no_outliers() {
        let dates: Vec<String> = (1..=9).map(|month| format!("2025-{month:02}-07")).collect();
        let lines = dates.iter().zip(0..).map(|(date, step)| {
            (date.as_str(), "Netflix", "", if step < 8 { -64_900 } else { -79_900 })
        });
        assert!(anomalies(&statement(lines).book()).findings.is_empty());
    }

    #[test]
    fn a_large_first_payment_after_a_month_is_remarked_on() {
        let dates: Vec<String> = (1..=28).map(|day| format!("2026-01-{day:02}")).collect();
        let mut lines: Vec<_> = dates
            .iter()
            .zip(0..)
            .map(|(date, step)| (date.as_str(), "BigBasket", "", -30_000 - step * 500))
            .collect();
        lines.push(("2026-02-20", "UPI/412345678901/RAVI TRADERS/ravi@ybl", "", -4_000_000));
        let found = anomalies(&statement(lines).book());
        let [only] = found.findings.as_slice() else { panic!("{:?}", found.findings) };
        assert_eq!((only.rule, only.amount_minor), (Rule::NewPayee, 4_000_000));
    }

    proptest! {
        #[test]
        fn any_ledger_is_examined_within_bounds(statement in any_statement()) {
            let found = anomalies(&statement.book());
            let json = serde_json::to_string(&found).unwrap();
            prop_assert!(json.len() <= 16 * 1024, "{} bytes", json.len());
            prop_assert_eq!(serde_json::from_str::<Anomalies>(&json).unwrap(), found);
        }
    }
}
