//! Finding the header of a statement and, with it, the layout.
//!
//! Owns the comparison of header names and the choice between layouts that the names alone cannot
//! tell apart. It reads a few rows for that choice, but makes no entries of them.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::ParseOptions;
use super::csv::{DELIMITERS, Reader, Record};
use super::error::StatementError;
use super::layout::{Layout, LayoutName, ROLES, Role};
use super::records::{Next, Records, line_end};
use crate::finance::domain::money::{Currency, strip_direction};

/// How many lines of the bank's own text may stand before the header.
const PREAMBLE_LINES_MAX: u32 = 30;
/// How many rows are looked at to choose between layouts and to find the currency.
const PROBE_ROWS: usize = 50;
/// Bounds of what an error repeats of a header.
const FOUND_FIELDS_MAX: usize = 20;
const FOUND_CHARS_MAX: usize = 40;

/// A recognised header.
pub(super) struct Header {
    pub(super) layout: &'static Layout,
    pub(super) delimiter: u8,
    /// Line of the header, counted from 1.
    pub(super) line: u32,
    /// Names of the columns as the file has them.
    pub(super) names: Vec<String>,
    /// Where in the text the first row begins.
    pub(super) rows_at: usize,
    /// The currency of the file: what its currency column says first, else the option.
    pub(super) currency: Currency,
    columns: Columns,
}

/// For each role, the index of the column that has it.
type Columns = [Option<usize>; ROLES];

impl Header {
    /// The index of the column with this role.
    pub(super) fn column(&self, role: Role) -> Option<usize> {
        self.columns.get(role as usize).copied().flatten()
    }

    /// The rows behind the header.
    pub(super) fn records<'t>(&self, text: &'t str, options: &ParseOptions) -> Records<'t> {
        Records::new(text, self, options.line_len_max)
    }
}

/// The names of a line compared with one layout.
#[derive(Clone, Copy)]
struct Match {
    layout: &'static Layout,
    columns: Columns,
}

impl Match {
    /// Required columns that no name of the line means.
    fn missing(&self) -> impl Iterator<Item = &'static str> {
        let lacks = |role: Role| self.columns.get(role as usize).is_none_or(Option::is_none);
        self.layout.required().filter(move |column| lacks(column.role)).map(|column| column.header)
    }
}

/// Finds the first line that names the required columns of a layout.
pub(super) fn find(text: &str, options: &ParseOptions) -> Result<Header, StatementError> {
    let mut closest: Option<Closest> = None;
    let mut at = 0;
    for line in 1..=PREAMBLE_LINES_MAX + 1 {
        let rest = text.get(at..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
        let end = line_end(rest);
        let content = rest.get(..end).unwrap_or_default();
        at += end;
        if content.trim().is_empty() || content.len() > options.line_len_max {
            continue;
        }
        for delimiter in DELIMITERS {
            let names = split(content, delimiter);
            let (complete, partial): (Vec<Match>, Vec<Match>) =
                matches(&names, delimiter).partition(|found| found.missing().next().is_none());
            if !complete.is_empty() {
                let found = Found { names, delimiter, line, rows_at: at };
                return choose(text, found, complete, options);
            }
            for found in partial {
                closest = Some(Closest::nearer(closest, &names, found));
            }
        }
    }
    Err(closest.map_or(StatementError::Empty, Closest::into_error))
}

/// A line that names every column of at least one layout.
struct Found {
    names: Vec<String>,
    delimiter: u8,
    line: u32,
    rows_at: usize,
}

fn split(line: &str, delimiter: u8) -> Vec<String> {
    let mut record = Record::default();
    Reader::new(line, 0, delimiter).read(&mut record);
    record.iter().map(|name| name.trim().to_owned()).collect()
}

/// For each normalised name of a column, the layouts (by position) and roles that it stands for.
static MEANINGS: LazyLock<HashMap<String, Vec<(usize, Role)>>> = LazyLock::new(|| {
    let mut meanings: HashMap<String, Vec<(usize, Role)>> = HashMap::new();
    for (at, name) in LayoutName::ALL.into_iter().enumerate() {
        for column in name.layout().columns {
            let aliases = column.aliases.iter().map(|alias| (*alias).to_owned());
            for name in aliases.chain([normalise(column.header)]) {
                meanings.entry(name).or_default().push((at, column.role));
            }
        }
    }
    meanings
});

/// The names compared with every layout that has the delimiter.
fn matches(names: &[String], delimiter: u8) -> impl Iterator<Item = Match> {
    let mut columns: [Columns; LayoutName::ALL.len()] = Default::default();
    for (index, name) in names.iter().enumerate() {
        for (layout, role) in MEANINGS.get(&normalise(name)).into_iter().flatten() {
            let slot = columns.get_mut(*layout).and_then(|roles| roles.get_mut(*role as usize));
            if let Some(slot) = slot {
                slot.get_or_insert(index);
            }
        }
    }
    let compared = LayoutName::ALL.into_iter().map(LayoutName::layout).zip(columns);
    compared
        .filter(move |(layout, _)| layout.delimiters.contains(&delimiter))
        .map(|(layout, columns)| Match { layout, columns })
}

/// Letters and digits in lower case, everything else as one space: `Chq./Ref.No.` is `chq ref no`.
fn normalise(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_alphanumeric() {
            out.extend(character.to_lowercase());
        } else if !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Picks the layout whose style most of the first rows have, where several have these names.
fn choose(
    text: &str,
    found: Found,
    complete: Vec<Match>,
    options: &ParseOptions,
) -> Result<Header, StatementError> {
    let Found { names, delimiter, line, rows_at } = found;
    let mut candidates = complete.into_iter();
    let Some(first) = candidates.next() else {
        return Err(StatementError::Empty);
    };
    let mut header = Header {
        layout: first.layout,
        delimiter,
        line,
        names,
        rows_at,
        currency: options.currency,
        columns: first.columns,
    };
    let told_by_names = [LayoutName::Plain, LayoutName::DebitCredit, LayoutName::SemicolonEu]
        .contains(&first.layout.name);
    if told_by_names && header.column(Role::Currency).is_none() {
        return Ok(header);
    }
    let sample = sample(text, &header, options)?;
    if let Some(currency) = stated_currency(&header, &sample) {
        header.currency = currency;
    }
    if told_by_names {
        return Ok(header);
    }
    let style = prevailing_style(&header, &sample);
    let others: Vec<Match> = candidates.collect();
    let by_name = |name| others.iter().find(|other| other.layout.name == name);
    let better = match style {
        LayoutName::DrcrSuffix => None,
        LayoutName::Us => by_name(LayoutName::Us).or_else(|| by_name(LayoutName::RupeeSigned)),
        _ => by_name(style),
    };
    if let Some(better) = better {
        header.layout = better.layout;
        header.columns = better.columns;
    }
    Ok(header)
}

fn sample(
    text: &str,
    header: &Header,
    options: &ParseOptions,
) -> Result<Vec<Record>, StatementError> {
    let mut records = header.records(text, options);
    let mut sample = Vec::new();
    let mut record = Record::default();
    for _ in 0..PROBE_ROWS {
        match records.next(&mut record)? {
            Next::End => break,
            Next::Row(_) => sample.push(record.clone()),
            Next::TooLong(_) | Next::Unclosed(_) => {}
        }
    }
    Ok(sample)
}

fn stated_currency(header: &Header, sample: &[Record]) -> Option<Currency> {
    let index = header.column(Role::Currency)?;
    let mut codes = sample.iter().filter_map(|record| record.get(index));
    codes.find_map(|code| code.trim().to_ascii_uppercase().parse().ok())
}

/// Which of the layouts with one amount column the rows look like.
fn prevailing_style(header: &Header, sample: &[Record]) -> LayoutName {
    let mut votes =
        [(LayoutName::DrcrSuffix, 0_usize), (LayoutName::RupeeSigned, 0), (LayoutName::Us, 0)];
    let field = |record: &Record, role| {
        let field = header.column(role).and_then(|index| record.get(index));
        field.unwrap_or_default().trim().to_owned()
    };
    for record in sample {
        let (amount, date) = (field(record, Role::Amount), field(record, Role::Date));
        let rupees = amount.contains('₹') || amount.to_ascii_lowercase().contains("rs");
        let style =
            if header.column(Role::Direction).is_some() || strip_direction(&amount).is_some() {
                LayoutName::DrcrSuffix
            } else if rupees || date.contains(|letter: char| letter.is_ascii_alphabetic()) {
                LayoutName::RupeeSigned
            } else {
                LayoutName::Us
            };
        if let Some(vote) = votes.iter_mut().find(|vote| vote.0 == style) {
            vote.1 += 1;
        }
    }
    let [drcr, rupee, us] = votes;
    let best = if rupee.1 > drcr.1 { rupee } else { drcr };
    if us.1 > best.1 { us.0 } else { best.0 }
}

/// The line that lacks the fewest columns of a layout, for the error.
struct Closest {
    names: Vec<String>,
    found: Match,
    have: usize,
}

impl Closest {
    fn nearer(before: Option<Self>, names: &[String], found: Match) -> Self {
        let have = found.layout.required().count().saturating_sub(found.missing().count());
        match before {
            Some(before) if before.rank() >= (have, names.len()) => before,
            _ => Self { names: names.to_vec(), found, have },
        }
    }

    /// More required columns first, then more columns.
    fn rank(&self) -> (usize, usize) {
        (self.have, self.names.len())
    }

    fn into_error(self) -> StatementError {
        let cut = |name: &String| name.chars().take(FOUND_CHARS_MAX).collect();
        let accepted = LayoutName::ALL.map(|name| {
            let columns: Vec<&str> = name.layout().required().map(|column| column.header).collect();
            format!("`{name}` ({})", columns.join(", "))
        });
        StatementError::NoHeader {
            found: self.names.iter().take(FOUND_FIELDS_MAX).map(cut).collect(),
            missing: self.found.missing().map(str::to_owned).collect(),
            closest: self.found.layout.name,
            accepted: accepted.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognised(text: &str) -> (LayoutName, u32) {
        let header = find(text, &ParseOptions::default()).unwrap();
        (header.layout.name, header.line)
    }

    #[test]
    fn names_are_compared_without_case_spaces_and_punctuation() {
        let cases = [
            ("Date,Description,Amount,Type\n", LayoutName::Plain),
            (" DATE , narration,  AMOUNT,Type \n", LayoutName::Plain),
            ("date\tdescription\tamount\ttype\n", LayoutName::Plain),
            ("\"Date\",\"Narration\",\"Debit\",\"Credit\"\n", LayoutName::DebitCredit),
            ("Txn Date,Particulars,Withdrawals,Deposits,Balance\n", LayoutName::DebitCredit),
            ("Datum;Beschreibung;Betrag\n", LayoutName::SemicolonEu),
        ];
        for (text, expected) in cases {
            assert_eq!(recognised(text), (expected, 1), "{text}");
        }
    }

    #[test]
    fn rows_decide_between_layouts_with_the_same_names() {
        let cases = [
            ("Date,Description,Amount\n05-01-2026,a,5.00 DR\n", LayoutName::DrcrSuffix),
            ("Date,Narration,Amount,Dr/Cr\n05-01-2026,a,5.00,DR\n", LayoutName::DrcrSuffix),
            ("Date,Description,Amount\n05-Jan-2026,a,-5.00\n", LayoutName::RupeeSigned),
            ("Date,Description,Amount\n05/01/2026,a,-₹5.00\n", LayoutName::RupeeSigned),
            ("Date,Description,Amount\n05/01/2026,a,-5.00\n", LayoutName::Us),
            ("Date,Narration,Amount\n05/01/2026,a,-5.00\n", LayoutName::RupeeSigned),
        ];
        for (text, expected) in cases {
            assert_eq!(recognised(text), (expected, 1), "{text}");
        }
    }

    #[test]
    fn up_to_thirty_lines_of_the_bank_are_skipped() {
        let header = "date,description,amount,type\n";
        let preamble = "Mr A, Customer 42\n".repeat(30);
        assert_eq!(recognised(&format!("{preamble}{header}")), (LayoutName::Plain, 31));
        let preamble = "Mr A, Customer 42\n".repeat(31);
        let error = find(&format!("{preamble}{header}"), &ParseOptions::default());
        assert!(matches!(error, Err(StatementError::NoHeader { .. })));
    }

    #[test]
    fn an_unknown_header_is_answered_with_what_is_missing() {
        let text = "date,description,amount_in_words,type\n2026-01-01,a,five,debit\n";
        let error = find(text, &ParseOptions::default()).err().unwrap().to_string();
        for part in ["`amount_in_words`", "layout `plain` also needs `amount`", "`semicolon_eu` ("]
        {
            assert!(error.contains(part), "{error}");
        }
    }
}
