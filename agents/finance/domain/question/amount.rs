//! Amounts as people type them: `₹15,000`, `15k`, `1.5 lakh`, `2 crore`.
//!
//! Owns reading one out of a question's words. Statements are read by [`super::super::money`].

use super::super::money::Currency;
use super::super::statistics::clamp;

/// The first amount in a question, in minor units of the statement's currency; at most the largest
/// `i64`. A number that a unit of time follows (`6 months`) is not an amount.
pub(super) fn amount_minor(words: &[String], currency: Currency) -> Option<i64> {
    words.iter().enumerate().find_map(|(at, word)| {
        let next = words.get(at + 1).map_or("", String::as_str);
        let time = ["month", "months", "day", "days", "week", "weeks", "year", "years"];
        if time.contains(&next) { None } else { one(word, next, currency) }
    })
}

fn one(word: &str, next: &str, currency: Currency) -> Option<i64> {
    let word = ["rs.", "rs", "inr", "usd", "eur"]
        .iter()
        .find_map(|sign| word.strip_prefix(sign))
        .unwrap_or(word);
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let suffix = word.get(digits.len()..)?;
    let times = match (multiplier(suffix), suffix.is_empty()) {
        (Some(times), _) => times,
        (None, true) => multiplier(next).unwrap_or(1),
        (None, false) => return None,
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole: String = whole.chars().filter(|letter| *letter != ',').collect();
    if whole.is_empty() || whole.len() > 15 || fraction.len() > 6 {
        return None;
    }
    let all = format!("{whole}{fraction}").parse::<u64>().ok()?;
    let minor = i128::from(all)
        * i128::from(times)
        * 10_i128.pow(u32::from(currency.minor_exponent().min(4)));
    Some(clamp(minor / 10_i128.pow(fraction.len() as u32)))
}

fn multiplier(word: &str) -> Option<i64> {
    match word {
        "k" | "thousand" => Some(1_000),
        "l" | "lakh" | "lakhs" | "lac" | "lacs" => Some(100_000),
        "m" | "mn" | "million" => Some(1_000_000),
        "cr" | "crore" | "crores" => Some(10_000_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::words;
    use super::*;

    #[test]
    fn amounts_are_read_in_every_customary_form() {
        let cases = [
            ("can I afford ₹15,000 a month", Some(1_500_000)),
            ("15k", Some(1_500_000)),
            ("1.5 lakh", Some(15_000_000)),
            ("1.5lakh", Some(15_000_000)),
            ("2 crore", Some(2_000_000_000)),
            ("Rs. 499.50", Some(49_950)),
            ("rs500", Some(50_000)),
            ("1,23,456", Some(12_345_600)),
            ("for 6 months", None),
            ("no amount", None),
            ("999999999999999 crore", Some(i64::MAX)),
        ];
        for (text, expected) in cases {
            assert_eq!(amount_minor(&words::split(text), Currency::INR), expected, "{text}");
        }
    }
}
