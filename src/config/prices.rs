//! What things cost: the table `prices`.

use std::collections::BTreeMap;

use genie_core::budget;
use genie_edge::Currency;
use serde::Deserialize;

use super::file::set;

/// Most of anything, in minor units: what a thousand million of would still fit a budget.
const PRICE_MAX: i64 = 1_000_000_000;
/// Most decimals of a currency.
const DECIMALS_MAX: u32 = 8;

/// What things cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    /// The currency.
    pub currency: Currency,
    /// What runs and tools cost.
    pub of: budget::Prices,
}

impl Prices {
    /// Nothing costs anything, for what the reference does not say.
    pub(super) fn free() -> Self {
        let currency = Currency { code: String::new(), decimals: 0 };
        Self { currency, of: budget::Prices::default() }
    }
}

/// The table `prices`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct PricesTable {
    currency: Option<Code>,
    decimals: Option<Decimals>,
    run_minor: Option<Minor>,
    tools: Option<Vec<Tool>>,
}

impl PricesTable {
    pub(super) fn apply(self, prices: &mut Prices) {
        set(&mut prices.currency.code, self.currency.map(|code| code.0));
        set(&mut prices.currency.decimals, self.decimals.map(|decimals| decimals.0));
        set(&mut prices.of.run_minor, self.run_minor.map(|minor| minor.0));
        let tools = self.tools.map(|tools| {
            tools.into_iter().map(|tool| (tool.0, tool.1)).collect::<BTreeMap<_, _>>()
        });
        set(&mut prices.of.tools, tools);
    }
}

/// The code of a currency.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Code(String);

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        is_code.then_some(Self(text)).ok_or_else(|| "give a code such as `INR`".to_owned())
    }
}

/// Decimals of a currency.
#[derive(Debug, Deserialize)]
#[serde(try_from = "i64")]
struct Decimals(u32);

impl TryFrom<i64> for Decimals {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let decimals = u32::try_from(number).ok().filter(|number| *number <= DECIMALS_MAX);
        decimals.map(Self).ok_or_else(|| format!("give a whole number from 0 to {DECIMALS_MAX}"))
    }
}

/// A price.
#[derive(Debug, Deserialize)]
#[serde(try_from = "i64")]
struct Minor(u64);

impl TryFrom<i64> for Minor {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let minor = u64::try_from(number).ok().filter(|_| number <= PRICE_MAX);
        minor.map(Self).ok_or_else(|| format!("give a whole number from 0 to {PRICE_MAX}"))
    }
}

/// The price of a tool, `NAME=MINOR`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Tool(String, u64);

impl TryFrom<String> for Tool {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no price; write `payment.transfer=250`");
        let (name, minor) = text.split_once('=').ok_or_else(wrong)?;
        let (name, minor) = (name.trim(), minor.trim().parse::<i64>().map_err(|_| wrong())?);
        let Minor(minor) = Minor::try_from(minor)?;
        if name.is_empty() { Err(wrong()) } else { Ok(Self(name.to_owned(), minor)) }
    }
}
