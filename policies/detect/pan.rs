//! Indian permanent account numbers (income tax): `ABCPE1234F`.
//!
//! Five capitals, four digits, one capital, on word boundaries; the fourth capital is the kind of
//! holder (company, person, family, firm, trust and so on).

use std::ops::Range;

use super::digits;

/// Kinds of holder that the Income Tax Department assigns.
const HOLDERS: &[u8] = b"ABCFGHLJPT";

/// The PAN around the run of digits, if there is one.
pub(super) fn around(bytes: &[u8], run: &Range<usize>) -> Option<Range<usize>> {
    let start = run.start.checked_sub(5).filter(|_| run.len() == 4)?;
    let (end, capitals) = (run.end + 1, &bytes[start..run.start]);
    let fits = capitals.iter().all(u8::is_ascii_uppercase)
        && HOLDERS.contains(&capitals[3])
        && bytes.get(run.end).is_some_and(u8::is_ascii_uppercase);
    (fits && digits::begins(bytes, start) && digits::ends(bytes, end)).then_some(start..end)
}
