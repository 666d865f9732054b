//! Aadhaar numbers.
//!
//! Twelve digits, the first of them 2 to 9, the last a Verhoeff check digit (UIDAI's numbering
//! scheme). Twelve digits are also what UPI references and amounts in paise have, and one in ten of
//! those passes Verhoeff by chance. So the form decides:
//!
//! - grouped 4-4-4 with one kind of separator: an Aadhaar number, unless the groups are all years
//!   or all round, or, without its name, a hyphen ties it to another word or it stands in a longer
//!   row of such groups (a row of amounts);
//! - ungrouped: only if `aadhaar`, `uidai` or `uid` stands as a word within 24 bytes before it, and
//!   never directly behind a `/` (a reference inside a narration).

use super::context;
use super::digits::{Number, Separator};

/// How far before an ungrouped number its name may stand, in bytes.
const NAME_WINDOW: usize = 24;

/// Words that name the number, with the usual misspellings.
const NAMES: &[&str] = &["aadhaar", "aadhar", "adhaar", "adhar", "uidai", "uid"];

/// Multiplication in the dihedral group D5.
const PRODUCT: [[u8; 10]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
    [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
    [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
];

/// Verhoeff's permutation, applied once more for each place.
const PERMUTATION: [[u8; 10]; 8] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
    [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
    [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
    [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
    [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
    [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
    [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
];

/// Whether `number` is an Aadhaar number.
pub(super) fn is(number: &Number<'_>) -> bool {
    let digits = number.digits();
    if digits.len() != 12 || digits[0] < 2 || !verhoeff(digits) {
        return false;
    }
    match number.shape() {
        [4, 4, 4] => is_grouped(number),
        [12] => is_named(number),
        _ => false,
    }
}

fn is_grouped(number: &Number<'_>) -> bool {
    let groups = || number.digits().chunks(4);
    let years = groups().all(|group| matches!(group, [1, 9, ..] | [2, 0, ..]));
    let round = groups().all(|group| group.last() == Some(&0));
    let (before, after) = (
        number.range.start.checked_sub(1).map(|at| number.bytes[at]),
        number.bytes.get(number.range.end).copied(),
    );
    let tied = before == Some(b'-') || after == Some(b'-');
    matches!(number.separator, Some(Separator::Space | Separator::Dash))
        && !years
        && !round
        && (is_named(number) || !(tied || number.in_row))
}

fn is_named(number: &Number<'_>) -> bool {
    let behind_slash = number.bytes[..number.range.start].ends_with(b"/");
    !behind_slash
        && context::words_before(number.bytes, number.range.start, NAME_WINDOW)
            .any(|word| context::is_one_of(word, NAMES))
}

/// Verhoeff's check over all digits, the check digit included.
fn verhoeff(digits: &[u8]) -> bool {
    digits.iter().rev().enumerate().fold(0, |check, (place, digit)| {
        let permuted = PERMUTATION[place % 8][usize::from(*digit)];
        PRODUCT[usize::from(check)][usize::from(permuted)]
    }) == 0
}

#[cfg(test)]
mod tests {
    use super::verhoeff;

    #[test]
    fn verhoeff_accepts_the_published_example_and_no_neighbour() {
        // 236 has the check digit 3: the worked example of Verhoeff's scheme.
        for last in 0..10 {
            assert_eq!(verhoeff(&[2, 3, 6, last]), last == 3, "{last}");
        }
    }
}
