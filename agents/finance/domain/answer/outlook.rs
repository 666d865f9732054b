//! What lies ahead: the coming months, whether an amount fits, and what to do.
//!
//! Owns the words for it. The reckoning is in [`super::super::forecast`],
//! [`super::super::affordability`] and [`super::super::advice`].

use super::super::advice::Recommendations;
use super::super::affordability::{Affordability, Verdict};
use super::super::forecast::{Forecast, HORIZON_MAX, Horizon};
use super::super::months;
use super::wording::count;
use super::{Draft, Finding, Table};

/// Answers what the coming months will leave over.
pub(super) fn forecast(draft: &mut Draft<'_>, asked: u32, forecast: Option<&Forecast>) {
    let Some(forecast) = forecast else {
        draft.could_not("the forecast did not arrive, so the coming months are not known");
        "The coming months cannot be forecast now, because the forecast did not arrive."
            .clone_into(&mut draft.answer);
        return;
    };
    if let Some(reason) = &forecast.refused {
        draft.could_not(reason);
        draft.answer = format!("No forecast: {reason}.");
        return;
    }
    if asked > HORIZON_MAX {
        draft.could_not(&format!("at most {HORIZON_MAX} months are forecast, not {asked}"));
    }
    let asked = asked.clamp(1, HORIZON_MAX);
    let Some(horizon) = forecast.at(asked) else { return };
    let method = forecast.method.map_or("", |method| method.describe());
    draft.answer = format!(
        "Over the next {} (to {}) about {} should be left over{}.",
        count(asked, "month"),
        horizon.until,
        draft.shown(horizon.net_minor),
        range(draft, horizon, forecast.coverage_percent)
    );
    draft.find(Finding {
        title: "Method".to_owned(),
        detail: method.to_owned(),
        rationale: format!(
            "from {}, {}",
            count(forecast.full_months, "full month"),
            forecast.based_on.join(" to ")
        ),
        amount: None,
        rows: Vec::new(),
    });
    if horizon.low_minor.is_none() {
        draft.could_not("one full month shows no spread, so there is no interval around it");
    }
    let listed = [1, 3, 6, asked];
    let mut months: Vec<u32> = listed.to_vec();
    months.sort_unstable();
    months.dedup();
    let horizons: Vec<&Horizon> = months.iter().filter_map(|months| forecast.at(*months)).collect();
    let end = |amount: Option<i64>| amount.map_or_else(|| "–".to_owned(), |sum| draft.shown(sum));
    draft.tables.push(Table {
        title: format!("Left over, with {} % intervals", forecast.coverage_percent),
        columns: ["Months", "Until", "Expected", "Low", "High"].map(str::to_owned).to_vec(),
        rows: horizons
            .iter()
            .map(|one| {
                vec![
                    one.months.to_string(),
                    one.until.clone(),
                    draft.shown(one.net_minor),
                    end(one.low_minor),
                    end(one.high_minor),
                ]
            })
            .collect(),
        bars: None,
    });
    due(draft, forecast);
}

fn range(draft: &Draft<'_>, horizon: &Horizon, coverage: u32) -> String {
    match (horizon.low_minor, horizon.high_minor) {
        (Some(low), Some(high)) => format!(
            ", between {} and {} with {coverage} % probability",
            draft.shown(low),
            draft.shown(high)
        ),
        _ => String::new(),
    }
}

fn due(draft: &mut Draft<'_>, forecast: &Forecast) {
    if forecast.due.is_empty() {
        return;
    }
    let rows = forecast
        .due
        .iter()
        .map(|due| vec![due.date.to_string(), due.merchant.clone(), draft.shown(due.amount_minor)])
        .collect();
    let lines: Vec<u32> = forecast.due.iter().map(|due| due.line).collect();
    draft.cite(&lines, lines.len() as u32);
    draft.tables.push(Table {
        title: "Due in the first of them".to_owned(),
        columns: ["Date", "To", "Amount"].map(str::to_owned).to_vec(),
        rows,
        bars: Some(forecast.due.iter().map(|due| due.amount_minor).collect()),
    });
}

/// Answers whether an amount is affordable.
pub(super) fn afford(
    draft: &mut Draft<'_>,
    amount_minor: Option<i64>,
    monthly: bool,
    judged: Option<&Affordability>,
) {
    let Some(amount) = amount_minor else {
        draft.could_not("the question names no amount; ask, say, `can I afford ₹15,000 a month`");
        "Name an amount, and whether it is due once or every month.".clone_into(&mut draft.answer);
        return;
    };
    let sum = draft.shown(amount);
    let every = if monthly { " a month" } else { "" };
    let Some(judged) = judged else {
        draft.could_not("the affordability of the amount was not judged");
        draft.answer = format!("Whether you can afford {sum}{every} could not be judged.");
        return;
    };
    if let Some(reason) = &judged.unknown_because {
        draft.could_not(reason);
        let so_far = super::super::analysis::totals(draft.book, None);
        draft.answer = format!(
            "Whether you can afford {sum}{every} cannot be said: {reason}. So far {} is left over.",
            draft.shown(so_far.net_minor)
        );
        return;
    }
    draft.answer = verdict(draft, judged, &format!("{sum}{every}"));
    let amounts = [
        ("Median month leaves", judged.surplus_minor),
        ("Worst month left", judged.worst_minor),
        ("Latest balance", judged.balance_minor),
    ];
    for (title, amount) in amounts {
        let Some(amount) = amount else { continue };
        draft.find(Finding {
            title: title.to_owned(),
            detail: draft.shown(amount),
            rationale: format!("over {}", count(judged.months, "full month")),
            amount: Some(draft.money(amount)),
            rows: Vec::new(),
        });
    }
    let full = months::full(draft.book);
    let recent = &full[full.len().saturating_sub(judged.months as usize)..];
    let taken = if monthly { amount } else { 0 };
    draft.tables.push(Table {
        title: "Past months".to_owned(),
        columns: ["Month", "Left over", "With it"].map(str::to_owned).to_vec(),
        rows: recent
            .iter()
            .map(|bucket| {
                let net = bucket.net_minor();
                let with = draft.shown(net.saturating_sub(taken));
                vec![bucket.month.to_string(), draft.shown(net), with]
            })
            .collect(),
        bars: None,
    });
    let rows = recent.iter().fold(0_u32, |sum, bucket| sum.saturating_add(bucket.count));
    draft.cite(&[], rows);
}

fn verdict(draft: &Draft<'_>, judged: &Affordability, what: &str) -> String {
    let surplus = judged.surplus_minor.unwrap_or(0);
    let left = draft.shown(surplus.saturating_sub(judged.amount_minor));
    let months = count(judged.months, "full month");
    let short = format!("{} of {months} would have ended below zero", judged.short_months);
    let opening = match judged.verdict {
        Verdict::Yes => format!("Yes, you can afford {what}"),
        Verdict::Tight => format!("{what} is tight"),
        Verdict::No | Verdict::Unknown => format!("No, you cannot afford {what}"),
    };
    if judged.monthly {
        return format!("{opening}: the median month would leave {left}, and {short}.");
    }
    let wait = judged.months_to_save.map_or_else(
        || "the median month leaves nothing over to save it from".to_owned(),
        |months| {
            format!(
                "saving it takes {} of what is left over",
                count(months.unsigned_abs(), "month")
            )
        },
    );
    match judged.balance_minor {
        Some(balance) => {
            format!("{opening}: the latest balance is {}, and {wait}.", draft.shown(balance))
        }
        None => format!("{opening}: the statement names no balance, and {wait}."),
    }
}

/// Answers what could be done.
pub(super) fn advice(draft: &mut Draft<'_>, advice: Option<&Recommendations>) {
    let Some(advice) = advice else {
        draft.could_not("the recommendations did not arrive, so there is no advice");
        "There is no advice now, because the recommendations did not arrive."
            .clone_into(&mut draft.answer);
        return;
    };
    let Some(first) = advice.items.first() else {
        "There is nothing to advise: no flexible spending, price rise or double charge was found."
            .clone_into(&mut draft.answer);
        return;
    };
    draft.answer = format!(
        "{} ({}{}); {} in all.",
        first.title,
        draft.shown(first.impact_minor),
        if first.once { " once" } else { " a month" },
        count(advice.items.len() as u64 + u64::from(advice.more), "suggestion")
    );
    for item in &advice.items {
        let every = if item.once { "once" } else { "a month" };
        draft.find(Finding {
            title: item.title.clone(),
            detail: format!("worth {} {every}", draft.shown(item.impact_minor)),
            rationale: item.rationale.clone(),
            amount: Some(draft.money(item.impact_minor)),
            rows: item.lines.clone(),
        });
    }
}
