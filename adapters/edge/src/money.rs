//! Amounts of the installation's currency: `{ "amount": "1234.50", "currency": "INR" }`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Problem;

/// The currency that prices and budgets are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Currency {
    /// Its code, such as `INR` (ISO 4217).
    pub code: String,
    /// The decimals of its minor unit: two, if a hundred of them make one.
    pub decimals: u32,
}

/// An amount as it is read and written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Money {
    amount: String,
    currency: String,
}

impl Currency {
    /// The amount of so many minor units.
    pub(crate) fn money(&self, minor: u64) -> Money {
        let unit = 10_u64.saturating_pow(self.decimals);
        let (whole, rest) = (minor / unit, minor % unit);
        let amount = match self.decimals {
            0 => whole.to_string(),
            decimals => format!("{whole}.{rest:0>width$}", width = decimals as usize),
        };
        Money { amount, currency: self.code.clone() }
    }

    /// The minor units of an amount.
    ///
    /// # Errors
    /// Another currency, or no amount of this one.
    pub(crate) fn minor(&self, field: &str, money: &Money) -> Result<u64, Problem> {
        if money.currency != self.code {
            let problem = format!("`{field}.currency` is `{}` here", self.code);
            return Err(Problem::invalid(field, problem));
        }
        self.parsed(&money.amount).ok_or_else(|| {
            let decimals = self.decimals;
            let problem = format!("`{field}.amount` is a number with at most {decimals} decimals");
            Problem::invalid(field, problem)
        })
    }

    fn parsed(&self, amount: &str) -> Option<u64> {
        let (whole, rest) = amount.split_once('.').unwrap_or((amount, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let is_exact = rest.trim_end_matches('0').len() <= self.decimals as usize;
        if !is_digits(whole) || !is_digits(rest) || !is_exact {
            return None;
        }
        let digits: String =
            rest.chars().chain(std::iter::repeat('0')).take(self.decimals as usize).collect();
        let minor: u64 = format!("{whole}{digits}").parse().ok()?;
        // What every store can hold.
        i64::try_from(minor).ok().map(|_| minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_exactly_or_not_at_all() {
        let check = |decimals: u32, text: &str, expected: Option<u64>, shown: &str| {
            let currency = Currency { code: "INR".to_owned(), decimals };
            assert_eq!(currency.parsed(text), expected, "{text}");
            if let Some(minor) = expected {
                assert_eq!(currency.money(minor).amount, shown);
            }
        };
        check(2, "1234.50", Some(123_450), "1234.50");
        check(2, "1234.5", Some(123_450), "1234.50");
        check(2, "0.07", Some(7), "0.07");
        check(2, "5", Some(500), "5.00");
        check(2, "1.500", Some(150), "1.50");
        check(2, "1.005", None, "");
        check(0, "12", Some(12), "12");
        check(0, "12.0", Some(12), "12");
        check(3, "1.234", Some(1_234), "1.234");
        for wrong in ["", ".", "1.", ".5", "-1", "+1", "1e3", " 1", "1,000", "92233720368547758.08"]
        {
            check(2, wrong, None, "");
        }
    }
}
