//! What the coming months are likely to leave over, from the months that the statement covers.
//!
//! Owns the choice of method and the width of its interval. It deliberately uses full months only,
//! scales no partial month up, and refuses where there is none.
//!
//! Methods, by full months available (formulas: Hyndman & Athanasopoulos, *Forecasting:
//! Principles and Practice*, 3rd ed., sections 5.2 and 5.5, with σ from the residuals and the
//! normal quantile 1.2816 for 80 %):
//!
//! - from 24: **seasonal naive**. Each month is forecast as the same month of the last full year.
//!   σ is the standard deviation of one-year differences; a sum of h months within one year
//!   has the interval ± 1.2816·σ·√h.
//! - from 6, if the Mann–Kendall test finds a trend: **Theil–Sen line** on the rest (below).
//! - from 2: **median**. Recurring payments that still run are taken out of each month, the rest
//!   is forecast by its median over at most 12 months, and the payments that fall due are taken
//!   off again, so that a new price or an ended contract counts at once. σ is the sample standard
//!   deviation of the rest, or 1.4826·MAD if that is larger; with T months, a sum of h months has
//!   the interval ± 1.2816·σ·√(h + h²/T), the uncertainty of the level itself included.
//! - 1: that month again, without an interval, since one month shows no spread.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::Date;

use super::book::Book;
use super::day::{Day, MonthKey};
use super::money::Currency;
use super::months::{self, Bucket};
use super::recurring::{Stream, streams};
use super::statistics::{clamp, deviation, from_float, mad, median_float, total, trend};

/// Furthest month that is forecast.
pub const HORIZON_MAX: u32 = 12;
/// Coverage of the interval in percent.
pub const COVERAGE_PERCENT: u32 = 80;
/// Most coming payments listed.
pub const DUE_MAX: usize = 12;
/// Two-sided 80 % quantile of the standard normal distribution.
const QUANTILE: f64 = 1.281_6;
/// Months that a median looks back on.
const LOOK_BACK: usize = 12;

/// How a forecast was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The same month of the year before.
    SeasonalNaive,
    /// A robust line through the months.
    TheilSen,
    /// The median month, with payments that fall due.
    Median,
    /// The only full month again.
    LastMonth,
}

impl Method {
    /// The method in words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::SeasonalNaive => "each month as in the same month a year earlier",
            Self::TheilSen => "the robust trend of the months, with recurring payments as due",
            Self::Median => "the median month, with recurring payments as due",
            Self::LastMonth => "the only full month repeated",
        }
    }
}

/// Everything from the first coming month to the end of one of them, added up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Horizon {
    /// Months added up.
    pub months: u32,
    /// The last of them: `2026-04`.
    pub until: String,
    /// Expected income less expense, in minor units.
    pub net_minor: i64,
    /// Lower end of the interval; absent if one month is all there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_minor: Option<i64>,
    /// Upper end of the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_minor: Option<i64>,
}

/// A recurring payment that falls due in the first coming month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Due {
    /// Who is to be paid.
    pub merchant: String,
    /// On which day.
    pub date: Day,
    /// Minor units.
    pub amount_minor: i64,
    /// Line of the latest payment.
    pub line: u32,
}

/// What the coming months are likely to leave over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// Currency of every amount.
    pub currency: Currency,
    /// How it was made; absent if it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Why there is none, as a clause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Full months that it rests on.
    pub full_months: u32,
    /// The oldest and the latest of them.
    pub based_on: Vec<String>,
    /// Coverage of the intervals in percent.
    pub coverage_percent: u32,
    /// The coming months added up: 1, 2, … up to [`HORIZON_MAX`].
    pub horizons: Vec<Horizon>,
    /// Payments due in the first coming month, largest first, at most [`DUE_MAX`].
    pub due: Vec<Due>,
}

impl Forecast {
    /// The first `months` coming months added up.
    #[must_use]
    pub fn at(&self, months: u32) -> Option<&Horizon> {
        self.horizons.iter().find(|horizon| horizon.months == months)
    }
}

/// Forecasts the months after the statement's last.
#[must_use]
pub fn forecast(book: &Book<'_>) -> Forecast {
    let full = months::full(book);
    let mut forecast = Forecast {
        currency: book.currency(),
        method: None,
        refused: None,
        full_months: full.len() as u32,
        based_on: Vec::new(),
        coverage_percent: COVERAGE_PERCENT,
        horizons: Vec::new(),
        due: Vec::new(),
    };
    let (Some((_, last)), Some(oldest), Some(latest)) = (book.span(), full.first(), full.last())
    else {
        forecast.refused = Some(refusal(book));
        return forecast;
    };
    forecast.based_on = vec![oldest.month.to_string(), latest.month.to_string()];
    let running: Vec<Stream<'_>> =
        streams(book).into_iter().filter(|stream| stream.next.is_some()).collect();
    let start = MonthKey::of(last).plus(1);
    forecast.due = due_in(book, &running, start);
    let (method, path) = path(&full, &running, start);
    forecast.method = Some(method);
    forecast.horizons = (1..=HORIZON_MAX).map(|months| path.horizon(start, months)).collect();
    forecast
}

fn refusal(book: &Book<'_>) -> String {
    match book.span() {
        None => "the statement has no rows".to_owned(),
        Some((first, last)) => format!(
            "the statement covers {} to {}, which is no full calendar month, and a part of a month \
             is not scaled up; add at least one full month",
            Day(first),
            Day(last)
        ),
    }
}

/// Expected net of each coming month and how uncertain sums of them are.
struct Path {
    months: Vec<f64>,
    sigma: Option<f64>,
    /// Months behind the level; 0 if the level itself is not estimated.
    level_months: f64,
}

impl Path {
    fn horizon(&self, start: MonthKey, months: u32) -> Horizon {
        let count = months as usize;
        let net: f64 = self.months.iter().take(count).sum();
        let h = f64::from(months);
        let level = if self.level_months > 0.0 { h * h / self.level_months } else { 0.0 };
        let half = self.sigma.map(|sigma| QUANTILE * sigma * (h + level).sqrt());
        Horizon {
            months,
            until: start.plus(months.saturating_sub(1).cast_signed()).to_string(),
            net_minor: from_float(net),
            low_minor: half.map(|half| from_float(net - half)),
            high_minor: half.map(|half| from_float(net + half)),
        }
    }
}

fn path(full: &[Bucket], running: &[Stream<'_>], start: MonthKey) -> (Method, Path) {
    let nets: Vec<f64> = full.iter().map(|bucket| bucket.net_minor() as f64).collect();
    if full.len() >= 24 {
        let year: Vec<f64> = nets.iter().skip(nets.len() - 12).copied().collect();
        let latest = full.last().map_or(start, |bucket| bucket.month);
        // The last twelve full months, read from the month of the year that comes first.
        let offset = (start.0 - latest.0 - 1).rem_euclid(12) as usize;
        let months = (0..HORIZON_MAX as usize).map(|step| year[(step + offset) % 12]).collect();
        let changes: Vec<f64> = nets.iter().skip(12).zip(&nets).map(|(b, a)| b - a).collect();
        let path = Path { months, sigma: deviation(&changes), level_months: 0.0 };
        return (Method::SeasonalNaive, path);
    }
    if let [only] = nets.as_slice() {
        let path =
            Path { months: vec![*only; HORIZON_MAX as usize], sigma: None, level_months: 0.0 };
        return (Method::LastMonth, path);
    }
    let recent = &full[full.len().saturating_sub(LOOK_BACK)..];
    let rest: Vec<f64> = recent
        .iter()
        .map(|bucket| bucket.net_minor() as f64 + paid_in(running, bucket.month) as f64)
        .collect();
    let due = |step: usize| {
        let step = i32::try_from(step).unwrap_or(i32::MAX);
        due_minor(running, start.plus(step)) as f64
    };
    let slope = if rest.len() >= 6 { trend(&rest) } else { None };
    let method = if slope.is_some() { Method::TheilSen } else { Method::Median };
    let slope = slope.unwrap_or(0.0);
    let flat: Vec<f64> = rest.iter().enumerate().map(|(at, v)| v - slope * at as f64).collect();
    let level = median_float(&flat).unwrap_or(0.0);
    let ahead = recent.last().map_or(0, |bucket| start.0 - bucket.month.0 - 1).max(0);
    let months = (0..HORIZON_MAX as usize)
        .map(|step| {
            let at = (rest.len() + step) as f64 + f64::from(ahead);
            level + slope * at - due(step)
        })
        .collect();
    let spread = mad(&flat).map_or(0.0, |mad| 1.4826 * mad);
    let sigma = deviation(&flat).map(|deviation| deviation.max(spread));
    (method, Path { months, sigma, level_months: rest.len() as f64 })
}

/// What the running payments took in a past month.
fn paid_in(running: &[Stream<'_>], month: MonthKey) -> i64 {
    let rows = running.iter().flat_map(|stream| &stream.rows);
    total(rows.filter(|row| MonthKey::of(row.date) == month).map(super::book::Row::spend_minor))
}

/// The days of a coming month on which a running payment falls due.
fn due_days(stream: &Stream<'_>, month: MonthKey) -> Vec<Date> {
    let mut days = Vec::new();
    let Some(mut date) = stream.next else {
        return days;
    };
    // At most a year of weeks ahead, and one more for the month that is under way.
    for _ in 0..60 {
        if MonthKey::of(date) > month {
            break;
        }
        if MonthKey::of(date) == month {
            days.push(date);
        }
        let following = stream.interval.next(date);
        if following <= date {
            break;
        }
        date = following;
    }
    days
}

/// What the running payments will take in a coming month.
fn due_minor(running: &[Stream<'_>], month: MonthKey) -> i64 {
    let sums = running.iter().map(|stream| {
        let times = i128::try_from(due_days(stream, month).len()).unwrap_or(0);
        clamp(i128::from(stream.amount_minor) * times)
    });
    total(sums)
}

fn due_in(book: &Book<'_>, running: &[Stream<'_>], month: MonthKey) -> Vec<Due> {
    let mut due: Vec<Due> = running
        .iter()
        .filter_map(|stream| stream.rows.last().map(|last| (stream, last)))
        .flat_map(|(stream, last)| {
            due_days(stream, month).into_iter().map(|date| Due {
                merchant: book.merchant_of(last).to_owned(),
                date: date.into(),
                amount_minor: stream.amount_minor,
                line: last.line,
            })
        })
        .collect();
    due.sort_by(|a, b| {
        b.amount_minor.cmp(&a.amount_minor).then_with(|| (a.date, a.line).cmp(&(b.date, b.line)))
    });
    due.truncate(DUE_MAX);
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finance::domain::fixture::{any_statement, half_a_year, statement, ten_rows};
    use proptest::prelude::*;

    #[test]
    fn a_part_of_a_month_is_refused_rather_than_scaled() {
        let statement = ten_rows();
        let found = forecast(&statement.book());
        assert!(found.horizons.is_empty() && found.method.is_none());
        let reason = found.refused.unwrap();
        assert!(reason.contains("2026-01-01 to 2026-01-22"), "{reason}");
    }

    #[test]
    fn one_full_month_is_repeated_without_an_interval() {
        let statement = statement([
            ("2026-01-01", "Salary", "", 5_000_000),
            ("2026-01-30", "Swiggy", "", -1_000_000),
        ]);
        let found = forecast(&statement.book());
        assert_eq!(found.method, Some(Method::LastMonth));
        let three = found.at(3).unwrap();
        assert_eq!((three.net_minor, three.low_minor), (12_000_000, None));
        assert_eq!(three.until, "2026-04");
    }

    #[test]
    fn several_months_give_a_median_with_payments_at_their_present_price() {
        let statement = half_a_year();
        let found = forecast(&statement.book());
        assert_eq!(found.method, Some(Method::Median));
        let one = found.at(1).unwrap();
        // Salary 80,000; due again: rent 25,000, Netflix at 799, groceries 4,000 and the monthly
        // order at its latest price, 3,006. The extra order of June has a median of 0.
        let due = 2_500_000 + 79_900 + 400_000 + 300_600;
        assert_eq!(one.net_minor, 8_000_000 - due);
        assert!(one.low_minor.unwrap() < one.net_minor);
        assert!(found.due.iter().any(|due| due.merchant == "Netflix"));
    }

    #[test]
    fn two_years_are_forecast_by_the_month_a_year_before() {
        let mut lines = Vec::new();
        for month in 0..24 {
            let (year, number) = (2024 + month / 12, month % 12 + 1);
            lines.push((format!("{year}-{number:02}-01"), "Salary", 5_000_000));
            let festive = if number == 1 { -3_000_000 } else { -1_000_000 - month * 100 };
            lines.push((format!("{year}-{number:02}-28"), "Swiggy", festive));
        }
        lines.push(("2025-12-31".to_owned(), "Uber", -100));
        let statement =
            statement(lines.iter().map(|(date, text, sum)| (date.as_str(), *text, "", *sum)));
        let found = forecast(&statement.book());
        assert_eq!(found.method, Some(Method::SeasonalNaive));
        assert_eq!(found.at(1).unwrap().net_minor, 2_000_000);
        assert_eq!(found.at(2).unwrap().net_minor, 2_000_000 + 4_000_000 - 1_300);
    }

    proptest! {
        #[test]
        fn any_ledger_is_forecast_or_refused(statement in any_statement()) {
            let found = forecast(&statement.book());
            prop_assert_eq!(found.refused.is_none(), found.horizons.len() == 12);
            let json = serde_json::to_string(&found).unwrap();
            prop_assert!(json.len() <= 16 * 1024);
            prop_assert_eq!(serde_json::from_str::<Forecast>(&json).unwrap(), found);
        }
    }
}
