//! Made-up statements with known contents: for the demo, for tests and for load.
//!
//! A seed fixes every byte. Beside the file comes the ledger that a correct parse gives and the
//! rows that an analysis ought to find. All names, accounts and amounts are invented.

mod dice;
mod scenario;
mod shops;
mod writer;

use serde::{Deserialize, Serialize};
use time::Date;
use time::macros::date;

use super::ledger::Ledger;
use super::statement::LayoutName;

/// Longest period of a statement, in months.
pub const MONTHS_MAX: u32 = 120;
/// Most rows that a statement is padded to.
pub const ROWS_MAX: u32 = 1_000_000;
/// Two-digit years of some layouts mean 1970 to 2069, so a period begins between these.
const START_MIN: Date = date!(1970 - 01 - 01);
const START_MAX: Date = date!(2059 - 01 - 01);
/// First day of the year of [`Spec::of_2025`].
const YEAR_2025: Date = date!(2025 - 01 - 01);

/// The seed of [`bundled`].
const BUNDLED_SEED: u64 = 20_250_101;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Fixes every choice; the same seed in two layouts gives the same payments.
    pub seed: u64,
    /// Calendar months from that of `start`; between 1 and [`MONTHS_MAX`].
    pub months: u32,
    /// Columns and styles of the file.
    pub layout: LayoutName,
    /// Everyday spending is added up to this many rows, at most [`ROWS_MAX`].
    pub rows: Option<u32>,
    /// First day of the period, between 1970 and 2059.
    pub start: Date,
}

impl Spec {
    /// The twelve months of 2025.
    #[must_use]
    pub const fn of_2025(seed: u64, layout: LayoutName) -> Self {
        Self { seed, months: 12, layout, rows: None, start: YEAR_2025 }
    }

    fn bounded(&self) -> Self {
        Self {
            months: self.months.clamp(1, MONTHS_MAX),
            rows: self.rows.map(|rows| rows.min(ROWS_MAX)),
            start: self.start.clamp(START_MIN, START_MAX),
            ..*self
        }
    }

    /// The month, counted from 0, of something that happens once, `twelfths` into the period.
    ///
    /// It is never in the last two months of three or more, which are there to be compared.
    fn month_of_incident(&self, twelfths: u32) -> u32 {
        self.months.saturating_sub(2) * twelfths / 12
    }
}

/// What a labelled row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// Monthly credit of the employer.
    Salary,
    /// Monthly rent.
    Rent,
    /// Monthly instalment of a loan.
    Emi,
    /// Monthly investment plan.
    Investment,
    /// Electricity and broadband.
    Utility,
    /// Yearly premium.
    Insurance,
    /// Same payee, same day of the month, same amount.
    Subscription,
    /// The first payment of a subscription at its new price.
    PriceRise,
    /// A credit that gives back a purchase.
    Refund,
    /// The second of two equal payments on one day.
    DuplicateCharge,
    /// One payment far above all others.
    Outlier,
    /// Credits from strangers that leave at once.
    MuleBurst,
    /// Interest of the account.
    Interest,
    /// Food delivery and shopping of the last month, which cost more than the month before.
    Overspend,
}

/// What is known about one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Line of the file, counted from 1 with the header as a line.
    pub line: u32,
    /// What the row is.
    pub kind: LabelKind,
    /// The same in words.
    pub note: String,
}

/// A statement and what is true of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The file.
    pub bytes: Vec<u8>,
    /// What a correct parse gives.
    pub ledger: Ledger,
    /// The rows worth finding, in the order of the file.
    pub truth: Vec<Label>,
}

/// Generates a statement in rupees; what is out of bounds in the spec is brought to the bound.
#[must_use]
pub fn statement(spec: &Spec) -> Generated {
    let spec = spec.bounded();
    writer::write(spec.layout, scenario::payments(&spec))
}

/// The statement that ships with Genie: the year 2025 in the `plain` layout.
#[must_use]
pub fn bundled() -> Generated {
    statement(&Spec::of_2025(BUNDLED_SEED, LayoutName::Plain))
}

/// Ten rows of January 2026 in the `plain` layout.
///
/// Income ₹1,00,000.00, expense ₹32,798.00, net ₹67,202.00.
pub const SAMPLE_TEN_ROWS: &str = "\
date,description,category,amount,type
2026-01-01,Salary,Income,50000,credit
2026-01-02,House rent,Housing,25000,debit
2026-01-04,Swiggy,Food,450,debit
2026-01-06,Electricity bill,Utilities,2200,debit
2026-01-09,Amazon,Shopping,1899,debit
2026-01-11,Swiggy,Food,2000,debit
2026-01-14,Netflix,Entertainment,649,debit
2026-01-17,Uber,Transport,250,debit
2026-01-20,Swiggy,Food,350,debit
2026-01-22,Salary,Income,50000,credit
";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::finance::domain::statement::{ParseOptions, parse};

    fn spent(generated: &Generated, month: u8, category: &str) -> i64 {
        let entries = generated.ledger.entries.iter();
        let of_month = entries.filter(|entry| u8::from(entry.date.month()) == month);
        let stated = of_month.filter(|entry| entry.stated_category.as_deref() == Some(category));
        -stated.map(|entry| entry.amount_minor).filter(|minor| *minor < 0).sum::<i64>()
    }

    #[test]
    fn a_seed_fixes_every_byte() {
        let spec = Spec::of_2025(3, LayoutName::DebitCredit);
        assert_eq!(statement(&spec), statement(&spec));
        let other = Spec { seed: 4, ..spec.clone() };
        assert_ne!(statement(&spec).bytes, statement(&other).bytes);
    }

    #[test]
    fn the_same_seed_gives_the_same_payments_in_every_layout() {
        let amounts = |layout| {
            let entries = statement(&Spec::of_2025(9, layout)).ledger.entries;
            entries.into_iter().map(|e| (e.date, e.amount_minor, e.description)).collect::<Vec<_>>()
        };
        for layout in LayoutName::ALL {
            assert_eq!(amounts(layout), amounts(LayoutName::Plain), "{layout}");
        }
    }

    #[test]
    fn a_year_holds_everything_that_is_worth_finding() {
        let generated = bundled();
        let kinds: BTreeSet<LabelKind> = generated.truth.iter().map(|label| label.kind).collect();
        assert_eq!(kinds.len(), 14);
        let count = |kind| generated.truth.iter().filter(|label| label.kind == kind).count();
        assert_eq!(count(LabelKind::Salary), 12);
        assert_eq!(count(LabelKind::MuleBurst), 9);
        for once in [
            LabelKind::PriceRise,
            LabelKind::Refund,
            LabelKind::DuplicateCharge,
            LabelKind::Outlier,
            LabelKind::Interest,
            LabelKind::Insurance,
        ] {
            assert_eq!(count(once), 1, "{once:?}");
        }
        let dates = || generated.ledger.entries.iter().map(|entry| entry.date);
        assert!(dates().is_sorted());
        assert!(dates().all(|date| date.year() == 2025));
        let months: BTreeSet<u8> = dates().map(|date| u8::from(date.month())).collect();
        assert_eq!(months.len(), 12);
    }

    #[test]
    fn the_bundled_statement_does_not_change_unnoticed() {
        let entries = bundled().ledger.entries;
        let sum = |sign: i64| -> i64 {
            let amounts = entries.iter().map(|entry| entry.amount_minor);
            amounts.filter(|minor| minor.signum() == sign).sum()
        };
        // Added up from the file itself with Python's csv and decimal modules.
        assert_eq!((entries.len(), sum(1), sum(-1)), (517, 169_489_537, -135_487_399));
    }

    #[test]
    fn labels_name_the_line_of_their_row() {
        let generated = bundled();
        for label in &generated.truth {
            let row = generated.ledger.entries.iter().find(|entry| entry.line == label.line);
            let row = row.unwrap();
            let text = row.description.to_ascii_lowercase();
            let fits = match label.kind {
                LabelKind::Salary => text.contains("salary") && row.amount_minor > 0,
                LabelKind::Rent => text.contains("house rent"),
                LabelKind::PriceRise => text.contains("netflix") && row.amount_minor == -79_900,
                LabelKind::Refund => text.contains("refund") && row.amount_minor > 0,
                LabelKind::Interest => text.contains("interest") && row.amount_minor > 0,
                LabelKind::Outlier => row.amount_minor <= -14_000_000,
                LabelKind::Insurance
                | LabelKind::Emi
                | LabelKind::Investment
                | LabelKind::Utility
                | LabelKind::Subscription
                | LabelKind::DuplicateCharge
                | LabelKind::Overspend => row.amount_minor < 0,
                LabelKind::MuleBurst => text.contains("transfer"),
            };
            assert!(fits, "{label:?} {row:?}");
        }
    }

    #[test]
    fn the_last_month_overspends_and_other_months_leave_something() {
        for seed in 0..40 {
            let generated = statement(&Spec::of_2025(seed, LayoutName::Plain));
            for category in ["Food", "Shopping"] {
                let (november, december) =
                    (spent(&generated, 11, category), spent(&generated, 12, category));
                assert!(december > november, "seed {seed} {category} {november} {december}");
            }
            for month in [1, 2, 10, 11] {
                let entries = generated.ledger.entries.iter();
                let of_month = entries.filter(|entry| u8::from(entry.date.month()) == month);
                let net: i64 = of_month.map(|entry| entry.amount_minor).sum();
                assert!(net > 0, "seed {seed} month {month} net {net}");
            }
        }
    }

    #[test]
    fn padding_reaches_the_number_of_rows_and_bounds_hold() {
        let spec = Spec { rows: Some(5_000), ..Spec::of_2025(1, LayoutName::Us) };
        assert_eq!(statement(&spec).ledger.entries.len(), 5_000);
        let far = Spec { months: u32::MAX, start: Date::MAX, ..spec.clone() };
        let last = statement(&far).ledger.entries.last().unwrap().date;
        assert_eq!(last.year(), 2068);
        let none = Spec { months: 0, start: Date::MIN, rows: None, ..spec };
        assert_eq!(statement(&none).ledger.entries.first().unwrap().date.year(), 1970);
    }

    #[test]
    fn a_period_begins_with_its_first_day() {
        let start = date!(2025 - 01 - 15);
        let spec = Spec { start, months: 1, ..Spec::of_2025(1, LayoutName::Plain) };
        assert!(statement(&spec).ledger.entries.iter().all(|entry| entry.date >= start));
    }

    #[test]
    fn the_ten_rows_add_up() {
        let ledger = parse(SAMPLE_TEN_ROWS.as_bytes(), &ParseOptions::default()).unwrap();
        let sum = |sign: i64| -> i64 {
            let amounts = ledger.entries.iter().map(|entry| entry.amount_minor);
            amounts.filter(|minor| minor.signum() == sign).sum()
        };
        assert_eq!((ledger.entries.len(), ledger.rejected_count), (10, 0));
        // 2 × 50,000 in; 25,000 + 450 + 2,200 + 1,899 + 2,000 + 649 + 250 + 350 out.
        assert_eq!((sum(1), sum(-1)), (10_000_000, -3_279_800));
    }
}
