//! Stretches of time as people say them: `last month`, `March 2025`, `Q1`, `between Jan and Mar`.
//!
//! Owns reading them out of a question. All of them are relative to the statement's last day,
//! never to the wall clock: `this month` is the statement's last month.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::{Date, Month};

use super::day::{Day, MONTH_NAMES, MonthKey, plus_days};

/// A stretch of days, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// First day.
    pub from: Day,
    /// Last day.
    pub to: Day,
    /// How to say it: `March 2026`.
    pub label: String,
}

impl Period {
    /// One calendar month.
    #[must_use]
    pub fn month(month: MonthKey) -> Self {
        Self { from: month.first().into(), to: month.last().into(), label: month.long() }
    }

    /// Whole months from one to another, both included.
    #[must_use]
    pub fn months(from: MonthKey, to: MonthKey) -> Self {
        let label =
            if from == to { from.long() } else { format!("{} to {}", from.long(), to.long()) };
        Self { from: from.first().into(), to: to.last().into(), label }
    }

    /// Whether the day lies in it.
    #[must_use]
    pub fn contains(&self, date: Date) -> bool {
        self.from.0 <= date && date <= self.to.0
    }

    /// The month, if the period is exactly one.
    #[must_use]
    pub fn one_month(&self) -> Option<MonthKey> {
        let month = MonthKey::of(self.from.0);
        (month.first() == self.from.0 && month.last() == self.to.0).then_some(month)
    }

    fn days(from: Date, to: Date) -> Self {
        let label = if from == to {
            Day(from).to_string()
        } else {
            format!("{} to {}", Day(from), Day(to))
        };
        Self { from: from.into(), to: to.into(), label }
    }
}

/// A period found in a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// Which days.
    pub period: Period,
    /// The words that said so.
    pub used: Range<usize>,
}

const LEADS: &[&str] = &["in", "during", "for", "of", "on", "over", "within", "the", "throughout"];

/// Finds the first period in a question's words.
#[must_use]
pub fn parse(words: &[String], last: Date) -> Option<Parsed> {
    let (at, (period, len)) =
        (0..words.len()).find_map(|at| starting_at(words, at, last).map(|found| (at, found)))?;
    let leads = words[..at].iter().rev().take_while(|word| LEADS.contains(&word.as_str())).count();
    Some(Parsed { period, used: at - leads..at + len })
}

fn word(words: &[String], at: usize) -> &str {
    words.get(at).map_or("", String::as_str)
}

fn starting_at(words: &[String], at: usize, last: Date) -> Option<(Period, usize)> {
    let span = |start: usize, joins: &[&str]| {
        let joined = (1..=3).map(|len| start + len).find(|at| joins.contains(&word(words, *at)))?;
        let (to, to_len) = point(words, joined + 1, last)?;
        let (from, from_len) = point(words, start, to.0)?;
        (start + from_len == joined && from.0 <= to.1)
            .then(|| (range(from, to), joined + 1 + to_len - at))
    };
    match word(words, at) {
        "between" => span(at + 1, &["and", "to"]),
        "from" => span(at + 1, &["to", "till", "until", "through"]),
        "since" => {
            let ((from, _), len) = point(words, at + 1, last)?;
            let label = format!("{} to {}", Day(from), Day(last.max(from)));
            Some((Period { from: from.into(), to: last.max(from).into(), label }, len + 1))
        }
        _ => None,
    }
    .or_else(|| span(at, &["to", "till", "until", "through"]))
    .or_else(|| adjacent_months(words, at, last))
    .or_else(|| relative(words, at, last))
    .or_else(|| {
        let certain = is_certain(words, at) || (at == 0 && word(words, at) != "may");
        let ((from, to), len) = point(words, at, last).filter(|_| certain)?;
        Some((range((from, from), (to, to)), len))
    })
}

/// Whether a word that can also be something else (`may`, `2000`) is a time here.
fn is_certain(words: &[String], at: usize) -> bool {
    let before = word(words, at.wrapping_sub(1));
    let led = matches!(before, "in" | "during" | "of" | "since" | "year" | "last" | "throughout");
    let this = word(words, at);
    if this.parse::<i32>().is_ok() {
        let day_of_month = month_number(word(words, at + 1)).is_some();
        return led || day_of_month || ymd(words, at).is_some();
    }
    let year_after = year(word(words, at + 1)).is_some();
    this != "may" || led || year_after || before == "for"
}

/// Two points merged into one period, named after months where both are whole months.
fn range(from: (Date, Date), to: (Date, Date)) -> Period {
    let (start, end) = (from.0, to.1);
    let (first, final_month) = (MonthKey::of(start), MonthKey::of(end));
    if first.first() == start && final_month.last() == end {
        if first.number() == 1 && final_month.number() == 12 && first.year() == final_month.year() {
            let label = first.year().to_string();
            return Period { from: start.into(), to: end.into(), label };
        }
        return Period::months(first, final_month);
    }
    Period::days(start, end)
}

/// `jan-mar`: two different months side by side.
fn adjacent_months(words: &[String], at: usize, last: Date) -> Option<(Period, usize)> {
    month_number(word(words, at))?;
    month_number(word(words, at + 1))?;
    let (to, len) = point(words, at + 1, last)?;
    let (from, _) = point(&words[..=at], at, to.0)?;
    (from.0 < to.0).then(|| (range(from, to), len + 1))
}

/// `last month`, `past 3 months`, `this year`, `yesterday`.
fn relative(words: &[String], at: usize, last: Date) -> Option<(Period, usize)> {
    let this = MonthKey::of(last);
    match word(words, at) {
        "today" => return Some((Period::days(last, last), 1)),
        "yesterday" => {
            let day = plus_days(last, -1);
            return Some((Period::days(day, day), 1));
        }
        "last" | "past" | "previous" | "this" | "current" | "latest" => {}
        _ => return None,
    }
    let back = i32::from(matches!(word(words, at), "last" | "past" | "previous"));
    let financial = matches!(word(words, at + 1), "financial" | "fiscal");
    if financial && word(words, at + 2) == "year" {
        return Some((financial_year(financial_year_of(last) - back), 3));
    }
    let number = number_word(word(words, at + 1)).filter(|count| (1..=1200).contains(count));
    if let Some(count) = number.filter(|_| back == 1) {
        let period = match word(words, at + 2) {
            "day" | "days" => Period::days(plus_days(last, 1 - i64::from(count)), last),
            "week" | "weeks" => Period::days(plus_days(last, 1 - 7 * i64::from(count)), last),
            "month" | "months" => Period::months(this.plus(1 - count), this),
            "quarter" | "quarters" => Period::months(this.plus(1 - 3 * count), this),
            "year" | "years" => Period::months(this.plus(1 - 12 * count), this),
            _ => return None,
        };
        return Some((period, 3));
    }
    let period = match word(words, at + 1) {
        "week" => {
            let monday = i64::from(last.weekday().number_days_from_monday());
            let start = plus_days(last, -monday - 7 * i64::from(back));
            Period::days(start, plus_days(start, 6))
        }
        "month" => Period::month(this.plus(-back)),
        "quarter" => {
            let start = this.plus(-(i32::from(this.number()) - 1) % 3 - 3 * back);
            Period::months(start, start.plus(2))
        }
        "year" => {
            let year = MonthKey::new(this.year() - back, 1);
            range((year.first(), year.last()), (year.first(), year.plus(11).last()))
        }
        _ => return None,
    };
    Some((period, 2))
}

/// The Indian financial year that starts on 1 April of `year`.
fn financial_year(year: i32) -> Period {
    let start = MonthKey::new(year, 4);
    Period {
        from: start.first().into(),
        to: start.plus(11).last().into(),
        label: format!("financial year {year}-{:02}", (year + 1).rem_euclid(100)),
    }
}

fn financial_year_of(date: Date) -> i32 {
    date.year() - i32::from(date.month() < Month::April)
}

/// First and last day of a month, quarter, year, financial year or day, and the words it takes.
fn point(words: &[String], at: usize, reference: Date) -> Option<((Date, Date), usize)> {
    let this = word(words, at);
    if let Some(date) = ymd(words, at) {
        return Some(((date, date), 3));
    }
    if let Some(quarter) = quarter(this) {
        let given = year(word(words, at + 1));
        let start = |year: i32| MonthKey::new(year, quarter * 3 - 2);
        let year = given.unwrap_or_else(|| {
            reference.year() - i32::from(start(reference.year()).first() > reference)
        });
        let months = (start(year).first(), start(year).plus(2).last());
        return Some((months, 1 + usize::from(given.is_some())));
    }
    if this == "fy" || this.starts_with("fy2") {
        let glued = this.strip_prefix("fy").filter(|rest| !rest.is_empty());
        let text = glued.unwrap_or_else(|| word(words, at + 1));
        let long = year(text);
        // `FY25` and `FY 25` name the year in which it ends; `FY 2024-25` that in which it starts.
        let short = text.parse::<i32>().ok().filter(|year| (10..100).contains(year));
        let start = long.or(short.map(|year| 2000 + year - 1))?;
        let named = if glued.is_some() { 1 } else { 2 };
        let tail = word(words, at + named).parse::<i32>();
        let tail = tail.is_ok_and(|tail| tail == (start + 1).rem_euclid(100));
        let period = financial_year(start);
        return Some(((period.from.0, period.to.0), named + usize::from(tail)));
    }
    if let Some(year) = year(this) {
        return Some(((MonthKey::new(year, 1).first(), MonthKey::new(year, 12).last()), 1));
    }
    if let (Some(day), Some(month)) = (day_number(this), month_number(word(words, at + 1))) {
        let (month, len) = month_at(month, word(words, at + 2), reference);
        return Some(((month.day(day), month.day(day)), 1 + len));
    }
    let month = month_number(this)?;
    if let Some(day) = day_number(word(words, at + 1)) {
        let (month, len) = month_at(month, word(words, at + 2), reference);
        return Some(((month.day(day), month.day(day)), 1 + len));
    }
    let (month, len) = month_at(month, word(words, at + 1), reference);
    Some(((month.first(), month.last()), len))
}

/// The month in the year that follows, or the latest such month that has begun by `reference`.
fn month_at(month: u8, next: &str, reference: Date) -> (MonthKey, usize) {
    if let Some(year) = year(next) {
        return (MonthKey::new(year, month), 2);
    }
    let this_year = MonthKey::new(reference.year(), month);
    let back = if this_year > MonthKey::of(reference) { -12 } else { 0 };
    (this_year.plus(back), 1)
}

/// `2026 01 31` or `31 01 2026`.
fn ymd(words: &[String], at: usize) -> Option<Date> {
    let number = |at: usize| word(words, at).parse::<i32>().ok();
    let (a, b, c) = (number(at)?, number(at + 1)?, number(at + 2)?);
    let (year, month, day) = if a >= 1900 { (a, b, c) } else { (c, b, a) };
    if !(1900..=2100).contains(&year) {
        return None;
    }
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()
}

fn year(word: &str) -> Option<i32> {
    word.parse().ok().filter(|year| word.len() == 4 && (1990..=2100).contains(year))
}

fn day_number(word: &str) -> Option<u8> {
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let suffix = &word[digits.len()..];
    let day = digits.parse().ok().filter(|day| (1..=31).contains(day))?;
    matches!(suffix, "" | "st" | "nd" | "rd" | "th").then_some(day)
}

fn quarter(word: &str) -> Option<u8> {
    match word {
        "q1" => Some(1),
        "q2" => Some(2),
        "q3" => Some(3),
        "q4" => Some(4),
        _ => None,
    }
}

/// A count in digits or in words up to twelve.
#[must_use]
pub fn number_word(word: &str) -> Option<i32> {
    const WORDS: [&str; 12] = [
        "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve",
    ];
    let spelt = WORDS.iter().position(|spelt| *spelt == word);
    let spelt = spelt.and_then(|at| i32::try_from(at + 1).ok());
    spelt.or_else(|| word.parse().ok())
}

/// The number of a month, from its English name or the first three letters of it.
#[must_use]
pub fn month_number(word: &str) -> Option<u8> {
    let named = |month: &str| word == month || word == &month[..3];
    let at = MONTH_NAMES.iter().position(|month| named(month)).or((word == "sept").then_some(8))?;
    Some(at as u8 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finance::domain::words;
    use proptest::prelude::*;
    use time::macros::date;

    #[track_caller]
    fn check(question: &str, expected: Option<(&str, &str)>) {
        // The statement ends on a Thursday.
        let found = parse(&words::split(question), date!(2026 - 01 - 22));
        let found = found.map(|found| (found.period.from.to_string(), found.period.to.to_string()));
        let expected = expected.map(|(from, to)| (from.to_owned(), to.to_owned()));
        assert_eq!(found, expected, "{question}");
    }

    #[test]
    fn periods_are_read_relative_to_the_last_day_of_the_statement() {
        let cases = [
            ("spend in March", "2025-03-01", "2025-03-31"),
            ("spend in january?", "2026-01-01", "2026-01-31"),
            ("food last month", "2025-12-01", "2025-12-31"),
            ("food this month", "2026-01-01", "2026-01-31"),
            ("March 2025 food", "2025-03-01", "2025-03-31"),
            ("food in mar 2024", "2024-03-01", "2024-03-31"),
            ("food in may", "2025-05-01", "2025-05-31"),
            ("Q1", "2026-01-01", "2026-03-31"),
            ("rent in Q4", "2025-10-01", "2025-12-31"),
            ("rent in Q1 2025", "2025-01-01", "2025-03-31"),
            ("between Jan and Mar", "2025-01-01", "2025-03-31"),
            ("between Jan and Mar 2024", "2024-01-01", "2024-03-31"),
            ("from Nov to January", "2025-11-01", "2026-01-31"),
            ("jan-mar 2025", "2025-01-01", "2025-03-31"),
            ("this year", "2026-01-01", "2026-12-31"),
            ("last year", "2025-01-01", "2025-12-31"),
            ("how much in 2025", "2025-01-01", "2025-12-31"),
            ("last 3 months", "2025-11-01", "2026-01-31"),
            ("past two weeks", "2026-01-09", "2026-01-22"),
            ("last 30 days", "2025-12-24", "2026-01-22"),
            ("last week", "2026-01-12", "2026-01-18"),
            ("last quarter", "2025-10-01", "2025-12-31"),
            ("since November", "2025-11-01", "2026-01-22"),
            ("on 5 January", "2026-01-05", "2026-01-05"),
            ("on January 5th", "2026-01-05", "2026-01-05"),
            ("on 2026-01-05", "2026-01-05", "2026-01-05"),
            ("between 2026-01-01 and 2026-01-10", "2026-01-01", "2026-01-10"),
            ("FY 2024-25", "2024-04-01", "2025-03-31"),
            ("this financial year", "2025-04-01", "2026-03-31"),
            ("yesterday", "2026-01-21", "2026-01-21"),
        ];
        for (question, from, to) in cases {
            check(question, Some((from, to)));
        }
    }

    #[test]
    fn words_that_only_look_like_time_are_left_alone() {
        for question in
            ["may I spend", "can I afford 2000 a month", "top 5 expenses", "subscriptions"]
        {
            check(question, None);
        }
    }

    proptest! {
        #[test]
        fn any_words_are_read_without_panic(question in "[a-z0-9 ,.-]{0,60}") {
            let _ = parse(&words::split(&question), Date::MAX);
            let _ = parse(&words::split(&question), Date::MIN);
        }
    }
}
