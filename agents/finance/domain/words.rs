//! Text as words: how narrations and questions are folded before they are compared.
//!
//! Owns folding and edit distance. It knows no vocabulary.

/// Folds `text` into lower-case words, one space before, between and after them, so that a search
/// for ` word ` only finds whole words.
///
/// Everything that is neither a letter nor a digit separates words: `NETFLIX.COM` is two words.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len() + 2);
    fold_into(&mut folded, text);
    folded
}

/// As [`fold`], into memory that is used again.
pub fn fold_into(folded: &mut String, text: &str) {
    folded.clear();
    folded.push(' ');
    let mut spaced = true;
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            folded.push(character.to_ascii_lowercase());
            spaced = false;
        } else if !character.is_ascii() && character.is_alphanumeric() {
            folded.extend(character.to_lowercase());
            spaced = false;
        } else if !spaced {
            folded.push(' ');
            spaced = true;
        }
    }
    if !spaced {
        folded.push(' ');
    }
}

/// Splits a question into lower-case words, keeping amounts such as `15,000.50` in one piece and
/// dropping currency signs.
#[must_use]
pub fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut digit_before = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let after_digit = std::mem::replace(&mut digit_before, character.is_ascii_digit());
        let mut before_digit = || characters.peek().is_some_and(char::is_ascii_digit);
        if character.is_ascii_alphanumeric() {
            word.push(character.to_ascii_lowercase());
        } else if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        } else if matches!(character, ',' | '.') && after_digit && before_digit() {
            word.push(character);
        } else if !matches!(character, '\'' | '’') && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Whether `typed` is `meant` with a few slips of the finger: none below five letters, one from
/// five and two from nine, where a slip is a letter added, dropped, replaced or swapped with its
/// neighbour (optimal string alignment distance). The first letter has to be right.
#[must_use]
pub fn nearly(typed: &str, meant: &str) -> bool {
    if typed.chars().next() != meant.chars().next() {
        return false;
    }
    let typed: Vec<char> = typed.chars().take(40).collect();
    let meant: Vec<char> = meant.chars().take(40).collect();
    let slips_max = match meant.len() {
        0..5 => 0,
        5..9 => 1,
        _ => 2,
    };
    if typed.len().abs_diff(meant.len()) > slips_max {
        return false;
    }
    distance(&typed, &meant) <= slips_max
}

/// Optimal string alignment distance.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; right.len() + 1];
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut current = vec![i + 1; right.len() + 1];
        for (j, b) in right.iter().enumerate() {
            let replaced = previous[j] + usize::from(a != b);
            let mut best = replaced.min(previous[j + 1] + 1).min(current[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            current[j + 1] = best;
        }
        before = previous;
        previous = current;
    }
    previous.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_leaves_only_words_between_single_spaces() {
        assert_eq!(fold("UPI/4123/Swiggy*Ltd."), " upi 4123 swiggy ltd ");
        assert_eq!(fold(""), " ");
        assert_eq!(fold("//"), " ");
    }

    #[test]
    fn splitting_keeps_amounts_whole_and_drops_signs() {
        assert_eq!(split("Can I afford ₹15,000.50?"), ["can", "i", "afford", "15,000.50"]);
        assert_eq!(split("what's 2026-01-05"), ["whats", "2026", "01", "05"]);
    }

    #[test]
    fn one_slip_is_forgiven_in_a_long_word_and_none_in_a_short_one() {
        assert!(nearly("swigy", "swiggy"));
        assert!(nearly("subsciptions", "subscriptions"));
        assert!(nearly("forceast", "forecast"));
        assert!(!nearly("rant", "rent"));
        assert!(!nearly("current", "rent"));
        assert!(!nearly("motorola", "ola"));
    }
}
