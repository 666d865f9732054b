//! Durations as people write them: a whole number and a unit, such as `500ms` or `10s`.

use std::time::Duration;

/// Longest duration that can be set: a leap year. It keeps deadlines within every clock's range.
pub(crate) const DURATION_MAX: Duration = Duration::from_hours(366 * 24);

/// Reads `500ms`, `10s`, `5m` or `2h`.
///
/// # Errors
/// A sentence that repeats the text and says how to write it, if it is anything else, zero or
/// longer than [`DURATION_MAX`].
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = |problem: &str| {
        Err(format!("`{text}` {problem}; write a whole number and ms, s, m or h, such as `10s`"))
    };
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let millis_per_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return wrong("is not a duration"),
    };
    if number.is_empty() {
        return wrong("is not a duration");
    }
    let millis = number.parse::<u64>().ok().and_then(|count| count.checked_mul(millis_per_unit));
    match millis.map(Duration::from_millis) {
        Some(Duration::ZERO) => wrong("is no time at all"),
        Some(duration) if duration <= DURATION_MAX => Ok(duration),
        _ => wrong("is longer than a year"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_are_a_duration() {
        for (text, millis) in [
            ("1ms", 1),
            ("10s", 10_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("8784h", 31_622_400_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_text() {
        for text in [
            "",
            "s",
            "10",
            "ten s",
            "10 s",
            "-1s",
            "1.5s",
            "1d",
            "0s",
            "8785h",
            "٣s",
            "99999999999999999999s",
            "18446744073709551615h",
            "1sec",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(&format!("`{text}` ")), "{error}");
        }
    }
}
