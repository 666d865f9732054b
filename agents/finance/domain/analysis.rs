//! Where the money came from and went: totals by month, category and merchant, each with its rows.
//!
//! Owns grouping and adding up. Comparison between months is in [`super::compare`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::book::{Book, Row};
use super::day::Day;
use super::ledger::Reject;
use super::money::{Currency, basis_points_of};
use super::months;
use super::period::Period;
use super::taxonomy::Taxonomy;

/// Most groups that a result lists; the rest are counted.
pub const GROUPS_MAX: usize = 20;
/// Most months that a result lists, the latest ones.
pub const MONTHS_LISTED_MAX: usize = 36;
/// Most lines that one group cites, its largest rows.
pub const LINES_MAX: usize = 5;
/// Most rejected rows that an analysis repeats.
pub const REJECTS_LISTED_MAX: usize = 5;

/// Income, expense and net of some rows, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Rows counted.
    pub count: u32,
    /// Money in, without matched refunds.
    pub income_minor: i64,
    /// Money out, less matched refunds.
    pub expense_minor: i64,
    /// Income less expense.
    pub net_minor: i64,
}

/// What one category or merchant took, refunds taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// Name for display.
    pub name: String,
    /// Category code; for a merchant, that of its largest row.
    pub code: String,
    /// Minor units spent.
    pub amount_minor: i64,
    /// Rows counted.
    pub count: u32,
    /// Share of all spending in hundredths of a percent.
    pub share_bp: i64,
    /// Lines of its largest rows, largest first, at most [`LINES_MAX`].
    pub lines: Vec<u32>,
}

/// What one calendar month brought and took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Month {
    /// `2026-01`.
    pub month: String,
    /// Rows counted.
    pub count: u32,
    /// Money in.
    pub income_minor: i64,
    /// Money out.
    pub expense_minor: i64,
    /// Income less expense.
    pub net_minor: i64,
    /// Whether the statement covers the month in full.
    pub full: bool,
}

/// The whole statement added up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Analysis {
    /// Currency of every amount.
    pub currency: Currency,
    /// Date of the earliest row; absent for a statement without rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Day>,
    /// Date of the latest row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Day>,
    /// The whole statement.
    pub totals: Totals,
    /// The latest months, oldest first, at most [`MONTHS_LISTED_MAX`].
    pub months: Vec<Month>,
    /// Months not listed.
    pub months_more: u32,
    /// Spending categories, largest first, at most [`GROUPS_MAX`].
    pub categories: Vec<Group>,
    /// Categories not listed.
    pub categories_more: u32,
    /// Merchants paid, largest first, at most [`GROUPS_MAX`].
    pub merchants: Vec<Group>,
    /// Merchants not listed.
    pub merchants_more: u32,
    /// Rows of the file that could not be used.
    pub rejected: u32,
    /// The first of them, at most [`REJECTS_LISTED_MAX`].
    pub rejects: Vec<Reject>,
}

/// Adds up the whole statement.
#[must_use]
pub fn analyse(book: &Book<'_>) -> Analysis {
    let mut months: Vec<Month> = months::buckets(book)
        .into_iter()
        .map(|bucket| Month {
            month: bucket.month.to_string(),
            count: bucket.count,
            income_minor: bucket.income_minor,
            expense_minor: bucket.expense_minor,
            net_minor: bucket.net_minor(),
            full: bucket.full,
        })
        .collect();
    let months_more = months.len().saturating_sub(MONTHS_LISTED_MAX);
    months.drain(..months_more);
    let (categories, categories_more) = bounded(by_category(book, None));
    let (merchants, merchants_more) = bounded(by_merchant(book, None));
    let span = book.span();
    let ledger = book.ledger();
    Analysis {
        currency: book.currency(),
        from: span.map(|(first, _)| Day(first)),
        to: span.map(|(_, last)| Day(last)),
        totals: totals(book, None),
        months,
        months_more: months_more as u32,
        categories,
        categories_more,
        merchants,
        merchants_more,
        rejected: ledger.rejected_count,
        rejects: ledger.rejects.iter().take(REJECTS_LISTED_MAX).cloned().collect(),
    }
}

fn bounded(mut groups: Vec<Group>) -> (Vec<Group>, u32) {
    let more = groups.len().saturating_sub(GROUPS_MAX);
    groups.truncate(GROUPS_MAX);
    (groups, more as u32)
}

/// Whether a row lies in the period; every row lies in no period.
#[must_use]
pub fn within(period: Option<&Period>, row: &Row<'_>) -> bool {
    period.is_none_or(|period| period.contains(row.date))
}

/// Adds up the rows of a period.
#[must_use]
pub fn totals(book: &Book<'_>, period: Option<&Period>) -> Totals {
    let mut totals = Totals::default();
    for row in book.rows().filter(|row| within(period, row)) {
        totals.count = totals.count.saturating_add(1);
        totals.income_minor = totals.income_minor.saturating_add(row.income_minor());
        totals.expense_minor = totals.expense_minor.saturating_add(row.spend_minor());
    }
    totals.net_minor = totals.income_minor.saturating_sub(totals.expense_minor);
    totals
}

/// Spending by category in a period, largest first, ties by code.
#[must_use]
pub fn by_category(book: &Book<'_>, period: Option<&Period>) -> Vec<Group> {
    let codes = book.category_codes();
    grouped(
        book,
        period,
        codes.len(),
        |row| usize::from(row.category),
        |at, _| {
            let code = codes.get(at).map_or("", |code| code);
            (Taxonomy::bundled().name(code).to_owned(), code.to_owned())
        },
    )
}

/// Spending by merchant in a period, largest first, ties by name.
#[must_use]
pub fn by_merchant(book: &Book<'_>, period: Option<&Period>) -> Vec<Group> {
    let names = book.merchant_names();
    grouped(
        book,
        period,
        names.len(),
        |row| row.merchant as usize,
        |at, largest| {
            let name = names.get(at).map_or("", |name| name);
            (name.to_owned(), book.code_of(largest).to_owned())
        },
    )
}

/// One group while it grows: its sum, its count and its largest rows.
struct Growing<'a> {
    amount_minor: i64,
    count: u32,
    largest: Vec<Row<'a>>,
}

fn grouped<'a>(
    book: &Book<'a>,
    period: Option<&Period>,
    groups: usize,
    key: impl Fn(&Row<'a>) -> usize,
    named: impl Fn(usize, &Row<'a>) -> (String, String),
) -> Vec<Group> {
    let mut growing: Vec<Option<Growing<'a>>> = Vec::new();
    growing.resize_with(groups, || None);
    let mut all_minor = 0_i64;
    for row in book.rows().filter(|row| row.is_spending() && within(period, row)) {
        let Some(slot) = growing.get_mut(key(&row)) else {
            continue;
        };
        let group =
            slot.get_or_insert_with(|| Growing { amount_minor: 0, count: 0, largest: Vec::new() });
        all_minor = all_minor.saturating_add(row.spend_minor());
        group.amount_minor = group.amount_minor.saturating_add(row.spend_minor());
        group.count = group.count.saturating_add(1);
        keep_largest(&mut group.largest, row, LINES_MAX);
    }
    let mut groups: Vec<Group> = growing
        .into_iter()
        .enumerate()
        .filter_map(|(at, group)| group.map(|group| (at, group)))
        .filter_map(|(at, group)| {
            let (name, code) = named(at, group.largest.first()?);
            Some(Group {
                name,
                code,
                amount_minor: group.amount_minor,
                count: group.count,
                share_bp: basis_points_of(group.amount_minor, all_minor).unwrap_or(0),
                lines: group.largest.iter().map(|row| row.line).collect(),
            })
        })
        .collect();
    groups.sort_by(|a, b| {
        b.amount_minor
            .cmp(&a.amount_minor)
            .then_with(|| (&a.code, &a.name).cmp(&(&b.code, &b.name)))
    });
    groups
}

/// Inserts `row` among the largest so far: by what was spent or received, then by line.
pub fn keep_largest<'a>(largest: &mut Vec<Row<'a>>, row: Row<'a>, keep: usize) {
    let rank = |row: &Row<'_>| (std::cmp::Reverse(row.amount_minor.unsigned_abs()), row.line);
    let at = largest.partition_point(|other| rank(other) <= rank(&row));
    if at < keep {
        largest.insert(at, row);
        largest.truncate(keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finance::domain::fixture::{any_statement, ten_rows};
    use proptest::prelude::*;

    // Golden values: the column of ten amounts added up by hand.
    #[test]
    fn the_ten_rows_add_up() {
        let statement = ten_rows();
        let analysis = analyse(&statement.book());
        let totals = analysis.totals;
        assert_eq!(
            (totals.income_minor, totals.expense_minor, totals.net_minor),
            (10_000_000, 3_279_800, 6_720_200)
        );
        let categories: Vec<_> = analysis
            .categories
            .iter()
            .map(|group| (group.code.as_str(), group.amount_minor, group.count))
            .collect();
        assert_eq!(
            categories,
            [
                ("housing:rent", 2_500_000, 1),
                ("food:delivery", 280_000, 3),
                ("utilities:power", 220_000, 1),
                ("shopping:online", 189_900, 1),
                ("entertainment:streaming", 64_900, 1),
                ("transport:ride", 25_000, 1),
            ]
        );
        assert_eq!(analysis.categories[1].lines, [8, 3, 4]);
        assert_eq!(analysis.merchants[1].name, "Swiggy");
        assert_eq!(analysis.months.len(), 1);
        assert!(!analysis.months[0].full, "it ends on the 22nd");
    }

    proptest! {
        #[test]
        fn any_ledger_is_analysed_within_bounds(statement in any_statement()) {
            let analysis = analyse(&statement.book());
            let json = serde_json::to_string(&analysis).unwrap();
            prop_assert!(json.len() <= 16 * 1024, "{} bytes", json.len());
            prop_assert_eq!(serde_json::from_str::<Analysis>(&json).unwrap(), analysis);
        }
    }
}
