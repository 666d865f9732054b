//! The column layouts that statements come in, as one table.
//!
//! The parser recognises files by it and the generator writes files by it, so that neither can
//! know a layout that the other does not. Owns names, columns and styles; reads no file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::dates::DateOrder;
use crate::finance::domain::money::{DecimalMark, Grouping};

/// The layouts by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayoutName {
    /// `date,description,category,amount,type`, the type being `debit` or `credit`.
    Plain,
    /// Withdrawals and deposits in columns of their own, `DD/MM/YY`, as HDFC Bank exports.
    DebitCredit,
    /// Amounts such as `1,23,456.00 DR`, `DD-MM-YYYY`.
    DrcrSuffix,
    /// Amounts such as `-₹1,23,456.00`, `DD-Mon-YYYY`.
    RupeeSigned,
    /// Signed amounts with thousands separators, `MM/DD/YYYY`.
    Us,
    /// Semicolons, decimal commas, `DD.MM.YYYY`, Windows-1252.
    SemicolonEu,
}

impl LayoutName {
    /// Every layout, in the order in which a header is compared with them.
    pub const ALL: [Self; 6] = [
        Self::Plain,
        Self::DebitCredit,
        Self::SemicolonEu,
        Self::DrcrSuffix,
        Self::RupeeSigned,
        Self::Us,
    ];

    /// The name as it appears in a ledger, e.g. `debit_credit`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::DebitCredit => "debit_credit",
            Self::DrcrSuffix => "drcr_suffix",
            Self::RupeeSigned => "rupee_signed",
            Self::Us => "us",
            Self::SemicolonEu => "semicolon_eu",
        }
    }

    /// The row of the table.
    pub(crate) const fn layout(self) -> &'static Layout {
        match self {
            Self::Plain => &PLAIN,
            Self::DebitCredit => &DEBIT_CREDIT,
            Self::DrcrSuffix => &DRCR_SUFFIX,
            Self::RupeeSigned => &RUPEE_SIGNED,
            Self::Us => &US,
            Self::SemicolonEu => &SEMICOLON_EU,
        }
    }
}

/// The text names no layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no layout `{0}`; write one of {all}",
    all = LayoutName::ALL.map(LayoutName::as_str).join(", ")
)]
pub struct LayoutNameError(pub String);

impl FromStr for LayoutName {
    type Err = LayoutNameError;

    fn from_str(text: &str) -> Result<Self, LayoutNameError> {
        let named = Self::ALL.into_iter().find(|name| name.as_str() == text);
        named.ok_or_else(|| LayoutNameError(text.to_owned()))
    }
}

impl fmt::Display for LayoutName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Date,
    ValueDate,
    Description,
    Category,
    Reference,
    Amount,
    /// `debit` or `credit`.
    Type,
    /// `DR` or `CR`.
    Direction,
    Withdrawal,
    Deposit,
    Balance,
    Currency,
}

/// How many roles there are.
pub(super) const ROLES: usize = 12;

/// Whether a column has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// No file of the layout is without it.
    Required,
    /// The generator writes it; a file may lack it.
    Usual,
    /// Read where a file has it; the generator does not write it.
    Accepted,
}

/// One column of a layout.
pub(crate) struct Column {
    pub(crate) role: Role,
    pub(crate) presence: Presence,
    /// The header as written.
    pub(crate) header: &'static str,
    /// Other headers that mean the same, normalised as by `header::normalise`.
    pub(crate) aliases: &'static [&'static str],
}

/// How a date is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateStyle {
    /// `2026-01-31`
    Iso,
    /// `31/01/26`
    DayMonthShortYear,
    /// `31-01-2026`
    DayMonthYear,
    /// `31-Jan-2026`
    DayNamedMonthYear,
    /// `01/31/2026`
    MonthDayYear,
    /// `31.01.2026`
    DottedDayMonthYear,
}

impl DateStyle {
    /// The order in which numeric dates of the layout are read if the file does not tell.
    pub(crate) const fn order(self) -> DateOrder {
        match self {
            Self::MonthDayYear => DateOrder::MonthFirst,
            Self::Iso
            | Self::DayMonthShortYear
            | Self::DayMonthYear
            | Self::DayNamedMonthYear
            | Self::DottedDayMonthYear => DateOrder::DayFirst,
        }
    }
}

/// How an amount says whether it is money in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AmountStyle {
    /// Unsigned, beside a type column.
    Typed,
    /// In the withdrawal or in the deposit column.
    Split,
    /// Unsigned with ` DR` or ` CR` behind.
    Suffixed,
    /// Signed.
    Signed,
    /// Signed, with the sign of the currency.
    SignedWithSymbol,
}

/// The encoding that the generator writes; the parser recognises encodings by the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charset {
    Utf8,
    Windows1252,
}

/// One layout.
pub(crate) struct Layout {
    pub(crate) name: LayoutName,
    /// Field separators of the layout, the usual one first.
    pub(crate) delimiters: &'static [u8],
    pub(crate) columns: &'static [Column],
    pub(crate) dates: DateStyle,
    pub(crate) amounts: AmountStyle,
    pub(crate) mark: DecimalMark,
    pub(crate) grouping: Grouping,
    pub(crate) charset: Charset,
    /// Lines that the bank puts before the header.
    pub(crate) preamble: &'static [&'static str],
}

impl Layout {
    /// Columns without which a file is not of this layout.
    pub(crate) fn required(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().filter(|column| column.presence == Presence::Required)
    }

    /// Columns that the generator writes, in order.
    pub(crate) fn written(&self) -> impl Iterator<Item = &'static Column> + Clone {
        self.columns.iter().filter(|column| column.presence != Presence::Accepted)
    }

    /// Whether the generator writes a column of the role.
    pub(crate) fn writes(&self, role: Role) -> bool {
        self.written().any(|column| column.role == role)
    }
}

const fn column(
    role: Role,
    presence: Presence,
    header: &'static str,
    aliases: &'static [&'static str],
) -> Column {
    Column { role, presence, header, aliases }
}

const COMMON_DELIMITERS: &[u8] = b",\t|";
const DATE_ANY: &[&str] = &[
    "date",
    "transaction date",
    "txn date",
    "tran date",
    "trans date",
    "posting date",
    "post date",
    "posted date",
    "booking date",
];
const DATE_US: &[&str] =
    &["date", "transaction date", "trans date", "posting date", "post date", "posted date"];
const DESCRIPTION_ANY: &[&str] = &[
    "description",
    "narration",
    "particulars",
    "details",
    "transaction details",
    "remarks",
    "transaction remarks",
    "transaction description",
    "payee",
    "memo",
];
const DESCRIPTION_US: &[&str] =
    &["description", "transaction description", "details", "payee", "memo"];
const AMOUNT_ANY: &[&str] = &[
    "amount",
    "transaction amount",
    "txn amount",
    "amount inr",
    "amount rs",
    "amount in inr",
    "amount in rs",
];
const BALANCE_ANY: &[&str] = &[
    "balance",
    "closing balance",
    "running balance",
    "available balance",
    "balance inr",
    "balance rs",
    "bal",
];
const DIRECTION_ANY: &[&str] = &["dr cr", "cr dr", "debit credit", "credit debit"];

/// The currency column, which any layout may have.
const CURRENCY: Column = column(Role::Currency, Presence::Accepted, "Currency", &["ccy"]);
/// The balance column of layouts that are not written with one.
const BALANCE: Column = column(Role::Balance, Presence::Accepted, "Balance", BALANCE_ANY);
/// The category column of layouts that are not written with one.
const CATEGORY: Column = column(Role::Category, Presence::Accepted, "Category", &[]);
/// The direction column of layouts that are not written with one.
const DIRECTION: Column = column(Role::Direction, Presence::Accepted, "Dr / Cr", DIRECTION_ANY);

static PLAIN: Layout = Layout {
    name: LayoutName::Plain,
    delimiters: COMMON_DELIMITERS,
    columns: &[
        column(Role::Date, Presence::Required, "date", DATE_ANY),
        column(Role::Description, Presence::Required, "description", DESCRIPTION_ANY),
        column(Role::Category, Presence::Usual, "category", &[]),
        column(Role::Amount, Presence::Required, "amount", AMOUNT_ANY),
        column(Role::Type, Presence::Required, "type", &["transaction type", "txn type"]),
        BALANCE,
        CURRENCY,
    ],
    dates: DateStyle::Iso,
    amounts: AmountStyle::Typed,
    mark: DecimalMark::Point,
    grouping: Grouping::None,
    charset: Charset::Utf8,
    preamble: &[],
};

static DEBIT_CREDIT: Layout = Layout {
    name: LayoutName::DebitCredit,
    delimiters: COMMON_DELIMITERS,
    columns: &[
        column(Role::Date, Presence::Required, "Date", DATE_ANY),
        column(Role::Description, Presence::Required, "Narration", DESCRIPTION_ANY),
        column(
            Role::Reference,
            Presence::Usual,
            "Chq./Ref.No.",
            &["chq ref no", "chq ref number", "ref no cheque no", "cheque no", "reference"],
        ),
        column(Role::ValueDate, Presence::Usual, "Value Dt", &["value date"]),
        column(
            Role::Withdrawal,
            Presence::Required,
            "Withdrawal Amt.",
            &[
                "withdrawal",
                "withdrawals",
                "withdrawal amount",
                "withdrawal amount inr",
                "debit",
                "debit amount",
                "debits",
                "paid out",
                "money out",
                "dr",
            ],
        ),
        column(
            Role::Deposit,
            Presence::Required,
            "Deposit Amt.",
            &[
                "deposit",
                "deposits",
                "deposit amount",
                "deposit amount inr",
                "credit",
                "credit amount",
                "credits",
                "paid in",
                "money in",
                "cr",
            ],
        ),
        column(Role::Balance, Presence::Usual, "Closing Balance", BALANCE_ANY),
        CATEGORY,
        CURRENCY,
    ],
    dates: DateStyle::DayMonthShortYear,
    amounts: AmountStyle::Split,
    mark: DecimalMark::Point,
    grouping: Grouping::None,
    charset: Charset::Utf8,
    preamble: &["Statement of account", "Account Branch : MG ROAD, Currency : INR", ""],
};

static DRCR_SUFFIX: Layout = Layout {
    name: LayoutName::DrcrSuffix,
    delimiters: COMMON_DELIMITERS,
    columns: &[
        column(Role::Date, Presence::Required, "Txn Date", DATE_ANY),
        column(Role::Description, Presence::Required, "Description", DESCRIPTION_ANY),
        column(Role::Amount, Presence::Required, "Amount", AMOUNT_ANY),
        column(Role::Balance, Presence::Usual, "Balance", BALANCE_ANY),
        DIRECTION,
        CATEGORY,
        CURRENCY,
    ],
    dates: DateStyle::DayMonthYear,
    amounts: AmountStyle::Suffixed,
    mark: DecimalMark::Point,
    grouping: Grouping::Indian,
    charset: Charset::Utf8,
    preamble: &[],
};

static RUPEE_SIGNED: Layout = Layout {
    name: LayoutName::RupeeSigned,
    delimiters: COMMON_DELIMITERS,
    columns: &[
        column(Role::Date, Presence::Required, "Date", DATE_ANY),
        column(Role::Description, Presence::Required, "Details", DESCRIPTION_ANY),
        column(Role::Amount, Presence::Required, "Amount (₹)", AMOUNT_ANY),
        BALANCE,
        DIRECTION,
        CATEGORY,
        CURRENCY,
    ],
    dates: DateStyle::DayNamedMonthYear,
    amounts: AmountStyle::SignedWithSymbol,
    mark: DecimalMark::Point,
    grouping: Grouping::Indian,
    charset: Charset::Utf8,
    preamble: &[],
};

static US: Layout = Layout {
    name: LayoutName::Us,
    delimiters: COMMON_DELIMITERS,
    columns: &[
        column(Role::Date, Presence::Required, "Posting Date", DATE_US),
        column(Role::Description, Presence::Required, "Description", DESCRIPTION_US),
        column(Role::Amount, Presence::Required, "Amount", &["transaction amount"]),
        BALANCE,
        DIRECTION,
        CATEGORY,
        CURRENCY,
    ],
    dates: DateStyle::MonthDayYear,
    amounts: AmountStyle::Signed,
    mark: DecimalMark::Point,
    grouping: Grouping::Thousands,
    charset: Charset::Utf8,
    preamble: &[],
};

static SEMICOLON_EU: Layout = Layout {
    name: LayoutName::SemicolonEu,
    delimiters: b";",
    columns: &[
        column(
            Role::Date,
            Presence::Required,
            "Buchungstag",
            &["buchungsdatum", "datum", "date", "booking date", "transaction date", "fecha"],
        ),
        column(
            Role::Description,
            Presence::Required,
            "Buchungstext",
            &["verwendungszweck", "beschreibung", "description", "details", "libellé", "concepto"],
        ),
        column(
            Role::Amount,
            Presence::Required,
            "Betrag",
            &["betrag eur", "amount", "amount eur", "montant", "importe"],
        ),
        column(Role::Currency, Presence::Usual, "Währung", &["currency", "devise", "ccy"]),
        column(Role::Type, Presence::Accepted, "Type", &["transaction type"]),
        column(Role::Balance, Presence::Accepted, "Saldo", &["balance", "kontostand", "solde"]),
        column(Role::Category, Presence::Accepted, "Kategorie", &["category"]),
        DIRECTION,
    ],
    dates: DateStyle::DottedDayMonthYear,
    amounts: AmountStyle::Signed,
    mark: DecimalMark::Comma,
    grouping: Grouping::Thousands,
    charset: Charset::Windows1252,
    preamble: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_is_listed_once_under_its_own_name() {
        for name in LayoutName::ALL {
            assert_eq!(name.layout().name, name);
            assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
            assert!(name.layout().writes(Role::Date));
            assert_eq!(name.as_str().parse(), Ok(name));
        }
        let error = "csv".parse::<LayoutName>().unwrap_err().to_string();
        assert!(error.contains("`csv`") && error.contains("plain, debit_credit"), "{error}");
    }

    #[test]
    fn no_layout_gives_two_columns_the_same_role() {
        for name in LayoutName::ALL {
            let columns = name.layout().columns;
            for (index, column) in columns.iter().enumerate() {
                let twice = columns.iter().skip(index + 1).any(|other| other.role == column.role);
                assert!(!twice, "{name} {:?}", column.role);
                assert!((column.role as usize) < ROLES);
            }
        }
    }
}
