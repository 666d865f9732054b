//! Payments to a file in any layout, with the ledger that a correct parse of it gives.
//!
//! Owns dates, amounts and quoting as each layout of the parser's table has them.

use encoding_rs::WINDOWS_1252;
use time::Date;

use super::scenario::Payment;
use super::{Generated, Label};
use crate::finance::domain::ledger::{Entry, Ledger};
use crate::finance::domain::money::{
    Currency, Grouping, Money, Style, push_amount, push_magnitude,
};
use crate::finance::domain::statement::layout::{
    AmountStyle, Charset, DateStyle, Layout, LayoutName, Role,
};

/// What is in the account before the first row, in paise.
const OPENING_BALANCE_MINOR: i64 = 15_000_000;
/// Bytes that a row takes about.
const ROW_BYTES: usize = 96;

/// Writes the payments in this order.
pub(super) fn write(name: LayoutName, payments: Vec<Payment>) -> Generated {
    let layout = name.layout();
    let mut file = File { layout, text: String::new(), line: 0 };
    file.text.reserve(payments.len().saturating_mul(ROW_BYTES));
    for line in layout.preamble {
        file.text.push_str(line);
        file.end_line();
    }
    file.header();
    let (mut entries, mut truth) = (Vec::with_capacity(payments.len()), Vec::new());
    let mut balance_minor = OPENING_BALANCE_MINOR;
    for payment in payments {
        balance_minor = balance_minor.saturating_add(payment.amount_minor);
        let line = file.row(&payment, balance_minor);
        if let Some((kind, note)) = payment.label {
            truth.push(Label { line, kind, note: note.to_owned() });
        }
        let stated = layout.writes(Role::Category) && !payment.category.is_empty();
        entries.push(Entry {
            line,
            date: payment.date,
            amount_minor: payment.amount_minor,
            description: payment.description.into(),
            stated_category: stated.then(|| payment.category.into()),
            balance_minor: layout.writes(Role::Balance).then_some(balance_minor),
        });
    }
    let bytes = match layout.charset {
        Charset::Utf8 => file.text.into_bytes(),
        Charset::Windows1252 => WINDOWS_1252.encode(&file.text).0.into_owned(),
    };
    let ledger = Ledger {
        currency: Currency::INR,
        layout: name.as_str().to_owned(),
        entries,
        rejected_count: 0,
        rejects: Vec::new(),
    };
    Generated { bytes, ledger, truth }
}

/// A file being written.
struct File {
    layout: &'static Layout,
    text: String,
    /// How many lines are finished.
    line: u32,
}

impl File {
    fn header(&mut self) {
        let layout = self.layout;
        self.fields(layout.written().map(|column| column.header));
    }

    /// Writes a row and returns its line.
    fn row(&mut self, payment: &Payment, balance_minor: i64) -> u32 {
        let layout = self.layout;
        self.fields(
            layout.written().map(|column| field(layout, column.role, payment, balance_minor)),
        );
        self.line
    }

    fn fields(&mut self, fields: impl Iterator<Item = impl AsRef<str>>) {
        let delimiter = self.layout.delimiters.first().map_or(',', |byte| char::from(*byte));
        for (index, field) in fields.enumerate() {
            if index > 0 {
                self.text.push(delimiter);
            }
            push_field(&mut self.text, field.as_ref(), delimiter);
        }
        self.end_line();
    }

    fn end_line(&mut self) {
        self.text.push('\n');
        self.line = self.line.saturating_add(1);
    }
}

/// Quotes a field that needs it, as in RFC 4180.
fn push_field(out: &mut String, field: &str, delimiter: char) {
    if !field.contains([delimiter, '"', '\n', '\r']) {
        out.push_str(field);
        return;
    }
    out.push('"');
    for character in field.chars() {
        if character == '"' {
            out.push('"');
        }
        out.push(character);
    }
    out.push('"');
}

fn field(layout: &Layout, role: Role, payment: &Payment, balance_minor: i64) -> String {
    let minor = payment.amount_minor;
    let only = |wanted: bool| {
        if wanted { unsigned(layout, minor) } else { String::new() }
    };
    match role {
        Role::Date | Role::ValueDate => date(layout.dates, payment.date),
        Role::Description => payment.description.clone(),
        Role::Category => payment.category.to_owned(),
        Role::Reference => format!("{:012}", payment.reference),
        Role::Amount if layout.amounts == AmountStyle::Typed => unsigned(layout, minor),
        Role::Amount => signed(layout, minor),
        Role::Balance => signed(layout, balance_minor),
        Role::Type => (if minor < 0 { "debit" } else { "credit" }).to_owned(),
        Role::Direction => (if minor < 0 { "DR" } else { "CR" }).to_owned(),
        Role::Withdrawal => only(minor < 0),
        Role::Deposit => only(minor >= 0),
        Role::Currency => Currency::INR.code().to_owned(),
    }
}

fn style(layout: &Layout) -> Style {
    let grouping: Grouping = layout.grouping;
    Style { grouping, mark: layout.mark, ..Style::plain(Currency::INR) }
}

fn unsigned(layout: &Layout, minor: i64) -> String {
    let mut text = String::new();
    push_magnitude(&mut text, minor.unsigned_abs(), style(layout));
    text
}

fn signed(layout: &Layout, minor: i64) -> String {
    match layout.amounts {
        AmountStyle::Suffixed => {
            let direction = if minor < 0 { "DR" } else { "CR" };
            format!("{} {direction}", unsigned(layout, minor))
        }
        AmountStyle::SignedWithSymbol => Money::new(minor, Currency::INR).display(),
        AmountStyle::Signed | AmountStyle::Split | AmountStyle::Typed => {
            let mut text = String::new();
            push_amount(&mut text, minor, style(layout));
            text
        }
    }
}

fn date(style: DateStyle, date: Date) -> String {
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    match style {
        DateStyle::Iso => format!("{year:04}-{month:02}-{day:02}"),
        DateStyle::DayMonthShortYear => format!("{day:02}/{month:02}/{:02}", year.rem_euclid(100)),
        DateStyle::DayMonthYear => format!("{day:02}-{month:02}-{year:04}"),
        DateStyle::DayNamedMonthYear => {
            let month = date.month().to_string();
            format!("{day:02}-{month:.3}-{year:04}")
        }
        DateStyle::MonthDayYear => format!("{month:02}/{day:02}/{year:04}"),
        DateStyle::DottedDayMonthYear => format!("{day:02}.{month:02}.{year:04}"),
    }
}
