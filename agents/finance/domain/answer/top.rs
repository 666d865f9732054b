//! Rankings: the categories, merchants and rows that took most.
//!
//! Owns their tables. Adding up is in [`super::super::analysis`].

use super::super::analysis::{Group, by_category, by_merchant, keep_largest, within};
use super::super::book::Row;
use super::super::day::Day;
use super::super::period::Period;
use super::super::question::Target;
use super::super::taxonomy::Taxonomy;
use super::spend::{is_about, note_coverage, nothing, when};
use super::wording::{count, list, percent};
use super::{Draft, Finding, Table};

/// What largest rows are asked for.
pub(super) struct Largest<'a> {
    pub(super) count: u32,
    pub(super) credits: bool,
    pub(super) target: &'a Target,
}

/// A table of groups with their share and count.
pub(super) fn group_table(draft: &mut Draft<'_>, title: &str, column: &str, groups: &[Group]) {
    let columns = [column, "Spent", "Share", "Rows"].map(str::to_owned).to_vec();
    let rows = groups
        .iter()
        .map(|group| {
            vec![
                group.name.clone(),
                draft.shown(group.amount_minor),
                percent(group.share_bp),
                group.count.to_string(),
            ]
        })
        .collect();
    let bars = groups.iter().map(|group| group.amount_minor.max(0)).collect();
    draft.tables.push(Table { title: title.to_owned(), columns, rows, bars: Some(bars) });
}

/// The table of categories of a period.
pub(super) fn category_table(draft: &mut Draft<'_>, period: Option<&Period>, most: u32) {
    let groups: Vec<Group> =
        by_category(draft.book, period).into_iter().take(most as usize).collect();
    if !groups.is_empty() {
        group_table(draft, "By category", "Category", &groups);
    }
}

/// Answers where the money went.
pub(super) fn categories(draft: &mut Draft<'_>, most: u32, period: Option<&Period>) {
    let groups = by_category(draft.book, period);
    ranked(draft, &groups, most, &Ranked { column: "Category", period });
}

/// Answers who was paid most.
pub(super) fn merchants(draft: &mut Draft<'_>, most: u32, period: Option<&Period>) {
    let groups = by_merchant(draft.book, period);
    ranked(draft, &groups, most, &Ranked { column: "Merchant", period });
}

struct Ranked<'a> {
    column: &'static str,
    period: Option<&'a Period>,
}

fn ranked(draft: &mut Draft<'_>, groups: &[Group], most: u32, asked: &Ranked<'_>) {
    if groups.is_empty() {
        nothing(draft, &Target::All, asked.period);
        return;
    }
    let listed = &groups[..groups.len().min(most as usize)];
    let named: Vec<String> = listed
        .iter()
        .take(3)
        .map(|group| {
            format!(
                "{} ({}, {})",
                group.name,
                draft.shown(group.amount_minor),
                percent(group.share_bp)
            )
        })
        .collect();
    draft.answer = format!("Most went to {}{}.", list(&named), when(asked.period));
    for group in listed {
        draft.find(Finding {
            title: group.name.clone(),
            detail: format!("{} in {}", draft.shown(group.amount_minor), count(group.count, "row")),
            rationale: format!("{} of all spending", percent(group.share_bp)),
            amount: Some(draft.money(group.amount_minor)),
            rows: group.lines.clone(),
        });
        let known = group.lines.len() as u32;
        draft.uncited = draft.uncited.saturating_add(group.count.saturating_sub(known));
    }
    let title = format!("By {}", asked.column.to_lowercase());
    group_table(draft, &title, asked.column, listed);
    if groups.len() > listed.len() {
        let more = (groups.len() - listed.len()) as u64;
        let noun = if asked.column == "Category" { "more group" } else { "more merchant" };
        draft.say(&format!(" {} took the rest.", count(more, noun)));
    }
    note_coverage(draft, asked.period);
}

/// Answers which single rows were largest.
pub(super) fn largest(draft: &mut Draft<'_>, asked: &Largest<'_>, period: Option<&Period>) {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let wanted =
        |row: &Row<'_>| if asked.credits { row.amount_minor > 0 } else { row.amount_minor < 0 };
    let matching = draft
        .book
        .rows()
        .filter(|row| wanted(row) && within(period, row) && is_about(draft, asked.target, row));
    for row in matching {
        keep_largest(&mut rows, row, asked.count as usize);
    }
    let Some(first) = rows.first() else {
        nothing(draft, asked.target, period);
        return;
    };
    let side = if asked.credits { "receipt" } else { "payment" };
    draft.answer = format!(
        "The largest {side}{} is {} on {} ({}).",
        super::spend::asked(asked.target, period),
        draft.shown(first.amount_minor.saturating_abs()),
        Day(first.date),
        draft.book.merchant_of(first)
    );
    let name = |row: &Row<'_>| Taxonomy::bundled().name(draft.book.code_of(row)).to_owned();
    draft.tables.push(Table {
        title: format!("Largest {side}s"),
        columns: ["Date", "Merchant", "Category", "Amount"].map(str::to_owned).to_vec(),
        rows: rows
            .iter()
            .map(|row| {
                vec![
                    Day(row.date).to_string(),
                    draft.book.merchant_of(row).to_owned(),
                    name(row),
                    draft.shown(row.amount_minor),
                ]
            })
            .collect(),
        bars: Some(rows.iter().map(|row| row.amount_minor.saturating_abs()).collect()),
    });
    let lines: Vec<u32> = rows.iter().map(|row| row.line).collect();
    draft.cite(&lines, lines.len() as u32);
    note_coverage(draft, period);
}
