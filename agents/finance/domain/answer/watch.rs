//! What to keep an eye on: remarkable rows, recurring payments and their prices.
//!
//! Owns the words for it. The rules are in [`super::super::anomaly`] and
//! [`super::super::recurring`].

use super::super::anomaly::Anomalies;
use super::super::recurring::{Item, Recurring};
use super::super::statistics::total;
use super::wording::{count, percent};
use super::{Draft, Finding, Table};

/// Answers what is unusual.
pub(super) fn unusual(draft: &mut Draft<'_>, anomalies: Option<&Anomalies>) {
    let Some(anomalies) = anomalies else {
        draft.could_not("the check for unusual rows did not arrive, so nothing is said about them");
        "Whether anything is unusual cannot be said now, because the check did not arrive."
            .clone_into(&mut draft.answer);
        return;
    };
    let found = anomalies.findings.len() as u64 + u64::from(anomalies.more);
    draft.answer = match anomalies.findings.first() {
        None => format!(
            "Nothing unusual among {}: no outlier, double charge, pass-through or large first \
             payment.",
            count(anomalies.examined, "row")
        ),
        Some(first) => format!(
            "{} on {}, first of all: {}.",
            count(found, "remark"),
            count(anomalies.examined, "row"),
            first.title
        ),
    };
    note_anomalies(draft, anomalies, super::FINDINGS_MAX);
}

/// Turns remarks into findings.
pub(super) fn note_anomalies(draft: &mut Draft<'_>, anomalies: &Anomalies, most: usize) {
    for found in anomalies.findings.iter().take(most) {
        draft.find(Finding {
            title: found.title.clone(),
            detail: format!("{} on {}", draft.shown(found.amount_minor), found.date),
            rationale: found.rationale.clone(),
            amount: Some(draft.money(found.amount_minor)),
            rows: found.lines.clone(),
        });
    }
}

fn missing(draft: &mut Draft<'_>) {
    draft.could_not("the search for recurring payments did not arrive");
    "Recurring payments cannot be named now, because the search for them did not arrive."
        .clone_into(&mut draft.answer);
}

/// Answers which payments come back, or which of them are subscriptions.
pub(super) fn recurring(draft: &mut Draft<'_>, found: Option<&Recurring>, subscriptions: bool) {
    let Some(found) = found else { return missing(draft) };
    let noun = if subscriptions { "subscription" } else { "recurring payment" };
    let items: Vec<&Item> =
        found.items.iter().filter(|item| item.subscription || !subscriptions).collect();
    if items.is_empty() {
        let reason = format!(
            "no {noun} was found; a monthly rhythm needs three payments, and the statement covers \
             {}",
            count(found.days_covered, "day")
        );
        draft.answer = format!("{}.", super::wording::sentence(&reason));
        if found.days_covered < 62 {
            draft.could_not(&reason);
        }
        return;
    }
    let running: Vec<&&Item> = items.iter().filter(|item| item.next.is_some()).collect();
    let monthly = total(running.iter().map(|item| item.monthly_minor));
    draft.answer = format!(
        "{} {} for {} a month in all{}.",
        count(running.len() as u64, noun),
        if running.len() == 1 { "runs" } else { "run" },
        draft.shown(monthly),
        match items.len() - running.len() {
            0 => String::new(),
            stopped => format!("; {stopped} more seem to have stopped"),
        }
    );
    draft.tables.push(Table {
        title: format!("{}s", super::wording::sentence(noun)),
        columns: ["To", "Every", "Amount", "A month", "Next"].map(str::to_owned).to_vec(),
        rows: items
            .iter()
            .map(|item| {
                vec![
                    item.merchant.clone(),
                    item.interval.noun().to_owned(),
                    draft.shown(item.amount_minor),
                    draft.shown(item.monthly_minor),
                    item.next.map_or_else(|| "stopped".to_owned(), |day| day.to_string()),
                ]
            })
            .collect(),
        bars: Some(items.iter().map(|item| item.monthly_minor).collect()),
    });
    for item in &items {
        draft.find(Finding {
            title: format!("{} every {}", item.merchant, item.interval.noun()),
            detail: draft.shown(item.amount_minor),
            rationale: format!(
                "{} from {} to {}{}",
                count(item.count, "payment"),
                item.first,
                item.last,
                if item.fixed { ", at a fixed price" } else { ", of varying amount" }
            ),
            amount: Some(draft.money(item.amount_minor)),
            rows: item.lines.clone(),
        });
    }
}

/// Answers which prices rose.
pub(super) fn price_rises(draft: &mut Draft<'_>, found: Option<&Recurring>) {
    let Some(found) = found else { return missing(draft) };
    let risen: Vec<_> = found
        .items
        .iter()
        .filter_map(|item| item.price_rise.as_ref().map(|rise| (item, rise)))
        .collect();
    let Some((first, rise)) = risen.first() else {
        draft.answer = format!(
            "No fixed price rose among {}.",
            count(found.items.len() as u64 + u64::from(found.more), "recurring payment")
        );
        if found.items.is_empty() {
            draft.could_not("no recurring payment was found whose price could rise");
        }
        return;
    };
    draft.answer = format!(
        "{} rose from {} to {} per {} on {} (+{}), {} more a year{}.",
        first.merchant,
        draft.shown(rise.old_minor),
        draft.shown(rise.new_minor),
        first.interval.noun(),
        rise.since,
        percent(rise.rise_bp),
        draft.shown(rise.yearly_minor),
        match risen.len() {
            1 => String::new(),
            several => format!("; {} rose in all", count(several as u64, "price")),
        }
    );
    for (item, rise) in risen {
        draft.find(Finding {
            title: format!("{} rose by {}", item.merchant, percent(rise.rise_bp)),
            detail: format!(
                "{} instead of {} per {} since {}",
                draft.shown(rise.new_minor),
                draft.shown(rise.old_minor),
                item.interval.noun(),
                rise.since
            ),
            rationale: format!("{} more a year", draft.shown(rise.yearly_minor)),
            amount: Some(draft.money(rise.yearly_minor)),
            rows: rise.lines.clone(),
        });
    }
}
