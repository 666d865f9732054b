//! Dates as banks write them.
//!
//! Owns the forms of a date and the rule that day and month are told apart for a whole file at
//! once, never for one row. A time of day behind the date is ignored.

use time::{Date, Month};

use crate::finance::domain::day::MONTH_NAMES;

/// Years outside are taken for typing errors.
const YEARS: std::ops::RangeInclusive<i32> = 1_900..=2_199;

/// Which of the two leading numbers of `03/04/2026` is the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateOrder {
    /// 3 April.
    DayFirst,
    /// 4 March.
    MonthFirst,
}

/// How one text reads as a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// A date that can be read one way only by its form.
    Exact(Date),
    /// Two numbers whose order only the whole file can tell, and a year.
    Numeric { first: u8, second: u8, year: i32 },
}

/// Why a text is not a date; each message is a clause to put behind the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum DateError {
    #[error("is empty")]
    Empty,
    #[error("is not a date")]
    Form,
    #[error("is not a day of the calendar")]
    Calendar,
    #[error("is not a day of the calendar with the day first, as in the rest of the file")]
    DayFirst,
    #[error("is not a day of the calendar with the month first, as in the rest of the file")]
    MonthFirst,
    #[error("has a year that is not between 1900 and 2199")]
    Year,
}

/// What the dates of a file say about their order.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Evidence {
    day_first: u32,
    month_first: u32,
}

impl Evidence {
    /// Counts a date, if one of its numbers can only be a day.
    pub(super) fn note(&mut self, reading: Reading) {
        if let Reading::Numeric { first, second, .. } = reading {
            match (first > 12, second > 12) {
                (true, false) => self.day_first = self.day_first.saturating_add(1),
                (false, true) => self.month_first = self.month_first.saturating_add(1),
                _ => {}
            }
        }
    }

    /// The order that most of the telling dates have; none if they say nothing.
    pub(super) fn order(self) -> Option<DateOrder> {
        match self.day_first.cmp(&self.month_first) {
            std::cmp::Ordering::Greater => Some(DateOrder::DayFirst),
            std::cmp::Ordering::Less => Some(DateOrder::MonthFirst),
            std::cmp::Ordering::Equal => None,
        }
    }
}

impl Reading {
    /// The date, given the order of the file.
    pub(super) fn resolve(self, order: DateOrder) -> Result<Date, DateError> {
        match (self, order) {
            (Self::Exact(date), _) => Ok(date),
            (Self::Numeric { first, second, year }, DateOrder::DayFirst) => {
                calendar(year, second, first).map_err(|_| DateError::DayFirst)
            }
            (Self::Numeric { first, second, year }, DateOrder::MonthFirst) => {
                calendar(year, first, second).map_err(|_| DateError::MonthFirst)
            }
        }
    }
}

/// Reads `2026-01-31`, `31/01/2026`, `31-01-26`, `31-Jan-2026`, `31 Jan 26`, `Jan 31, 2026`.
///
/// Separators are `-`, `/`, `.` and space; two-digit years are 1970 to 2069, as in POSIX.
pub(super) fn read(text: &str) -> Result<Reading, DateError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(DateError::Empty);
    }
    let (first, rest) = word(text).ok_or(DateError::Form)?;
    let (first_separator, rest) = separator(rest);
    let (second, rest) = word(rest).ok_or(DateError::Form)?;
    let (second_separator, rest) = separator(rest);
    let (third, rest) = word(rest).ok_or(DateError::Form)?;
    if !is_time_of_day(rest) {
        return Err(DateError::Form);
    }
    let same_separators = first_separator == second_separator && first_separator.is_some();
    match (number(first), number(second), number(third)) {
        (Some(year), Some(month), Some(day)) if first.len() == 4 && same_separators => {
            if second.len() > 2 || third.len() > 2 {
                return Err(DateError::Form);
            }
            calendar(i32::from(year), low_byte(month), low_byte(day)).map(Reading::Exact)
        }
        (Some(a), Some(b), Some(_)) if same_separators => {
            if first.len() > 2 || second.len() > 2 {
                return Err(DateError::Form);
            }
            let (first, second, year) = (low_byte(a), low_byte(b), full_year(third)?);
            if first.max(second) > 31 || first.min(second) > 12 || first.min(second) == 0 {
                return Err(DateError::Calendar);
            }
            Ok(Reading::Numeric { first, second, year })
        }
        (Some(day), None, Some(_)) if first.len() <= 2 => {
            let month = month_named(second).ok_or(DateError::Form)?;
            calendar(full_year(third)?, month, low_byte(day)).map(Reading::Exact)
        }
        (None, Some(day), Some(_)) if second.len() <= 2 => {
            let month = month_named(first).ok_or(DateError::Form)?;
            calendar(full_year(third)?, month, low_byte(day)).map(Reading::Exact)
        }
        _ => Err(DateError::Form),
    }
}

/// A run of digits or of letters, and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().next()?.is_ascii_digit();
    let belongs = |byte: &u8| {
        if digits { byte.is_ascii_digit() } else { byte.is_ascii_alphabetic() }
    };
    let len = text.bytes().take_while(belongs).count();
    if len == 0 { None } else { text.split_at_checked(len) }
}

/// The separator at the start of the text, if any, and what follows it and its spaces.
fn separator(text: &str) -> (Option<u8>, &str) {
    match text.bytes().next() {
        Some(byte @ (b'-' | b'/' | b'.' | b',' | b' ')) => {
            (Some(byte), text.get(1..).unwrap_or_default().trim_start_matches(' '))
        }
        _ => (None, text),
    }
}

/// Whether nothing but a time of day follows a date.
fn is_time_of_day(rest: &str) -> bool {
    if rest.is_empty() {
        return true;
    }
    let Some(time) = rest.strip_prefix([' ', 'T', ',']) else {
        return false;
    };
    time.contains(':')
        && time.bytes().all(|byte| {
            byte.is_ascii_digit()
                || matches!(byte, b':' | b'.' | b' ' | b'+' | b'-' | b'Z')
                || matches!(byte.to_ascii_lowercase(), b'a' | b'p' | b'm')
        })
}

/// A number of at most four digits.
fn number(word: &str) -> Option<u16> {
    if word.len() > 4 { None } else { word.parse().ok() }
}

/// Numbers above a byte become 255, which is no day and no month.
fn low_byte(number: u16) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn full_year(word: &str) -> Result<i32, DateError> {
    match (word.len(), number(word)) {
        (2, Some(year @ 0..=69)) => Ok(2_000 + i32::from(year)),
        (2, Some(year)) => Ok(1_900 + i32::from(year)),
        (4, Some(year)) if YEARS.contains(&i32::from(year)) => Ok(i32::from(year)),
        (4, Some(_)) => Err(DateError::Year),
        _ => Err(DateError::Form),
    }
}

/// The number of a month by its English name or at least three letters of it.
fn month_named(word: &str) -> Option<u8> {
    if word.len() < 3 {
        return None;
    }
    let abbreviates =
        |name: &&str| name.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    let index = MONTH_NAMES.iter().position(abbreviates)?;
    u8::try_from(index + 1).ok()
}

fn calendar(year: i32, month: u8, day: u8) -> Result<Date, DateError> {
    if !YEARS.contains(&year) {
        return Err(DateError::Year);
    }
    let month = Month::try_from(month).map_err(|_| DateError::Calendar)?;
    Date::from_calendar_date(year, month, day).map_err(|_| DateError::Calendar)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::date;

    use super::*;

    #[test]
    fn dates_that_read_one_way_only() {
        let expected = date!(2026 - 01 - 31);
        let texts = [
            "2026-01-31",
            "2026/01/31",
            " 2026-1-31 ",
            "2026-01-31T10:15:00Z",
            "2026-01-31 10:15",
            "31-Jan-2026",
            "31 Jan 26",
            "31/JAN/2026",
            "31-january-2026",
            "31Jan2026",
            "Jan 31, 2026",
            "31-Jan-2026 10:15:30 AM",
            "31-Jan-26",
        ];
        for text in texts {
            assert_eq!(read(text), Ok(Reading::Exact(expected)), "{text}");
        }
    }

    #[test]
    fn numeric_dates_wait_for_the_order_of_the_file() {
        for text in ["03/04/2026", "03-04-2026", "3.4.2026", "03/04/26", "03/04/2026 23:59:59"] {
            let reading = read(text).unwrap();
            assert_eq!(reading.resolve(DateOrder::DayFirst), Ok(date!(2026 - 04 - 03)));
            assert_eq!(reading.resolve(DateOrder::MonthFirst), Ok(date!(2026 - 03 - 04)));
        }
        let reading = read("31/04/2026").unwrap();
        assert_eq!(reading.resolve(DateOrder::DayFirst), Err(DateError::DayFirst));
    }

    #[test]
    fn two_digit_years_turn_at_1970() {
        assert_eq!(read("01 Jan 69"), Ok(Reading::Exact(date!(2069 - 01 - 01))));
        assert_eq!(read("01 Jan 70"), Ok(Reading::Exact(date!(1970 - 01 - 01))));
    }

    #[test]
    fn what_is_not_a_date_is_refused() {
        let cases = [
            ("", DateError::Empty),
            ("soon", DateError::Form),
            ("2026", DateError::Form),
            ("2026-01", DateError::Form),
            ("2026-01-31x", DateError::Form),
            ("01/02-2026", DateError::Form),
            ("1/2/3", DateError::Form),
            ("123/1/2026", DateError::Form),
            ("31-Foo-2026", DateError::Form),
            ("०१/०२/२०२६", DateError::Form),
            ("2026-02-30", DateError::Calendar),
            ("2026-13-01", DateError::Calendar),
            ("31-Feb-2026", DateError::Calendar),
            ("32/01/2026", DateError::Calendar),
            ("13/13/2026", DateError::Calendar),
            ("00/01/2026", DateError::Calendar),
            ("0026-01-31", DateError::Year),
            ("31/01/0026", DateError::Year),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", dated in "[0-9a-zA-Z/:. ,-]{0,24}") {
            let _ = read(&text);
            let _ = read(&dated);
        }
    }
}
