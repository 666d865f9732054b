//! How much was spent on something, and when.
//!
//! Owns the choice of rows. Refunds are taken off, and said to be.

use super::super::analysis::{by_merchant, keep_largest, totals, within};
use super::super::book::Row;
use super::super::day::MonthKey;
use super::super::money::basis_points_of;
use super::super::period::Period;
use super::super::question::Target;
use super::wording::{count, list, percent};
use super::{CITATIONS_MAX, Draft, Finding, TABLE_ROWS_MAX, Table};

/// Whether a row is about what was asked.
pub(super) fn is_about(draft: &Draft<'_>, target: &Target, row: &Row<'_>) -> bool {
    match target {
        Target::All => true,
        Target::Categories { codes, .. } => {
            let code = draft.book.code_of(row);
            codes.iter().any(|asked| asked == code)
        }
        Target::Merchant { name } => draft.book.merchant_of(row) == name,
        Target::Unmatched { .. } => false,
    }
}

/// ` on Food in March 2026`, as far as something was asked.
pub(super) fn asked(target: &Target, period: Option<&Period>) -> String {
    let about = match target {
        Target::All => String::new(),
        Target::Categories { name, .. } => format!(" on {name}"),
        Target::Merchant { name } => format!(" at {name}"),
        Target::Unmatched { text } => format!(" on `{text}`"),
    };
    format!("{about}{}", when(period))
}

/// ` in March 2026`, or nothing.
pub(super) fn when(period: Option<&Period>) -> String {
    period.map_or_else(String::new, |period| format!(" in {}", period.label))
}

/// Says that nothing matches, and what the statement covers.
pub(super) fn nothing(draft: &mut Draft<'_>, target: &Target, period: Option<&Period>) {
    let name = match target {
        Target::All => "anything".to_owned(),
        Target::Categories { name, .. } | Target::Merchant { name } => name.clone(),
        Target::Unmatched { text } => format!("`{text}`"),
    };
    let reason = format!("no rows for {name}{}; {}", when(period), draft.coverage());
    draft.could_not(&reason);
    draft.answer = format!("{}.", super::wording::sentence(&reason));
    if matches!(target, Target::Unmatched { .. }) {
        let largest: Vec<String> = super::super::analysis::by_category(draft.book, None)
            .into_iter()
            .take(5)
            .map(|group| group.name)
            .collect();
        if !largest.is_empty() {
            draft.say(&format!(" Its largest categories are {}.", list(&largest)));
        }
    }
}

/// Notes a period that the statement covers only in part.
pub(super) fn note_coverage(draft: &mut Draft<'_>, period: Option<&Period>) {
    let (Some(period), Some((first, last))) = (period, draft.book.span()) else { return };
    if period.from.0 < first && first.day() > 3 || period.to.0 > last {
        let reason = format!("{} is covered only in part: {}", period.label, draft.coverage());
        draft.could_not(&reason);
    }
}

/// Answers how much was spent.
pub(super) fn spend(draft: &mut Draft<'_>, target: &Target, period: Option<&Period>) {
    let rows: Vec<Row<'_>> = draft
        .book
        .rows()
        .filter(|row| row.is_spending() && within(period, row) && is_about(draft, target, row))
        .collect();
    if rows.is_empty() {
        nothing(draft, target, period);
        return;
    }
    let spent = rows.iter().fold(0_i64, |sum, row| sum.saturating_add(row.spend_minor()));
    let refunds = rows.iter().filter(|row| row.refund).count() as u64;
    let payments = rows.len() as u64 - refunds;
    draft.answer = format!(
        "You spent {}{}, in {}",
        draft.shown(spent),
        asked(target, period),
        count(payments, "payment")
    );
    if refunds > 0 {
        draft.say(&format!(" less {}", count(refunds, "refund")));
    }
    let all = totals(draft.book, period).expense_minor;
    if *target != Target::All
        && let Some(share) =
            basis_points_of(spent, all).filter(|share| (0..=10_000).contains(share))
    {
        draft.say(&format!("; that is {} of all spending", percent(share)));
    }
    draft.answer.push('.');
    let mut largest = Vec::new();
    for row in &rows {
        keep_largest(&mut largest, *row, CITATIONS_MAX);
    }
    if let Some(row) = largest.first().filter(|_| rows.len() > 1) {
        draft.find(Finding {
            title: "Largest row".to_owned(),
            detail: format!(
                "{} to {}",
                draft.shown(row.spend_minor()),
                draft.book.merchant_of(row)
            ),
            rationale: format!("of {}", count(rows.len() as u64, "row")),
            amount: Some(draft.money(row.spend_minor())),
            rows: vec![row.line],
        });
    }
    let lines: Vec<u32> = largest.iter().map(|row| row.line).collect();
    let known = largest.len();
    draft.cite(&lines, rows.len().max(known) as u32);
    tables(draft, target, &rows, period);
    note_coverage(draft, period);
}

fn tables(draft: &mut Draft<'_>, target: &Target, rows: &[Row<'_>], period: Option<&Period>) {
    let mut months: std::collections::BTreeMap<MonthKey, (i64, u32)> =
        std::collections::BTreeMap::new();
    for row in rows {
        let (sum, number) = months.entry(MonthKey::of(row.date)).or_default();
        *sum = sum.saturating_add(row.spend_minor());
        *number += 1;
    }
    if months.len() > 1 {
        let skipped = months.len().saturating_sub(TABLE_ROWS_MAX);
        let latest: Vec<(MonthKey, (i64, u32))> = months.into_iter().skip(skipped).collect();
        draft.tables.push(Table {
            title: "By month".to_owned(),
            columns: vec!["Month".to_owned(), "Spent".to_owned(), "Rows".to_owned()],
            rows: latest
                .iter()
                .map(|(month, (sum, number))| {
                    vec![month.to_string(), draft.shown(*sum), number.to_string()]
                })
                .collect(),
            bars: Some(latest.iter().map(|(_, (sum, _))| (*sum).max(0)).collect()),
        });
    }
    let codes = match target {
        Target::Categories { codes, .. } => codes,
        Target::All => {
            super::top::category_table(draft, period, super::super::question::COUNT_MAX);
            return;
        }
        _ => return,
    };
    let merchants: Vec<_> = by_merchant(draft.book, period)
        .into_iter()
        .filter(|group| codes.contains(&group.code))
        .take(10)
        .collect();
    if merchants.len() > 1 {
        super::top::group_table(draft, "By merchant", "Merchant", &merchants);
    }
}
