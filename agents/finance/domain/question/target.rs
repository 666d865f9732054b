//! What a question is about: a category, several, a merchant, or something the statement lacks.
//!
//! Owns matching a question's words with the taxonomy's synonyms and with the names in the
//! statement. The longest phrase wins; of equals, what is broader.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::book::Book;
use super::super::taxonomy::Taxonomy;
use super::super::words;
use super::NAMES_MAX;
use super::vocabulary::LEXICON;

/// Longest text kept of something the statement lacks, in characters.
const UNMATCHED_CHARS_MAX: usize = 60;

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Target {
    /// Everything.
    All,
    /// One or more categories.
    Categories {
        /// How to call them together.
        name: String,
        /// Their codes.
        codes: Vec<String>,
    },
    /// One merchant.
    Merchant {
        /// Its name in the statement, or in the taxonomy if the statement lacks it.
        name: String,
    },
    /// Something that neither the taxonomy nor the statement knows.
    Unmatched {
        /// As it was asked.
        text: String,
    },
}

/// Words that introduce what a question is about.
const LEADS: &[&str] = &["on", "at", "to", "for", "with", "from", "by", "towards"];

/// Words that are never what a question is about.
const FILLERS: &[&str] = &[
    "the",
    "a",
    "an",
    "my",
    "me",
    "i",
    "we",
    "our",
    "us",
    "you",
    "it",
    "this",
    "that",
    "these",
    "those",
    "in",
    "of",
    "and",
    "or",
    "is",
    "are",
    "was",
    "were",
    "be",
    "am",
    "do",
    "does",
    "did",
    "have",
    "has",
    "had",
    "how",
    "much",
    "many",
    "what",
    "which",
    "where",
    "who",
    "whom",
    "when",
    "why",
    "all",
    "any",
    "everything",
    "things",
    "stuff",
    "total",
    "overall",
    "money",
    "spend",
    "spent",
    "spending",
    "spends",
    "pay",
    "paid",
    "paying",
    "cost",
    "costs",
    "expense",
    "expenses",
    "payments",
    "payment",
    "transactions",
    "transaction",
    "month",
    "months",
    "year",
    "week",
    "day",
    "each",
    "every",
    "per",
    "most",
    "so",
    "far",
    "please",
    "tell",
    "show",
    "give",
    "can",
    "could",
    "would",
    "should",
    "will",
    "there",
    "period",
    "statement",
    "account",
    "bank",
    "rupees",
    "rs",
    "inr",
    "average",
    "now",
    "usually",
    "usual",
    "normal",
    "normally",
    "someone",
    "something",
    "anything",
    "more",
    "less",
    "than",
    "not",
    "no",
    "go",
    "went",
    "out",
    "up",
    "about",
];

/// Whether a word belongs to the question rather than to what it is about.
fn is_plain(word: &str) -> bool {
    let asks = LEXICON.iter().any(|list| list.contains(&word));
    asks || FILLERS.contains(&word) || LEADS.contains(&word)
}

/// What the words are about.
pub(super) fn target(words: &[String], book: &Book<'_>) -> Target {
    let text = format!(" {} ", words.join(" "));
    if let Some(found) = phrase(&text, book) {
        return found;
    }
    if let Some(name) = nearly_merchant(words, book) {
        return Target::Merchant { name };
    }
    match unmatched(words) {
        Some(text) => Target::Unmatched { text },
        None => Target::All,
    }
}

/// The best match so far: its length, its rank among equals, and what it means.
struct Best<'a> {
    text: &'a str,
    found: Option<(usize, u8, Target)>,
}

impl Best<'_> {
    /// Takes the phrase if the text has it and it is longer, or ranks higher, than the best so far.
    fn offer(&mut self, phrase: &str, rank: u8, target: impl FnOnce() -> Target) {
        if self.beaten_by(phrase.len(), rank) && self.text.contains(phrase) {
            self.found = Some((phrase.len(), rank, target()));
        }
    }

    fn beaten_by(&self, len: usize, rank: u8) -> bool {
        len > 2 && self.found.as_ref().is_none_or(|(best, top, _)| (len, rank) > (*best, *top))
    }
}

/// The longest phrase of the taxonomy or the statement in the text; of equals a group, then a
/// category, then a merchant.
fn phrase(text: &str, book: &Book<'_>) -> Option<Target> {
    let taxonomy = Taxonomy::bundled();
    let mut best = Best { text, found: None };
    for group in taxonomy.groups() {
        let several =
            || Target::Categories { name: group.name.clone(), codes: group.members.clone() };
        for synonym in &group.synonyms {
            best.offer(&words::fold(synonym), 3, several);
        }
    }
    for category in taxonomy.categories() {
        let one = || Target::Categories {
            name: category.name.clone(),
            codes: vec![category.code.clone()],
        };
        let own = [category.code.as_str(), category.name.as_str()];
        for synonym in category.synonyms.iter().map(String::as_str).chain(own) {
            best.offer(&words::fold(synonym), 2, one);
        }
    }
    if let Some(known) = taxonomy.merchant(text) {
        let len = words::fold(known.name).len();
        if best.beaten_by(len, 1) {
            best.found = Some((len, 1, Target::Merchant { name: known.name.to_owned() }));
        }
    }
    for name in book.merchant_names() {
        let folded = words::fold(name);
        if folded.len() > 4 && !FILLERS.contains(&folded.trim()) {
            best.offer(&folded, 1, || Target::Merchant { name: name.to_string() });
        }
    }
    best.found.map(|(_, _, target)| target)
}

/// A merchant of the statement that one of the words is a slip of, or that begins with it.
fn nearly_merchant(words: &[String], book: &Book<'_>) -> Option<String> {
    let asked: BTreeSet<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| word.len() >= 4 && !is_plain(word))
        .collect();
    let mut names = book.merchant_names().iter().take(NAMES_MAX);
    names
        .find(|name| {
            let folded = words::fold(name);
            let mut parts = folded.split_whitespace();
            let first = parts.next().unwrap_or("");
            asked.iter().any(|word| words::nearly(word, first) || *word == first)
        })
        .map(ToString::to_string)
}

/// The words after the last introduction that could name something.
fn unmatched(words: &[String]) -> Option<String> {
    let lead = words.iter().rposition(|word| LEADS.contains(&word.as_str()))?;
    let named: Vec<&str> = words[lead + 1..]
        .iter()
        .map(String::as_str)
        .filter(|word| !is_plain(word) && word.chars().any(char::is_alphabetic))
        .take(4)
        .collect();
    let text: String = named.join(" ").chars().take(UNMATCHED_CHARS_MAX).collect();
    (!text.is_empty()).then_some(text)
}
