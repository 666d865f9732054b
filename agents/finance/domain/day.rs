//! A calendar day as it travels: `YYYY-MM-DD` in JSON, a [`Date`] in code.
//!
//! Owns the wire form and month arithmetic. It knows no clock and no time zone.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::macros::format_description;
use time::{Date, Duration, Month};

/// The English names of the months in lower case, January first.
pub const MONTH_NAMES: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A day of the Gregorian calendar, written `2026-01-31`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Day(pub Date);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.0.to_calendar_date();
        write!(f, "{year:04}-{:02}-{day:02}", u8::from(month))
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        let (year, month, number) = day.0.to_calendar_date();
        let Some(year) = u32::try_from(year).ok().filter(|year| *year <= 9_999) else {
            return day.to_string();
        };
        // Days stand in most messages about a statement, and the formatter takes far longer.
        let mut text = Self::with_capacity("2026-01-31".len());
        put(&mut text, year, 1_000);
        text.push('-');
        put(&mut text, u32::from(u8::from(month)), 10);
        text.push('-');
        put(&mut text, u32::from(number), 10);
        text
    }
}

/// Writes the digits of `value`, the one for `place` first.
fn put(text: &mut String, value: u32, mut place: u32) {
    while place > 0 {
        let digit = value / place % 10;
        text.push(char::from_digit(digit, 10).unwrap_or('0'));
        place /= 10;
    }
}

impl From<Date> for Day {
    fn from(date: Date) -> Self {
        Self(date)
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Date::parse(&text, format_description!("[year]-[month]-[day]"))
            .map(Self)
            .map_err(|_| format!("`{text}` is not a day, such as `2026-01-31`"))
    }
}

/// A month, as the number of months since January of year 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonthKey(pub i32);

impl MonthKey {
    /// The month that `date` lies in.
    #[must_use]
    pub fn of(date: Date) -> Self {
        Self(date.year() * 12 + i32::from(u8::from(date.month())) - 1)
    }

    /// Month `month` (1 to 12, clamped) of `year`.
    #[must_use]
    pub fn new(year: i32, month: u8) -> Self {
        Self(year * 12 + i32::from(month.clamp(1, 12)) - 1)
    }

    /// The year of this month.
    #[must_use]
    pub fn year(self) -> i32 {
        self.0.div_euclid(12)
    }

    /// The month of the year, 1 to 12.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0.rem_euclid(12) as u8 + 1
    }

    /// This month moved by `months`.
    #[must_use]
    pub fn plus(self, months: i32) -> Self {
        Self(self.0.saturating_add(months))
    }

    /// Day `day` of this month, or its last day if it is shorter; the ends of the calendar if the
    /// month lies outside it.
    #[must_use]
    pub fn day(self, day: u8) -> Date {
        let month = Month::try_from(self.number()).unwrap_or(Month::January);
        let last = month.length(self.year());
        Date::from_calendar_date(self.year(), month, day.clamp(1, last)).unwrap_or(if self.0 < 0 {
            Date::MIN
        } else {
            Date::MAX
        })
    }

    /// The first day.
    #[must_use]
    pub fn first(self) -> Date {
        self.day(1)
    }

    /// The last day.
    #[must_use]
    pub fn last(self) -> Date {
        self.day(31)
    }

    /// The month's English name and year: `March 2026`.
    #[must_use]
    pub fn long(self) -> String {
        let month = Month::try_from(self.number()).unwrap_or(Month::January);
        format!("{month} {}", self.year())
    }
}

impl fmt::Display for MonthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year(), self.number())
    }
}

/// `date` moved by `days`, stopping at the ends of the calendar.
#[must_use]
pub fn plus_days(date: Date, days: i64) -> Date {
    date.saturating_add(Duration::days(days))
}

/// Whole days from `from` to `to`, negative if `to` is earlier.
#[must_use]
pub fn days_between(from: Date, to: Date) -> i64 {
    i64::from(to.to_julian_day()) - i64::from(from.to_julian_day())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    #[test]
    fn a_day_survives_json() {
        let day = Day(date!(2026 - 01 - 31));
        let json = serde_json::to_string(&day).unwrap();
        assert_eq!(json, "\"2026-01-31\"");
        assert_eq!(serde_json::from_str::<Day>(&json).unwrap(), day);
        assert!(serde_json::from_str::<Day>("\"31/01/2026\"").is_err());
    }

    #[test]
    fn the_text_of_a_day_is_the_same_however_it_is_written() {
        let check = |day: Date| assert_eq!(String::from(Day(day)), Day(day).to_string());
        for day in [date!(0000 - 01 - 01), date!(0987 - 10 - 09), date!(9999 - 12 - 31)] {
            check(day);
        }
        check(date!(-0044 - 03 - 15));
        for ordinal in 1..=366 {
            check(Date::from_ordinal_date(2024, ordinal).unwrap());
        }
    }

    #[test]
    fn months_count_across_years_and_clamp_their_days() {
        let january = MonthKey::of(date!(2026 - 01 - 31));
        assert_eq!(january.plus(1).day(31), date!(2026 - 02 - 28));
        assert_eq!(january.plus(-1).to_string(), "2025-12");
        assert_eq!(january.plus(-1).long(), "December 2025");
        assert_eq!(MonthKey(i32::MAX).first(), Date::MAX);
        assert_eq!(days_between(date!(2025 - 12 - 31), date!(2026 - 01 - 01)), 1);
    }
}
