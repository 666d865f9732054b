//! What could be done, with its effect in money: each piece of advice names its rows.
//!
//! Owns the choice and ranking of advice. It deliberately never advises to trim what is essential
//! (rent, tax, instalments, insurance, utilities, …) or what does not say what it bought, and it
//! promises no saving that the statement does not show. Whether a subscription is used cannot be
//! seen in a statement.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::analysis::{by_category, totals};
use super::anomaly::{Anomalies, Rule};
use super::book::Book;
use super::compare::{Against, compare};
use super::day::MonthKey;
use super::money::{Currency, Money, ratio};
use super::recurring::{Item, Recurring};
use super::taxonomy::Taxonomy;

/// Most pieces of advice listed; the rest are counted.
pub const ITEMS_MAX: usize = 12;
/// How many of the largest flexible categories are advised to shrink.
pub const TRIMMED_MAX: usize = 3;
/// By how much, in percent.
pub const TRIM_PERCENT: i64 = 10;
/// Most lines that one piece of advice cites.
pub const LINES_MAX: usize = 6;

/// What a piece of advice is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// More went out than came in.
    Deficit,
    /// A charge that seems to have been made twice: claim it back.
    ClaimRefund,
    /// A fixed price went up.
    PriceRise,
    /// Several running subscriptions of one category.
    OverlappingSubscriptions,
    /// A category above its own median.
    BackToMedian,
    /// A large flexible category.
    Trim,
}

/// One piece of advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// What it is about.
    pub kind: Kind,
    /// What to do.
    pub title: String,
    /// Why, with the figures.
    pub rationale: String,
    /// Minor units per month that it is worth; once, if `once`.
    pub impact_minor: i64,
    /// Whether the effect comes once rather than every month.
    pub once: bool,
    /// Category code concerned; empty if none.
    pub code: String,
    /// Lines that it rests on.
    pub lines: Vec<u32>,
}

/// Every piece of advice for a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recommendations {
    /// Currency of every amount.
    pub currency: Currency,
    /// Advice by kind, then largest effect first; at most [`ITEMS_MAX`].
    pub items: Vec<Advice>,
    /// Pieces not listed.
    pub more: u32,
}

/// Derives advice from the statement and from what was found in it.
#[must_use]
pub fn recommend(book: &Book<'_>, anomalies: &Anomalies, recurring: &Recurring) -> Recommendations {
    let mut items: Vec<Advice> = Vec::new();
    items.extend(deficit(book));
    items.extend(claims(anomalies));
    items.extend(recurring.items.iter().filter_map(|item| price_rise(book, item)));
    items.extend(overlapping(book, recurring));
    items.extend(back_to_median(book));
    items.extend(trims(book));
    items.sort_by(|a, b| {
        a.kind
            .cmp(&b.kind)
            .then(b.impact_minor.cmp(&a.impact_minor))
            .then_with(|| (&a.code, &a.lines).cmp(&(&b.code, &b.lines)))
    });
    let more = items.len().saturating_sub(ITEMS_MAX) as u32;
    items.truncate(ITEMS_MAX);
    Recommendations { currency: book.currency(), items, more }
}

fn shown(book: &Book<'_>, amount_minor: i64) -> String {
    Money::new(amount_minor, book.currency()).display()
}

/// Calendar months that the statement touches, at least one.
fn months_touched(book: &Book<'_>) -> i64 {
    book.span().map_or(1, |(first, last)| {
        i64::from(MonthKey::of(last).0) - i64::from(MonthKey::of(first).0) + 1
    })
}

fn deficit(book: &Book<'_>) -> Option<Advice> {
    let totals = totals(book, None);
    let months = months_touched(book);
    let monthly = ratio(totals.net_minor.saturating_neg(), 1, months)?;
    let largest = by_category(book, None).into_iter().find(|one| one.amount_minor > 0);
    (totals.net_minor < 0).then(|| Advice {
        kind: Kind::Deficit,
        title: "Spending exceeds income: review the largest categories first".to_owned(),
        rationale: format!(
            "{} went out and {} came in over {months} calendar month(s)",
            shown(book, totals.expense_minor),
            shown(book, totals.income_minor)
        ),
        impact_minor: monthly,
        once: false,
        code: String::new(),
        lines: largest.map(|one| one.lines).unwrap_or_default(),
    })
}

fn claims(anomalies: &Anomalies) -> impl Iterator<Item = Advice> + '_ {
    let twice = anomalies.findings.iter().filter(|found| found.rule == Rule::Duplicate);
    twice.map(|found| Advice {
        kind: Kind::ClaimRefund,
        title: format!("Claim a refund if this was a mistake: {}", found.title),
        rationale: found.rationale.clone(),
        impact_minor: found.amount_minor,
        once: true,
        code: String::new(),
        lines: found.lines.iter().copied().take(LINES_MAX).collect(),
    })
}

fn price_rise(book: &Book<'_>, item: &Item) -> Option<Advice> {
    let rise = item.price_rise.as_ref().filter(|_| item.next.is_some())?;
    if Taxonomy::bundled().get(&item.code).is_none_or(|one| one.essential || one.opaque) {
        return None;
    }
    let noun = item.interval.noun();
    Some(Advice {
        kind: Kind::PriceRise,
        title: format!("Ask {} for the old price, or look for an alternative", item.merchant),
        rationale: format!(
            "it rose from {} to {} per {noun} on {}, {} more a year",
            shown(book, rise.old_minor),
            shown(book, rise.new_minor),
            rise.since,
            shown(book, rise.yearly_minor)
        ),
        impact_minor: ratio(rise.yearly_minor, 1, 12).unwrap_or(0),
        once: false,
        code: item.code.clone(),
        lines: rise.lines.clone(),
    })
}

/// Two or more running subscriptions of one category, to at least two merchants.
fn overlapping(book: &Book<'_>, recurring: &Recurring) -> Vec<Advice> {
    let taxonomy = Taxonomy::bundled();
    let mut running: Vec<&Item> = recurring
        .items
        .iter()
        .filter(|item| item.subscription && item.next.is_some() && taxonomy.trimmable(&item.code))
        .collect();
    running.sort_by(|a, b| {
        (&a.code, a.monthly_minor, &a.merchant).cmp(&(&b.code, b.monthly_minor, &b.merchant))
    });
    let mut advice = Vec::new();
    for items in running.chunk_by(|a, b| a.code == b.code) {
        let (Some(cheapest), Some(dearest)) = (items.first(), items.last()) else {
            continue;
        };
        if items.len() < 2 || cheapest.merchant == dearest.merchant {
            continue;
        }
        let names: Vec<&str> = items.iter().map(|item| item.merchant.as_str()).take(5).collect();
        advice.push(Advice {
            kind: Kind::OverlappingSubscriptions,
            title: format!(
                "Check whether you use all {} {} subscriptions",
                items.len(),
                taxonomy.name(&cheapest.code).to_lowercase()
            ),
            rationale: format!(
                "{} all run; a statement does not show use, but ending the cheapest saves {} a \
                 month",
                names.join(", "),
                shown(book, cheapest.monthly_minor)
            ),
            impact_minor: cheapest.monthly_minor,
            once: false,
            code: cheapest.code.clone(),
            lines: items
                .iter()
                .filter_map(|item| item.lines.last().copied())
                .take(LINES_MAX)
                .collect(),
        });
    }
    advice
}

fn back_to_median(book: &Book<'_>) -> Vec<Advice> {
    let comparison = compare(book, None, Against::EarlierMonths);
    let flexible = comparison
        .risen
        .iter()
        .filter(|change| Taxonomy::bundled().trimmable(&change.code) && change.earlier_minor > 0);
    flexible
        .take(TRIMMED_MAX)
        .map(|change| Advice {
            kind: Kind::BackToMedian,
            title: format!("Bring {} back to its usual level", change.name.to_lowercase()),
            rationale: format!(
                "{} in {} against {} in {}",
                shown(book, change.current_minor),
                comparison.current,
                shown(book, change.earlier_minor),
                comparison.against
            ),
            impact_minor: change.extra_minor,
            once: false,
            code: change.code.clone(),
            lines: change.lines.clone(),
        })
        .collect()
}

fn trims(book: &Book<'_>) -> Vec<Advice> {
    let months = months_touched(book);
    let flexible = by_category(book, None)
        .into_iter()
        .filter(|group| group.amount_minor > 0 && Taxonomy::bundled().trimmable(&group.code));
    flexible
        .take(TRIMMED_MAX)
        .filter_map(|group| {
            let impact = ratio(group.amount_minor, TRIM_PERCENT, 100 * months)?;
            Some(Advice {
                kind: Kind::Trim,
                title: format!("Spend {TRIM_PERCENT} % less on {}", group.name.to_lowercase()),
                rationale: format!(
                    "{} over {} payment(s) in {months} calendar month(s); it is among the largest \
                     categories that are not essential",
                    shown(book, group.amount_minor),
                    group.count
                ),
                impact_minor: impact,
                once: false,
                code: group.code,
                lines: group.lines,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finance::domain::anomaly::anomalies;
    use crate::finance::domain::fixture::{
        Statement, any_statement, half_a_year, statement, ten_rows,
    };
    use crate::finance::domain::recurring::recurring;
    use proptest::prelude::*;

    fn advise(statement: &Statement) -> Recommendations {
        let book = statement.book();
        recommend(&book, &anomalies(&book), &recurring(&book))
    }

    // A tenth of 2,800.00, 1,899.00 and 649.00. Rent (25,000.00) and electricity (2,200.00) are
    // larger, but essential.
    #[test]
    fn the_ten_rows_are_advised_to_trim_flexible_categories_only() {
        let found = advise(&ten_rows());
        let found: Vec<_> = found
            .items
            .iter()
            .map(|item| (item.kind, item.code.as_str(), item.impact_minor))
            .collect();
        assert_eq!(
            found,
            [
                (Kind::Trim, "food:delivery", 28_000),
                (Kind::Trim, "shopping:online", 18_990),
                (Kind::Trim, "entertainment:streaming", 6_490),
            ]
        );
    }

    #[test]
    fn a_price_rise_and_a_rise_of_a_category_come_before_trimming() {
        let found = advise(&half_a_year());
        assert_eq!((found.items[0].kind, found.items[0].impact_minor), (Kind::PriceRise, 15_000));
        assert_eq!(
            (found.items[1].kind, found.items[1].impact_minor),
            (Kind::BackToMedian, 320_300)
        );
    }

    #[test]
    fn duplicates_overlaps_and_a_deficit_are_named() {
        let mut lines =
            vec![("2026-03-05", "Amazon", "", -9_900), ("2026-03-05", "Amazon", "", -9_900)];
        for date in ["2026-01-07", "2026-02-07", "2026-03-07"] {
            lines.push((date, "Netflix", "", -64_900));
            lines.push((date, "Spotify", "", -11_900));
        }
        let kinds: Vec<Kind> =
            advise(&statement(lines)).items.iter().map(|item| item.kind).collect();
        for kind in [Kind::Deficit, Kind::ClaimRefund, Kind::OverlappingSubscriptions] {
            assert!(kinds.contains(&kind), "{kind:?} in {kinds:?}");
        }
    }

    proptest! {
        #[test]
        fn no_ledger_is_advised_to_trim_essentials(statement in any_statement()) {
            let found = advise(&statement);
            for item in &found.items {
                let trims = matches!(item.kind, Kind::Trim | Kind::BackToMedian);
                prop_assert!(!trims || Taxonomy::bundled().trimmable(&item.code));
            }
            let json = serde_json::to_string(&found).unwrap();
            prop_assert!(json.len() <= 16 * 1024);
            prop_assert_eq!(serde_json::from_str::<Recommendations>(&json).unwrap(), found);
        }
    }
}
