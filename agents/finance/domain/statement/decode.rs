//! Bytes to text: byte order marks, UTF-8, UTF-16, Windows-1252, and naming what is not text.
//!
//! Owns the guess of the encoding. It does not look at columns or rows.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::error::StatementError;

const SAVE_AS_CSV: &str = "open it in a spreadsheet and save it as CSV";
const DOWNLOAD_CSV: &str = "download the statement from the bank as CSV";

/// First bytes of files that people upload in place of a CSV: magic, name, fix.
const KINDS: &[(&[u8], &str, &str)] = &[
    (b"%PDF-", "a PDF document", DOWNLOAD_CSV),
    (b"PK\x03\x04", "a ZIP archive or an Excel (XLSX) workbook", SAVE_AS_CSV),
    (b"\xd0\xcf\x11\xe0", "an old Excel (XLS) workbook", SAVE_AS_CSV),
    (b"\x89PNG", "a PNG image", DOWNLOAD_CSV),
    (b"\xff\xd8\xff", "a JPEG image", DOWNLOAD_CSV),
    (b"GIF8", "a GIF image", DOWNLOAD_CSV),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"{\\rtf", "a rich text document", DOWNLOAD_CSV),
    (b"<?xml", "an XML document", SAVE_AS_CSV),
    (b"<html", "a web page", SAVE_AS_CSV),
    (b"<!doctype", "a web page", SAVE_AS_CSV),
    (b"<table", "a web page", SAVE_AS_CSV),
];

/// How many bytes decide whether text without a mark is UTF-16.
const SNIFF_BYTES: usize = 1_024;

/// The text of a file, without a byte order mark.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, StatementError> {
    if let Some((encoding, mark_len)) = Encoding::for_bom(bytes) {
        let rest = bytes.get(mark_len..).unwrap_or_default();
        if encoding == UTF_8 {
            return decode_unmarked(rest);
        }
        return Ok(encoding.decode_without_bom_handling(rest).0);
    }
    decode_unmarked(bytes)
}

fn decode_unmarked(bytes: &[u8]) -> Result<Cow<'_, str>, StatementError> {
    let start = bytes.trim_ascii_start();
    let known = KINDS.iter().find(|(magic, ..)| {
        let head = start.get(..magic.len()).unwrap_or_default();
        head.eq_ignore_ascii_case(magic)
    });
    if let Some((_, what, fix)) = known {
        return Err(StatementError::Binary { what, fix });
    }
    if bytes.contains(&0) {
        let encoding = utf_16_without_mark(bytes)
            .ok_or(StatementError::Binary { what: "binary data", fix: DOWNLOAD_CSV })?;
        return Ok(encoding.decode_without_bom_handling(bytes).0);
    }
    if is_mostly_noise(bytes) {
        return Err(StatementError::Binary { what: "binary data", fix: DOWNLOAD_CSV });
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        // A file with well-formed multi-byte characters before the fault is damaged UTF-8; in
        // Windows-1252 text such sequences do not come about by chance.
        Err(error) => match bytes.get(..error.valid_up_to()) {
            Some(valid) if !valid.is_ascii() => Ok(String::from_utf8_lossy(bytes)),
            _ => Ok(WINDOWS_1252.decode_without_bom_handling(bytes).0),
        },
    }
}

/// Whether more than one byte in fifty of the beginning is a control character that no text has;
/// in random bytes it is one in ten.
fn is_mostly_noise(bytes: &[u8]) -> bool {
    let start = bytes.get(..SNIFF_BYTES).unwrap_or(bytes);
    let is_noise = |byte: &&u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    start.iter().filter(is_noise).count() > start.len() / 50
}

/// UTF-16 text that is mostly ASCII has its NUL bytes on one side only.
fn utf_16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..SNIFF_BYTES).unwrap_or(bytes);
    let pairs = head.len() / 2;
    let nuls = |side: usize| head.iter().skip(side).step_by(2).filter(|byte| **byte == 0).count();
    match (nuls(0), nuls(1)) {
        (0, odd) if odd * 2 > pairs => Some(UTF_16LE),
        (even, 0) if even * 2 > pairs => Some(UTF_16BE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf_16(text: &str, mark: bool, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
        units.flat_map(bytes_of).collect()
    }

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "date,description\r\n2026-01-01,Café ₹5\r\n";
        let mut marked = b"\xef\xbb\xbf".to_vec();
        marked.extend_from_slice(text.as_bytes());
        let files = [
            text.as_bytes().to_vec(),
            marked,
            utf_16(text, true, u16::to_le_bytes),
            utf_16(text, true, u16::to_be_bytes),
            utf_16(text, false, u16::to_le_bytes),
            utf_16(text, false, u16::to_be_bytes),
        ];
        for file in files {
            assert_eq!(decode(&file).unwrap(), text);
        }
        assert_eq!(decode(b"W\xe4hrung;Caf\xe9;\x80").unwrap(), "Währung;Café;€");
    }

    #[test]
    fn one_damaged_byte_does_not_garble_the_rest_of_a_utf_8_file() {
        assert_eq!(decode(b"\xe2\x82\xb95,caf\xe9").unwrap(), "₹5,caf\u{fffd}");
    }

    #[test]
    fn a_file_that_is_not_text_is_named() {
        let cases: [(&[u8], &str); 8] = [
            (b"%PDF-1.7\n", "PDF"),
            (b"PK\x03\x04\x14\x00", "XLSX"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1", "XLS"),
            (b"\x89PNG\r\n\x1a\n", "PNG"),
            (b"\r\n<HTML><body>", "web page"),
            (b"\x00\x00\x01\x00\x00", "binary data"),
            (b"a,b\n1,\x00\x02", "binary data"),
            (b"\x93\x01z\xfe\x1f\x8bq\x02,\x7f\xa0", "binary data"),
        ];
        for (bytes, name) in cases {
            let message = decode(bytes).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains("; "), "{message}");
        }
    }
}
