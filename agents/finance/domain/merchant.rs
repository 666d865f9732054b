//! Who a row was paid to or came from: narrations cleaned into merchant names.
//!
//! Owns the stripping of channels, references, addresses and places. Known merchants come from the
//! taxonomy; this file deliberately knows none by name.

use std::collections::HashMap;

use super::ledger::{Ledger, Merchants};
use super::taxonomy::Taxonomy;
use super::words;

/// Longest merchant name, in characters.
pub const NAME_CHARS_MAX: usize = 40;

/// Name of rows whose narration says nothing.
pub const UNKNOWN: &str = "Unknown";

/// Words that name the way the money went, or are noise that banks add.
const CHANNELS: &[&str] = &[
    "upi",
    "neft",
    "imps",
    "rtgs",
    "nach",
    "ach",
    "ecs",
    "pos",
    "pci",
    "ecom",
    "atm",
    "atw",
    "nwd",
    "eaw",
    "mmt",
    "tpt",
    "ib",
    "mb",
    "inb",
    "bil",
    "onl",
    "si",
    "mandate",
    "autopay",
    "dr",
    "cr",
    "debit",
    "credit",
    "p2a",
    "p2p",
    "p2m",
    "p2v",
    "vps",
    "vin",
    "ref",
    "refno",
    "txn",
    "rrn",
    "utr",
    "trf",
    "to",
    "from",
    "by",
    "via",
    "purchase",
    "payment",
    "payments",
    "paid",
    "card",
    "visa",
    "mastercard",
    "rupay",
    "web",
    "collect",
    "intent",
    "no",
    "id",
    "fr",
    "d",
    "c",
    "inw",
    "outw",
    "clg",
    "tfr",
    "transfer",
    "upiintent",
    "na",
    "null",
];

/// Ways of paying that name a payee rather than a shop.
const TRANSFERS: &[&str] = &["upi", "neft", "imps", "rtgs", "tpt", "mmt", "p2a", "p2p"];

/// Words at the end of a name that say where or in what legal form, not who.
const TAILS: &[&str] = &[
    "in",
    "ind",
    "india",
    "mumbai",
    "delhi",
    "new",
    "bangalore",
    "bengaluru",
    "blr",
    "chennai",
    "hyderabad",
    "hyd",
    "kolkata",
    "pune",
    "gurgaon",
    "gurugram",
    "noida",
    "ahmedabad",
    "jaipur",
    "kochi",
    "lucknow",
    "chandigarh",
    "indore",
    "thane",
    "navi",
    "mh",
    "ka",
    "tn",
    "dl",
    "hr",
    "up",
    "ts",
    "kl",
    "wb",
    "gj",
    "usa",
    "uk",
    "pvt",
    "private",
    "ltd",
    "limited",
    "llp",
    "inc",
    "com",
    "order",
    "bill",
    "jan",
    "january",
    "feb",
    "february",
    "mar",
    "march",
    "apr",
    "april",
    "may",
    "jun",
    "june",
    "jul",
    "july",
    "aug",
    "august",
    "sep",
    "sept",
    "september",
    "oct",
    "october",
    "nov",
    "november",
    "dec",
    "december",
    "for",
    "of",
    "the",
    "and",
];

/// Banks as they stand in transfer narrations, between the payee and the reference.
const BANKS: &[&str] = &[
    "hdfc",
    "hdfc bank",
    "icici",
    "icici bank",
    "sbi",
    "state bank of india",
    "axis",
    "axis bank",
    "kotak",
    "kotak mahindra bank",
    "yes bank",
    "yesb",
    "idfc",
    "idfc first",
    "pnb",
    "punb",
    "bank of baroda",
    "bob",
    "canara bank",
    "canara",
    "union bank",
    "indusind bank",
    "federal bank",
    "paytm payments bank",
    "airtel payments bank",
    "ybl",
    "okaxis",
    "okhdfcbank",
    "oksbi",
    "okicici",
    "hdfc bank ltd",
    "icici bank ltd",
    "axis bank ltd",
    "yes bank ltd",
];

/// Whether a narration describes a transfer to or from somebody, rather than a card purchase.
#[must_use]
pub fn is_transfer(narration: &str) -> bool {
    let folded = words::fold(narration);
    folded.split_whitespace().take(3).any(|word| TRANSFERS.contains(&word))
}

/// The merchant's name for display: the known merchant, else what is left of the narration when
/// channel, references, addresses and places are gone, in title case.
///
/// `UPI/412345678901/Swiggy/swiggy@ybl/Payment` and `POS 4163XXXX1234 SWIGGY BANGALORE` are both
/// `Swiggy`. Never empty, at most [`NAME_CHARS_MAX`] characters.
#[must_use]
pub fn name(narration: &str) -> String {
    match Taxonomy::bundled().merchant(narration) {
        Some(known) => known.name.to_owned(),
        None => cleaned(narration),
    }
}

/// The name of a merchant that the taxonomy does not know.
fn cleaned(narration: &str) -> String {
    let channelled = narration
        .split(|letter: char| !letter.is_alphanumeric())
        .find(|word| !word.is_empty())
        .is_some_and(|first| CHANNELS.contains(&first.to_lowercase().as_str()));
    let between = |letter: char| {
        matches!(letter, '/' | '*' | '|' | ':' | ';' | '\\') || (channelled && letter == '-')
    };
    let from_segments = narration.split(between).map(clean_segment).find(|name| !name.is_empty());
    let from_address = || {
        let address = narration.split([' ', '/', '-']).find(|word| word.contains('@'))?;
        let owner = address.split('@').next()?;
        let letters: String =
            owner.chars().map(|letter| if letter.is_alphabetic() { letter } else { ' ' }).collect();
        Some(title(&letters)).filter(|name| name.chars().count() >= 3)
    };
    let whole = || Some(title(narration)).filter(|name| name.chars().any(char::is_alphabetic));
    from_segments.or_else(from_address).or_else(whole).unwrap_or_else(|| UNKNOWN.to_owned())
}

/// What a segment of a narration says about the merchant, or nothing.
fn clean_segment(segment: &str) -> String {
    let segment = segment.trim();
    let folded = words::fold(segment);
    if segment.contains('@') && !segment.contains(' ') || BANKS.contains(&folded.trim()) {
        return String::new();
    }
    let mut kept: Vec<&str> = segment
        .split(|letter: char| letter.is_whitespace() || matches!(letter, ',' | '_' | '#'))
        .filter(|word| !word.contains('@') && !is_reference(word))
        .collect();
    let is_one_of = |word: &str, list: &[&str]| {
        let bare: String = word.chars().filter(|letter| letter.is_alphanumeric()).collect();
        bare.is_empty() || list.contains(&bare.to_lowercase().as_str())
    };
    let lead = kept.iter().take_while(|word| is_one_of(word, CHANNELS)).count();
    kept.drain(..lead);
    while kept.len() > 1 && kept.last().is_some_and(|word| is_one_of(word, TAILS)) {
        kept.pop();
    }
    let name = title(&kept.join(" "));
    if name.chars().filter(|letter| letter.is_alphabetic()).count() < 2 {
        String::new()
    } else {
        name
    }
}

/// Whether a word is a reference rather than a name: four or more digits, a masked card, an IFSC.
fn is_reference(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let masked = word.chars().filter(|letter| matches!(letter, 'x' | 'X' | '*')).count() >= 4;
    digits >= 4 || (masked && digits > 0)
}

/// Title case, single spaces, cut to [`NAME_CHARS_MAX`] characters at a word if possible.
fn title(text: &str) -> String {
    let mut name = String::new();
    let mut chars = 0;
    for word in text.split_whitespace() {
        let word = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        let word_chars = word.chars().count();
        if word_chars == 0 {
            continue;
        }
        if chars > 0 && chars + 1 + word_chars > NAME_CHARS_MAX {
            break;
        }
        if chars > 0 {
            name.push(' ');
            chars += 1;
        }
        for letter in word.chars().take(NAME_CHARS_MAX).enumerate() {
            match letter {
                (0, first) => name.extend(first.to_uppercase()),
                (_, rest) => name.extend(rest.to_lowercase()),
            }
        }
        chars += word_chars.min(NAME_CHARS_MAX);
    }
    name
}

/// Numbers names in the order in which they come up.
#[derive(Default)]
struct Numbers {
    names: Vec<Box<str>>,
    by_name: HashMap<Box<str>, u32>,
}

impl Numbers {
    fn of(&mut self, name: &str) -> u32 {
        if let Some(number) = self.by_name.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.into());
        self.by_name.insert(name.into(), number);
        number
    }
}

/// Names the merchant of every row. Names are numbered in the order of their first row.
#[must_use]
pub fn merchants(ledger: &Ledger) -> Merchants {
    let taxonomy = Taxonomy::bundled();
    let mut numbers = Numbers::default();
    // To recognise a known merchant again is faster than to remember every narration.
    let mut cleaned_before: HashMap<&str, u32> = HashMap::new();
    let mut folded = String::new();
    let mut of_row = Vec::with_capacity(ledger.entries.len());
    for entry in &ledger.entries {
        let narration = entry.description.as_ref();
        words::fold_into(&mut folded, narration);
        let number = match taxonomy.merchant_in(&folded) {
            Some(known) => numbers.of(known.name),
            None => {
                *cleaned_before.entry(narration).or_insert_with(|| numbers.of(&cleaned(narration)))
            }
        };
        of_row.push(number);
    }
    Merchants { names: numbers.names, of_row }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn narrations_of_every_channel_become_names() {
        let cases = [
            ("UPI/412345678901/Swiggy/swiggy@ybl/Payment", "Swiggy"),
            ("POS 4163XXXX1234 AMAZON PAY INDIA", "Amazon"),
            ("Swiggy Order #4823", "Swiggy"),
            ("SWIGGY INSTAMART BANGALORE", "Swiggy Instamart"),
            ("NETFLIX.COM 8665797172", "Netflix"),
            ("UPI-RAHUL SHARMA-rahul@okhdfc-HDFC0001234-412345678901-Rent", "Rahul Sharma"),
            ("NEFT CR-HDFC0000001-ACME CORP PVT LTD-N123456789012", "Acme Corp"),
            ("IMPS/P2A/412345678901/PRIYA K/HDFC", "Priya K"),
            ("NACH/DR/BAJAJ FINANCE LTD/0012345678", "Bajaj Finance"),
            ("ACH D- INDIAN CLEARING CORP-000012345", "Indian Clearing Corporation"),
            ("UPI/412345678901/corner.shop@ybl", "Corner Shop"),
            ("Salary", "Salary"),
            ("Rent payment", "Rent Payment"),
            ("MOTOROLA STORE PUNE", "Motorola Store"),
            ("CITY COOP MUMBAI IN", "City Coop"),
            ("POS 416312XXXXXX9012 KAVERI SILKS CHENNAI", "Kaveri Silks"),
            ("12345678", UNKNOWN),
            ("", UNKNOWN),
        ];
        for (narration, expected) in cases {
            assert_eq!(name(narration), expected, "{narration}");
        }
    }

    #[test]
    fn rows_of_one_merchant_share_a_number() {
        use crate::finance::domain::ledger::Entry;
        let entry = |line, description: &str| Entry {
            line,
            date: time::macros::date!(2026 - 01 - 01),
            amount_minor: -100,
            description: description.into(),
            stated_category: None,
            balance_minor: None,
        };
        let ledger = Ledger {
            currency: crate::finance::domain::money::Currency::INR,
            layout: "plain".into(),
            entries: vec![entry(2, "Swiggy"), entry(3, "Uber"), entry(4, "UPI/1234/SWIGGY/x@y")],
            rejected_count: 0,
            rejects: Vec::new(),
        };
        let merchants = merchants(&ledger);
        assert_eq!(merchants.of_row, [0, 1, 0]);
        assert_eq!(merchants.names, ["Swiggy".into(), "Uber".into()]);
    }

    proptest! {
        #[test]
        fn any_narration_has_a_short_name(narration in "\\PC{0,120}") {
            let name = name(&narration);
            prop_assert!(!name.is_empty());
            prop_assert!(name.chars().count() <= 3 * NAME_CHARS_MAX);
        }
    }
}
