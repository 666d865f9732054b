//! Payment card numbers.
//!
//! 13 to 19 digits, ungrouped or grouped as printed on a card with one kind of separator, with the
//! prefix and length of a known issuer and a valid Luhn digit (ISO/IEC 7812-1, annex B).

use super::digits::{Number, Separator};

/// How cards are printed; an ungrouped number has a shape of one group.
const SHAPES: &[&[u8]] =
    &[&[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 4, 3], &[4, 4, 4, 1], &[6, 13]];

/// One issuer range: first to last prefix, both of `digits` digits, and its lengths.
struct Issuer {
    first: u32,
    last: u32,
    digits: usize,
    lengths: &'static [usize],
}

const fn issuer(first: u32, last: u32, digits: usize, lengths: &'static [usize]) -> Issuer {
    Issuer { first, last, digits, lengths }
}

/// Prefixes in use, from the networks' public rules: Visa, Mastercard, American Express, Diners,
/// Discover, JCB, `RuPay`, `UnionPay`, Maestro.
const ISSUERS: &[Issuer] = &[
    issuer(4, 4, 1, &[13, 16, 19]),
    issuer(51, 55, 2, &[16]),
    issuer(2221, 2720, 4, &[16]),
    issuer(34, 34, 2, &[15]),
    issuer(37, 37, 2, &[15]),
    issuer(300, 305, 3, &[14]),
    issuer(36, 36, 2, &[14]),
    issuer(38, 39, 2, &[14]),
    issuer(60, 60, 2, &[16]),
    issuer(644, 649, 3, &[16, 19]),
    issuer(65, 65, 2, &[16, 19]),
    issuer(3528, 3589, 4, &[16, 19]),
    issuer(508, 508, 3, &[16]),
    issuer(81, 82, 2, &[16]),
    issuer(62, 62, 2, &[16, 17, 18, 19]),
    issuer(5018, 5018, 4, &[13, 14, 15, 16, 17, 18, 19]),
    issuer(5020, 5020, 4, &[13, 14, 15, 16, 17, 18, 19]),
    issuer(5038, 5038, 4, &[13, 14, 15, 16, 17, 18, 19]),
    issuer(5893, 5893, 4, &[13, 14, 15, 16, 17, 18, 19]),
    issuer(6304, 6304, 4, &[13, 14, 15, 16, 17, 18, 19]),
    issuer(6759, 6763, 4, &[13, 14, 15, 16, 17, 18, 19]),
];

/// Lengths at which a bare JSON number is still read as a card; others are amounts and ids.
const JSON_NUMBER_LENGTHS: std::ops::RangeInclusive<usize> = 15..=16;

/// Whether `number` is a payment card number.
pub(super) fn is(number: &Number<'_>) -> bool {
    let digits = number.digits();
    let grouped = number.shape().len() > 1;
    let printed = !grouped
        || (number.separator.is_some_and(|one| one != Separator::Bracket)
            && SHAPES.contains(&number.shape()));
    digits.len() >= 13
        && printed
        && known_issuer(digits)
        && luhn(digits)
        && (JSON_NUMBER_LENGTHS.contains(&digits.len()) || !number.is_json_number())
}

fn known_issuer(digits: &[u8]) -> bool {
    ISSUERS.iter().any(|issuer| {
        let prefix =
            digits[..issuer.digits].iter().fold(0, |prefix, digit| prefix * 10 + u32::from(*digit));
        (issuer.first..=issuer.last).contains(&prefix) && issuer.lengths.contains(&digits.len())
    })
}

/// Luhn's check over all digits, the check digit included.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let digit = u32::from(*digit);
            match (index % 2, digit) {
                (0, _) => digit,
                (_, 5..) => digit * 2 - 9,
                _ => digit * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::luhn;

    #[test]
    fn luhn_accepts_the_example_of_the_standard_and_no_neighbour() {
        // 7992739871-3 is the worked example of the algorithm's usual description.
        for last in 0..10 {
            let digits = [7, 9, 9, 2, 7, 3, 9, 8, 7, 1, last];
            assert_eq!(luhn(&digits), last == 3, "{last}");
        }
    }
}
