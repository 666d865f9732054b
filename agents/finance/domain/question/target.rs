//! What a question is about: a category, several, a merchant, or something the statement lacks.
//!
//! Owns matching a question's words with the taxonomy's synonyms and with the names in the
//! statement. The longest phrase wins; of equals, what is broader.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::book::Book;
use super::super::taxonomy::{Meant, Taxonomy};
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

static PLAIN: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let asking = LEXICON.iter().copied().flatten();
    asking.chain(FILLERS).chain(LEADS).copied().collect()
});

/// Whether a word belongs to the question rather than to what it is about.
fn is_plain(word: &str) -> bool {
    PLAIN.contains(word)
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

/// The longest phrase of the taxonomy or the statement in the text; of equals a group, then a
/// category, then a merchant.
fn phrase(text: &str, book: &Book<'_>) -> Option<Target> {
    let taxonomy = Taxonomy::bundled();
    let (mut best_len, mut best) = (0, None);
    if let Some(phrase) = taxonomy.phrase(text) {
        best_len = phrase.len;
        best = Some(match phrase.meant {
            Meant::Group(group) => {
                Target::Categories { name: group.name.clone(), codes: group.members.clone() }
            }
            Meant::Category(category) => Target::Categories {
                name: category.name.clone(),
                codes: vec![category.code.clone()],
            },
        });
    }
    if let Some(known) = taxonomy.merchant(text) {
        let len = words::fold(known.name).len();
        if len > best_len {
            (best_len, best) = (len, Some(Target::Merchant { name: known.name.to_owned() }));
        }
    }
    let mut folded = String::new();
    for name in book.merchant_names() {
        words::fold_into(&mut folded, name);
        let longer = folded.len() > best_len.max(4);
        if longer && text.contains(&folded) && !FILLERS.contains(&folded.trim()) {
            (best_len, best) = (folded.len(), Some(Target::Merchant { name: name.to_string() }));
        }
    }
    best
}

/// A merchant of the statement that one of the words is a slip of, or that begins with it.
fn nearly_merchant(words: &[String], book: &Book<'_>) -> Option<String> {
    let asked: BTreeSet<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| word.len() >= 4 && !is_plain(word))
        .collect();
    if asked.is_empty() {
        return None;
    }
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
