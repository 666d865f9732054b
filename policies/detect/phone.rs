//! Phone numbers.
//!
//! Ten digits are a phone number far less often than an amount in paise or an account number, so
//! digits alone never suffice:
//!
//! - with a plus (E.164): a known country code and a possible length; `+91` wants ten digits behind
//!   it, `+1` the form of the North American plan; an ungrouped number that ends in `0000` is a
//!   signed amount;
//! - an Indian mobile (ten digits from 6 to 9) in the groups 3-3-4 or 4-3-3 with hyphens, or
//!   `91 xxxxx xxxxx`, or 5-5 as the whole of a string and not round;
//! - an Indian mobile in any other form behind a word such as `phone` or `call`, with nothing but
//!   filler words between (`phone number is 98…`, `"mobile_no":98…`).

use super::context;
use super::digits::{Number, Separator};

/// How far before the number the word may stand, in bytes.
const WORD_WINDOW: usize = 40;

/// Words that say that a phone number follows.
const NAMES: &[&str] = &[
    "call",
    "cell",
    "contact",
    "contacts",
    "dial",
    "fax",
    "mob",
    "mobile",
    "mobiles",
    "msisdn",
    "ph",
    "phone",
    "phones",
    "reach",
    "ring",
    "sms",
    "tel",
    "telephone",
    "text",
    "whatsapp",
];

/// Words that may stand between the name and the number.
const FILLERS: &[&str] = &[
    "a", "at", "her", "him", "his", "is", "me", "my", "no", "nr", "num", "number", "numbers", "on",
    "our", "the", "their", "them", "to", "us", "your",
];

/// E.164 country codes of one and two digits; the rest have three and begin with one of
/// [`THREE_DIGIT_LEADS`].
const TWO_DIGIT_CODES: &[u8] = &[
    20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56,
    57, 58, 60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
];

/// First two digits of the three-digit country codes.
const THREE_DIGIT_LEADS: &[u8] =
    &[21, 22, 23, 24, 25, 26, 29, 35, 37, 38, 42, 50, 59, 67, 68, 69, 80, 85, 87, 88, 96, 97, 99];

/// Whether `number` is a phone number.
pub(super) fn is(number: &Number<'_>) -> bool {
    if number.has_plus() { is_international(number) } else { is_indian_mobile(number) }
}

fn is_international(number: &Number<'_>) -> bool {
    let digits = number.digits();
    let grouped = number.shape().len() > 1;
    if !grouped && digits.ends_with(&[0, 0, 0, 0]) {
        return false;
    }
    match digits {
        [1, rest @ ..] => rest.len() == 10 && rest[0] >= 2 && rest[3] >= 2,
        [9, 1, rest @ ..] => rest.len() == 10 && rest[0] >= 1,
        [7, rest @ ..] => rest.len() == 10,
        [tens, ones, ..] => {
            let lead = tens * 10 + ones;
            let known = TWO_DIGIT_CODES.contains(&lead) || THREE_DIGIT_LEADS.contains(&lead);
            let shortest = if grouped { 10 } else { 11 };
            known && (shortest..=15).contains(&digits.len())
        }
        _ => false,
    }
}

fn is_indian_mobile(number: &Number<'_>) -> bool {
    let rest = match number.digits() {
        digits @ [_, _, _, _, _, _, _, _, _, _] => digits,
        [0, rest @ ..] | [9, 1, rest @ ..] if rest.len() == 10 => rest,
        _ => return false,
    };
    if rest[0] < 6 {
        return false;
    }
    let dashed = number.separator == Some(Separator::Dash);
    let evident = match number.shape() {
        [3, 3, 4] | [4, 3, 3] => dashed,
        [2, 5, 5] => number.uniform,
        [5, 5] => number.separator == Some(Separator::Space) && fills_string(number),
        _ => false,
    };
    evident || is_named(number)
}

/// Whether it is all of a string, and its halves are not round, as two amounts would be.
fn fills_string(number: &Number<'_>) -> bool {
    number.fills_string() && !number.digits().chunks(5).any(|half| half.ends_with(&[0, 0]))
}

fn is_named(number: &Number<'_>) -> bool {
    context::words_before(number.bytes, number.range.start, WORD_WINDOW)
        .find(|word| !context::is_one_of(word, FILLERS))
        .is_some_and(|word| context::is_one_of(word, NAMES))
}
