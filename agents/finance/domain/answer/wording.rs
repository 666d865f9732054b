//! Figures and counts as they are said.
//!
//! Owns no sentence. Money is shown by [`super::super::money`].

/// Hundredths of a percent as percent with one digit: `76.2 %`.
pub(super) fn percent(bp: i64) -> String {
    let tenths = (i128::from(bp) + if bp < 0 { -5 } else { 5 }) / 10;
    let sign = if tenths < 0 { "-" } else { "" };
    format!("{sign}{}.{} %", (tenths / 10).abs(), (tenths % 10).abs())
}

/// `1 payment`, `3 payments`.
pub(super) fn count(number: impl Into<u64>, noun: &str) -> String {
    let number = number.into();
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The text with an upper-case first letter.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_half_away_from_zero() {
        assert_eq!(percent(7_625), "76.3 %");
        assert_eq!(percent(-5), "-0.1 %");
        assert_eq!(percent(0), "0.0 %");
        assert_eq!(count(1_u32, "row"), "1 row");
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
