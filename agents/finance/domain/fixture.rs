//! Ledgers for tests: written by hand, or random.

use proptest::prelude::*;
use time::Date;

use super::book::Book;
use super::day::{Day, plus_days};
use super::ledger::{Categories, Entry, Ledger, Merchants};
use super::money::Currency;
use super::{merchant, taxonomy};

/// A ledger with its overlays.
pub(super) struct Statement {
    pub(super) ledger: Ledger,
    pub(super) merchants: Merchants,
    pub(super) categories: Categories,
}

impl Statement {
    pub(super) fn book(&self) -> Book<'_> {
        Book::new(&self.ledger, &self.merchants, &self.categories).unwrap()
    }
}

/// Date, narration, stated category, signed minor units.
pub(super) type Line<'a> = (&'a str, &'a str, &'a str, i64);

pub(super) fn statement<'a>(lines: impl IntoIterator<Item = Line<'a>>) -> Statement {
    let entries =
        lines.into_iter().zip(2..).map(|((date, description, stated, amount), line)| Entry {
            line,
            date: Day::try_from(date.to_owned()).unwrap().0,
            amount_minor: amount,
            description: description.into(),
            stated_category: (!stated.is_empty()).then(|| stated.into()),
            balance_minor: None,
        });
    of_entries(entries.collect())
}

pub(super) fn of_entries(entries: Vec<Entry>) -> Statement {
    let ledger = Ledger {
        currency: Currency::INR,
        layout: "plain".to_owned(),
        entries,
        rejected_count: 0,
        rejects: Vec::new(),
    };
    let merchants = merchant::merchants(&ledger);
    let categories = taxonomy::categorise(&ledger, &merchants);
    Statement { ledger, merchants, categories }
}

/// The statement that the golden values are computed from.
pub(super) fn ten_rows() -> Statement {
    statement([
        ("2026-01-01", "Salary", "Income", 5_000_000),
        ("2026-01-03", "Swiggy order", "Food", -45_000),
        ("2026-01-05", "Swiggy", "Food", -35_000),
        ("2026-01-06", "Uber ride", "Transport", -25_000),
        ("2026-01-08", "Electricity bill", "Utilities", -220_000),
        ("2026-01-10", "Netflix", "Entertainment", -64_900),
        ("2026-01-12", "Swiggy", "Food", -200_000),
        ("2026-01-14", "Rent payment", "Housing", -2_500_000),
        ("2026-01-18", "Amazon order", "Shopping", -189_900),
        ("2026-01-22", "Salary", "Income", 5_000_000),
    ])
}

/// Six whole months: salary, rent, a subscription that rises by 150.00 in the fourth month, food
/// that doubles in the last.
pub(super) fn half_a_year() -> Statement {
    let mut lines: Vec<(String, &str, i64)> = Vec::new();
    for month in 1..=6 {
        let on = |day: u32| format!("2025-{month:02}-{day:02}");
        lines.push((on(1), "NEFT CR-ACME CORP-SALARY", 8_000_000));
        lines.push((on(3), "Rent payment", -2_500_000));
        lines.push((on(7), "NETFLIX.COM", if month < 4 { -64_900 } else { -79_900 }));
        lines.push((on(9), "UPI/412345678901/Swiggy/swiggy@ybl", -300_000 - month * 100));
        if month == 6 {
            lines.push((on(20), "UPI/412345678902/Swiggy/swiggy@ybl", -320_000));
        }
        lines.push((on(28), "BigBasket", -400_000));
    }
    statement(lines.iter().map(|(date, text, sum)| (date.as_str(), *text, "", *sum)))
}

/// Any ledger: up to 60 rows on up to 900 days, a few merchants, amounts from tiny to the extremes.
pub(super) fn any_statement() -> impl Strategy<Value = Statement> {
    let narration = prop_oneof![
        Just("Swiggy".to_owned()),
        Just("NETFLIX.COM".to_owned()),
        Just("Rent payment".to_owned()),
        Just("Salary".to_owned()),
        Just("Refund Amazon".to_owned()),
        Just("Amazon".to_owned()),
        "UPI/[0-9]{12}/[A-D]{3} [A-C]{2}/x@y",
        "\\PC{0,20}",
    ];
    let amount = prop_oneof![
        4 => -500_000_i64..500_000,
        1 => Just(i64::MIN),
        1 => Just(i64::MAX),
        1 => any::<i64>(),
        1 => Just(-64_900),
    ];
    let row = (0_i64..900, narration, amount);
    (
        proptest::collection::vec(row, 0..60),
        prop_oneof![
            4 => Just(Day::try_from("2024-01-01".to_owned()).unwrap().0),
            1 => Just(Date::MIN),
            1 => Just(plus_days(Date::MAX, -20)),
        ],
    )
        .prop_map(|(rows, start)| {
            let entries =
                rows.into_iter().zip(2..).map(|((offset, narration, amount), line)| Entry {
                    line,
                    date: plus_days(start, offset),
                    amount_minor: amount,
                    description: narration.into(),
                    stated_category: None,
                    balance_minor: (amount % 2 == 0).then_some(amount),
                });
            of_entries(entries.collect())
        })
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.ledger.fmt(f)
    }
}
