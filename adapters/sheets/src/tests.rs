//! Workbooks that are right, broken, or meant to do harm.

use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";

fn relation(kind: &str, target: &str) -> String {
    format!(
        "<Relationships xmlns=\"{PACKAGE}\"><Relationship Id=\"rId1\" \
         Type=\"{OFFICE}/{kind}\" Target=\"{target}\"/></Relationships>"
    )
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A workbook with these rows and shared strings. Its second format is a date, by its number 14
/// (ECMA-376, 18.8.30).
fn workbook(rows: &str, strings: &str) -> Vec<u8> {
    let book = format!(
        "<workbook xmlns=\"{MAIN}\" xmlns:r=\"{OFFICE}\"><sheets>\
         <sheet name=\"A\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>"
    );
    let styles = format!(
        "<styleSheet xmlns=\"{MAIN}\"><cellXfs count=\"2\"><xf numFmtId=\"0\"/>\
         <xf numFmtId=\"14\"/></cellXfs></styleSheet>"
    );
    let sheet = format!("<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</sheetData></worksheet>");
    archive(&[
        ("_rels/.rels", relation("officeDocument", "xl/workbook.xml").as_bytes()),
        ("xl/workbook.xml", book.as_bytes()),
        ("xl/_rels/workbook.xml.rels", relation("worksheet", "worksheets/sheet1.xml").as_bytes()),
        ("xl/styles.xml", styles.as_bytes()),
        ("xl/sharedStrings.xml", strings.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ])
}

fn strings(count: &str) -> String {
    format!(
        "<sst xmlns=\"{MAIN}\" uniqueCount={count}><si><t>Date</t></si>\
         <si><t>Say \"hi\", Asha</t></si></sst>"
    )
}

#[test]
fn a_sheet_becomes_lines_of_the_same_numbers() {
    // 46235 days after 1899-12-30 is 2026-08-01: `date -d '1899-12-30 +46235 days' +%F`.
    let rows = "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"C1\"><v>450.25</v></c></row>\
                <row r=\"3\"><c r=\"A3\" s=\"1\"><v>46235</v></c><c r=\"B3\" t=\"s\"><v>1</v></c>\
                <c r=\"C3\"><v>-12</v></c></row><row r=\"4\"><c r=\"A4\"><v>7</v></c></row>";
    let csv = to_csv(&workbook(rows, &strings("\"2\""))).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    assert_eq!(csv, "Date,,450.25\n\n2026-08-01,\"Say \"\"hi\"\", Asha\",-12\n7,,\n");
}

#[test]
fn what_would_take_too_much_is_refused_before_it_does() {
    let cell = |place: &str| format!("<row><c r=\"{place}\"><v>1</v></c></row>");
    let check = |content: &[u8], said: &str| {
        let error = to_csv(content).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    };
    check(&workbook(&cell("XFD1"), &strings("\"2\"")), "more than 100 columns");
    check(
        &workbook("<row r=\"1048576\"><c r=\"A1048576\"><v>1</v></c></row>", &strings("\"2\"")),
        "more than 1000000 rows",
    );
    for count in ["\"99999999999999\"", "'18446744073709551615'", " = \"9999999999\"", "\"&#57;\""]
    {
        let strings = strings(count.trim_start_matches(" = "));
        check(&workbook(&cell("A1"), &strings), "miscounted");
    }
    // 100 MB of zeros are 100 kB in an archive.
    let bomb = archive(&[("xl/workbook.xml", &vec![b' '; 100 << 20])]);
    assert!(bomb.len() < 200_000, "{}", bomb.len());
    check(&bomb, "bytes unpacked");
    check(&workbook("", &strings("\"2\"")), "no sheet of the workbook has any content");
    check(&archive(&[("word/document.xml", b"<a/>")]), "no Excel workbook");
    check(b"PK\x03\x04", "no Excel workbook");
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(b"<a/>".iter().flat_map(|b| [*b, 0])).collect();
    check(&archive(&[("xl/sharedStrings.xml", &utf16)]), "not in UTF-8");
}

proptest! {
    #[test]
    fn a_workbook_with_some_bytes_changed_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)
    ) {
        let rows = "<row r=\"1\"><c r=\"A1\"><v>1</v></c></row>";
        let mut content = workbook(rows, &strings("\"2\""));
        for (at, byte) in changes {
            let at = at.index(content.len());
            content[at] = byte;
        }
        let _ = to_csv(&content);
    }

    #[test]
    fn a_sheet_of_any_text_is_read_or_refused(rows in ".{0,200}", strings in ".{0,200}") {
        let _ = to_csv(&workbook(&rows, &strings));
    }
}
