//! Addresses with an `@`: e-mail and UPI ids.
//!
//! What stands behind the `@` tells them apart: a domain has a dot, a UPI handle has none. The
//! handles of the large payment apps are known by name; any other handle of letters counts too,
//! unless it is a word that software puts there (`git@localhost`, `crate@latest`).

use std::ops::Range;

use super::digits;
use super::pii::{Detector, Hit};

/// RFC 5321, 4.5.3.1.1.
const LOCAL_MAX: usize = 64;

/// RFC 5321, 4.5.3.1.2.
const DOMAIN_MAX: usize = 255;

/// Handles of payment apps and banks that may be shorter than a generic handle.
const HANDLES: &[&str] = &["apl", "axl", "fam", "ibl", "jio", "sbi", "upi", "yes", "ybl", "yapl"];

/// Shortest and longest handle that is taken for one without being known.
const GENERIC_HANDLE: std::ops::RangeInclusive<usize> = 4..=24;

/// Words behind an `@` that are not handles.
const NOT_HANDLES: &[&str] = &[
    "beta",
    "canary",
    "channel",
    "default",
    "everyone",
    "head",
    "here",
    "home",
    "host",
    "latest",
    "local",
    "localhost",
    "main",
    "master",
    "next",
    "node",
    "noon",
    "nightly",
    "root",
    "stable",
    "work",
    "workspace",
];

/// Appends every address in `text` to `out`, in order.
pub(super) fn scan(text: &str, out: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    let (mut from, mut floor) = (0, 0);
    while let Some(offset) = text[from..].find('@') {
        let at = from + offset;
        from = at + 1;
        if let Some(hit) = around(bytes, at, floor) {
            (from, floor) = (hit.range.end, hit.range.end);
            out.push(hit);
        }
    }
}

/// The address around the `@` at `at`, if there is one that begins at or behind `floor`.
fn around(bytes: &[u8], at: usize, floor: usize) -> Option<Hit> {
    let start = local_start(bytes, at, floor)?;
    let tail = &bytes[at + 1..];
    let length = tail.iter().take(DOMAIN_MAX).take_while(|byte| is_domain(**byte)).count();
    let domain = without_punctuation(&tail[..length]);
    let range = |end: usize| Range { start, end: at + 1 + end };
    if domain.contains(&b'.') {
        let hit = Hit { range: range(domain.len()), detector: Detector::Email };
        return is_domain_name(domain).then_some(hit);
    }
    let hit = Hit { range: range(domain.len()), detector: Detector::Upi };
    let closed = tail.get(domain.len()).is_none_or(|byte| !matches!(byte, b'@' | b'_'));
    (closed && is_handle(domain) && at - start >= 2).then_some(hit)
}

/// Where the local part before `at` begins; `None` if there is none, or if it is too long.
fn local_start(bytes: &[u8], at: usize, floor: usize) -> Option<usize> {
    let low = at.saturating_sub(LOCAL_MAX + 1).max(floor);
    let length = bytes[low..at].iter().rev().take_while(|byte| is_local(**byte)).count();
    let mut start = at - length;
    if length > LOCAL_MAX {
        return None;
    }
    // The letter of a `\n`, or the digits of a `\u20b9`, belong to the escape.
    let escape =
        (start..(start + 5).min(at)).rev().find(|end| digits::escape_ends_at(bytes, *end + 1));
    if let Some(last) = escape {
        start = last + 1;
    }
    while start < at && matches!(bytes[start], b'.' | b'-' | b'+') {
        start += 1;
    }
    let whole = start < at && bytes[at - 1] != b'.';
    whole.then_some(start)
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'%')
}

fn is_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}

/// Labels of letters, digits and inner hyphens; the last of at least two letters.
fn is_domain_name(domain: &[u8]) -> bool {
    let mut labels = domain.split(|byte| *byte == b'.');
    let top = domain.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    labels.all(|label| !label.is_empty() && !label.starts_with(b"-") && !label.ends_with(b"-"))
        && top.len() >= 2
        && top.iter().all(u8::is_ascii_alphabetic)
}

fn is_handle(handle: &[u8]) -> bool {
    let listed = |list: &[&str]| list.iter().any(|one| handle.eq_ignore_ascii_case(one.as_bytes()));
    let generic = GENERIC_HANDLE.contains(&handle.len())
        && handle[0].is_ascii_alphabetic()
        && handle.iter().all(u8::is_ascii_alphanumeric)
        && !listed(NOT_HANDLES);
    generic || listed(HANDLES)
}

/// `bytes` without the dots and hyphens that end a sentence rather than a domain.
fn without_punctuation(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |last| last + 1);
    &bytes[..end]
}
