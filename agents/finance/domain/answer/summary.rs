//! A bit of everything, asked for or instead of an answer.
//!
//! Owns the choice of what matters in a summary.

use super::super::analysis::{by_category, totals};
use super::super::period::Period;
use super::super::question::{CAN_ASK, Target};
use super::spend::{note_coverage, nothing, when};
use super::wording::count;
use super::{Draft, Finding, Legs, Table};

/// Largest categories of a summary.
const CATEGORIES: u32 = 6;
/// Remarks of a summary.
const REMARKS: usize = 3;
/// Months of a summary.
const MONTHS: usize = 12;

/// Summarises the statement or a period of it.
pub(super) fn summary(draft: &mut Draft<'_>, period: Option<&Period>, legs: &Legs<'_>) {
    let totals = totals(draft.book, period);
    if totals.count == 0 {
        nothing(draft, &Target::All, period);
        return;
    }
    let scope = if period.is_some() { when(period) } else { format!(" ({})", draft.coverage()) };
    draft.answer = format!(
        "{} came in and {} went out{scope}, which leaves {}, over {}.",
        draft.shown(totals.income_minor),
        draft.shown(totals.expense_minor),
        draft.shown(totals.net_minor),
        count(totals.count, "row")
    );
    for group in by_category(draft.book, period).iter().take(REMARKS) {
        draft.find(Finding {
            title: group.name.clone(),
            detail: draft.shown(group.amount_minor),
            rationale: format!("{} of all spending", super::wording::percent(group.share_bp)),
            amount: Some(draft.money(group.amount_minor)),
            rows: group.lines.clone(),
        });
    }
    super::top::category_table(draft, period, CATEGORIES);
    if period.is_none() {
        months(draft, legs);
        remarks(draft, legs);
    }
    let listed = draft.cited.len() as u32;
    draft.uncited = totals.count.saturating_sub(listed);
    note_coverage(draft, period);
}

fn months(draft: &mut Draft<'_>, legs: &Legs<'_>) {
    let months = &legs.analysis.months;
    let latest = &months[months.len().saturating_sub(MONTHS)..];
    if latest.len() < 2 {
        return;
    }
    draft.tables.push(Table {
        title: "By month".to_owned(),
        columns: ["Month", "Received", "Spent", "Left over"].map(str::to_owned).to_vec(),
        rows: latest
            .iter()
            .map(|month| {
                let partial = if month.full { "" } else { " (in part)" };
                vec![
                    format!("{}{partial}", month.month),
                    draft.shown(month.income_minor),
                    draft.shown(month.expense_minor),
                    draft.shown(month.net_minor),
                ]
            })
            .collect(),
        bars: Some(latest.iter().map(|month| month.expense_minor.max(0)).collect()),
    });
}

/// The first remarks of each analysis, and which of them did not arrive.
fn remarks(draft: &mut Draft<'_>, legs: &Legs<'_>) {
    match legs.anomalies {
        Some(anomalies) => super::watch::note_anomalies(draft, anomalies, REMARKS),
        None => draft.could_not("the check for unusual rows did not arrive"),
    }
    match legs.recurring {
        Some(found) if !found.items.is_empty() => {
            let lines: Vec<u32> =
                found.items.iter().filter_map(|item| item.lines.last().copied()).take(5).collect();
            draft.find(Finding {
                title: count(found.items.len() as u64 + u64::from(found.more), "recurring payment"),
                detail: format!("{} a month", draft.shown(found.monthly_minor)),
                rationale: "payments that come back at regular intervals and still run".to_owned(),
                amount: Some(draft.money(found.monthly_minor)),
                rows: lines,
            });
        }
        Some(_) => {}
        None => draft.could_not("the search for recurring payments did not arrive"),
    }
    match legs.forecast {
        Some(forecast) => match (&forecast.refused, forecast.at(1)) {
            (Some(reason), _) => draft.could_not(&format!("there is no forecast: {reason}")),
            (None, Some(next)) => {
                let method = forecast.method.map_or("", |method| method.describe());
                draft.find(Finding {
                    title: format!("Next month ({})", next.until),
                    detail: format!("about {} left over", draft.shown(next.net_minor)),
                    rationale: method.to_owned(),
                    amount: Some(draft.money(next.net_minor)),
                    rows: Vec::new(),
                });
            }
            (None, None) => {}
        },
        None => draft.could_not("the forecast did not arrive"),
    }
    match legs.recommendations {
        Some(advice) => {
            for item in advice.items.iter().take(REMARKS) {
                draft.find(Finding {
                    title: item.title.clone(),
                    detail: format!("worth {}", draft.shown(item.impact_minor)),
                    rationale: item.rationale.clone(),
                    amount: Some(draft.money(item.impact_minor)),
                    rows: item.lines.clone(),
                });
            }
        }
        None => draft.could_not("the recommendations did not arrive"),
    }
}

/// Says that the question was not understood, summarises, and names what can be asked.
pub(super) fn unknown(draft: &mut Draft<'_>, legs: &Legs<'_>) {
    summary(draft, None, legs);
    draft.answer = format!(
        "The question was not understood as one about this statement; here is a summary. {}",
        draft.answer
    );
    draft.could_not("the question was not understood; ask one of the examples");
    draft.can_ask = CAN_ASK.iter().map(|example| (*example).to_owned()).collect();
}
