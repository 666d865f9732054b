//! Rows to entries: one pass over a file with the layout and the date order decided.
//!
//! Owns what makes a row usable and what is said about one that is not. It never guesses: a row
//! that can be read in two ways is rejected.

use time::Date;

use super::ParseOptions;
use super::csv::Record;
use super::dates::{self, DateOrder, Evidence};
use super::error::StatementError;
use super::header::Header;
use super::layout::{AmountStyle, Role};
use super::records::Next;
use crate::finance::domain::ledger::{Entry, Ledger, REJECTS_MAX, Reject};
use crate::finance::domain::money::{AmountError, parse_amount_minor_with, strip_direction};

/// Most characters of a value that a reject repeats.
const VALUE_CHARS_MAX: usize = 80;

/// What one pass over the rows gives.
pub(super) struct Pass {
    pub(super) ledger: Ledger,
    pub(super) evidence: Evidence,
}

/// Reads every row behind the header.
pub(super) fn read_all(
    text: &str,
    header: &Header,
    order: DateOrder,
    options: &ParseOptions,
) -> Result<Pass, StatementError> {
    let columns = RowColumns::of(header);
    let row_reader = RowReader { header, columns, order };
    let mut pass = Pass {
        ledger: Ledger {
            currency: header.currency,
            layout: header.layout.name.as_str().to_owned(),
            entries: Vec::new(),
            rejected_count: 0,
            rejects: Vec::new(),
        },
        evidence: Evidence::default(),
    };
    let mut records = header.records(text, options);
    let mut record = Record::default();
    let mut rows: u32 = 0;
    loop {
        let (line, fault) = match records.next(&mut record)? {
            Next::End => break,
            Next::Row(_) if is_decoration(&record) => continue,
            Next::Row(line) => (line, row_reader.read(line, &record, &mut pass).err()),
            Next::TooLong(line) => (line, Some(Fault::too_long(&record, options.line_len_max))),
            Next::Unclosed(line) => (line, Some(Fault::unclosed(&record))),
        };
        rows = rows.saturating_add(1);
        if rows > options.rows_max {
            return Err(StatementError::TooManyRows { rows_max: options.rows_max });
        }
        if let Some(fault) = fault {
            pass.ledger.rejected_count = pass.ledger.rejected_count.saturating_add(1);
            pass.reject(line, fault, header);
        }
    }
    Ok(pass)
}

/// Blank rows and rules of `*`, `-`, `=` or `_` that some banks draw between rows.
fn is_decoration(record: &Record) -> bool {
    let drawn = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'*' | b'-' | b'=' | b'_');
    record.iter().all(|field| field.bytes().all(drawn))
}

/// What is wrong with a row or with one value of it.
struct Fault {
    column: Option<usize>,
    value: String,
    problem: String,
    fix: String,
}

impl Fault {
    fn at(column: usize, value: &str, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { column: Some(column), value: cut(value), problem: problem.into(), fix: fix.into() }
    }

    fn row(record: &Record, problem: String, fix: &str) -> Self {
        let value: Vec<String> = record.iter().take(VALUE_CHARS_MAX).map(cut).collect();
        Self { column: None, value: cut(&value.join(",")), problem, fix: fix.to_owned() }
    }

    fn too_long(record: &Record, line_len_max: usize) -> Self {
        let problem = format!("is longer than {line_len_max} bytes");
        Self::row(record, problem, "keep one transaction on each line")
    }

    fn unclosed(record: &Record) -> Self {
        let problem = "opens a quote that is not closed in the same row".to_owned();
        Self::row(record, problem, "close the quote, or double every `\"` inside the field")
    }
}

/// The first characters of a value.
fn cut(value: &str) -> String {
    value.trim().chars().take(VALUE_CHARS_MAX).collect()
}

impl Pass {
    fn reject(&mut self, line: u32, fault: Fault, header: &Header) {
        if self.ledger.rejects.len() >= REJECTS_MAX {
            return;
        }
        let column = fault.column.and_then(|index| header.names.get(index));
        self.ledger.rejects.push(Reject {
            line,
            column: column.cloned().unwrap_or_default(),
            value: fault.value,
            problem: fault.problem,
            fix: fault.fix,
        });
    }
}

/// Which columns of the file a row is read from.
struct RowColumns {
    date: usize,
    description: usize,
    money: MoneyColumns,
    category: Option<usize>,
    balance: Option<usize>,
    currency: Option<usize>,
    /// The last column that every row must have.
    last_required: usize,
}

/// Where the amount and its direction stand.
#[derive(Clone, Copy)]
enum MoneyColumns {
    Signed { amount: usize },
    Suffixed { amount: usize },
    Typed { amount: usize, direction: usize, short_forms: bool },
    Split { withdrawal: usize, deposit: usize },
}

impl RowColumns {
    /// A recognised header has every required column, so the fallback 0 is never used.
    fn of(header: &Header) -> Self {
        let required = |role| header.column(role).unwrap_or_default();
        let amount = required(Role::Amount);
        let money = if let (Some(withdrawal), Some(deposit)) =
            (header.column(Role::Withdrawal), header.column(Role::Deposit))
        {
            MoneyColumns::Split { withdrawal, deposit }
        } else if let Some(direction) = header.column(Role::Type) {
            MoneyColumns::Typed { amount, direction, short_forms: false }
        } else if let Some(direction) = header.column(Role::Direction) {
            MoneyColumns::Typed { amount, direction, short_forms: true }
        } else if header.layout.amounts == AmountStyle::Suffixed {
            MoneyColumns::Suffixed { amount }
        } else {
            MoneyColumns::Signed { amount }
        };
        let (date, description) = (required(Role::Date), required(Role::Description));
        let money_last = match money {
            MoneyColumns::Signed { amount } | MoneyColumns::Suffixed { amount } => amount,
            MoneyColumns::Typed { amount, direction, .. } => amount.max(direction),
            MoneyColumns::Split { withdrawal, deposit } => withdrawal.max(deposit),
        };
        Self {
            date,
            description,
            money,
            category: header.column(Role::Category),
            balance: header.column(Role::Balance),
            currency: header.column(Role::Currency),
            last_required: date.max(description).max(money_last),
        }
    }
}

/// Reads single rows.
struct RowReader<'h> {
    header: &'h Header,
    columns: RowColumns,
    order: DateOrder,
}

impl RowReader<'_> {
    fn read(&self, line: u32, record: &Record, pass: &mut Pass) -> Result<(), Fault> {
        self.check_width(record)?;
        let date = self.date(record, pass)?;
        self.check_currency(record)?;
        let amount_minor = self.amount(record)?;
        let field = |index: usize| record.get(index).unwrap_or_default().trim();
        let category = self.columns.category.map(field).filter(|category| !category.is_empty());
        let balance_minor = self.balance(record).unwrap_or_else(|fault| {
            pass.reject(line, fault, self.header);
            None
        });
        pass.ledger.entries.push(Entry {
            line,
            date,
            amount_minor,
            description: field(self.columns.description).into(),
            stated_category: category.map(Into::into),
            balance_minor,
        });
        Ok(())
    }

    fn check_width(&self, record: &Record) -> Result<(), Fault> {
        let width = self.header.names.len();
        let spare = record.iter().skip(width).any(|field| !field.trim().is_empty());
        if record.len() > self.columns.last_required && !spare {
            return Ok(());
        }
        let problem = format!("has {} columns where the header has {width}", record.len());
        let fix = if spare {
            "put text that contains the separator into double quotes"
        } else {
            "write a value, or nothing, for every column of the header"
        };
        Err(Fault::row(record, problem, fix))
    }

    fn date(&self, record: &Record, pass: &mut Pass) -> Result<Date, Fault> {
        let column = self.columns.date;
        let text = record.get(column).unwrap_or_default();
        let date = dates::read(text).and_then(|reading| {
            pass.evidence.note(reading);
            reading.resolve(self.order)
        });
        date.map_err(|error| {
            Fault::at(column, text, error.to_string(), "write the date as `YYYY-MM-DD`")
        })
    }

    fn check_currency(&self, record: &Record) -> Result<(), Fault> {
        let Some(column) = self.columns.currency else {
            return Ok(());
        };
        let text = record.get(column).unwrap_or_default();
        let expected = self.header.currency;
        if text.trim().is_empty() || text.trim().eq_ignore_ascii_case(expected.code()) {
            return Ok(());
        }
        let problem = format!("is not {expected}, the currency of the rows before it");
        let fix = "put rows of other currencies into a file of their own";
        Err(Fault::at(column, text, problem, fix))
    }

    fn amount(&self, record: &Record) -> Result<i64, Fault> {
        match self.columns.money {
            MoneyColumns::Signed { amount } => self.number(record, amount),
            MoneyColumns::Suffixed { amount } => {
                let text = record.get(amount).unwrap_or_default().trim();
                let signed = text.starts_with(['-', '+', '(', '\u{2212}']);
                if !signed && strip_direction(text).is_none() {
                    let fix = "write `DR` for money out or `CR` for money in behind the amount";
                    return Err(Fault::at(amount, text, "says neither `DR` nor `CR`", fix));
                }
                self.number(record, amount)
            }
            MoneyColumns::Typed { amount, direction, short_forms } => {
                self.typed(record, amount, direction, short_forms)
            }
            MoneyColumns::Split { withdrawal, deposit } => self.split(record, withdrawal, deposit),
        }
    }

    fn number(&self, record: &Record, column: usize) -> Result<i64, Fault> {
        let text = record.get(column).unwrap_or_default();
        parse_amount_minor_with(text, self.header.currency, self.header.layout.mark)
            .map_err(|error| amount_fault(column, text, &error))
    }

    /// The type decides the direction; the sign of the number must not turn it.
    fn typed(
        &self,
        record: &Record,
        amount: usize,
        direction: usize,
        short_forms: bool,
    ) -> Result<i64, Fault> {
        let word = record.get(direction).unwrap_or_default().trim();
        let is = |long: &str, short: &str| {
            word.eq_ignore_ascii_case(long) || (short_forms && word.eq_ignore_ascii_case(short))
        };
        let minor = self.number(record, amount)?;
        let text = record.get(amount).unwrap_or_default();
        if is("debit", "dr") {
            let out = if minor > 0 { minor.checked_neg() } else { Some(minor) };
            return out.ok_or_else(|| amount_fault(amount, text, &AmountError::Overflow));
        }
        if !is("credit", "cr") {
            let problem = "is neither `debit` nor `credit`";
            let fix = "write `debit` for money out or `credit` for money in";
            return Err(Fault::at(direction, word, problem, fix));
        }
        if minor < 0 {
            let fix = "write `debit` if it is money out, else leave the sign out";
            return Err(Fault::at(amount, text, "is negative although the row is a credit", fix));
        }
        Ok(minor)
    }

    fn split(&self, record: &Record, withdrawal: usize, deposit: usize) -> Result<i64, Fault> {
        let side = |column: usize| -> Result<i64, Fault> {
            let text = record.get(column).unwrap_or_default().trim();
            if text.bytes().all(|byte| byte == b'-') {
                return Ok(0);
            }
            let minor = self.number(record, column)?;
            if minor < 0 {
                let fix = "leave the sign out; the column says the direction";
                return Err(Fault::at(column, text, "is negative", fix));
            }
            Ok(minor)
        };
        match (side(withdrawal)?, side(deposit)?) {
            (0, 0) => {
                let problem = "has neither a withdrawal nor a deposit".to_owned();
                Err(Fault::row(record, problem, "write the amount into one of the two columns"))
            }
            (out, 0) => Ok(-out),
            (0, income) => Ok(income),
            _ => {
                let problem = "has both a withdrawal and a deposit".to_owned();
                Err(Fault::row(record, problem, "write one row for each of them"))
            }
        }
    }

    fn balance(&self, record: &Record) -> Result<Option<i64>, Fault> {
        let Some(column) = self.columns.balance else {
            return Ok(None);
        };
        if record.get(column).unwrap_or_default().trim().is_empty() {
            return Ok(None);
        }
        self.number(record, column).map(Some).map_err(|fault| Fault {
            problem: format!("{}, so the row counts without its balance", fault.problem),
            ..fault
        })
    }
}

fn amount_fault(column: usize, text: &str, error: &AmountError) -> Fault {
    Fault::at(column, text, error.to_string(), error.fix())
}
