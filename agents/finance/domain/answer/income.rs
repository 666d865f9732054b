//! What came in, what was kept of it, and what is left.
//!
//! Owns the savings rate: income less spending, over income. Money put into investments is spending
//! in a statement, so the rate with investments counted as saved is said besides.

use super::super::analysis::{by_category, keep_largest, totals, within};
use super::super::book::Row;
use super::super::day::Day;
use super::super::money::basis_points_of;
use super::super::period::Period;
use super::super::question::Target;
use super::super::taxonomy::REFUND;
use super::spend::{is_about, note_coverage, nothing, when};
use super::wording::{count, percent};
use super::{CITATIONS_MAX, Draft, Finding, Table};

/// Answers how much came in.
pub(super) fn income(draft: &mut Draft<'_>, target: &Target, period: Option<&Period>) {
    let refunds = match target {
        Target::Categories { codes, .. } => codes.iter().any(|code| code == REFUND),
        _ => false,
    };
    let counts = |row: &Row<'_>| {
        let about = is_about(draft, target, row);
        if refunds {
            row.refund || (row.amount_minor > 0 && about)
        } else {
            row.income_minor() > 0 && about
        }
    };
    let rows: Vec<Row<'_>> =
        draft.book.rows().filter(|row| within(period, row) && counts(row)).collect();
    if rows.is_empty() {
        nothing(draft, target, period);
        return;
    }
    let sum = rows.iter().fold(0_i64, |sum, row| sum.saturating_add(row.amount_minor));
    let from = match target {
        Target::Categories { name, .. } => format!(" as {}", name.to_lowercase()),
        _ => String::new(),
    };
    draft.answer = format!(
        "You received {}{from}{}, in {}.",
        draft.shown(sum),
        when(period),
        count(rows.len() as u64, "row")
    );
    let mut largest = Vec::new();
    for row in &rows {
        keep_largest(&mut largest, *row, CITATIONS_MAX);
    }
    let lines: Vec<u32> = largest.iter().map(|row| row.line).collect();
    draft.cite(&lines, rows.len() as u32);
    draft.tables.push(Table {
        title: "Largest receipts".to_owned(),
        columns: ["Date", "From", "Amount"].map(str::to_owned).to_vec(),
        rows: largest
            .iter()
            .take(10)
            .map(|row| {
                let from = draft.book.merchant_of(row).to_owned();
                vec![Day(row.date).to_string(), from, draft.shown(row.amount_minor)]
            })
            .collect(),
        bars: Some(largest.iter().take(10).map(|row| row.amount_minor).collect()),
    });
    note_coverage(draft, period);
}

/// Answers what share of income was kept.
pub(super) fn savings_rate(draft: &mut Draft<'_>, period: Option<&Period>) {
    let totals = totals(draft.book, period);
    if totals.count == 0 {
        nothing(draft, &Target::All, period);
        return;
    }
    let kept = draft.shown(totals.net_minor);
    let income = draft.shown(totals.income_minor);
    let spent = draft.shown(totals.expense_minor);
    if let Some(rate) = basis_points_of(totals.net_minor, totals.income_minor) {
        draft.answer = format!(
            "You kept {kept} of {income} received{}: a savings rate of {}.",
            when(period),
            percent(rate)
        );
    } else {
        draft.answer = format!(
            "Nothing was received{}, so there is no savings rate; {spent} was spent.",
            when(period)
        );
        let reason = format!("a savings rate needs income, and there is none{}", when(period));
        draft.could_not(&reason);
    }
    let groups = by_category(draft.book, period);
    for group in groups.iter().filter(|group| group.code.starts_with("invest:")) {
        let saved = totals.net_minor.saturating_add(group.amount_minor);
        let rate = basis_points_of(saved, totals.income_minor);
        draft.find(Finding {
            title: format!("{} went into investments", draft.shown(group.amount_minor)),
            detail: rate.map_or_else(String::new, |rate| {
                format!("counted as saved, the rate is {}", percent(rate))
            }),
            rationale: "a statement shows money put into investments as spending".to_owned(),
            amount: Some(draft.money(group.amount_minor)),
            rows: group.lines.clone(),
        });
    }
    let mut largest = Vec::new();
    for row in draft.book.rows().filter(|row| within(period, row)) {
        keep_largest(&mut largest, row, CITATIONS_MAX);
    }
    let lines: Vec<u32> = largest.iter().map(|row| row.line).collect();
    draft.cite(&lines, totals.count);
    draft.tables.push(Table {
        title: "Kept".to_owned(),
        columns: ["Received", "Spent", "Kept"].map(str::to_owned).to_vec(),
        rows: vec![vec![income, spent, kept]],
        bars: None,
    });
    note_coverage(draft, period);
}

/// Answers what the latest balance is.
pub(super) fn balance(draft: &mut Draft<'_>) {
    let last = draft.book.span().map(|(_, last)| Day(last).to_string()).unwrap_or_default();
    if let Some((line, balance)) = draft.book.latest_balance() {
        draft.answer = format!(
            "The latest balance in the statement is {}, up to {last}.",
            draft.shown(balance)
        );
        draft.cite(&[line], 1);
    } else {
        let net = totals(draft.book, None);
        draft.answer = format!(
            "The statement names no balance; its rows add up to {}.",
            draft.shown(net.net_minor)
        );
        draft.could_not("the statement has no balance column, so the balance is not known");
    }
}
