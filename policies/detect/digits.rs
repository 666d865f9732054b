//! Runs of digits, the groups they stand in, and where a number begins and ends.
//!
//! It owns the boundaries: what glues digits to their surroundings, so that they are part of an id,
//! a decimal or a hash, and not a number of their own. It knows no identifier.

use std::ops::Range;

use super::pii::Detector;

/// Most groups that one cluster holds; a longer row of numbers is looked at in pieces.
const GROUPS_MAX: usize = 12;

/// How many groups two pieces of a longer row share: one less than the longest shape has (a card
/// of 19 digits).
const GROUPS_SHARED: usize = 4;

/// Most digits in any identifier (a 19-digit card).
pub(super) const DIGITS_MAX: usize = 19;

/// What stands between two groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Separator {
    /// One space.
    #[default]
    Space,
    /// One hyphen.
    Dash,
    /// An opening or closing bracket, with at most one space or hyphen: `+1 (415) 555`.
    Bracket,
}

/// One run of digits within a cluster, as byte offsets.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    start: usize,
    end: usize,
    /// What follows it, up to the next group.
    separator: Separator,
}

/// Groups of digits with single separators between them, as wide as the text has them.
#[derive(Debug)]
pub(super) struct Cluster {
    groups: [Group; GROUPS_MAX],
    len: usize,
}

/// A window of a cluster's groups that stands on its own in the text.
#[derive(Debug)]
pub(super) struct Number<'a> {
    /// The whole text.
    pub(super) bytes: &'a [u8],
    /// From the first digit to behind the last.
    pub(super) range: Range<usize>,
    /// The digits alone, as values 0–9.
    digits: [u8; DIGITS_MAX],
    digits_len: usize,
    /// Digits per group.
    sizes: [u8; GROUPS_MAX],
    groups_len: usize,
    /// The separator shared by all groups; none if they differ or there is one group only.
    pub(super) separator: Option<Separator>,
    /// Whether all separators are alike (true for a single group).
    pub(super) uniform: bool,
    /// Whether one more group of four digits stands before or behind it, as in a row of amounts.
    pub(super) in_row: bool,
}

impl Number<'_> {
    /// The digits, as values 0–9.
    pub(super) fn digits(&self) -> &[u8] {
        &self.digits[..self.digits_len]
    }

    /// How many digits each group has.
    pub(super) fn shape(&self) -> &[u8] {
        &self.sizes[..self.groups_len]
    }

    /// Whether a plus stands before the first digit and nothing is glued to it.
    pub(super) fn has_plus(&self) -> bool {
        let Some(plus) = self.range.start.checked_sub(1) else {
            return false;
        };
        self.bytes[plus] == b'+' && (plus == 0 || !self.bytes[plus - 1].is_ascii_alphanumeric())
    }

    /// The range to report: a phone number includes its plus.
    pub(super) fn range_with_sign(&self, detector: Detector) -> Range<usize> {
        let plus = usize::from(detector == Detector::Phone && self.has_plus());
        self.range.start - plus..self.range.end
    }

    /// Whether it is the value of a JSON object member, written as a number.
    pub(super) fn is_json_number(&self) -> bool {
        let before = self.bytes[..self.range.start].trim_ascii_end();
        let Some(before) = before.strip_suffix(b":") else {
            return false;
        };
        before.trim_ascii_end().ends_with(b"\"")
    }

    /// Whether it fills the text, or a quoted string of it.
    pub(super) fn fills_string(&self) -> bool {
        let before = self.range.start.checked_sub(1).map(|at| self.bytes[at]);
        let after = self.bytes.get(self.range.end).copied();
        matches!(before, None | Some(b'"')) && matches!(after, None | Some(b'"'))
    }
}

impl Cluster {
    /// The cluster that `run` stands in, looking no further left than `floor`.
    pub(super) fn around(bytes: &[u8], run: Range<usize>, floor: usize) -> Self {
        let mut cluster = Self { groups: [Group::default(); GROUPS_MAX], len: 0 };
        let mut lead = [Group::default(); 3];
        let mut lead_len = 0;
        let mut start = run.start;
        while lead_len < lead.len() {
            let Some((group, separator)) = group_before(bytes, start, floor) else {
                break;
            };
            lead[lead_len] = Group { start: group.start, end: group.end, separator };
            lead_len += 1;
            start = group.start;
        }
        for group in lead[..lead_len].iter().rev() {
            cluster.push(*group);
        }
        cluster.push(Group { start: run.start, end: run.end, separator: Separator::Space });
        while cluster.len < GROUPS_MAX {
            let Some((separator, group)) = group_after(bytes, cluster.end()) else {
                break;
            };
            cluster.groups[cluster.len - 1].separator = separator;
            cluster.push(Group { start: group.start, end: group.end, separator: Separator::Space });
        }
        cluster
    }

    fn is_of_four(&self, index: usize) -> bool {
        let group = self.groups[..self.len].get(index);
        group.is_some_and(|group| group.end - group.start == 4)
    }

    fn push(&mut self, group: Group) {
        self.groups[self.len] = group;
        self.len += 1;
    }

    /// How many groups it has.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where to look for the next cluster: behind this one, or, if the row of groups was too long
    /// for one cluster, at its last groups, so that no number is cut in two.
    pub(super) fn resume(&self) -> usize {
        if self.len < GROUPS_MAX {
            self.end()
        } else {
            self.groups[GROUPS_MAX - GROUPS_SHARED].start
        }
    }

    /// Behind the last digit.
    fn end(&self) -> usize {
        self.groups[self.len - 1].end
    }

    /// Groups `from..to` as a number, if it has a possible length and stands on its own.
    pub(super) fn window<'a>(&self, bytes: &'a [u8], from: usize, to: usize) -> Option<Number<'a>> {
        let groups = &self.groups[from..to];
        let digits_len: usize = groups.iter().map(|group| group.end - group.start).sum();
        if !(10..=DIGITS_MAX).contains(&digits_len) {
            return None;
        }
        let (first, last) = (groups.first()?, groups.last()?);
        if !begins(bytes, first.start) || !ends(bytes, last.end) {
            return None;
        }
        let loose = |group: &Group| group.separator != Separator::Dash;
        if (from > 0 && !loose(&self.groups[from - 1])) || (to < self.len && !loose(last)) {
            return None;
        }
        let mut number = Number {
            bytes,
            range: first.start..last.end,
            digits: [0; DIGITS_MAX],
            digits_len,
            sizes: [0; GROUPS_MAX],
            groups_len: groups.len(),
            separator: None,
            uniform: true,
            in_row: from
                .checked_sub(1)
                .into_iter()
                .chain([to])
                .any(|beside| self.is_of_four(beside)),
        };
        let all = groups.iter().flat_map(|group| &bytes[group.start..group.end]);
        for (slot, byte) in number.digits.iter_mut().zip(all) {
            *slot = byte - b'0';
        }
        for (slot, group) in number.sizes.iter_mut().zip(groups) {
            *slot = u8::try_from(group.end - group.start).unwrap_or(u8::MAX);
        }
        let inner = &groups[..groups.len() - 1];
        number.uniform = inner.windows(2).all(|pair| pair[0].separator == pair[1].separator);
        if number.uniform {
            number.separator = inner.first().map(|group| group.separator);
        }
        Some(number)
    }
}

/// The run of digits around `at` (which must be a digit), no further left than `floor` and without
/// the digits of a `\uXXXX` escape.
pub(super) fn run_around(bytes: &[u8], at: usize, floor: usize) -> Range<usize> {
    let left = bytes[floor..at].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let right = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let end = at + right;
    let start = behind_unicode_escape(bytes, at - left).min(end);
    start..end
}

/// `start`, or the first byte behind the `\uXXXX` escape that `start` lies in.
fn behind_unicode_escape(bytes: &[u8], start: usize) -> usize {
    let low = start.saturating_sub(5);
    (low..start)
        .find(|&at| bytes[at..].starts_with(b"\\u") && is_escape(bytes, at))
        .map_or(start, |at| at + 6)
}

/// Whether the backslash at `at` is live: an even number of backslashes stands before it.
fn is_escape(bytes: &[u8], at: usize) -> bool {
    bytes[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
}

/// Whether an escape (`\n`, `\u00e9`) ends just before `at`.
pub(super) fn escape_ends_at(bytes: &[u8], at: usize) -> bool {
    let short = at >= 2
        && bytes[at - 2] == b'\\'
        && matches!(bytes[at - 1], b'n' | b'r' | b't' | b'b' | b'f')
        && is_escape(bytes, at - 2);
    let long = at >= 6
        && bytes[at - 6..].starts_with(b"\\u")
        && bytes[at - 4..at].iter().all(u8::is_ascii_hexdigit)
        && is_escape(bytes, at - 6);
    short || long
}

/// A letter, digit or underscore.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether a number may begin at `at`: not inside a word, a decimal, or a dashed hexadecimal id.
pub(super) fn begins(bytes: &[u8], at: usize) -> bool {
    let Some(previous) = at.checked_sub(1) else {
        return true;
    };
    match bytes[previous] {
        b'.' => !ends_with_digit(&bytes[..previous]),
        b'-' => !ends_with_hex_word(&bytes[..previous]),
        b'@' => false,
        byte => !is_word(byte) || escape_ends_at(bytes, at),
    }
}

/// Whether a number may end before `at`.
pub(super) fn ends(bytes: &[u8], at: usize) -> bool {
    let after = bytes.get(at + 1..).unwrap_or_default();
    match bytes.get(at) {
        None => true,
        Some(b'.') => !after.first().is_some_and(u8::is_ascii_digit),
        Some(b'-') => !starts_with_hex_word(after),
        Some(b'@') => false,
        Some(byte) => !is_word(*byte),
    }
}

fn ends_with_digit(bytes: &[u8]) -> bool {
    bytes.last().is_some_and(u8::is_ascii_digit)
}

/// Whether the word that `bytes` ends with is not empty and hexadecimal throughout, as the parts of
/// a UUID are.
fn ends_with_hex_word(bytes: &[u8]) -> bool {
    let start = bytes.iter().rev().take(64).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let word = &bytes[bytes.len() - start..];
    !word.is_empty() && word.iter().all(u8::is_ascii_hexdigit)
}

fn starts_with_hex_word(bytes: &[u8]) -> bool {
    let end = bytes.iter().take(64).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let word = &bytes[..end];
    !word.is_empty() && word.iter().all(u8::is_ascii_hexdigit)
}

/// The group before the one that begins at `start`, with what stands between them.
fn group_before(bytes: &[u8], start: usize, floor: usize) -> Option<(Range<usize>, Separator)> {
    let before = bytes.get(floor..start)?;
    let (separator, width) = match before {
        [.., b' ' | b'-', b'('] | [.., b')', b' ' | b'-'] => (Separator::Bracket, 2),
        [.., b' '] => (Separator::Space, 1),
        [.., b'-'] => (Separator::Dash, 1),
        _ => return None,
    };
    let end = start - width;
    if end <= floor || !bytes[end - 1].is_ascii_digit() {
        return None;
    }
    Some((run_around(bytes, end - 1, floor), separator))
}

/// The group behind the one that ends before `end`, with what stands between them.
fn group_after(bytes: &[u8], end: usize) -> Option<(Separator, Range<usize>)> {
    let (separator, width) = match bytes.get(end..)? {
        [b' ' | b'-', b'(', ..] | [b')', b' ' | b'-', ..] => (Separator::Bracket, 2),
        [b' ', ..] => (Separator::Space, 1),
        [b'-', ..] => (Separator::Dash, 1),
        _ => return None,
    };
    let start = end + width;
    if !bytes.get(start)?.is_ascii_digit() {
        return None;
    }
    Some((separator, run_around(bytes, start, start)))
}
