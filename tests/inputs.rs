//! Statements that cannot be used: named with file, row, column, value and what to do.

use std::io::Write;

use crate::program::{Files, genie, genie_fed};

const HEADER: &str = "date,description,category,amount,type\n";

fn refused(path: &str) -> String {
    let ended = genie(&["run", "--statement", path, "--quiet"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{path}: {}", ended.stderr);
    let complaint = ended.complaint();
    assert!(complaint.contains("hint: "), "{complaint}");
    for rust in ["Error", "Os {", "StatementError", "Failed {", "unwrap"] {
        assert!(!complaint.contains(rust), "{complaint}");
    }
    complaint
}

#[test]
fn a_file_that_is_no_statement_is_named_with_what_is_wrong() {
    let files = Files::new();
    let nothing_usable = format!("{HEADER}2026-01-01,Rent,Housing,lots,debit\n");
    for (name, content, said) in [
        ("empty.csv", &b""[..], "the statement is empty"),
        ("blank.csv", b" \n\n", "the statement is empty"),
        ("header.csv", HEADER.as_bytes(), "no rows"),
        ("columns.csv", b"date,narration,sum\n2026-01-01,x,1\n", "no header was recognised"),
        ("rows.csv", nothing_usable.as_bytes(), "`lots`"),
        ("image.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR", "not a CSV statement"),
        ("zeros.csv", &[0; 4_096], "not a CSV statement"),
    ] {
        let complaint = refused(&files.write(name, content));
        assert!(complaint.contains(name) && complaint.contains(said), "{name}: {complaint}");
    }
}

#[test]
fn a_path_that_leads_to_no_statement_is_named() {
    let files = Files::new();
    assert!(refused(&files.argument("none.csv")).contains("none.csv: cannot be read"));
    assert!(refused(&files.argument(".")).contains("is a directory"));
    let below = format!("{}/rows.csv", files.write("file.csv", HEADER));
    assert!(refused(&below).contains("rows.csv: cannot be read"));
}

#[test]
fn a_file_of_two_gigabytes_is_refused_by_its_size() {
    let files = Files::new();
    let path = files.write("huge.csv", HEADER);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(2 << 30).unwrap();
    let complaint = refused(&path);
    assert!(complaint.contains("huge.csv: has 2147483648 bytes"), "{complaint}");
    assert!(complaint.contains("67108864"), "{complaint}");
}

#[test]
fn an_endless_input_is_given_up_at_the_bound() {
    let files = Files::new();
    let config = files.write("genie.toml", "[limits]\nblob_bytes_max = 1_000\n");
    let input = HEADER.repeat(100);
    let ended = genie_fed(&["--config", &config, "run", "--statement", "-"], input.as_bytes());
    assert_eq!(ended.code, 2);
    assert!(ended.complaint().contains("standard input: "), "{}", ended.stderr);
    let device = genie(&["--config", &config, "run", "--statement", "/dev/zero"]);
    assert_eq!(device.code, 2);
    assert!(device.complaint().contains("at most 1000 bytes"), "{}", device.stderr);
}

#[test]
fn a_malformed_row_far_down_is_left_out_and_named() {
    let files = Files::new();
    let path = files.argument("long.csv");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    file.write_all(HEADER.as_bytes()).unwrap();
    // The header is line 1, so line 57,001 is data row 57,000.
    for line in 2..=57_100 {
        let (month, amount) = (line % 12 + 1, if line == 57_001 { "12,oo" } else { "100" });
        writeln!(file, "2025-{month:02}-05,Swiggy,Food,\"{amount}\",debit").unwrap();
    }
    drop(file);
    let ended = genie(&["run", "--statement", &path, "How much did I spend on food?"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("1 row that could not be used"), "{}", ended.stdout);
    assert!(ended.stdout.contains("Line 57001, column `amount`: `12,oo`"), "{}", ended.stdout);
    assert!(ended.stdout.contains("Fix: "), "{}", ended.stdout);
}

#[test]
fn a_statement_is_read_from_standard_input() {
    let rows = format!("{HEADER}2026-01-01,Salary,Income,50000,credit\n");
    let ended = genie_fed(&["run", "--statement", "-", "What was my income?"], rows.as_bytes());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("₹50,000.00"), "{}", ended.stdout);
    let empty = genie_fed(&["run", "--statement", "-"], b"");
    assert_eq!(empty.code, 2);
    assert!(empty.complaint().contains("standard input: "), "{}", empty.stderr);
}
