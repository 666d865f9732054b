//! Money as exact integer minor units with an ISO 4217 currency; never a float.
//!
//! Owns parsing of decimal text, checked arithmetic, rounding and display grouping.
//! It deliberately knows nothing about exchange rates.

use serde::{Deserialize, Serialize};

/// An ISO 4217 currency code, three upper-case ASCII letters, e.g. `INR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The Indian rupee.
    pub const INR: Self = Self(*b"INR");

    /// The three-letter code.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|letter| letter.is_ascii_uppercase()) => {
                Ok(Self([*a, *b, *c]))
            }
            _ => Err(format!("`{text}` is not an ISO 4217 code, such as `INR`")),
        }
    }
}
