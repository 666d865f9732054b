//! Finds text that tries to instruct a model: "ignore all previous instructions" and its kin.
//!
//! It owns the matching; the phrases stand in `injection.txt`, where their form is described too.
//! It works on wording alone: it does not understand the text, and a phrase that is quoted or asked
//! about counts as one that is meant.
//!
//! Two stages. An automaton looks for the rare words that every phrase has; it allocates nothing,
//! and text that is not ASCII is folded first only if it could hide a letter. Text with such a word
//! is split into words and compared with the phrases that this word opens, in time linear in the
//! text. On two shared cores in a release build (best of 7 over 100 KiB): 1.5 ns per byte of
//! English prose, 1.8 ns of Devanagari, 26 ns of text full of accents.

use std::collections::HashMap;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

use super::fold::fold;

/// The phrases that are compiled in.
const TABLE: &str = include_str!("injection.txt");

/// Shortest piece of text that can hold a phrase, in bytes.
const TEXT_MIN: usize = 6;

/// Longest word of a phrase, in bytes.
const WORD_MAX: usize = 24;

/// Why a phrase table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A line is not `name: elements` or `name = text`.
    #[error("line {line}: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The automaton could not be built.
    #[error("the phrases cannot be compiled: {0}")]
    Automaton(#[from] BuildError),
}

/// Words that may stand at one place of a phrase.
#[derive(Debug)]
struct Element {
    /// Most other words before it, counted from the element before.
    gap: usize,
    /// Ids of the words that fit.
    words: Vec<u16>,
    /// Whether a colon must follow.
    colon: bool,
}

#[derive(Debug)]
struct Phrase {
    name: String,
    elements: Vec<Element>,
}

/// A compiled phrase table.
#[derive(Debug)]
pub struct Phrases {
    gate: AhoCorasick,
    /// What each pattern of the gate stands for.
    opens: Vec<Opens>,
    worded: Vec<Phrase>,
    words: HashMap<Vec<u8>, u16>,
    /// Which lengths the known words have, as bits, for each first letter.
    lengths: [u32; 256],
}

/// What a pattern of the gate stands for.
#[derive(Debug)]
enum Opens {
    /// A phrase that is looked for as it is, by name.
    Literal(String),
    /// The worded phrases that cannot be there without it, by index.
    Worded(Vec<usize>),
}

/// One known word of a text.
#[derive(Debug, Clone, Copy)]
struct Token {
    /// Which word of the text it is, counted from 0.
    ordinal: usize,
    word: u16,
    colon: bool,
}

/// The name of the first phrase of the built-in table that `text` holds.
pub fn find(text: &str) -> Option<&'static str> {
    static BUILT_IN: LazyLock<Option<Phrases>> = LazyLock::new(|| Phrases::parse(TABLE).ok());
    match &*BUILT_IN {
        Some(phrases) => phrases.find(text),
        // A table that does not compile must not let everything through; a test keeps it sound.
        None => Some("the phrase table is not usable"),
    }
}

/// The text of the built-in table, which decides what [`find`] finds.
pub const fn table() -> &'static str {
    TABLE
}

/// Like [`find`], over the text of a JSON document with its escapes undone.
pub fn find_in_json(json: &str) -> Option<&'static str> {
    if json.as_bytes().contains(&b'\\') { find(&unescape(json)) } else { find(json) }
}

impl Phrases {
    /// Reads a table in the form that `injection.txt` describes.
    pub fn parse(table: &str) -> Result<Self, Error> {
        let mut reader = Reader::default();
        for (index, line) in table.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            reader.line(line).map_err(|reason| Error::Line { line: index + 1, reason })?;
        }
        let gate = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&reader.gate)?;
        let Reader { opens, worded, words, .. } = reader;
        let mut lengths = [0; 256];
        for word in words.keys() {
            lengths[usize::from(word[0])] |= 1 << word.len();
        }
        Ok(Self { gate, opens, worded, words, lengths })
    }

    /// How many phrases it has.
    pub fn len(&self) -> usize {
        self.worded.len() + self.opens.iter().filter(|one| matches!(one, Opens::Literal(_))).count()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of the first phrase that `text` holds.
    pub fn find(&self, text: &str) -> Option<&str> {
        if text.len() < TEXT_MIN {
            return None;
        }
        let text = fold(text);
        let mut candidates = Vec::new();
        for hit in self.gate.find_overlapping_iter(&*text) {
            match &self.opens[hit.pattern().as_usize()] {
                Opens::Literal(name) => return Some(name),
                Opens::Worded(phrases) if is_word(text.as_bytes(), hit.range()) => {
                    candidates.resize(self.worded.len(), false);
                    for phrase in phrases {
                        candidates[*phrase] = true;
                    }
                }
                Opens::Worded(_) => {}
            }
        }
        if candidates.is_empty() {
            return None;
        }
        let tokens = self.tokens(&text);
        let candidates = self.worded.iter().zip(candidates).filter(|(_, candidate)| *candidate);
        let found = candidates.map(|(phrase, _)| phrase).find(|phrase| phrase.is_in(&tokens));
        found.map(|phrase| phrase.name.as_str())
    }

    /// The known words of `text`. Apostrophes are dropped, so that `don't` is `dont`; whatever else
    /// is neither letter nor digit separates.
    fn tokens(&self, text: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        let mut ordinal = 0;
        let mut rest = text;
        while let Some(start) = until(rest, true) {
            let word = &rest[start..];
            let length = until(word, false).unwrap_or(word.len());
            rest = &word[length..];
            if let Some(word) = self.known(&word[..length]) {
                let colon = rest.trim_start().starts_with(':');
                tokens.push(Token { ordinal, word, colon });
            }
            ordinal += 1;
        }
        tokens
    }

    /// The id of `word`, if it is one of the table's; all of those are ASCII in lower case.
    fn known(&self, word: &str) -> Option<u16> {
        let letters = || word.bytes().filter(u8::is_ascii_alphanumeric);
        // Nearly every word is told from the table's by how it begins and how long it is.
        let first = letters().next()?.to_ascii_lowercase();
        let length = letters().count();
        if length > WORD_MAX || self.lengths[usize::from(first)] >> length & 1 == 0 {
            return None;
        }
        let mut buffer = [0; WORD_MAX];
        for (lower, letter) in buffer.iter_mut().zip(letters()) {
            *lower = letter.to_ascii_lowercase();
        }
        self.words.get(&buffer[..length]).copied()
    }
}

/// Where in `text` the first character stands that is inside of a word, or that is not.
fn until(text: &str, inside: bool) -> Option<usize> {
    let class = if inside { INSIDE } else { OUTSIDE };
    let looked_for = |byte: &u8| CLASSES[usize::from(*byte)] & (class | BEYOND_ASCII) != 0;
    let at = text.as_bytes().iter().position(looked_for)?;
    if text.as_bytes()[at].is_ascii() {
        return Some(at);
    }
    text[at..].find(|character| is_inside(character) == inside).map(|more| at + more)
}

const INSIDE: u8 = 1;
const OUTSIDE: u8 = 2;
const BEYOND_ASCII: u8 = 4;

/// What [`is_inside`] says of each byte, as far as one byte can tell.
const CLASSES: [u8; 256] = {
    let (mut classes, mut byte) = ([BEYOND_ASCII; 256], 0u8);
    while byte < 128 {
        let inside = byte.is_ascii_alphanumeric() || byte == b'\'';
        classes[byte as usize] = if inside { INSIDE } else { OUTSIDE };
        byte += 1;
    }
    classes
};

/// Whether a word goes on with this character.
fn is_inside(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '\'' | '\u{2019}')
}

/// Whether `range` is a word of its own in `text`, as far as ASCII goes.
fn is_word(text: &[u8], range: std::ops::Range<usize>) -> bool {
    let letter =
        |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    !letter(range.start.checked_sub(1)) && !letter(Some(range.end))
}

impl Phrase {
    /// Whether the words occur in order with no gap too wide. Each element keeps the tokens that
    /// complete the phrase so far, so the work is linear in the tokens.
    fn is_in(&self, tokens: &[Token]) -> bool {
        let fits = |element: &Element, token: &Token| {
            element.words.contains(&token.word) && (token.colon || !element.colon)
        };
        let Some((first, rest)) = self.elements.split_first() else {
            return false;
        };
        let mut reached: Vec<usize> =
            tokens.iter().filter(|token| fits(first, token)).map(|token| token.ordinal).collect();
        for element in rest {
            if reached.is_empty() {
                return false;
            }
            let mut from = 0;
            let mut next = Vec::new();
            for token in tokens.iter().filter(|token| fits(element, token)) {
                while reached.get(from).is_some_and(|at| at + element.gap + 1 < token.ordinal) {
                    from += 1;
                }
                if reached.get(from).is_some_and(|at| *at < token.ordinal) {
                    next.push(token.ordinal);
                }
            }
            reached = next;
        }
        !reached.is_empty()
    }
}

/// Gathers the lines of a table.
#[derive(Default)]
struct Reader {
    gate: Vec<String>,
    opens: Vec<Opens>,
    worded: Vec<Phrase>,
    words: HashMap<Vec<u8>, u16>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some((name, text)) = line.split_once(" = ") {
            self.gate.push(text.trim().to_owned());
            self.opens.push(Opens::Literal(name.trim().to_owned()));
            return Ok(());
        }
        let (name, elements) =
            line.split_once(": ").ok_or("expected `name: elements` or `name = text`")?;
        let mut phrase = Phrase { name: name.trim().to_owned(), elements: Vec::new() };
        let (mut gap, mut gated) = (0, false);
        for item in elements.split_whitespace() {
            if let Some(words) = item.strip_prefix("..") {
                gap = words.parse().map_err(|_| format!("`{item}` is not a gap such as `..3`"))?;
                continue;
            }
            let marked = item.strip_prefix('!');
            gated |= marked.is_some();
            phrase.elements.push(self.element(marked.unwrap_or(item), gap, marked.is_some())?);
            gap = 0;
        }
        if !gated || phrase.elements.len() < 2 {
            return Err(format!("`{name}` needs two elements or more, one of them with a `!`"));
        }
        self.worded.push(phrase);
        Ok(())
    }

    /// Makes `word` open the phrase that is being read.
    fn open(&mut self, word: &str) {
        let phrase = self.worded.len();
        match self.gate.iter().position(|pattern| pattern == word).map(|at| &mut self.opens[at]) {
            Some(Opens::Worded(phrases)) => phrases.push(phrase),
            Some(Opens::Literal(_)) => {}
            None => {
                self.gate.push(word.to_owned());
                self.opens.push(Opens::Worded(vec![phrase]));
            }
        }
    }

    fn element(&mut self, alternatives: &str, gap: usize, gate: bool) -> Result<Element, String> {
        let mut element = Element { gap, words: Vec::new(), colon: alternatives.ends_with(':') };
        for word in alternatives.split('|') {
            let word = word.trim_end_matches(':').to_ascii_lowercase();
            if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(format!("`{word}` in `{alternatives}` is not a word"));
            }
            if word.len() > WORD_MAX {
                return Err(format!("`{word}` is longer than {WORD_MAX} letters"));
            }
            if gate {
                self.open(&word);
            }
            let id = u16::try_from(self.words.len()).map_err(|_| "too many words".to_owned())?;
            element.words.push(*self.words.entry(word.into_bytes()).or_insert(id));
        }
        Ok(element)
    }
}

/// `json` with the escapes of its strings undone; what is not an escape stays as it is.
fn unescape(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let units: Vec<u16> = escaped_units(tail);
        if units.is_empty() {
            let character = tail.chars().next();
            text.push(match character {
                Some('n' | 'r' | 't' | 'b' | 'f') | None => ' ',
                Some(other) => other,
            });
            rest = &tail[character.map_or(0, char::len_utf8)..];
        } else {
            text.push_str(&String::from_utf16_lossy(&units));
            rest = &tail[units.len() * 6 - 1..];
        }
    }
    text.push_str(rest);
    text
}

/// The UTF-16 units of consecutive `uXXXX` escapes at the start of `tail` (behind a backslash).
fn escaped_units(tail: &str) -> Vec<u16> {
    let mut units = Vec::new();
    let mut rest = tail.strip_prefix('u');
    while let Some(unit) = rest
        .and_then(|digits| digits.get(..4))
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|digits| u16::from_str_radix(digits, 16).ok())
    {
        units.push(unit);
        rest = rest.and_then(|digits| digits.get(4..)).and_then(|next| next.strip_prefix("\\u"));
    }
    units
}

#[cfg(test)]
#[path = "injection_tests.rs"]
mod tests;
