//! Overspending: one month against an earlier one, category by category.
//!
//! Owns what is compared with what. A month that the statement covers only up to a day is compared
//! with the same days of earlier months; an earlier month that the statement does not cover from
//! its start is not compared with at all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::analysis::{LINES_MAX, keep_largest};
use super::book::{Book, Row};
use super::day::{MonthKey, days_between};
use super::money::basis_points_of;
use super::months::EDGE_DAYS;
use super::statistics::median;
use super::taxonomy::Taxonomy;

/// Most earlier months that a median looks at.
pub const EARLIER_MAX: i32 = 12;
/// Smallest rise that counts as overspending, in hundredths of a percent of the earlier amount.
pub const RISE_BP_MIN: i64 = 1_000;
/// Most categories listed.
pub const CHANGES_MAX: usize = 10;

/// What a month is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The month before.
    PreviousMonth,
    /// The median of up to [`EARLIER_MAX`] earlier months.
    EarlierMonths,
    /// The same month a year earlier.
    YearBefore,
}

/// How the spending of one category changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Category code.
    pub code: String,
    /// Category name.
    pub name: String,
    /// Minor units spent in the month looked at.
    pub current_minor: i64,
    /// Minor units spent in what it is compared with.
    pub earlier_minor: i64,
    /// The difference.
    pub extra_minor: i64,
    /// The difference in hundredths of a percent of the earlier amount; absent if that was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rise_bp: Option<i64>,
    /// Lines of the largest rows of the month looked at.
    pub lines: Vec<u32>,
}

/// One month against an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The month looked at: `March 2026`, or `March 2026 up to the 22nd`.
    pub current: String,
    /// What it is compared with: `February 2026`, `the median of 5 earlier months`.
    pub against: String,
    /// Minor units spent in the month looked at.
    pub current_minor: i64,
    /// Minor units spent in what it is compared with.
    pub earlier_minor: i64,
    /// Categories that rose by at least [`RISE_BP_MIN`], largest rise in money first; investing
    /// more is not overspending.
    pub risen: Vec<Change>,
    /// Why there is nothing to compare with, as a sentence without its full stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing: Option<String>,
}

/// Compares a month (by default the statement's last) with an earlier one.
#[must_use]
pub fn compare(book: &Book<'_>, month: Option<MonthKey>, against: Against) -> Comparison {
    let Some((first, last)) = book.span() else {
        return nothing(
            "the statement",
            "the statement has no rows, so there is nothing to compare",
        );
    };
    let current = month.unwrap_or(MonthKey::of(last));
    let partial = MonthKey::of(last) == current && days_between(last, current.last()) > EDGE_DAYS;
    let to_day = if partial { last.day() } else { 31 };
    let label =
        if partial { format!("{} up to day {to_day}", current.long()) } else { current.long() };
    if MonthKey::of(first) > current || MonthKey::of(last) < current {
        let reason = format!("the statement has no rows for {}", current.long());
        return nothing(&label, &reason);
    }
    let covered = |month: &MonthKey| days_between(month.first(), first) <= EDGE_DAYS;
    let earlier: Vec<MonthKey> = match against {
        Against::PreviousMonth => vec![current.plus(-1)],
        Against::EarlierMonths => (1..=EARLIER_MAX).map(|back| current.plus(-back)).collect(),
        Against::YearBefore => vec![current.plus(-12)],
    };
    let earlier: Vec<MonthKey> = earlier.into_iter().filter(covered).collect();
    let Some(one) = earlier.first() else {
        let wanted = match against {
            Against::PreviousMonth => format!("all of {}", current.plus(-1).long()),
            Against::EarlierMonths => "a whole earlier month".to_owned(),
            Against::YearBefore => format!("all of {}", current.plus(-12).long()),
        };
        let reason = format!(
            "the statement starts on {}, so it does not cover {wanted} to compare {label} with",
            super::day::Day(first)
        );
        return nothing(&label, &reason);
    };
    let against = match (against, earlier.len()) {
        (Against::EarlierMonths, 2..) => format!("the median of {} earlier months", earlier.len()),
        _ => one.long(),
    };
    let against = if partial { format!("{against} up to the same day") } else { against };
    weigh(book, &Weighed { current, earlier, to_day }, (label, against))
}

fn nothing(current: &str, reason: &str) -> Comparison {
    Comparison {
        current: current.to_owned(),
        against: String::new(),
        current_minor: 0,
        earlier_minor: 0,
        risen: Vec::new(),
        nothing: Some(reason.to_owned()),
    }
}

/// Which months to weigh, up to which day of each.
struct Weighed {
    current: MonthKey,
    earlier: Vec<MonthKey>,
    to_day: u8,
}

fn weigh(book: &Book<'_>, months: &Weighed, labels: (String, String)) -> Comparison {
    let codes = book.category_codes();
    let mut current = vec![0_i64; codes.len()];
    let mut largest: Vec<Vec<Row<'_>>> = vec![Vec::new(); codes.len()];
    let mut earlier = vec![vec![0_i64; months.earlier.len()]; codes.len()];
    for row in book.rows().filter(|row| row.is_spending() && row.date.day() <= months.to_day) {
        let (month, category) = (MonthKey::of(row.date), usize::from(row.category));
        let slot = if month == months.current {
            keep_largest(&mut largest[category], row, LINES_MAX);
            current.get_mut(category)
        } else {
            let at = months.earlier.iter().position(|other| *other == month);
            at.and_then(|at| earlier[category].get_mut(at))
        };
        if let Some(sum) = slot {
            *sum = sum.saturating_add(row.spend_minor());
        }
    }
    let sums: Vec<i64> = (0..months.earlier.len())
        .map(|at| super::statistics::total(earlier.iter().map(|months| months[at])))
        .collect();
    let mut risen: Vec<Change> = (0..codes.len())
        .filter_map(|category| {
            let earlier_minor = median(&earlier[category]).unwrap_or(0).max(0);
            let extra_minor = current[category].saturating_sub(earlier_minor);
            let rise_bp = basis_points_of(extra_minor, earlier_minor);
            let invested = codes[category].starts_with("invest:");
            let risen =
                extra_minor > 0 && !invested && rise_bp.is_none_or(|rise| rise >= RISE_BP_MIN);
            risen.then(|| Change {
                code: codes[category].to_string(),
                name: Taxonomy::bundled().name(&codes[category]).to_owned(),
                current_minor: current[category],
                earlier_minor,
                extra_minor,
                rise_bp,
                lines: largest[category].iter().map(|row| row.line).collect(),
            })
        })
        .collect();
    risen.sort_by(|a, b| b.extra_minor.cmp(&a.extra_minor).then_with(|| a.code.cmp(&b.code)));
    risen.truncate(CHANGES_MAX);
    Comparison {
        current: labels.0,
        against: labels.1,
        current_minor: super::statistics::total(current),
        earlier_minor: median(&sums).unwrap_or(0),
        risen,
        nothing: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finance::domain::fixture::{any_statement, half_a_year, statement, ten_rows};
    use proptest::prelude::*;

    #[test]
    fn one_month_alone_has_nothing_to_compare_with() {
        let statement = ten_rows();
        let found = compare(&statement.book(), None, Against::PreviousMonth);
        let reason = found.nothing.unwrap();
        assert!(reason.contains("does not cover all of December 2025"), "{reason}");
    }

    #[test]
    fn the_month_that_rose_is_found_in_money_and_percent_with_its_rows() {
        let statement = half_a_year();
        let found = compare(&statement.book(), None, Against::EarlierMonths);
        assert_eq!(found.against, "the median of 5 earlier months");
        let food = &found.risen[0];
        // 300,600 + 320,000 against the median of 300,100 to 300,500.
        assert_eq!((food.code.as_str(), food.current_minor), ("food:delivery", 620_600));
        assert_eq!((food.earlier_minor, food.extra_minor), (300_300, 320_300));
        assert_eq!(food.rise_bp, Some(10_666));
        assert_eq!(food.lines.len(), 2);
        let before = compare(&statement.book(), None, Against::PreviousMonth);
        assert_eq!(before.against, "May 2025");
        assert_eq!(before.risen[0].earlier_minor, 300_500);
    }

    #[test]
    fn a_month_in_progress_is_compared_with_the_same_days() {
        let statement = statement([
            ("2026-01-01", "Swiggy", "", -10_000),
            ("2026-01-25", "Swiggy", "", -90_000),
            ("2026-02-05", "Swiggy", "", -20_000),
        ]);
        let found = compare(&statement.book(), None, Against::PreviousMonth);
        assert_eq!(found.current, "February 2026 up to day 5");
        assert_eq!((found.risen[0].current_minor, found.risen[0].earlier_minor), (20_000, 10_000));
    }

    proptest! {
        #[test]
        fn any_ledger_is_compared_without_panic(
            statement in any_statement(),
            month in any::<i32>(),
        ) {
            for against in [Against::PreviousMonth, Against::EarlierMonths, Against::YearBefore] {
                let _ = compare(&statement.book(), None, against);
                let _ = compare(&statement.book(), Some(MonthKey(month)), against);
            }
        }
    }
}
