//! Money as exact integer minor units with an ISO 4217 currency; never a float.
//!
//! Owns checked arithmetic, rounding and display; the currency table and the reading of decimal
//! text are its two submodules. It deliberately knows nothing about exchange rates.

mod amount;
mod currency;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub(crate) use amount::strip_direction;
pub use amount::{AmountError, DecimalMark, parse_amount_minor, parse_amount_minor_with};
pub use currency::{Currency, CurrencyError};

/// An exact amount of one currency.
///
/// Shape on the wire: `{ "amount": "1234.50", "currency": "INR" }`, the amount a decimal string
/// with as many decimals as the currency has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Money {
    /// Signed minor units, e.g. paise; 1999 is ₹19.99.
    pub amount_minor: i64,
    /// What the minor units are of.
    pub currency: Currency,
}

/// Why two amounts could not be combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The result does not fit 64 bits of minor units.
    #[error("the amount is too large to be counted in minor units")]
    Overflow,
    /// Amounts of different currencies have no sum.
    #[error("cannot combine `{0}` with `{1}`; convert one of them first")]
    CurrencyMismatch(Currency, Currency),
    /// A share of nothing is not a number.
    #[error("cannot divide by zero")]
    ZeroDenominator,
}

impl Money {
    /// An amount in minor units.
    #[must_use]
    pub const fn new(amount_minor: i64, currency: Currency) -> Self {
        Self { amount_minor, currency }
    }

    /// The sum of two amounts of the same currency.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        self.with(self.amount_minor.checked_add(other.amount_minor))
    }

    /// The difference of two amounts of the same currency.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        self.with(self.amount_minor.checked_sub(other.amount_minor))
    }

    /// The amount with its sign turned.
    pub fn checked_neg(self) -> Result<Self, MoneyError> {
        self.with(self.amount_minor.checked_neg())
    }

    /// `numerator / denominator` of the amount, rounded half away from zero to the minor unit.
    pub fn ratio(self, numerator: i64, denominator: i64) -> Result<Self, MoneyError> {
        if denominator == 0 {
            return Err(MoneyError::ZeroDenominator);
        }
        self.with(ratio(self.amount_minor, numerator, denominator))
    }

    /// `percent` hundredths of the amount, rounded half away from zero to the minor unit.
    pub fn percent(self, percent: i64) -> Result<Self, MoneyError> {
        self.ratio(percent, 100)
    }

    /// The amount for a person: `₹1,23,456.00`, `-$1,234.50`, `KWD 1.234`.
    ///
    /// Rupees are grouped by lakh and crore, every other currency by thousands.
    #[must_use]
    pub fn display(&self) -> String {
        self.to_string()
    }

    /// The amount as a plain decimal with the decimals of its currency, e.g. `-1234.50`.
    #[must_use]
    pub fn decimal(&self) -> String {
        let mut text = String::new();
        push_amount(&mut text, self.amount_minor, Style::plain(self.currency));
        text
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(MoneyError::CurrencyMismatch(self.currency, other.currency))
    }

    fn with(self, amount_minor: Option<i64>) -> Result<Self, MoneyError> {
        let amount_minor = amount_minor.ok_or(MoneyError::Overflow)?;
        Ok(Self { amount_minor, ..self })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grouping =
            if self.currency == Currency::INR { Grouping::Indian } else { Grouping::Thousands };
        let mut text = String::new();
        if self.amount_minor < 0 {
            text.push('-');
        }
        let symbol = self.currency.symbol();
        text.push_str(symbol);
        if symbol.ends_with(|letter: char| letter.is_ascii_alphabetic()) {
            text.push(' ');
        }
        let style = Style { grouping, ..Style::plain(self.currency) };
        push_magnitude(&mut text, self.amount_minor.unsigned_abs(), style);
        formatter.pad(&text)
    }
}

/// `amount_minor × numerator / denominator`, rounded half away from zero.
///
/// `None` if the denominator is zero or the result does not fit.
#[must_use]
pub fn ratio(amount_minor: i64, numerator: i64, denominator: i64) -> Option<i64> {
    let product = i128::from(amount_minor).checked_mul(i128::from(numerator))?;
    let divisor = i128::from(denominator);
    let quotient = product.unsigned_abs().checked_div(divisor.unsigned_abs())?;
    let remainder = product.unsigned_abs().checked_rem(divisor.unsigned_abs())?;
    let round_up = remainder >= divisor.unsigned_abs().checked_sub(remainder)?;
    let magnitude = i128::try_from(quotient).ok()?.checked_add(i128::from(round_up))?;
    let negative = (product < 0) != (divisor < 0);
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// How many hundredths `part` is of `whole`, rounded half away from zero.
///
/// `None` if `whole` is zero or the result does not fit.
#[must_use]
pub fn percent_of(part: i64, whole: i64) -> Option<i64> {
    ratio(part, 100, whole)
}

/// How many ten-thousandths `part` is of `whole`, rounded half away from zero.
///
/// `None` if `whole` is zero or the result does not fit.
#[must_use]
pub fn basis_points_of(part: i64, whole: i64) -> Option<i64> {
    ratio(part, 10_000, whole)
}

/// Where the digits before the decimal mark are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// Nowhere: `123456`.
    None,
    /// Every three digits: `123,456`.
    Thousands,
    /// Lakh and crore: `1,23,456`.
    Indian,
}

/// How [`push_amount`] writes a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// How many decimals there are, the minor-unit exponent of the currency.
    pub decimals: u8,
    /// Where separators go.
    pub grouping: Grouping,
    /// Which sign separates the decimals; the other one separates the groups.
    pub mark: DecimalMark,
}

impl Style {
    /// Ungrouped with a decimal point: `1234.50`.
    #[must_use]
    pub fn plain(currency: Currency) -> Self {
        Self {
            decimals: currency.minor_exponent(),
            grouping: Grouping::None,
            mark: DecimalMark::Point,
        }
    }
}

/// Appends the amount, with a leading `-` if it is negative.
pub fn push_amount(out: &mut String, amount_minor: i64, style: Style) {
    if amount_minor < 0 {
        out.push('-');
    }
    push_magnitude(out, amount_minor.unsigned_abs(), style);
}

/// Appends the amount without any sign.
pub fn push_magnitude(out: &mut String, magnitude_minor: u64, style: Style) {
    let width = usize::from(style.decimals) + 1;
    let digits = format!("{magnitude_minor:0width$}");
    let (whole, part) = digits.split_at(digits.len() - usize::from(style.decimals));
    let (mark, separator) = match style.mark {
        DecimalMark::Point => ('.', ','),
        DecimalMark::Comma => (',', '.'),
    };
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && separates(style.grouping, whole.len() - position) {
            out.push(separator);
        }
        out.push(digit);
    }
    if !part.is_empty() {
        out.push(mark);
        out.push_str(part);
    }
}

/// Whether a separator stands before the last `remaining` digits.
fn separates(grouping: Grouping, remaining: usize) -> bool {
    match grouping {
        Grouping::None => false,
        Grouping::Thousands => remaining.is_multiple_of(3),
        Grouping::Indian => remaining == 3 || (remaining > 3 && !remaining.is_multiple_of(2)),
    }
}

/// What an amount looks like outside.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    amount: String,
    currency: Currency,
}

impl From<Money> for Wire {
    fn from(money: Money) -> Self {
        Self { amount: money.decimal(), currency: money.currency }
    }
}

impl TryFrom<Wire> for Money {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let Wire { amount, currency } = wire;
        if !amount.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.')) {
            return Err(format!("`{amount}` is not a plain decimal, such as `1234.50`"));
        }
        match parse_amount_minor(&amount, currency) {
            Ok(amount_minor) => Ok(Self { amount_minor, currency }),
            Err(error) => Err(format!("amount `{amount}` {error}; {}", error.fix())),
        }
    }
}

impl JsonSchema for Money {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "an exact amount of one currency",
            "properties": {
                "amount": {
                    "type": "string",
                    "description": "decimal number of major units",
                    "pattern": "^-?[0-9]+([.][0-9]+)?$",
                    "examples": ["1234.50"]
                },
                "currency": generator.subschema_for::<Currency>()
            },
            "required": ["amount", "currency"],
            "additionalProperties": false
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(amount_minor: i64, code: &str) -> String {
        Money::new(amount_minor, code.parse().unwrap()).display()
    }

    #[test]
    fn amounts_are_grouped_as_their_currency_is_read() {
        let cases = [
            (12_345_600, "INR", "₹1,23,456.00"),
            (-50_000, "INR", "-₹500.00"),
            (0, "INR", "₹0.00"),
            (5, "INR", "₹0.05"),
            (99_999, "INR", "₹999.99"),
            (100_000, "INR", "₹1,000.00"),
            (123_456_789_012, "INR", "₹1,23,45,67,890.12"),
            (123_456_789, "USD", "$1,234,567.89"),
            (1_234_567, "JPY", "¥1,234,567"),
            (-1_234, "KWD", "-KWD 1.234"),
            (i64::MIN, "INR", "-₹92,23,37,20,36,85,47,758.08"),
        ];
        for (amount_minor, code, expected) in cases {
            assert_eq!(shown(amount_minor, code), expected);
        }
    }

    #[test]
    fn money_crosses_the_wire_as_a_decimal_string() {
        let money = Money::new(123_450, Currency::INR);
        let json = serde_json::to_string(&money).unwrap();
        assert_eq!(json, r#"{"amount":"1234.50","currency":"INR"}"#);
        assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
    }

    #[test]
    fn the_wire_refuses_what_is_not_a_plain_decimal() {
        for amount in ["1e3", "₹5", "1,234.50", "1.234", "", "-", "9223372036854775808", "5 DR"] {
            let json = serde_json::json!({ "amount": amount, "currency": "INR" });
            assert!(serde_json::from_value::<Money>(json).is_err(), "{amount}");
        }
        let extra = serde_json::json!({ "amount": "1", "currency": "INR", "unit": "paise" });
        assert!(serde_json::from_value::<Money>(extra).is_err());
        let number = serde_json::json!({ "amount": 1.5, "currency": "INR" });
        assert!(serde_json::from_value::<Money>(number).is_err());
    }

    #[test]
    fn the_schema_describes_the_wire() {
        let schema = schemars::schema_for!(Money);
        assert_eq!(schema.as_value()["properties"]["amount"]["type"], "string");
        assert_eq!(schema.as_value()["required"], serde_json::json!(["amount", "currency"]));
    }

    #[test]
    fn halves_round_away_from_zero() {
        let cases = [
            (5, 1, 10, Some(1)),
            (-5, 1, 10, Some(-1)),
            (4, 1, 10, Some(0)),
            (5, -1, 10, Some(-1)),
            (-5, -1, -10, Some(-1)),
            (250, 10, 100, Some(25)),
            (1, 1, 0, None),
            (i64::MIN, 1, 1, Some(i64::MIN)),
            (i64::MIN, -1, 1, None),
            (i64::MAX, i64::MAX, i64::MAX, Some(i64::MAX)),
            (i64::MIN, i64::MIN, i64::MIN, Some(i64::MIN)),
        ];
        for (amount, numerator, denominator, expected) in cases {
            assert_eq!(ratio(amount, numerator, denominator), expected, "{amount}");
        }
        assert_eq!(percent_of(1, 3), Some(33));
        assert_eq!(basis_points_of(2, 3), Some(6_667));
    }

    #[test]
    fn arithmetic_refuses_overflow_and_mixed_currencies() {
        let rupee = Money::new(1, Currency::INR);
        let dollar = Money::new(1, Currency::USD);
        assert!(matches!(rupee.checked_add(dollar), Err(MoneyError::CurrencyMismatch(..))));
        let most = Money::new(i64::MAX, Currency::INR);
        assert_eq!(most.checked_add(rupee), Err(MoneyError::Overflow));
        let least = Money::new(i64::MIN, Currency::INR);
        assert_eq!(least.checked_sub(rupee), Err(MoneyError::Overflow));
        assert_eq!(least.checked_neg(), Err(MoneyError::Overflow));
        assert_eq!(rupee.ratio(1, 0), Err(MoneyError::ZeroDenominator));
        assert_eq!(
            Money::new(1_050, Currency::INR).percent(10),
            Ok(Money::new(105, Currency::INR))
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_as_the_same_amount(
            amount_minor in any::<i64>(),
            code in prop::sample::select(vec!["INR", "USD", "EUR", "JPY", "KWD", "ZZZ"]),
        ) {
            let currency: Currency = code.parse().unwrap();
            let money = Money::new(amount_minor, currency);
            prop_assert_eq!(parse_amount_minor(&money.display(), currency), Ok(amount_minor));
            prop_assert_eq!(parse_amount_minor(&money.decimal(), currency), Ok(amount_minor));
            let json = serde_json::to_value(money).unwrap();
            prop_assert_eq!(serde_json::from_value::<Money>(json).unwrap(), money);
        }

        #[test]
        fn sums_are_those_of_the_minor_units(a in any::<i64>(), b in any::<i64>()) {
            let (x, y) = (Money::new(a, Currency::INR), Money::new(b, Currency::INR));
            prop_assert_eq!(x.checked_add(y).ok().map(|sum| sum.amount_minor), a.checked_add(b));
            if let Ok(sum) = x.checked_add(y) {
                prop_assert_eq!(sum.checked_sub(y), Ok(x));
            }
        }

        #[test]
        fn a_ratio_is_within_half_a_unit_and_keeps_the_sign(
            amount in -1_000_000_000_i64..1_000_000_000,
            numerator in 0_i64..10_000,
            denominator in 1_i64..10_000,
        ) {
            let scaled = ratio(amount, numerator, denominator).unwrap();
            let off = scaled * denominator - amount * numerator;
            prop_assert!(2 * off.abs() <= denominator);
            prop_assert!(scaled == 0 || (scaled < 0) == (amount < 0));
        }
    }
}
