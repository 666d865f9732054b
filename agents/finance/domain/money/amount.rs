//! Reading amounts as people and banks write them, exactly and never through a float.
//!
//! Owns signs, currency marks, grouping and decimals. Which decimal mark a file uses is for the
//! caller to say; it is never guessed from one value.

use super::currency::{Currency, strip_suffix_ignoring_case};

/// Which sign stands before the decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DecimalMark {
    /// `1,234.50`
    #[default]
    Point,
    /// `1.234,50`
    Comma,
}

/// Why a text is not an amount; each message is a clause to put behind the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// There is nothing but space.
    #[error("is empty")]
    Empty,
    /// There is a sign or mark, but no digit.
    #[error("has no digits")]
    NoDigits,
    /// A character that has no place in an amount.
    #[error("is not an amount: `{0}` is not a digit")]
    NotADigit(char),
    /// Two numbers in one field.
    #[error("holds two numbers")]
    TwoNumbers,
    /// Separators that neither thousands nor lakh grouping has, such as `19,99`.
    #[error("has a `{0}` where no thousands separator belongs")]
    Grouping(char),
    /// More than one decimal mark.
    #[error("has more than one `{0}`")]
    TwoMarks(char),
    /// More decimals than the currency has.
    #[error("has {found} decimals where {currency} has {allowed}")]
    TooManyDecimals {
        /// Decimals in the text.
        found: usize,
        /// Decimals of the currency's minor unit.
        allowed: u8,
        /// The currency that was expected.
        currency: Currency,
    },
    /// More than one of minus, plus, parentheses, `DR` and `CR`.
    #[error("has more than one sign")]
    TwoSigns,
    /// The text names another currency than the statement's.
    #[error("is in {found}, not in {expected}")]
    OtherCurrency {
        /// The currency named.
        found: Currency,
        /// The currency of the statement.
        expected: Currency,
    },
    /// The amount does not fit 64 bits of minor units.
    #[error("is too large")]
    Overflow,
}

impl AmountError {
    /// What to write instead, as an imperative clause.
    #[must_use]
    pub fn fix(&self) -> String {
        match self {
            Self::Empty | Self::NoDigits => "write a number, such as `450.00`".to_owned(),
            Self::NotADigit(_) => "write digits only, such as `1234.50`".to_owned(),
            Self::TwoNumbers => "keep one number in each column".to_owned(),
            Self::Grouping(_) | Self::TwoMarks(_) => {
                "write the number without thousands separators, such as `1234.50`".to_owned()
            }
            Self::TooManyDecimals { allowed, .. } => {
                format!("round it to {allowed} decimals")
            }
            Self::TwoSigns => "keep one of `-`, parentheses, `DR` and `CR`".to_owned(),
            Self::OtherCurrency { expected, .. } => {
                format!(
                    "put rows of other currencies into a file of their own, or write {expected}"
                )
            }
            Self::Overflow => "check the number for stray digits".to_owned(),
        }
    }
}

/// Reads a decimal with a decimal point into minor units of the currency; `19.99` is 1999 paise.
///
/// Accepts thousands and lakh separators, a currency sign or code before or after, one sign as a
/// leading or trailing `-` or `+`, parentheses, or a `DR`/`CR` suffix; no-break spaces are spaces.
///
/// # Errors
/// What is wrong with the text, if it is not exactly one amount of this currency.
pub fn parse_amount_minor(text: &str, currency: Currency) -> Result<i64, AmountError> {
    parse_amount_minor_with(text, currency, DecimalMark::Point)
}

/// As [`parse_amount_minor`], with the decimal mark given.
///
/// # Errors
/// What is wrong with the text, if it is not exactly one amount of this currency.
pub fn parse_amount_minor_with(
    text: &str,
    currency: Currency,
    mark: DecimalMark,
) -> Result<i64, AmountError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(AmountError::Empty);
    }
    let mut marks = Marks { currency, negative: None, named: false };
    let text = marks.strip_parentheses(text)?;
    let text = marks.strip_leading(text)?;
    let text = marks.strip_trailing(text)?;
    let magnitude = magnitude_minor(text, currency, mark)?;
    let signed = i128::from(magnitude);
    let signed = if marks.negative == Some(true) { -signed } else { signed };
    i64::try_from(signed).map_err(|_| AmountError::Overflow)
}

/// The signs and currency marks seen so far; each may appear once.
struct Marks {
    currency: Currency,
    negative: Option<bool>,
    named: bool,
}

impl Marks {
    fn strip_parentheses<'t>(&mut self, text: &'t str) -> Result<&'t str, AmountError> {
        match text.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
            Some(inner) => {
                self.sign(true)?;
                Ok(inner.trim())
            }
            None => Ok(text),
        }
    }

    fn strip_leading<'t>(&mut self, text: &'t str) -> Result<&'t str, AmountError> {
        let mut text = text;
        loop {
            let Some(first) = text.chars().next() else {
                return Ok(text);
            };
            text = if first.is_ascii_digit() || matches!(first, '.' | ',') {
                return Ok(text);
            } else if let Some(negative) = sign_of(first) {
                self.sign(negative)?;
                text.get(first.len_utf8()..).unwrap_or_default()
            } else if let Some((found, rest)) = self.currency.strip_any_prefix(text) {
                self.name(found)?;
                rest
            } else {
                return Ok(text);
            };
            text = text.trim_start();
        }
    }

    fn strip_trailing<'t>(&mut self, text: &'t str) -> Result<&'t str, AmountError> {
        let mut text = text;
        loop {
            let Some(last) = text.chars().next_back() else {
                return Ok(text);
            };
            text = if last.is_ascii_digit() {
                return Ok(text);
            } else if let Some(negative) = sign_of(last) {
                self.sign(negative)?;
                text.get(..text.len() - last.len_utf8()).unwrap_or_default()
            } else if let Some((negative, rest)) = strip_direction(text) {
                self.sign(negative)?;
                rest
            } else if let Some((found, rest)) = self.currency.strip_any_suffix(text) {
                self.name(found)?;
                rest
            } else {
                return Ok(text);
            };
            text = text.trim_end();
        }
    }

    fn sign(&mut self, negative: bool) -> Result<(), AmountError> {
        match self.negative.replace(negative) {
            Some(_) => Err(AmountError::TwoSigns),
            None => Ok(()),
        }
    }

    fn name(&mut self, found: Currency) -> Result<(), AmountError> {
        if found != self.currency {
            return Err(AmountError::OtherCurrency { found, expected: self.currency });
        }
        if std::mem::replace(&mut self.named, true) {
            return Err(AmountError::TwoNumbers);
        }
        Ok(())
    }
}

/// Whether the character is a minus (`true`) or a plus.
fn sign_of(character: char) -> Option<bool> {
    match character {
        '-' | '\u{2212}' => Some(true),
        '+' => Some(false),
        _ => None,
    }
}

/// The text before `DR`/`CR` in any case, with or without a full stop; `true` for `DR`.
pub(crate) fn strip_direction(text: &str) -> Option<(bool, &str)> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let debit = strip_suffix_ignoring_case(text, "DR").map(|rest| (true, rest));
    debit.or_else(|| strip_suffix_ignoring_case(text, "CR").map(|rest| (false, rest)))
}

/// The digits of a text without signs and currency marks, as minor units.
fn magnitude_minor(text: &str, currency: Currency, mark: DecimalMark) -> Result<u64, AmountError> {
    let (mark, separator) = match mark {
        DecimalMark::Point => ('.', ','),
        DecimalMark::Comma => (',', '.'),
    };
    let allowed = currency.minor_exponent();
    let mut number = Number::default();
    for character in text.chars() {
        match character {
            '0'..='9' => number.push(character)?,
            _ if character == mark => {
                if number.decimals.replace(0).is_some() {
                    return Err(AmountError::TwoMarks(mark));
                }
            }
            // A no-break space groups digits in French and Swiss files.
            _ if character == separator || matches!(character, '\u{a0}' | '\u{202f}') => {
                if number.decimals.is_some() {
                    return Err(AmountError::Grouping(character));
                }
                number.groups.close(character)?;
            }
            _ if character.is_whitespace() => return Err(AmountError::TwoNumbers),
            _ => return Err(AmountError::NotADigit(character)),
        }
    }
    number.finish(allowed, currency, mark)
}

/// Digits collected from left to right.
#[derive(Default)]
struct Number {
    value: u64,
    digits: usize,
    groups: Groups,
    /// Digits after the decimal mark, once it was seen.
    decimals: Option<usize>,
}

impl Number {
    fn push(&mut self, digit: char) -> Result<(), AmountError> {
        let digit = u64::from(digit) - u64::from('0');
        let shifted = self.value.checked_mul(10).and_then(|value| value.checked_add(digit));
        self.value = shifted.ok_or(AmountError::Overflow)?;
        self.digits += 1;
        match &mut self.decimals {
            Some(decimals) => *decimals += 1,
            None => self.groups.open_len += 1,
        }
        Ok(())
    }

    fn finish(self, allowed: u8, currency: Currency, mark: char) -> Result<u64, AmountError> {
        if self.digits == 0 {
            return Err(AmountError::NoDigits);
        }
        self.groups.finish()?;
        let found = match self.decimals {
            Some(0) => return Err(AmountError::NotADigit(mark)),
            Some(found) => found,
            None => 0,
        };
        let missing = usize::from(allowed)
            .checked_sub(found)
            .ok_or(AmountError::TooManyDecimals { found, allowed, currency })?;
        let scaled = (0..missing).try_fold(self.value, |value, _| value.checked_mul(10));
        scaled.ok_or(AmountError::Overflow)
    }
}

/// Checks that separators stand where thousands or lakh grouping has them.
#[derive(Default)]
struct Groups {
    /// The separator of this number, once it was seen.
    separator: Option<char>,
    /// Digits since the last separator.
    open_len: usize,
    /// Length of the groups between two separators: 2 for lakh, 3 for thousands.
    inner_len: Option<usize>,
}

impl Groups {
    fn close(&mut self, separator: char) -> Result<(), AmountError> {
        let fits = match (self.separator, self.inner_len) {
            (None, _) => (1..=3).contains(&self.open_len),
            (Some(seen), None) => seen == separator && (2..=3).contains(&self.open_len),
            (Some(seen), Some(len)) => seen == separator && self.open_len == len,
        };
        if !fits {
            return Err(AmountError::Grouping(separator));
        }
        if self.separator.replace(separator).is_some() {
            self.inner_len = Some(self.open_len);
        }
        self.open_len = 0;
        Ok(())
    }

    fn finish(&self) -> Result<(), AmountError> {
        match self.separator {
            Some(separator) if self.open_len != 3 => Err(AmountError::Grouping(separator)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rupees(text: &str) -> Result<i64, AmountError> {
        parse_amount_minor(text, Currency::INR)
    }

    #[test]
    fn amounts_are_read_exactly() {
        let cases = [
            ("19.99", 1_999),
            ("1.15", 115),
            ("0.1", 10),
            ("007", 700),
            (".5", 50),
            ("1,234.50", 123_450),
            ("1,23,456.00", 12_345_600),
            ("1,00,00,000", 1_000_000_000),
            ("1,234,567", 123_456_700),
            ("₹1,23,456.00", 12_345_600),
            ("₹ 500", 50_000),
            ("₹\u{a0}500", 50_000),
            ("Rs.500", 50_000),
            ("Rs. 500", 50_000),
            ("rs 500.5", 50_050),
            ("INR 500", 50_000),
            ("500 INR", 50_000),
            ("-500", -50_000),
            ("\u{2212}500", -50_000),
            ("+500", 50_000),
            ("500-", -50_000),
            ("-₹500.00", -50_000),
            ("₹-500.00", -50_000),
            ("(500.00)", -50_000),
            ("(₹500.00)", -50_000),
            ("1,23,456.00 DR", -12_345_600),
            ("1,23,456.00DR", -12_345_600),
            ("1,23,456.00 Cr.", 12_345_600),
            ("500 Dr.", -50_000),
            ("500 cr", 50_000),
            ("  500\u{a0}", 50_000),
            ("1\u{202f}234.50", 123_450),
            ("92233720368547758.07", i64::MAX),
            ("-92233720368547758.08", i64::MIN),
        ];
        for (text, expected) in cases {
            assert_eq!(rupees(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_decimal_comma_is_read_only_where_the_caller_says_so() {
        let euros = |text| parse_amount_minor_with(text, Currency::EUR, DecimalMark::Comma);
        assert_eq!(euros("1.234,56"), Ok(123_456));
        assert_eq!(euros("-1.234,56 €"), Ok(-123_456));
        assert_eq!(euros("1\u{a0}234,56"), Ok(123_456));
        assert_eq!(euros("19.99"), Err(AmountError::Grouping('.')));
        assert_eq!(rupees("19,99"), Err(AmountError::Grouping(',')));
        assert_eq!(rupees("1.234,56"), Err(AmountError::Grouping(',')));
    }

    #[test]
    fn decimals_follow_the_currency() {
        let yen: Currency = "JPY".parse().unwrap();
        let dinar: Currency = "KWD".parse().unwrap();
        assert_eq!(parse_amount_minor("1,234", yen), Ok(1_234));
        assert_eq!(parse_amount_minor("1.234", dinar), Ok(1_234));
        let error = AmountError::TooManyDecimals { found: 1, allowed: 0, currency: yen };
        assert_eq!(parse_amount_minor("1.5", yen), Err(error));
        let error = AmountError::TooManyDecimals { found: 3, allowed: 2, currency: Currency::INR };
        assert_eq!(rupees("1.234"), Err(error));
    }

    #[test]
    fn what_is_not_one_amount_is_refused_with_the_reason() {
        let cases = [
            ("", AmountError::Empty),
            (" \u{a0} ", AmountError::Empty),
            ("₹", AmountError::NoDigits),
            ("-", AmountError::NoDigits),
            ("DR", AmountError::NoDigits),
            (".", AmountError::NoDigits),
            ("5.", AmountError::NotADigit('.')),
            ("abc", AmountError::NotADigit('a')),
            ("12x", AmountError::NotADigit('x')),
            ("1e5", AmountError::NotADigit('e')),
            ("NaN", AmountError::NotADigit('N')),
            ("१२", AmountError::NotADigit('१')),
            ("500 600", AmountError::TwoNumbers),
            ("1.2.3", AmountError::TwoMarks('.')),
            ("1,2,3", AmountError::Grouping(',')),
            ("1,2345", AmountError::Grouping(',')),
            ("1,234,56,789", AmountError::Grouping(',')),
            ("1234,567", AmountError::Grouping(',')),
            ("1,,234", AmountError::Grouping(',')),
            (",234", AmountError::Grouping(',')),
            ("1,234,", AmountError::Grouping(',')),
            ("--5", AmountError::TwoSigns),
            ("-5 DR", AmountError::TwoSigns),
            ("(5) CR", AmountError::NotADigit('(')),
            ("(-5)", AmountError::TwoSigns),
            ("₹₹5", AmountError::TwoNumbers),
            ("92233720368547758.08", AmountError::Overflow),
            ("99999999999999999999999999", AmountError::Overflow),
            ("$5", AmountError::OtherCurrency { found: Currency::USD, expected: Currency::INR }),
        ];
        for (text, expected) in cases {
            assert_eq!(rupees(text), Err(expected.clone()), "{text}");
            assert!(!expected.fix().is_empty());
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", amounts in "[-+(0-9.,₹ DRC)]{0,24}") {
            let _ = rupees(&text);
            let _ = rupees(&amounts);
            let _ = parse_amount_minor_with(&amounts, Currency::EUR, DecimalMark::Comma);
        }

        #[test]
        fn a_sign_negates_and_does_nothing_else(minor in 0_i64..i64::MAX) {
            let text = super::super::Money::new(minor, Currency::INR).decimal();
            let negated = [
                format!("-{text}"), format!("({text})"), format!("{text} DR"), format!("-₹{text}"),
            ];
            for negative in negated {
                prop_assert_eq!(rupees(&negative), Ok(-minor));
            }
            prop_assert_eq!(rupees(&format!("{text} CR")), Ok(minor));
        }
    }
}
