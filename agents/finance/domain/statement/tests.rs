//! Whole files through the front door of the parser.

use proptest::prelude::*;
use time::macros::date;

use super::*;
use crate::finance::domain::generate::{SAMPLE_TEN_ROWS, Spec, bundled, statement};
use crate::finance::domain::ledger::{REJECTS_MAX, Reject};

fn read(text: impl AsRef<[u8]>) -> Result<Ledger, StatementError> {
    parse(text.as_ref(), &ParseOptions::default())
}

fn amounts(text: impl AsRef<[u8]>) -> Vec<i64> {
    read(text).unwrap().entries.into_iter().map(|entry| entry.amount_minor).collect()
}

fn only_reject(text: &str) -> Reject {
    let ledger = read(text).unwrap();
    assert_eq!((ledger.rejected_count, ledger.rejects.len()), (1, 1), "{:?}", ledger.rejects);
    ledger.rejects.into_iter().next().unwrap()
}

const HEADER: &str = "date,description,category,amount,type\n";
const GOOD: &str = "2026-01-01,Salary,Income,50000,credit\n";

#[test]
fn the_plain_layout_gives_every_field() {
    let ledger = read(format!("{HEADER}{GOOD} 2026-01-02 , Rent ,,\"25,000.50\",DEBIT\n")).unwrap();
    assert_eq!((ledger.layout.as_str(), ledger.currency), ("plain", Currency::INR));
    let [salary, rent] = ledger.entries.as_slice() else { panic!("{:?}", ledger.entries) };
    assert_eq!(
        (salary.line, salary.date, salary.amount_minor),
        (2, date!(2026 - 01 - 01), 5_000_000)
    );
    assert_eq!(salary.stated_category.as_deref(), Some("Income"));
    assert_eq!((rent.line, &*rent.description, rent.amount_minor), (3, "Rent", -2_500_050));
    assert_eq!((rent.stated_category.as_deref(), rent.balance_minor), (None, None));
}

#[test]
fn the_type_and_not_the_sign_decides_the_direction() {
    let rows = "2026-01-01,a,,-5,debit\n2026-01-01,b,,5,Debit\n2026-01-01,c,,5,CREDIT\n";
    assert_eq!(amounts(format!("{HEADER}{rows}")), [-500, -500, 500]);
    let reject = only_reject(&format!("{HEADER}{GOOD}2026-01-02,d,,-5,credit\n"));
    assert_eq!((reject.line, reject.column.as_str(), reject.value.as_str()), (3, "amount", "-5"));
    assert!(reject.problem.contains("negative") && reject.fix.contains("debit"));
    for word in ["transfer", "dr", ""] {
        let reject = only_reject(&format!("{HEADER}{GOOD}2026-01-02,d,,5,{word}\n"));
        assert_eq!((reject.column.as_str(), reject.value.as_str()), ("type", word));
    }
}

#[test]
fn the_category_column_may_be_missing_and_columns_may_come_in_any_order() {
    let ledger = read("Type,Amount,Description,Date\ncredit,5,a,2026-01-01\n").unwrap();
    assert_eq!(ledger.entries.first().unwrap().amount_minor, 500);
}

#[test]
fn a_bad_value_costs_its_row_and_is_named() {
    let cases = [
        ("2026-02-30,a,,5,debit", "date", "2026-02-30", "calendar"),
        ("soon,a,,5,debit", "date", "soon", "not a date"),
        (",a,,5,debit", "date", "", "empty"),
        ("2026-01-02,a,,five,debit", "amount", "five", "`f` is not a digit"),
        ("2026-01-02,a,,5.123,debit", "amount", "5.123", "3 decimals where INR has 2"),
        ("2026-01-02,a,,\"19,99\",debit", "amount", "19,99", "thousands separator"),
        ("2026-01-02,a,,5 6,debit", "amount", "5 6", "two numbers"),
        ("2026-01-02,a,,,debit", "amount", "", "empty"),
        ("2026-01-02,a,,$5,debit", "amount", "$5", "is in USD, not in INR"),
        ("2026-01-02,a,,99999999999999999999,debit", "amount", "99999999999999999999", "large"),
        ("2026-01-02,a, b,,5,debit", "", "2026-01-02,a,b,,5,debit", "6 columns where"),
        ("2026-01-02,a", "", "2026-01-02,a", "2 columns where the header has 5"),
    ];
    for (row, column, value, problem) in cases {
        let reject = only_reject(&format!("{HEADER}{GOOD}{row}\n{GOOD}"));
        assert_eq!(
            (reject.line, reject.column.as_str(), reject.value.as_str()),
            (3, column, value)
        );
        assert!(reject.problem.contains(problem), "{reject:?}");
        assert!(!reject.fix.is_empty());
        assert_eq!(amounts(format!("{HEADER}{GOOD}{row}\n{GOOD}")), [5_000_000, 5_000_000]);
    }
}

#[test]
fn row_57_001_is_named_by_its_line() {
    let mut file = HEADER.to_owned();
    for row in 1..=60_000 {
        file.push_str(if row == 57_001 { "2026-01-05,oops,,1.2.3,debit\n" } else { GOOD });
    }
    let ledger = read(&file).unwrap();
    assert_eq!((ledger.entries.len(), ledger.rejected_count), (59_999, 1));
    assert_eq!(ledger.rejects.first().unwrap().line, 57_002);
    assert_eq!(ledger.entries.last().unwrap().line, 60_001);
}

#[test]
fn only_the_first_rejects_are_described_but_all_are_counted() {
    let bad = "soon,a,,5,debit\n".repeat(200);
    let ledger = read(format!("{HEADER}{bad}{GOOD}")).unwrap();
    assert_eq!((ledger.rejects.len(), ledger.rejected_count), (REJECTS_MAX, 200));
    let long = "x".repeat(5_000);
    let reject = only_reject(&format!("{HEADER}{GOOD}{long},a,,5,debit\n"));
    assert_eq!(reject.value.chars().count(), 80);
}

#[test]
fn line_ends_quoted_newlines_and_blank_lines_keep_the_line_numbers() {
    let file = format!(
        "{HEADER}2026-01-01,\"two\nlines, \"\"quoted\"\"\",,5,debit\n\n\n2026-01-02,b,,6,debit\n\
         ,,,,\n***,***,***,***,***\n2026-01-03,c,,7,debit"
    );
    for newline in ["\n", "\r\n", "\r"] {
        let ledger = read(file.replace('\n', newline)).unwrap();
        let lines: Vec<u32> = ledger.entries.iter().map(|entry| entry.line).collect();
        assert_eq!(lines, [2, 6, 9], "{newline:?}");
        assert_eq!(ledger.rejected_count, 0);
        let first = &ledger.entries.first().unwrap().description;
        assert_eq!(first.replace(newline, " "), "two lines, \"quoted\"");
    }
}

#[test]
fn a_quote_that_is_never_closed_costs_one_row() {
    let rest = GOOD.repeat(3_000);
    let file = format!("{HEADER}{GOOD}2026-01-02,\"oops,,5,debit\n{rest}");
    let ledger = read(&file).unwrap();
    assert_eq!((ledger.entries.len(), ledger.rejected_count), (3_001, 1));
    let reject = ledger.rejects.first().unwrap();
    assert_eq!(reject.line, 3);
    assert!(reject.problem.contains("quote"), "{reject:?}");
    let closed_late =
        format!("{HEADER}2026-01-02,\"oops,,5,debit\n{GOOD}2026-01-02,\"b\",,5,debit\n");
    assert_eq!(amounts(&closed_late), [5_000_000, -500]);
    let hopeless = format!("{HEADER}{}", "2026-01-02,\"oops,,5\n\n\"\",,5,debit\n".repeat(3_000));
    assert!(matches!(read(&hopeless), Err(StatementError::UnclosedQuotes { .. })));
}

#[test]
fn a_row_beyond_the_line_limit_is_rejected_and_the_next_one_counts() {
    let long = "x".repeat(70_000);
    let reject = only_reject(&format!("{HEADER}2026-01-01,{long},,5,debit\n{GOOD}"));
    assert!(reject.problem.contains("longer than 65536 bytes"));
    assert_eq!(reject.line, 2);
}

#[test]
fn a_file_that_is_no_statement_says_why() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "empty"),
        (b"\xef\xbb\xbf \r\n \n", "empty"),
        (b"date,description,amount,type\n", "no rows"),
        (b"date,description,amount,type\n,,,\n", "no rows"),
        (b"date,description,amount,type\nsoon,a,5,debit\n", "line 2: column `date`: `soon` is not"),
        (b"when,what\n1,2\n", "found `when`, `what`"),
        (b"%PDF-1.4 \x00\x01", "PDF"),
        (b"PK\x03\x04\x00\x00", "XLSX"),
        (b"\x7fELF\x00\x00\x00\x00", "binary data"),
    ];
    for (bytes, part) in cases {
        let message = read(bytes).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
        assert!(message.contains("; "), "says no way out: {message}");
    }
}

#[test]
fn limits_of_bytes_and_rows_are_named() {
    let file = format!("{HEADER}{}", GOOD.repeat(10));
    let small = ParseOptions { bytes_max: file.len(), rows_max: 10, ..ParseOptions::default() };
    assert_eq!(parse(file.as_bytes(), &small).unwrap().entries.len(), 10);
    let bytes = ParseOptions { bytes_max: file.len() - 1, ..small.clone() };
    let message = parse(file.as_bytes(), &bytes).unwrap_err().to_string();
    let sizes = format!("{} bytes, more than the limit of {}", file.len(), file.len() - 1);
    assert!(message.contains(&sizes), "{message}");
    let rows = ParseOptions { rows_max: 9, ..small };
    let message = parse(file.as_bytes(), &rows).unwrap_err().to_string();
    assert!(message.contains("more than 9 rows"), "{message}");
}

#[test]
fn the_whole_file_decides_which_number_is_the_day() {
    let dates = |file: String| -> Vec<time::Date> {
        read(file).unwrap().entries.into_iter().map(|entry| entry.date).collect()
    };
    let file = |rows: &[&str]| {
        let rows = rows.join(",a,-5.00\n");
        format!("Date,Description,Amount\n{rows},a,-5.00\n")
    };
    let (april, march) = (date!(2026 - 04 - 03), date!(2026 - 03 - 04));
    let telling = date!(2026 - 01 - 31);
    assert_eq!(dates(file(&["03/04/2026"])), [march]);
    assert_eq!(dates(file(&["03/04/2026", "31/01/2026"])), [april, telling]);
    assert_eq!(dates(file(&["03/04/2026", "01/31/2026"])), [march, telling]);
    let ledger = read(file(&["31/01/2026", "30/01/2026", "01/31/2026", "03/04/2026"])).unwrap();
    assert_eq!(ledger.entries.last().unwrap().date, april);
    assert_eq!(ledger.rejects.first().unwrap().line, 4);
}

#[test]
fn an_hdfc_export_with_zeros_padding_and_rules_is_read() {
    let file = "\
Account No :, 50100XXXXXX123
Statement From : 01/04/2025,To : 30/04/2025

Date,Narration,Chq./Ref.No.,Value Dt,Withdrawal Amt.,Deposit Amt.,Closing Balance
********,*******,*****,******,******,*****,****
  01/04/25 ,UPI-SWIGGY,0000412345678901,01/04/25 ,  450.50 ,0.00 ,\"1,00,000.00\"
  02/04/25 ,NEFT CR-ACME,0000412345678902,02/04/25 , ,\"50,000.00\" ,150000.00
  03/04/25 ,both,1,03/04/25 ,5,6,150000.00
  03/04/25 ,neither,1,03/04/25 ,-,,150000.00
  03/04/25 ,negative,1,03/04/25 ,-5,,150000.00
  04/04/25 ,odd balance,1,04/04/25 ,5,,lots
";
    let ledger = read(file).unwrap();
    assert_eq!(ledger.layout, "debit_credit");
    let rows: Vec<_> =
        ledger.entries.iter().map(|e| (e.line, e.amount_minor, e.balance_minor)).collect();
    assert_eq!(
        rows,
        [(6, -45_050, Some(10_000_000)), (7, 5_000_000, Some(15_000_000)), (11, -500, None),]
    );
    // The row with the odd balance counts, so it is described but not among the rejected.
    assert_eq!((ledger.rejected_count, ledger.rejects.len()), (3, 4));
    let lines: Vec<u32> = ledger.rejects.iter().map(|reject| reject.line).collect();
    assert_eq!(lines, [8, 9, 10, 11]);
}

#[test]
fn suffixes_signs_and_symbols_say_the_direction() {
    let file = "Txn Date,Description,Amount,Balance\n\
        05-01-2026,a,\"1,23,456.00 DR\",\"1,000.00 CR\"\n05-01-2026,b,5.00 Cr.,\"10.00 DR\"\n\
        05-01-2026,c,5.00,1.00 CR\n";
    let ledger = read(file).unwrap();
    let rows: Vec<_> =
        ledger.entries.iter().map(|entry| (entry.amount_minor, entry.balance_minor)).collect();
    assert_eq!(rows, [(-12_345_600, Some(100_000)), (500, Some(-1_000))]);
    assert!(ledger.rejects.first().unwrap().problem.contains("neither `DR` nor `CR`"));
    let file = "Date,Particulars,Amount,Dr/Cr\n05-01-2026,a,5,DR\n05-01-2026,b,5,cr\n";
    assert_eq!(amounts(file), [-500, 500]);
    let file = "Date,Details,Amount (₹)\n05-Jan-2026,a,\"-₹1,23,456.00\"\n05-Jan-2026,b,₹5\n";
    assert_eq!(amounts(file), [-12_345_600, 500]);
}

#[test]
fn a_european_file_in_windows_1252_is_read() {
    let file = b"Buchungstag;Buchungstext;Betrag;W\xe4hrung\n05.01.2026;Caf\xe9;-1.234,56;EUR\n";
    let ledger = read(file).unwrap();
    assert_eq!((ledger.layout.as_str(), ledger.currency), ("semicolon_eu", Currency::EUR));
    let entry = ledger.entries.first().unwrap();
    assert_eq!((&*entry.description, entry.amount_minor), ("Café", -123_456));
}

#[test]
fn rows_in_another_currency_are_rejected() {
    let file = "date,description,amount,type,currency\n2026-01-01,a,5,debit,USD\n\
        2026-01-02,b,5,debit,INR\n2026-01-03,c,5,debit,usd\n2026-01-04,d,5,debit,\n";
    let ledger = read(file).unwrap();
    assert_eq!((ledger.currency, ledger.entries.len()), (Currency::USD, 3));
    let reject = ledger.rejects.first().unwrap();
    assert_eq!(
        (reject.line, reject.column.as_str(), reject.value.as_str()),
        (3, "currency", "INR")
    );
}

#[test]
fn the_currency_of_the_options_gives_the_decimals() {
    let options = ParseOptions { currency: "JPY".parse().unwrap(), ..ParseOptions::default() };
    let ledger = parse(format!("{HEADER}{GOOD}").as_bytes(), &options).unwrap();
    assert_eq!(ledger.entries.first().unwrap().amount_minor, 50_000);
}

#[test]
fn the_bundled_statement_parses_without_a_reject() {
    let generated = bundled();
    assert_eq!(read(&generated.bytes).unwrap(), generated.ledger);
}

#[test]
fn a_hundred_thousand_rows_come_back_as_they_were_written() {
    let spec = Spec { rows: Some(100_000), ..Spec::of_2025(11, LayoutName::Plain) };
    let generated = statement(&spec);
    let ledger = read(&generated.bytes).unwrap();
    assert!(ledger == generated.ledger);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_generated_is_what_is_read(
        seed in any::<u64>(),
        layout in prop::sample::select(LayoutName::ALL.to_vec()),
        months in 1_u32..5,
        day in 0_i64..30_000,
    ) {
        let start = date!(1970 - 01 - 01) + time::Duration::days(day);
        let generated = statement(&Spec { seed, months, layout, rows: None, start });
        match read(&generated.bytes) {
            Ok(ledger) => prop_assert_eq!(ledger, generated.ledger),
            // A period that starts after the last payment of its only month has no rows.
            Err(error) => prop_assert!(generated.ledger.entries.is_empty(), "{}", error),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_spoilt_row_costs_no_other_row(at in 2_usize..400, noise in "[a-z,\"]{1,30}") {
        let generated = bundled();
        let text = String::from_utf8(generated.bytes).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        let spoilt = lines.get_mut(at - 1).unwrap();
        *spoilt = &noise;
        let ledger = read(lines.join("\n")).unwrap();
        let spoilt_line = u32::try_from(at).unwrap();
        let mut expected = generated.ledger.entries;
        expected.retain(|entry| entry.line != spoilt_line);
        prop_assert_eq!(ledger.entries, expected);
        prop_assert!(ledger.rejects.iter().all(|reject| reject.line == spoilt_line));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&bytes);
        let mut rows = HEADER.as_bytes().to_vec();
        rows.extend_from_slice(&bytes);
        let _ = read(&rows);
    }

    #[test]
    fn every_row_counts_once(rows in prop::collection::vec("[0-9a-z/,.\" -]{1,40}", 0..20)) {
        let noise = rows.join("\n");
        if let Ok(ledger) = read(format!("{SAMPLE_TEN_ROWS}{noise}\n{GOOD}")) {
            let lines: Vec<u32> = ledger.entries.iter().map(|entry| entry.line).collect();
            prop_assert!(lines.is_sorted_by(|a, b| a < b));
            let last = u32::try_from(11 + rows.len().max(1) + 1).unwrap();
            prop_assert!(lines.iter().all(|line| (2..=last).contains(line)));
        }
    }
}
