//! ISO 4217 codes with their minor units and signs.
//!
//! Owns the table. Codes that are not in it are accepted and have two decimals, since the table
//! lists every code of ISO 4217 that has another number.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An ISO 4217 currency code, three upper-case ASCII letters, e.g. `INR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// The text is not a currency code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an ISO 4217 code, such as `INR`")]
pub struct CurrencyError(pub String);

/// A row of the table: code, decimals of the minor unit, sign (empty if the code serves).
struct Row(&'static str, u8, &'static str);

/// The row that nearly every statement needs, found without a search.
const INR_ROW: Row = Row("INR", 2, "₹");

/// Sorted by code. Decimals as in ISO 4217 list one (SIX, 2024-06-25); signs as in CLDR `en`.
const TABLE: &[Row] = &[
    Row("AUD", 2, "A$"),
    Row("BHD", 3, ""),
    Row("BIF", 0, ""),
    Row("BRL", 2, "R$"),
    Row("CAD", 2, "CA$"),
    Row("CLF", 4, ""),
    Row("CLP", 0, ""),
    Row("CNY", 2, "CN¥"),
    Row("DJF", 0, ""),
    Row("EUR", 2, "€"),
    Row("GBP", 2, "£"),
    Row("GNF", 0, ""),
    Row("HKD", 2, "HK$"),
    Row("ILS", 2, "₪"),
    INR_ROW,
    Row("IQD", 3, ""),
    Row("ISK", 0, ""),
    Row("JOD", 3, ""),
    Row("JPY", 0, "¥"),
    Row("KMF", 0, ""),
    Row("KRW", 0, "₩"),
    Row("KWD", 3, ""),
    Row("LYD", 3, ""),
    Row("MXN", 2, "MX$"),
    Row("NZD", 2, "NZ$"),
    Row("OMR", 3, ""),
    Row("PHP", 2, "₱"),
    Row("PYG", 0, ""),
    Row("RWF", 0, ""),
    Row("TND", 3, ""),
    Row("TWD", 2, "NT$"),
    Row("UGX", 0, ""),
    Row("USD", 2, "$"),
    Row("UYI", 0, ""),
    Row("UYW", 4, ""),
    Row("VND", 0, "₫"),
    Row("VUV", 0, ""),
    Row("XAF", 0, ""),
    Row("XOF", 0, ""),
    Row("XPF", 0, ""),
];

impl Currency {
    /// The Indian rupee.
    pub const INR: Self = Self(*b"INR");
    /// The United States dollar.
    pub const USD: Self = Self(*b"USD");
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");

    /// The three-letter code.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// How many decimals the minor unit has: 2 for paise, 0 for yen, 3 for fils.
    #[must_use]
    pub fn minor_exponent(&self) -> u8 {
        self.row().map_or(2, |row| row.1)
    }

    /// The sign that a person writes, e.g. `₹`, or the code if there is none.
    #[must_use]
    pub fn symbol(&self) -> &str {
        match self.row() {
            Some(row) if !row.2.is_empty() => row.2,
            _ => self.code(),
        }
    }

    fn row(self) -> Option<&'static Row> {
        if self == Self::INR {
            return Some(&INR_ROW);
        }
        let found = TABLE.binary_search_by(|row| row.0.as_bytes().cmp(&self.0)).ok()?;
        TABLE.get(found)
    }

    /// The currency whose sign or code starts the text, and the rest of the text.
    ///
    /// `self` is tried first, so that a sign shared by several currencies means this one.
    pub(super) fn strip_any_prefix(self, text: &str) -> Option<(Self, &str)> {
        if self == Self::INR
            && let Some(rest) = strip_prefix_ignoring_case(text, "RS")
        {
            return Some((self, rest.strip_prefix('.').unwrap_or(rest)));
        }
        let own = text
            .strip_prefix(self.symbol())
            .or_else(|| strip_prefix_ignoring_case(text, self.code()));
        if let Some(rest) = own {
            return Some((self, rest));
        }
        TABLE.iter().find_map(|row| {
            let signed = (!row.2.is_empty()).then(|| text.strip_prefix(row.2)).flatten();
            let rest = signed.or_else(|| strip_prefix_ignoring_case(text, row.0))?;
            Some((row.0.parse().ok()?, rest))
        })
    }

    /// The currency whose sign or code ends the text, and the text before it.
    pub(super) fn strip_any_suffix(self, text: &str) -> Option<(Self, &str)> {
        let own = text
            .strip_suffix(self.symbol())
            .or_else(|| strip_suffix_ignoring_case(text, self.code()));
        if let Some(rest) = own {
            return Some((self, rest));
        }
        TABLE.iter().find_map(|row| {
            let signed = (!row.2.is_empty()).then(|| text.strip_suffix(row.2)).flatten();
            let rest = signed.or_else(|| strip_suffix_ignoring_case(text, row.0))?;
            Some((row.0.parse().ok()?, rest))
        })
    }
}

/// The text behind an ASCII prefix that is compared without regard to case.
fn strip_prefix_ignoring_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The text before an ASCII suffix that is compared without regard to case.
pub(super) fn strip_suffix_ignoring_case<'t>(text: &'t str, suffix: &str) -> Option<&'t str> {
    let (rest, tail) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    tail.eq_ignore_ascii_case(suffix).then_some(rest)
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.code())
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        match text.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|letter| letter.is_ascii_uppercase()) => {
                Ok(Self([*a, *b, *c]))
            }
            _ => Err(CurrencyError(text.to_owned())),
        }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl TryFrom<String> for Currency {
    type Error = CurrencyError;

    fn try_from(text: String) -> Result<Self, CurrencyError> {
        text.parse()
    }
}

impl JsonSchema for Currency {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "ISO 4217 code",
            "pattern": "^[A-Z]{3}$",
            "examples": ["INR"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_row_is_found() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
        for row in TABLE {
            assert_eq!(row.0.parse::<Currency>().unwrap().minor_exponent(), row.1);
        }
    }

    #[test]
    fn a_code_outside_the_table_has_two_decimals_and_no_sign() {
        let franc: Currency = "CHF".parse().unwrap();
        assert_eq!((franc.minor_exponent(), franc.symbol()), (2, "CHF"));
    }

    #[test]
    fn a_code_is_three_upper_case_letters() {
        for text in ["inr", "IN", "INRR", "", "₹", "1NR"] {
            assert_eq!(text.parse::<Currency>(), Err(CurrencyError(text.to_owned())));
        }
    }
}
