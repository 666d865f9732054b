//! Spreadsheets as CSV: the first sheet with content of an Excel workbook (`.xlsx`).
//!
//! A workbook comes from whoever sends it, and is a compressed archive of XML: what it takes once
//! it is unpacked is measured before anything reads it. A row of the sheet is the line of the same
//! number, so that whatever is said about a line can be found in the sheet.

use std::io::{Cursor, Read};
use std::panic::catch_unwind;

use calamine::{DataRef, Reader, Xlsx};
use zip::ZipArchive;

/// Most bytes of a workbook once it is unpacked.
const UNPACKED_BYTES_MAX: u64 = 64 << 20;
/// Most files in a workbook.
const FILES_MAX: usize = 1_000;
/// Most rows of a sheet.
const ROWS_MAX: u32 = 1_000_000;
/// Most columns of a sheet.
const COLUMNS_MAX: u32 = 100;
/// Most bytes of the CSV.
const CSV_BYTES_MAX: usize = 64 << 20;
/// How each file within a ZIP archive begins.
const ZIP: &[u8] = b"PK\x03\x04";

/// Why a workbook cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is an archive of something else, or broken.
    #[error(
        "the file is an archive that is no Excel workbook: {0}; export the statement as .xlsx or \
         CSV"
    )]
    NoWorkbook(String),
    /// It is larger than it may be.
    #[error("the workbook has more than {max} {what}; export a shorter period")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        max: u64,
    },
    /// No sheet has a cell.
    #[error("no sheet of the workbook has any content; export the statement again")]
    Empty,
}

/// Whether it looks like a workbook.
#[must_use]
pub fn is_workbook(content: &[u8]) -> bool {
    content.starts_with(ZIP)
}

/// The first sheet with content, as CSV in UTF-8.
///
/// # Errors
/// [`Error`] says what to send instead.
pub fn to_csv(content: &[u8]) -> Result<Vec<u8>, Error> {
    measure(content)?;
    // A reader of a format like this one has more ways to fail than it knows.
    let read = catch_unwind(|| read(content));
    read.unwrap_or_else(|_| Err(Error::NoWorkbook("it is broken".to_owned())))
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::NoWorkbook(error.to_string())
}

fn too_large(what: &'static str, max: impl Into<u64>) -> Error {
    Error::TooLarge { what, max: max.into() }
}

/// Unpacks everything once and keeps nothing: what an archive says of its own size is no bound.
fn measure(content: &[u8]) -> Result<(), Error> {
    let mut archive = ZipArchive::new(Cursor::new(content)).map_err(broken)?;
    if archive.len() > FILES_MAX {
        return Err(too_large("files", FILES_MAX as u64));
    }
    let mut left = UNPACKED_BYTES_MAX;
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(broken)?;
        let mut unpacked = Vec::new();
        file.take(left + 1).read_to_end(&mut unpacked).map_err(broken)?;
        left = left
            .checked_sub(unpacked.len() as u64)
            .ok_or_else(|| too_large("bytes unpacked", UNPACKED_BYTES_MAX))?;
        check_counts(&unpacked)?;
    }
    Ok(())
}

/// The reader reserves room for as many strings as the file says that it has.
fn check_counts(file: &[u8]) -> Result<(), Error> {
    const NAME: &[u8] = b"uniqueCount";
    let places = file.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    for (at, _) in places {
        let rest = file[at + NAME.len()..].trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b"=") else { continue };
        let value = rest.trim_ascii_start().get(1..).unwrap_or_default();
        let digits = value.iter().take_while(|byte| !b"\"'".contains(byte)).count();
        let text = str::from_utf8(&value[..digits]).unwrap_or_default();
        if text.parse::<usize>().is_ok_and(|count| count <= file.len()) {
            continue;
        }
        return Err(broken("its strings are miscounted"));
    }
    // In another encoding than UTF-8 the count would not be seen here.
    let is_text = file.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
        || file.starts_with(b"\xef\xbb\xbf");
    if file.starts_with(b"\xff\xfe")
        || file.starts_with(b"\xfe\xff")
        || is_text && file.contains(&0)
    {
        return Err(broken("it is not in UTF-8"));
    }
    Ok(())
}

fn read(content: &[u8]) -> Result<Vec<u8>, Error> {
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(content)).map_err(broken)?;
    for name in workbook.sheet_names() {
        // A chart has no cells.
        let Ok(mut cells) = workbook.worksheet_cells_reader(&name) else { continue };
        let mut sheet = Sheet::default();
        while let Some(cell) = cells.next_cell().map_err(broken)? {
            sheet.put(cell.get_position(), &text(cell.get_value()))?;
        }
        if sheet.has_content {
            sheet.end_row();
            return Ok(sheet.csv);
        }
    }
    Err(Error::Empty)
}

/// A sheet as far as it is written.
#[derive(Default)]
struct Sheet {
    csv: Vec<u8>,
    row: u32,
    column: u32,
    /// The last column of the widest row so far.
    width: u32,
    /// Whether the row has a cell.
    begun: bool,
    has_content: bool,
}

impl Sheet {
    /// Writes the next cell; cells come row by row.
    fn put(&mut self, (row, column): (u32, u32), text: &str) -> Result<(), Error> {
        if text.is_empty() {
            return Ok(());
        }
        if row >= ROWS_MAX {
            return Err(too_large("rows", ROWS_MAX));
        }
        if column >= COLUMNS_MAX {
            return Err(too_large("columns", COLUMNS_MAX));
        }
        if (row, column) < (self.row, self.column) {
            return Err(broken("its cells are out of order"));
        }
        while self.row < row {
            self.end_row();
            (self.row, self.column) = (self.row + 1, 0);
        }
        self.go_to(column);
        self.width = self.width.max(column);
        (self.begun, self.has_content) = (true, true);
        self.quote(text);
        if self.csv.len() > CSV_BYTES_MAX {
            return Err(too_large("bytes", CSV_BYTES_MAX as u64));
        }
        Ok(())
    }

    fn go_to(&mut self, column: u32) {
        while self.column < column {
            self.csv.push(b',');
            self.column += 1;
        }
    }

    /// Ends a row; cells without content at its end are not in a workbook, but are columns still.
    fn end_row(&mut self) {
        if self.begun {
            self.go_to(self.width);
        }
        self.begun = false;
        self.csv.push(b'\n');
    }

    /// Writes a field; a line break within it would make two lines of one row.
    fn quote(&mut self, text: &str) {
        let text = text.replace(['\r', '\n'], " ");
        if text.contains([',', '"', ';', '\t']) {
            let quoted = format!("\"{}\"", text.replace('"', "\"\""));
            self.csv.extend_from_slice(quoted.as_bytes());
        } else {
            self.csv.extend_from_slice(text.as_bytes());
        }
    }
}

/// A cell as one would type it; a date as in ISO 8601.
fn text(cell: &DataRef<'_>) -> String {
    match cell {
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.trim().to_owned()
        }
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::Bool(value) => value.to_string(),
        DataRef::DateTime(time) if time.is_datetime() => {
            let (year, month, day, ..) = time.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02}")
        }
        DataRef::DateTime(duration) => duration.as_f64().to_string(),
        DataRef::Error(error) => error.to_string(),
        DataRef::Empty => String::new(),
    }
}

#[cfg(test)]
mod tests;
