//! The words just before a number, which tell an amount from a phone.
//!
//! It owns how words are found (JSON keys and `camelCase` included); which words matter is the
//! detectors' business.

/// Longest stretch that is searched for words, in bytes.
const STRETCH_MAX: usize = 64;

/// The ASCII words that end before `at`, nearest first, within `window` bytes. `phoneNumber` is two
/// words and `phone_number` too; a digit ends the search.
pub(super) fn words_before(bytes: &[u8], at: usize, window: usize) -> Words<'_> {
    let start = at.saturating_sub(window.min(STRETCH_MAX));
    Words { rest: &bytes[start..at] }
}

/// Iterator of [`words_before`].
pub(super) struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().rposition(u8::is_ascii_alphanumeric)? + 1;
        if self.rest[end - 1].is_ascii_digit() {
            return None;
        }
        let mut start = end - 1;
        while let Some(previous) = start.checked_sub(1) {
            let hump =
                self.rest[previous].is_ascii_lowercase() && self.rest[start].is_ascii_uppercase();
            if hump || !self.rest[previous].is_ascii_alphabetic() {
                break;
            }
            start = previous;
        }
        let word = &self.rest[start..end];
        self.rest = &self.rest[..start];
        Some(word)
    }
}

/// Whether `word` is one of `words`, which are in lower case.
pub(super) fn is_one_of(word: &[u8], words: &[&str]) -> bool {
    words.iter().any(|candidate| word.eq_ignore_ascii_case(candidate.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::words_before;

    fn words(text: &str) -> Vec<&str> {
        words_before(text.as_bytes(), text.len(), 64)
            .map(|word| std::str::from_utf8(word).unwrap())
            .collect()
    }

    #[test]
    fn words_are_split_at_punctuation_humps_and_underscores() {
        assert_eq!(words("{\"phoneNumber\": \""), ["Number", "phone"]);
        assert_eq!(words("mobile_no="), ["no", "mobile"]);
        assert_eq!(words("paid 500 to "), ["to"]);
        assert!(words("").is_empty());
    }
}
