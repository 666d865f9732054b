//! International bank account numbers (ISO 13616).
//!
//! A country that issues them, that country's length, ISO 7064 mod 97-10, in capitals, compact or
//! in printed groups of four.

use std::ops::Range;

use super::digits;

/// How far before the first long run of digits the country may stand: `MT84 MALT 0110…`.
const LEAD_MAX: usize = 12;

/// Length by country, from the SWIFT registry of IBAN formats.
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
];

/// The IBAN that the run of digits is part of, if there is one that begins behind `floor`.
pub(super) fn around(bytes: &[u8], run: &Range<usize>, floor: usize) -> Option<Range<usize>> {
    let low = run.start.saturating_sub(LEAD_MAX).max(floor);
    let lead = bytes.get(low..run.start)?;
    let reach = lead
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b' ')
        .count();
    (run.start - reach..run.start).find_map(|start| at(bytes, start))
}

/// The IBAN that begins at `start`, if there is one.
fn at(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let country = bytes.get(start..start + 2)?;
    let (_, length) = LENGTHS.iter().find(|(code, _)| code.as_slice() == country)?;
    if !digits::begins(bytes, start) {
        return None;
    }
    let end = end_of(bytes, start, *length)?;
    let text = &bytes[start..end];
    (digits::ends(bytes, end) && mod_97(text) == 1).then_some(start..end)
}

/// Behind `length` capitals and digits from `start`, single spaces between them not counted.
fn end_of(bytes: &[u8], start: usize, length: usize) -> Option<usize> {
    let mut taken = 0;
    let mut at = start;
    while taken < length {
        match bytes.get(at)? {
            byte if byte.is_ascii_uppercase() || byte.is_ascii_digit() => taken += 1,
            b' ' if bytes[at - 1] != b' ' => {}
            _ => return None,
        }
        at += 1;
    }
    Some(at)
}

/// The remainder by 97 of the number that ISO 7064 reads from `text`: the first four characters
/// moved to the end, letters as 10 to 35.
fn mod_97(text: &[u8]) -> u32 {
    let characters = || text.iter().filter(|byte| **byte != b' ');
    characters().skip(4).chain(characters().take(4)).fold(0, |remainder, byte| match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        _ => (remainder * 100 + u32::from(byte.wrapping_sub(b'A')) + 10) % 97,
    })
}
