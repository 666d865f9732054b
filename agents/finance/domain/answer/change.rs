//! What rose against an earlier time.
//!
//! Owns the words for it. What is compared with what is in [`super::super::compare`].

use super::super::analysis::by_category;
use super::super::compare::{Against, compare};
use super::super::day::MonthKey;
use super::super::period::Period;
use super::wording::{list, percent, sentence};
use super::{Draft, Finding, Table};

/// Answers what was overspent on.
pub(super) fn overspending(draft: &mut Draft<'_>, against: Against, period: Option<&Period>) {
    let month = period.and_then(Period::one_month);
    if let Some(period) = period.filter(|_| month.is_none()) {
        let reason = format!(
            "overspending is compared month by month, so not {} but the statement's last month was \
             looked at",
            period.label
        );
        draft.could_not(&reason);
    }
    let found = compare(draft.book, month, against);
    if let Some(reason) = &found.nothing {
        incomparable(draft, month, reason);
        return;
    }
    let total = format!(
        "{} in {} against {} in {}",
        draft.shown(found.current_minor),
        found.current,
        draft.shown(found.earlier_minor),
        found.against
    );
    if found.risen.is_empty() {
        draft.answer = format!("Nothing: no category rose by a tenth or more. You spent {total}.");
    } else {
        let named: Vec<String> = found
            .risen
            .iter()
            .take(3)
            .map(|change| format!("{} (+{})", change.name, draft.shown(change.extra_minor)))
            .collect();
        draft.answer = format!("You overspent on {}: {total}.", list(&named));
    }
    for change in &found.risen {
        let rise =
            change.rise_bp.map_or_else(|| "new".to_owned(), |bp| format!("+{}", percent(bp)));
        draft.find(Finding {
            title: format!("{} rose by {}", change.name, draft.shown(change.extra_minor)),
            detail: format!(
                "{} against {} ({rise})",
                draft.shown(change.current_minor),
                draft.shown(change.earlier_minor)
            ),
            rationale: format!("{} compared with {}", found.current, found.against),
            amount: Some(draft.money(change.extra_minor)),
            rows: change.lines.clone(),
        });
    }
    let columns = ["Category", "Now", "Before", "More", "Rise"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = found
        .risen
        .iter()
        .map(|change| {
            vec![
                change.name.clone(),
                draft.shown(change.current_minor),
                draft.shown(change.earlier_minor),
                draft.shown(change.extra_minor),
                change.rise_bp.map_or_else(|| "new".to_owned(), percent),
            ]
        })
        .collect();
    let bars = Some(found.risen.iter().map(|change| change.extra_minor).collect());
    if !rows.is_empty() {
        let title = format!("{} against {}", found.current, found.against);
        draft.tables.push(Table { title, columns, rows, bars });
    }
}

/// Says why nothing can be compared, and what took most instead.
fn incomparable(draft: &mut Draft<'_>, month: Option<MonthKey>, reason: &str) {
    draft.could_not(reason);
    let last = draft.book.span().map(|(_, last)| MonthKey::of(last));
    let looked_at = month.or(last).map(Period::month);
    let groups = by_category(draft.book, looked_at.as_ref());
    let named: Vec<String> = groups
        .iter()
        .take(3)
        .map(|group| format!("{} ({})", group.name, draft.shown(group.amount_minor)))
        .collect();
    draft.answer = format!("Overspending cannot be judged: {reason}.");
    if let Some(period) = looked_at.filter(|_| !named.is_empty()) {
        draft.answer.push_str(&sentence(&format!(
            " The largest categories in {} are {}; largest does not mean overspent.",
            period.label,
            list(&named)
        )));
    }
    for group in groups.iter().take(3) {
        draft.find(Finding {
            title: group.name.clone(),
            detail: draft.shown(group.amount_minor),
            rationale: "among the largest categories of the month, without a comparison".to_owned(),
            amount: Some(draft.money(group.amount_minor)),
            rows: group.lines.clone(),
        });
    }
}
