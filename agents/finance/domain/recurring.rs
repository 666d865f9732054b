//! Payments that come back: their rhythm, what they cost, what rose in price, what is due next.
//!
//! Owns finding them by the intervals between rows. It deliberately promises nothing: a statement
//! shows what was paid, not what was agreed or used.
//!
//! Rows of one merchant are taken together; if they have no rhythm, rows of similar amounts are
//! tried on their own, so that a subscription is found among other purchases. A rhythm needs
//! enough distinct payments and at least four intervals in five within its tolerance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::Date;

use super::book::{Book, Row};
use super::day::{Day, MonthKey, days_between, plus_days};
use super::money::{Currency, basis_points_of, ratio};
use super::statistics::{median, total};
use super::taxonomy::{CASH, Taxonomy};

/// Most payments that a result lists; the rest are counted.
pub const ITEMS_MAX: usize = 24;
/// Most lines that one payment cites, the latest.
pub const LINES_MAX: usize = 6;

/// How often a payment comes back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// Every 6 to 8 days.
    Weekly,
    /// Every 26 to 35 days.
    Monthly,
    /// Every 84 to 98 days.
    Quarterly,
    /// Every 355 to 375 days.
    Yearly,
}

impl Interval {
    const ALL: [Self; 4] = [Self::Weekly, Self::Monthly, Self::Quarterly, Self::Yearly];

    /// Shortest and longest distance in days that still keeps the rhythm.
    #[must_use]
    pub fn days(self) -> (i64, i64) {
        match self {
            Self::Weekly => (6, 8),
            Self::Monthly => (26, 35),
            Self::Quarterly => (84, 98),
            Self::Yearly => (355, 375),
        }
    }

    /// Payments in a year.
    #[must_use]
    pub fn per_year(self) -> i64 {
        match self {
            Self::Weekly => 52,
            Self::Monthly => 12,
            Self::Quarterly => 4,
            Self::Yearly => 1,
        }
    }

    /// Fewest distinct payments that make a rhythm.
    #[must_use]
    pub fn payments_min(self) -> usize {
        match self {
            Self::Weekly => 4,
            Self::Monthly | Self::Quarterly => 3,
            Self::Yearly => 2,
        }
    }

    /// The day after `date` on which the next payment is due, on the same day of the month where
    /// months are counted.
    #[must_use]
    pub fn next(self, date: Date) -> Date {
        let months = |count| MonthKey::of(date).plus(count).day(date.day());
        match self {
            Self::Weekly => plus_days(date, 7),
            Self::Monthly => months(1),
            Self::Quarterly => months(3),
            Self::Yearly => months(12),
        }
    }

    /// `week`, `month`, `quarter`, `year`.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Weekly => "week",
            Self::Monthly => "month",
            Self::Quarterly => "quarter",
            Self::Yearly => "year",
        }
    }
}

/// A fixed price that went up and has not come down since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceRise {
    /// Minor units per payment before.
    pub old_minor: i64,
    /// Minor units per payment now.
    pub new_minor: i64,
    /// First day at the new price.
    pub since: Day,
    /// The rise in hundredths of a percent.
    pub rise_bp: i64,
    /// Minor units more in a year.
    pub yearly_minor: i64,
    /// Lines of the last payment at the old and the first at the new price.
    pub lines: Vec<u32>,
}

/// One payment that comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// Who is paid.
    pub merchant: String,
    /// Category code of the latest payment.
    pub code: String,
    /// How often.
    pub interval: Interval,
    /// Minor units of the next payment: the latest price if it is fixed, else the median.
    pub amount_minor: i64,
    /// The same per month, in minor units.
    pub monthly_minor: i64,
    /// Whether the price is fixed rather than metered.
    pub fixed: bool,
    /// Whether it looks like a subscription: of such a category, or a fixed price that is neither
    /// essential nor a transfer.
    pub subscription: bool,
    /// Payments found.
    pub count: u32,
    /// First payment.
    pub first: Day,
    /// Latest payment.
    pub last: Day,
    /// When the next is due; absent if it seems to have stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Day>,
    /// The latest rise of a fixed price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_rise: Option<PriceRise>,
    /// Lines of the latest payments, at most [`LINES_MAX`].
    pub lines: Vec<u32>,
}

/// Every payment that comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recurring {
    /// Currency of every amount.
    pub currency: Currency,
    /// Payments, running ones first, then by cost per month; at most [`ITEMS_MAX`].
    pub items: Vec<Item>,
    /// Payments not listed.
    pub more: u32,
    /// Minor units per month of all running payments.
    pub monthly_minor: i64,
    /// Days that the statement covers; short statements hide rhythms.
    pub days_covered: u32,
}

/// The rows of one recurring payment, oldest first.
#[derive(Debug, Clone)]
pub struct Stream<'a> {
    /// How often it comes.
    pub interval: Interval,
    /// Its rows, one per payment.
    pub rows: Vec<Row<'a>>,
    /// Whether the price is fixed.
    pub fixed: bool,
    /// Minor units of the next payment.
    pub amount_minor: i64,
    /// When the next is due; `None` if it seems to have stopped.
    pub next: Option<Date>,
}

/// Finds recurring payments and describes them.
#[must_use]
pub fn recurring(book: &Book<'_>) -> Recurring {
    let mut items: Vec<Item> =
        streams(book).iter().filter_map(|stream| describe(book, stream)).collect();
    items.sort_by(|a, b| {
        let rank = |item: &Item| (item.next.is_none(), std::cmp::Reverse(item.monthly_minor));
        rank(a).cmp(&rank(b)).then_with(|| (&a.merchant, &a.lines).cmp(&(&b.merchant, &b.lines)))
    });
    let running = items.iter().filter(|item| item.next.is_some());
    let monthly_minor = total(running.map(|item| item.monthly_minor));
    let more = items.len().saturating_sub(ITEMS_MAX) as u32;
    items.truncate(ITEMS_MAX);
    let days = book.span().map_or(0, |(first, last)| days_between(first, last) + 1);
    let days_covered = u32::try_from(days).unwrap_or(u32::MAX);
    Recurring { currency: book.currency(), items, more, monthly_minor, days_covered }
}

/// Every recurring payment, in the order of merchants.
#[must_use]
pub fn streams<'a>(book: &Book<'a>) -> Vec<Stream<'a>> {
    let Some((_, end)) = book.span() else {
        return Vec::new();
    };
    let mut by_merchant: Vec<Vec<Row<'a>>> = vec![Vec::new(); book.merchant_names().len()];
    for row in book.rows().filter(|row| row.amount_minor < 0 && book.code_of(row) != CASH) {
        if let Some(rows) = by_merchant.get_mut(row.merchant as usize) {
            rows.push(row);
        }
    }
    let mut streams = Vec::new();
    for mut rows in by_merchant.into_iter().filter(|rows| rows.len() >= 2) {
        rows.sort_by_key(|row| (row.date, row.line));
        if let Some(stream) = rhythm(&rows, end) {
            streams.push(stream);
            continue;
        }
        streams.extend(similar(rows).iter().filter_map(|rows| rhythm(rows, end)));
    }
    streams
}

/// Splits a merchant's rows where the amount jumps by more than 35 %.
fn similar(mut rows: Vec<Row<'_>>) -> Vec<Vec<Row<'_>>> {
    rows.sort_by_key(|row| (row.spend_minor(), row.date, row.line));
    let near = |a: &Row<'_>, b: &Row<'_>| {
        i128::from(b.spend_minor()) * 100 <= i128::from(a.spend_minor()) * 135
    };
    rows.chunk_by(near)
        .filter(|rows| rows.len() >= 2)
        .map(|rows| {
            let mut rows = rows.to_vec();
            rows.sort_by_key(|row| (row.date, row.line));
            rows
        })
        .collect()
}

/// The rhythm of rows in date order, if they have one.
fn rhythm<'a>(rows: &[Row<'a>], end: Date) -> Option<Stream<'a>> {
    let mut payments: Vec<Row<'a>> = Vec::with_capacity(rows.len());
    for row in rows {
        // The same amount again within two days is a duplicate, not a payment of its own.
        let repeated = payments.last().is_some_and(|last| {
            last.amount_minor == row.amount_minor && days_between(last.date, row.date) <= 2
        });
        if !repeated {
            payments.push(*row);
        }
    }
    let gaps: Vec<i64> =
        payments.windows(2).map(|pair| days_between(pair[0].date, pair[1].date)).collect();
    let typical = median(&gaps)?;
    let holds = |interval: Interval, gap: i64| {
        let (shortest, longest) = interval.days();
        (shortest..=longest).contains(&gap)
    };
    let interval = Interval::ALL.into_iter().find(|interval| holds(*interval, typical))?;
    let kept = gaps.iter().filter(|gap| holds(interval, **gap)).count();
    if kept * 5 < gaps.len() * 4 {
        return None;
    }
    // What comes too early is an extra purchase and not part of the rhythm.
    let mut previous: Option<Date> = None;
    payments.retain(|row| {
        let due = previous.is_none_or(|date| days_between(date, row.date) >= interval.days().0);
        previous = if due { Some(row.date) } else { previous };
        due
    });
    let amounts: Vec<i64> = payments.iter().map(Row::spend_minor).collect();
    let (cheapest, dearest) = (*amounts.iter().min()?, *amounts.iter().max()?);
    let steady = i128::from(dearest) <= 3 * i128::from(cheapest);
    if payments.len() < interval.payments_min() || !steady {
        return None;
    }
    let fixed = levels(&amounts).len() <= 1 + payments.len().div_ceil(4);
    let last = payments.last()?;
    let amount_minor = if fixed { last.spend_minor() } else { median(&amounts)? };
    let running = days_between(last.date, end) <= interval.days().1;
    let next = running.then(|| interval.next(last.date));
    Some(Stream { interval, rows: payments, fixed, amount_minor, next })
}

/// Runs of amounts within 1 % of the run's first: (first position, amount).
fn levels(amounts: &[i64]) -> Vec<(usize, i64)> {
    let mut levels: Vec<(usize, i64)> = Vec::new();
    for (at, amount) in amounts.iter().enumerate() {
        let same = levels.last().is_some_and(|(_, level)| {
            u128::from(amount.abs_diff(*level)) * 100 <= u128::from(level.unsigned_abs())
        });
        if !same {
            levels.push((at, *amount));
        }
    }
    levels
}

fn describe(book: &Book<'_>, stream: &Stream<'_>) -> Option<Item> {
    let (first, last) = (stream.rows.first()?, stream.rows.last()?);
    let code = book.code_of(last);
    let taxonomy = Taxonomy::bundled();
    let category = taxonomy.get(code);
    let months_like = matches!(stream.interval, Interval::Monthly | Interval::Yearly);
    let subscription = category.is_some_and(|one| one.subscription)
        || (stream.fixed && months_like && taxonomy.trimmable(code));
    let latest = stream.rows.len().saturating_sub(LINES_MAX);
    Some(Item {
        merchant: book.merchant_of(last).to_owned(),
        code: code.to_owned(),
        interval: stream.interval,
        amount_minor: stream.amount_minor,
        monthly_minor: ratio(stream.amount_minor, stream.interval.per_year(), 12)
            .unwrap_or(stream.amount_minor),
        fixed: stream.fixed,
        subscription,
        count: stream.rows.len() as u32,
        first: first.date.into(),
        last: last.date.into(),
        next: stream.next.map(Day),
        price_rise: price_rise(stream),
        lines: stream.rows.iter().skip(latest).map(|row| row.line).collect(),
    })
}

/// The latest step of a fixed price, if it went up by 2 % or more from a price paid at least twice.
fn price_rise(stream: &Stream<'_>) -> Option<PriceRise> {
    if !stream.fixed {
        return None;
    }
    let amounts: Vec<i64> = stream.rows.iter().map(Row::spend_minor).collect();
    let levels = levels(&amounts);
    let [.., (old_at, old_minor), (at, _)] = levels.as_slice() else {
        return None;
    };
    let new_minor = *amounts.get(*at)?;
    let extra = new_minor.checked_sub(*old_minor)?;
    let rise_bp = basis_points_of(extra, *old_minor)?;
    let (before, first) = (stream.rows.get(at.checked_sub(1)?)?, stream.rows.get(*at)?);
    (at - old_at >= 2 && rise_bp >= 200).then(|| PriceRise {
        old_minor: *old_minor,
        new_minor,
        since: first.date.into(),
        rise_bp,
        yearly_minor: extra.saturating_mul(stream.interval.per_year()),
        lines: vec![before.line, first.line],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finance::domain::fixture::{any_statement, half_a_year, statement, ten_rows};
    use proptest::prelude::*;

    #[test]
    fn a_subscription_that_rose_is_found_with_its_yearly_cost() {
        let statement = half_a_year();
        let found = recurring(&statement.book());
        let netflix = found.items.iter().find(|item| item.merchant == "Netflix").unwrap();
        assert!(netflix.subscription && netflix.fixed);
        assert_eq!(netflix.interval, Interval::Monthly);
        assert_eq!(netflix.next.unwrap().to_string(), "2025-07-07");
        let rise = netflix.price_rise.as_ref().unwrap();
        assert_eq!((rise.old_minor, rise.new_minor), (64_900, 79_900));
        // 150.00 of 649.00 is 23.11 %; twelve times 150.00 is 1,800.00.
        assert_eq!((rise.rise_bp, rise.yearly_minor), (2_311, 180_000));
        assert_eq!(rise.since.to_string(), "2025-04-07");
        let rent = found.items.iter().find(|item| item.code == "housing:rent").unwrap();
        assert!(!rent.subscription && rent.price_rise.is_none());
    }

    #[test]
    fn rhythms_other_than_months_are_found() {
        let weekly = ["2026-01-02", "2026-01-09", "2026-01-16", "2026-01-24"];
        let quarterly = ["2025-04-05", "2025-07-05", "2025-10-05", "2026-01-05"];
        let yearly = ["2024-01-20", "2025-01-21", "2026-01-20"];
        let mut lines = Vec::new();
        lines.extend(weekly.map(|date| (date, "Yoga class", "", -50_000)));
        lines.extend(quarterly.map(|date| (date, "SOCIETY MAINTENANCE", "", -900_000)));
        lines.extend(yearly.map(|date| (date, "LIC PREMIUM", "", -2_400_000)));
        let statement = statement(lines);
        let mut found: Vec<(Interval, String)> = recurring(&statement.book())
            .items
            .into_iter()
            .map(|item| (item.interval, item.next.unwrap().to_string()))
            .collect();
        found.sort();
        let expected = [
            (Interval::Weekly, "2026-01-31".to_owned()),
            (Interval::Quarterly, "2026-04-05".to_owned()),
            (Interval::Yearly, "2027-01-20".to_owned()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_subscription_is_found_among_other_purchases_of_the_merchant() {
        let mut lines = Vec::new();
        for month in ["2025-01", "2025-02", "2025-03", "2025-04"] {
            lines.push((format!("{month}-05"), -29_900));
            lines.push((format!("{month}-11"), -450_000));
            lines.push((format!("{month}-17"), -120_000));
        }
        lines.push(("2025-04-20".to_owned(), -900_000));
        let statement =
            statement(lines.iter().map(|(date, sum)| (date.as_str(), "AMAZON", "", *sum)));
        let found = recurring(&statement.book());
        assert!(found.items.iter().any(|item| item.amount_minor == 29_900 && item.count == 4));
    }

    #[test]
    fn two_payments_or_no_rhythm_are_not_recurring() {
        assert!(recurring(&ten_rows().book()).items.is_empty());
        let twice =
            [("2026-01-05", "Netflix", "", -64_900), ("2026-02-05", "Netflix", "", -64_900)];
        assert!(recurring(&statement(twice).book()).items.is_empty());
    }

    #[test]
    fn a_payment_that_stopped_is_not_due() {
        let mut lines = Vec::new();
        lines.extend(
            ["2025-01-05", "2025-02-05", "2025-03-05"].map(|date| (date, "Netflix", "", -64_900)),
        );
        lines.push(("2025-08-01", "Uber", "", -20_000));
        let found = recurring(&statement(lines).book());
        assert_eq!(found.items[0].next, None);
        assert_eq!(found.monthly_minor, 0);
    }

    proptest! {
        #[test]
        fn any_ledger_is_searched_within_bounds(statement in any_statement()) {
            let found = recurring(&statement.book());
            let json = serde_json::to_string(&found).unwrap();
            prop_assert!(json.len() <= 16 * 1024);
            prop_assert_eq!(serde_json::from_str::<Recurring>(&json).unwrap(), found);
        }
    }
}
