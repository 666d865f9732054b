//! The rules that decide what a question wants to know, in the order in which they are tried.
//!
//! Owns their order. The words are in [`super::vocabulary`], what a question is about in
//! [`super::target`].

use super::super::book::Book;
use super::super::compare::Against;
use super::super::period::number_word;
use super::super::taxonomy::Taxonomy;
use super::target::{Target, target};
use super::vocabulary::{
    ADVICE, AFFORD, BALANCE, CATEGORIES, CREDITS, FORECAST, INCOME, LARGEST, MERCHANTS,
    OVERSPENDING, PRICES, RECURRING, RISES, ROWS, SAVINGS, SPEND, SUBSCRIPTIONS, SUMMARY, UNUSUAL,
};
use super::{Asked, COUNT_DEFAULT, COUNT_MAX, Intent};

/// The first rule that fits.
pub(super) fn decide(asked: &Asked, book: &Book<'_>) -> Intent {
    let about = target(&asked.words, book);
    None.or_else(|| afford(asked))
        .or_else(|| repeated(asked))
        .or_else(|| advice(asked))
        .or_else(|| forecast(asked))
        .or_else(|| overspending(asked))
        .or_else(|| ranked(asked, &about))
        .or_else(|| flows(asked, &about))
        .or_else(|| rest(asked, &about))
        .unwrap_or(Intent::Unknown)
}

fn afford(asked: &Asked) -> Option<Intent> {
    let buys = asked.says(&["can i", "could i", "should i"])
        && asked.has(&["buy", "take", "spend", "pay", "get", "handle", "manage", "commit"]);
    let amounts = buys && asked.amount_minor.is_some();
    if !asked.has(AFFORD) && !amounts {
        return None;
    }
    let yearly = asked.says(&["a year", "per year", "every year"]) || asked.has(&["yearly"]);
    let weekly = asked.says(&["a week", "per week", "every week"]) || asked.has(&["weekly"]);
    let monthly = asked.has(&["monthly", "month", "emi", "pm", "rent", "subscription"]);
    let amount_minor = asked.amount_minor.map(|amount| match (yearly, weekly) {
        (true, _) => amount / 12,
        (_, true) => amount.saturating_mul(52) / 12,
        _ => amount,
    });
    Some(Intent::Afford { amount_minor, monthly: monthly || yearly || weekly })
}

/// Recurring payments, price rises and remarkable rows.
fn repeated(asked: &Asked) -> Option<Intent> {
    let up = asked.has(RISES) || asked.says(&["went up", "gone up", "go up", "more expensive"]);
    if up && asked.has(PRICES) && !asked.has(OVERSPENDING) {
        return Some(Intent::PriceRises);
    }
    if asked.says(&["more expensive", "price rise", "price rises", "price hike"]) {
        return Some(Intent::PriceRises);
    }
    if asked.has(UNUSUAL) || asked.says(&["charged twice", "double charged", "stand out"]) {
        return Some(Intent::Unusual);
    }
    if asked.has(SUBSCRIPTIONS) && !asked.has(ADVICE) {
        return Some(Intent::Subscriptions);
    }
    let phrases = [
        "regular payments",
        "regular expenses",
        "fixed expenses",
        "fixed costs",
        "auto debit",
        "auto debits",
        "monthly payments",
        "upcoming payments",
        "due next",
        "come back",
        "regularly pay",
        "pay regularly",
        "pay every month",
    ];
    (asked.has(RECURRING) || asked.says(&phrases)).then_some(Intent::Recurring)
}

fn advice(asked: &Asked) -> Option<Intent> {
    let phrases = [
        "can i save",
        "could i save",
        "do i save more",
        "save money",
        "save more",
        "ways to save",
        "help me save",
        "should i do",
        "can i do",
        "spend less",
        "start saving",
        "to save",
    ];
    (asked.has(ADVICE) || asked.says(&phrases)).then_some(Intent::Advice)
}

fn forecast(asked: &Asked) -> Option<Intent> {
    let ahead = asked.words.iter().position(|word| word == "next" || word == "coming");
    let word = |at: usize| asked.words.get(at).map_or("", String::as_str);
    let months = ahead.and_then(|at| {
        let (count, unit) = match number_word(word(at + 1)) {
            Some(count) => (count, word(at + 2)),
            None => (1, word(at + 1)),
        };
        let months = match unit {
            "months" if number_word(word(at + 1)).is_none() => 3,
            "month" | "months" => 1,
            "quarter" | "quarters" => 3,
            "year" | "years" => 12,
            "week" | "weeks" | "fortnight" => return Some(1),
            _ => return None,
        };
        u32::try_from(count.checked_mul(months)?).ok().filter(|months| *months > 0)
    });
    let phrases = ["will i", "will be", "going to", "end up with", "by the end of"];
    let asks = asked.has(FORECAST) || asked.says(&phrases);
    (asks || months.is_some()).then(|| Intent::Forecast { months: months.unwrap_or(3) })
}

fn overspending(asked: &Asked) -> Option<Intent> {
    let phrases = [
        "over spend",
        "over spent",
        "too much",
        "spend more",
        "spent more",
        "spending more",
        "spending increase",
        "spending increased",
        "spending rise",
        "went up",
        "gone up",
        "compare",
        "spending grow",
        "over budget",
    ];
    let asks = asked.has(OVERSPENDING) || asked.says(&phrases);
    if !asks && (asked.against.is_none() || asked.has(INCOME) || asked.has(SAVINGS)) {
        return None;
    }
    let mut period = asked.period.clone();
    let mut against = asked.against;
    // `overspend last month` asks about that month; `compare with` was taken out before.
    if against.is_none() && asked.says(&["compare", "change since"]) {
        against = Some(Against::PreviousMonth);
        period = None;
    }
    Some(Intent::Overspending { against: against.unwrap_or(Against::EarlierMonths), period })
}

/// Rankings: categories, merchants, single rows.
fn ranked(asked: &Asked, about: &Target) -> Option<Intent> {
    let period = asked.period.clone();
    let count = count(asked);
    let most = asked.has(LARGEST);
    let goes = [
        "money go",
        "money goes",
        "money went",
        "money going",
        "spend most on",
        "spend the most on",
        "spent the most on",
        "spent most on",
        "by category",
        "per category",
        "break down",
        "most of my money",
    ];
    if asked.has(CATEGORIES) || asked.says(&goes) {
        return Some(Intent::TopCategories { count, period });
    }
    let shops = most && asked.has(&["shops", "stores", "places", "shop", "apps"]);
    if shops || asked.has(MERCHANTS) && (most || asked.has(SPEND)) && !names_merchant(about) {
        return Some(Intent::TopMerchants { count, period });
    }
    let rows = asked.has(ROWS) || asked.says(&["most expensive"]) || asked.amount_minor.is_some();
    let single = most && (rows || *about != Target::All)
        || asked.has(&["largest", "biggest", "highest", "costliest"]);
    let credits = asked.has(CREDITS) && !asked.says(&["credit card"]);
    let target = match about {
        Target::Categories { codes, .. } if codes.iter().any(|code| is_row_word(code)) => {
            Target::All
        }
        Target::Unmatched { .. } => Target::All,
        other if credits && is_income(other) => Target::All,
        other => other.clone(),
    };
    single.then_some(Intent::Largest { count, credits, target, period })
}

/// Categories whose synonyms also just mean a row.
fn is_row_word(code: &str) -> bool {
    ["transfer:person", "utilities:other", "shopping:stores"].contains(&code)
}

fn names_merchant(about: &Target) -> bool {
    matches!(about, Target::Merchant { .. })
}

fn is_income(about: &Target) -> bool {
    match about {
        Target::Categories { codes, .. } => codes
            .iter()
            .all(|code| Taxonomy::bundled().get(code).is_some_and(|category| category.income)),
        _ => false,
    }
}

/// Savings, income, balance and spending.
fn flows(asked: &Asked, about: &Target) -> Option<Intent> {
    let period = asked.period.clone();
    if asked.has(BALANCE) {
        return Some(Intent::Balance);
    }
    if asked.has(SAVINGS) || asked.says(&["left over", "surplus", "put aside"]) {
        return Some(Intent::SavingsRate { period });
    }
    let income = asked.has(INCOME) || asked.says(&["paid in", "came in", "money in", "come in"]);
    if is_income(about) || (income && matches!(about, Target::All | Target::Unmatched { .. })) {
        let target = if is_income(about) { about.clone() } else { Target::All };
        return Some(Intent::Income { target, period });
    }
    let much = asked.says(&["how much", "total", "money"]);
    let spends = asked.has(SPEND) || much;
    spends.then(|| Intent::Spend { target: about.clone(), period })
}

/// A summary, or a bare name or period.
fn rest(asked: &Asked, about: &Target) -> Option<Intent> {
    let period = asked.period.clone();
    if asked.has(SUMMARY) {
        return Some(Intent::Summary { period });
    }
    match about {
        Target::Categories { .. } | Target::Merchant { .. } => {
            Some(Intent::Spend { target: about.clone(), period })
        }
        Target::All if period.is_some() => Some(Intent::Summary { period }),
        Target::All | Target::Unmatched { .. } => None,
    }
}

/// The number beside `top`, `largest` and the like.
fn count(asked: &Asked) -> u32 {
    let beside = asked.words.iter().position(|word| LARGEST.contains(&word.as_str()));
    let number = |at: Option<usize>| {
        let count = number_word(asked.words.get(at?)?)?;
        u32::try_from(count).ok().filter(|count| *count > 0)
    };
    let found = beside.and_then(|at| number(Some(at + 1)).or_else(|| number(at.checked_sub(1))));
    found.unwrap_or(COUNT_DEFAULT).min(COUNT_MAX)
}
