//! Text as a reader sees it: accents, look-alike letters and invisible characters folded away.
//!
//! It owns which characters are worth folding, so that text that needs none is never copied. The
//! result is for comparison only; offsets into it mean nothing for the original.

use std::borrow::Cow;

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// Letters of other scripts that look like Latin ones, from Unicode's table of confusables
/// (UTS #39), Cyrillic, Greek, Armenian and Latin extensions only; lower case after folding.
const LOOK_ALIKES: &[(&str, char)] = &[
    ("аαɑа", 'a'),
    ("вƄьᏏ", 'b'),
    ("сϲⅽᴄ", 'c'),
    ("ԁⅾժ", 'd'),
    ("еєεҽ", 'e'),
    ("ғϝք", 'f'),
    ("ɡցԍ", 'g'),
    ("һհнη", 'h'),
    ("іιıӏїɩ", 'i'),
    ("јϳʝ", 'j'),
    ("кκқᴋ", 'k'),
    ("ⅼłլ", 'l'),
    ("мⅿʍϻ", 'm'),
    ("пոռᴎ", 'n'),
    ("оοσօ०ᴏ", 'o'),
    ("рρϱ", 'p'),
    ("ԛզգ", 'q'),
    ("гᴦʀ", 'r'),
    ("ѕʂꜱ", 's'),
    ("тτւ", 't'),
    ("υսцʋ", 'u'),
    ("ѵνᴠ", 'v'),
    ("ԝωաѡɯᴡ", 'w'),
    ("хχⅹ", 'x'),
    ("уγүỿ", 'y'),
    ("ᴢʐ", 'z'),
];

/// `text` folded, or itself if there is nothing to fold.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !text.chars().any(wants_folding) {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            folded.push(character.to_ascii_lowercase());
        } else if !is_invisible(character) {
            decompose_compatible(character, |part| {
                if !is_combining_mark(part) {
                    folded.extend(part.to_lowercase().map(latin));
                }
            });
        }
    }
    Cow::Owned(folded)
}

/// Whether `character` could pass for a Latin letter or hide between two of them. Scripts that
/// cannot, and the currency signs and dashes of ordinary text, are left as they are.
fn wants_folding(character: char) -> bool {
    !matches!(
        character,
        '\0'..='\u{7f}'
            | '₹' | '€' | '£' | '¥' | '°' | '·' | '×' | '÷' | '±' | '§'
            | '\u{2010}'..='\u{2027}'
            | '\u{0900}'..='\u{0dff}'
            | '\u{3001}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{1f300}'..='\u{1faff}'
    )
}

/// Characters without width: joiners, marks of direction, variation selectors, tags, soft hyphens.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{034f}'
            | '\u{061c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

fn latin(character: char) -> char {
    if character.is_ascii() {
        return character;
    }
    LOOK_ALIKES
        .iter()
        .find(|(alike, _)| alike.contains(character))
        .map_or(character, |(_, letter)| *letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_alikes_accents_and_invisible_characters_are_folded_away() {
        let cases = [
            ("іgnоrе", "ignore"),
            ("ｉｇｎｏｒｅ", "ignore"),
            ("ig\u{200b}no\u{ad}re", "ignore"),
            ("ígñôrè", "ignore"),
            ("𝐢𝐠𝐧𝐨𝐫𝐞", "ignore"),
            ("ⓘⓖⓝⓞⓡⓔ", "ignore"),
            ("\u{202e}ιgnοre", "ignore"),
            ("IGNОRE", "ignore"),
        ];
        for (text, folded) in cases {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    #[test]
    fn ordinary_text_is_not_copied() {
        for text in ["plain", "₹ 500 – rent", "किराया ५००", "家賃", "“quoted”"]
        {
            assert!(matches!(fold(text), Cow::Borrowed(_)), "{text}");
        }
    }
}
