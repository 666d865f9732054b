//! What counts as personal data, and above all what does not.

use proptest::prelude::*;

use super::Detector::{Aadhaar, Email, Iban, Pan, PaymentCard, Phone, Upi};
use super::{Detector, Hit, scan};

fn hits(text: &str) -> Vec<(Detector, &str)> {
    let mut out = Vec::new();
    scan(text, &mut out);
    out.into_iter().map(|Hit { range, detector }| (detector, &text[range])).collect()
}

/// Each text holds exactly the given identifier.
#[test]
fn identifiers_are_found_where_they_stand() {
    // Card numbers: the networks' published test numbers. Aadhaar: UIDAI's published test numbers
    // 999941057058 and 999971658847, and 2341 2341 2346 with its check digit worked out by hand.
    // IBAN: the examples of the SWIFT registry.
    let cases: &[(&str, Detector, &str)] = &[
        ("pay 4111111111111111 now", PaymentCard, "4111111111111111"),
        ("pay 4111 1111 1111 1111 now", PaymentCard, "4111 1111 1111 1111"),
        ("pay 4111-1111-1111-1111.", PaymentCard, "4111-1111-1111-1111"),
        ("amex 3782 822463 10005", PaymentCard, "3782 822463 10005"),
        ("378282246310005", PaymentCard, "378282246310005"),
        ("diners 30569309025904", PaymentCard, "30569309025904"),
        ("mc 5555555555554444, thanks", PaymentCard, "5555555555554444"),
        ("mc2 2223003122003222", PaymentCard, "2223003122003222"),
        ("jcb 3530111333300000", PaymentCard, "3530111333300000"),
        ("4111 1111 1111 1111 12/27", PaymentCard, "4111 1111 1111 1111"),
        ("500 4111 1111 1111 1111 123", PaymentCard, "4111 1111 1111 1111"),
        ("card-4111-1111-1111-1111", PaymentCard, "4111-1111-1111-1111"),
        (r#"{"card":4111111111111111}"#, PaymentCard, "4111111111111111"),
        (r#"{"note":"line\n4111111111111111\n"}"#, PaymentCard, "4111111111111111"),
        (r#"{"note":"\u20b94111111111111111"}"#, PaymentCard, "4111111111111111"),
        ("2026-01-02,4111111111111111,500", PaymentCard, "4111111111111111"),
        ("₹4111111111111111", PaymentCard, "4111111111111111"),
        ("id 9999 4105 7058", Aadhaar, "9999 4105 7058"),
        ("id 9999-7165-8847.", Aadhaar, "9999-7165-8847"),
        ("Aadhaar: 999941057058", Aadhaar, "999941057058"),
        ("my aadhar number is 999971658847", Aadhaar, "999971658847"),
        (r#"{"aadhaar_number":"999941057058"}"#, Aadhaar, "999941057058"),
        (r#"{"uid": 999941057058}"#, Aadhaar, "999941057058"),
        ("PAN ABCPE1234F", Pan, "ABCPE1234F"),
        (r#"{"pan":"AAACB1234C"}"#, Pan, "AAACB1234C"),
        ("to DE89 3704 0044 0532 0130 00 please", Iban, "DE89 3704 0044 0532 0130 00"),
        ("DE89370400440532013000", Iban, "DE89370400440532013000"),
        ("GB82WEST12345698765432", Iban, "GB82WEST12345698765432"),
        ("GB82 WEST 1234 5698 7654 32", Iban, "GB82 WEST 1234 5698 7654 32"),
        ("MT84MALT011000012345MTLCAST001S", Iban, "MT84MALT011000012345MTLCAST001S"),
        ("FR14 2004 1010 0505 0001 3M02 606", Iban, "FR14 2004 1010 0505 0001 3M02 606"),
        ("write to asha.rao+tax@example.co.in.", Email, "asha.rao+tax@example.co.in"),
        (r#"{"text":"hi\nbob@example.com"}"#, Email, "bob@example.com"),
        ("<bob@example.com>", Email, "bob@example.com"),
        ("pay asha@okaxis today", Upi, "asha@okaxis"),
        ("UPI/DR/9876543210@ybl/rent", Upi, "9876543210@ybl"),
        ("asha.rao-1@upi", Upi, "asha.rao-1@upi"),
        ("shop@newbank", Upi, "shop@newbank"),
        ("+919876543210", Phone, "+919876543210"),
        ("+91 98765 43210", Phone, "+91 98765 43210"),
        ("+91-98765-43210", Phone, "+91-98765-43210"),
        ("91 98765 43210", Phone, "91 98765 43210"),
        ("+1 (415) 555-2671", Phone, "+1 (415) 555-2671"),
        ("+14155552671", Phone, "+14155552671"),
        ("+44 20 7183 8750", Phone, "+44 20 7183 8750"),
        ("call 9876543210", Phone, "9876543210"),
        ("my phone number is 98765 43210", Phone, "98765 43210"),
        (r#"{"mobile_no":9876543210}"#, Phone, "9876543210"),
        (r#"{"phoneNumber":"98765 43210"}"#, Phone, "98765 43210"),
        (r#"{"to":"98765 43210"}"#, Phone, "98765 43210"),
        ("987-654-3210", Phone, "987-654-3210"),
    ];
    for (text, detector, found) in cases {
        assert_eq!(hits(text), [(*detector, *found)], "{text}");
    }
}

#[test]
fn what_only_looks_like_an_identifier_is_left_alone() {
    let cases = [
        // amounts
        "1,23,456.00",
        "12,34,56,789.50",
        "1234567890",
        "paid 9876543210 paise",
        "123456789012",
        "phone bill paid 9876543210 paise",
        "₹ 4500 3200 7800",
        "60000-80000",
        "65000 72000",
        "-4111111111.11",
        "+10000000000",
        "0.4111111111111111",
        "4111111111111111.5",
        r#"{"amount_paise":9876543210,"total":123456789012}"#,
        r#"{"phone_bill_paise":9876543210}"#,
        "[1234567890,9876543210,512345678901]",
        "700 800 9000",
        // dates and times
        "2026-11-21T02:59:29.500000Z",
        "2026-11-21 02:59:29",
        "21/11/2026 10:20",
        "20261121 102030",
        "2023 2024 2025",
        "9999 4105 7058 2341",
        "1200 9999 4105 7058",
        "1795229969500000",
        "1795229969500000123",
        // references and ids
        "UPI/412345678901/Swiggy/food",
        "UPI/999941057058/Swiggy",
        "IMPS/P2A/999971658847/rent",
        "NEFT-N123456789012-ACME",
        "txn 999941057058",
        "invoice INV-2341-2341-2346",
        "0192f3a4-1234-4123-8123-412345678901",
        "41234567-1234-4123-8123-412345678901",
        "12345678-1234-4111-8111-411111111111",
        "run_4111111111111111",
        "x4111111111111111",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        // wrong check digits, prefixes and shapes
        "4111111111111112",
        "9111111111111111",
        "9999 4105 7059",
        "0999 4105 7058",
        "ABCDE1234F",
        "ABCPE1234",
        "XABCPE1234F",
        "DE89370400440532013001",
        "ZZ89370400440532013000",
        // addresses that are none
        "meet @ 5",
        "git@localhost",
        "crate@latest",
        "@asha",
        "a@",
        "x@y",
        "serde@1.0",
        "@types/node",
        "user@.com",
        "me@host..com",
        // escapes
        r#"{"t":"caf\u00e9 12\u0031"}"#,
        r#"{"t":"\n\t1234"}"#,
        r#""\\n""#,
        "",
    ];
    for text in cases {
        assert_eq!(hits(text), [], "{text}");
    }
}

#[test]
fn several_identifiers_come_in_order_and_do_not_overlap() {
    let text = "asha@okaxis, 4111 1111 1111 1111 5555 5555 5555 4444, bob@example.com, ABCPE1234F";
    let found: Vec<Detector> = hits(text).into_iter().map(|(detector, _)| detector).collect();
    assert_eq!(found, [Upi, PaymentCard, PaymentCard, Email, Pan]);
}

#[test]
fn a_card_behind_any_number_of_other_groups_is_found_once() {
    for groups in 0..40 {
        let text = format!("{}4111 1111 1111 1111", "1234 ".repeat(groups));
        assert_eq!(hits(&text), [(PaymentCard, "4111 1111 1111 1111")], "{groups}");
    }
}

#[test]
fn no_uuid_of_200_000_is_taken_for_personal_data() {
    // A linear congruential generator (Knuth's MMIX constants) makes the bits, so that the corpus
    // is the same everywhere; the version nibble runs through 1 to 8.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ (state >> 29)
    };
    let mut out = Vec::new();
    for round in 0..200_000_u64 {
        let (high, low) = (next(), next());
        let text = format!(
            "{:08x}-{:04x}-{}{:03x}-{:x}{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            round % 8 + 1,
            high & 0xfff,
            8 + (low >> 60 & 3),
            low >> 48 & 0xfff,
            low & 0xffff_ffff_ffff,
        );
        for text in [text.clone(), format!(r#"{{"run_id":"{text}","phone":"{text}"}}"#)] {
            scan(&text, &mut out);
            assert!(out.is_empty(), "{text}: {out:?}");
        }
    }
}

#[test]
fn no_date_and_no_amount_of_a_large_corpus_is_taken_for_personal_data() {
    let mut out = Vec::new();
    for index in 0..200_000_u64 {
        let paise = index.wrapping_mul(2_654_435_761) % 1_000_000_000_000;
        let micros = index.wrapping_mul(86_413_579_u64);
        let text = format!(
            r#"{{"amount_paise":{paise},"balance":"{}.{:02}","ref":"UPI/{:012}/Swiggy/{index}",
            "at":"20{:02}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z","note":"paid {paise} paise"}}"#,
            paise / 100,
            paise % 100,
            400_000_000_000 + paise,
            index % 80 + 10,
            index % 12 + 1,
            index % 28 + 1,
            index % 24,
            index % 60,
            index % 59,
            micros % 1_000_000,
        );
        scan(&text, &mut out);
        assert!(out.is_empty(), "{text}: {out:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_scanned_without_a_panic_and_hits_are_sound(text in "\\PC{0,200}") {
        for (_, found) in hits(&text) {
            prop_assert!(!found.is_empty());
        }
    }

    #[test]
    fn any_mix_of_digits_and_marks_is_scanned_without_a_panic(
        text in r"[0-9A-F+@.,()\-\\u n/]{0,120}",
    ) {
        let mut end = 0;
        let mut out = Vec::new();
        scan(&text, &mut out);
        for hit in out {
            prop_assert!(hit.range.start >= end && hit.range.end <= text.len());
            end = hit.range.end;
        }
    }

    #[test]
    fn a_card_number_with_a_wrong_digit_is_not_a_card(place in 0_usize..16, change in 1_u8..10) {
        let mut digits = *b"4111111111111111";
        digits[place] = b'0' + (digits[place] - b'0' + change) % 10;
        let text = std::str::from_utf8(&digits).unwrap();
        prop_assert!(hits(text).is_empty(), "{text}");
    }

    #[test]
    fn an_escape_before_or_behind_a_number_hides_nothing(
        before in prop::sample::select(vec![r"\n", r"\t", r"\u00e9", r"\u20b9", "\\\"", " ", ""]),
        after in prop::sample::select(vec![r"\n", r"\u00e9", "\\\"", " ", ""]),
    ) {
        let text = format!("\"{before}4111 1111 1111 1111{after}\"");
        prop_assert_eq!(hits(&text), vec![(PaymentCard, "4111 1111 1111 1111")]);
    }
}
