//! Records of a CSV text, one after the other.
//!
//! Owns the state of the reader and the memory of a record. Records have any number of fields;
//! quotes are `"`, doubled inside. Lines and faulty quotes are for [`super::records`].

use std::cell::RefCell;

use csv_core::{ReadRecordResult, ReaderBuilder};

/// Field separators that any layout may have, in the order in which they are tried.
pub(super) const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Bytes and fields that a record has room for at first.
const BYTES_AT_FIRST: usize = 256;
const FIELDS_AT_FIRST: usize = 16;

thread_local! {
    /// A reader of each delimiter that waits to be used again. To compile its automaton takes
    /// longer than to read a short statement, and a copy of a `csv_core::Reader` does not read.
    static IDLE: RefCell<[Option<Box<csv_core::Reader>>; DELIMITERS.len()]> =
        const { RefCell::new([const { None }; DELIMITERS.len()]) };
}

/// Reads one record after the other.
pub(super) struct Reader<'t> {
    /// There until the reader is dropped.
    core: Option<Box<csv_core::Reader>>,
    /// Position of the delimiter in [`DELIMITERS`].
    delimiter: usize,
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    /// Reads the text from a byte on; a delimiter outside [`DELIMITERS`] is taken for the first.
    pub(super) fn new(text: &'t str, at: usize, delimiter: u8) -> Self {
        let delimiter = DELIMITERS.iter().position(|known| *known == delimiter).unwrap_or_default();
        let idle = IDLE.with_borrow_mut(|idle| idle[delimiter].take());
        let core = idle.unwrap_or_else(|| {
            Box::new(ReaderBuilder::new().delimiter(DELIMITERS[delimiter]).build())
        });
        Self { core: Some(core), delimiter, text, at: at.min(text.len()) }
    }

    /// How far the text has been read, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Reads the next record into `record`; `false` at the end of the text.
    pub(super) fn read(&mut self, record: &mut Record) -> bool {
        let Some(core) = &mut self.core else {
            return false;
        };
        let Record { bytes, ends, fields } = record;
        bytes.resize(bytes.len().max(BYTES_AT_FIRST), 0);
        ends.resize(ends.len().max(FIELDS_AT_FIRST), 0);
        let mut len = 0;
        *fields = 0;
        loop {
            let input = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let (result, read, written, ended) =
                core.read_record(input, &mut bytes[len..], &mut ends[*fields..]);
            self.at += read;
            len += written;
            *fields += ended;
            match result {
                // The reader learns from the empty rest that the text has ended.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => bytes.resize(bytes.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
                ReadRecordResult::Record => return true,
                ReadRecordResult::End => return false,
            }
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(mut core) = self.core.take() {
            core.reset();
            IDLE.with_borrow_mut(|idle| idle[self.delimiter] = Some(core));
        }
    }
}

/// The fields of one record; its memory serves for the next.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    /// The fields, one behind the other, and room for more.
    bytes: Vec<u8>,
    /// Where each field ends, and room for more.
    ends: Vec<usize>,
    /// How many fields there are.
    fields: usize,
}

impl Record {
    /// How many fields there are.
    pub(super) fn len(&self) -> usize {
        self.fields
    }

    /// The field with this index.
    pub(super) fn get(&self, index: usize) -> Option<&str> {
        let ends = self.ends.get(..self.fields)?;
        let end = *ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| ends[before]);
        // Separators and quotes are ASCII, so a field of valid text is valid.
        std::str::from_utf8(self.bytes.get(start..end)?).ok()
    }

    /// Every field, in the order of the columns.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.fields).filter_map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str, delimiter: u8) -> Vec<Vec<String>> {
        let mut reader = Reader::new(text, 0, delimiter);
        let mut record = Record::default();
        let mut records = Vec::new();
        while reader.read(&mut record) {
            records.push(record.iter().map(str::to_owned).collect());
        }
        assert_eq!(reader.at(), text.len());
        records
    }

    #[test]
    fn quotes_are_taken_off_and_the_number_of_fields_is_free() {
        let text = "a;\"b; \"\"c\"\"\nd\";é\r\n\n1\n;;";
        let expected: [&[&str]; 3] = [&["a", "b; \"c\"\nd", "é"], &["1"], &["", "", ""]];
        assert_eq!(records(text, b';'), expected);
        assert!(records("", b',').is_empty());
    }

    #[test]
    fn a_reader_left_inside_quotes_leaves_nothing_to_the_next() {
        let mut record = Record::default();
        assert!(Reader::new("a,\"b", 0, b',').read(&mut record));
        assert_eq!(records("\u{feff}c,\"d\"", b','), [["c", "d"]]);
    }

    #[test]
    fn a_record_grows_with_its_fields() {
        let long = "x".repeat(BYTES_AT_FIRST * 5);
        let many = vec!["y"; FIELDS_AT_FIRST * 5].join("|");
        let found = records(&format!("{long}\n{many}\nz"), b'|');
        assert_eq!(found[0], [long]);
        assert_eq!(found[1].len(), FIELDS_AT_FIRST * 5);
        assert_eq!(found[2], ["z"]);
    }
}
