//! What a question wants to know.
//!
//! Owns reading it, by rules alone: the same question about the same statement always means the
//! same. It deliberately computes no answer, and calls no model.
//!
//! Words are corrected for a slip or two, a period and an amount are taken out, and the first rule
//! that fits decides. What fits no rule is [`Intent::Unknown`].

use std::cell::LazyCell;
use std::collections::HashSet;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::book::Book;
use super::compare::Against;
use super::period::{self, Period};
use super::taxonomy::Taxonomy;
use super::words;

mod amount;
mod rules;
mod target;
mod vocabulary;

pub use target::Target;

/// Most words of a question that are read.
pub const WORDS_MAX: usize = 60;
/// Most merchant names of a statement that typing mistakes are compared with.
const NAMES_MAX: usize = 20_000;
/// How many rows or groups are listed if the question does not say.
pub const COUNT_DEFAULT: u32 = 5;
/// Most rows or groups that can be asked for.
pub const COUNT_MAX: u32 = 20;

/// Examples of what can be asked; each is recognised.
pub const CAN_ASK: &[&str] = &[
    "What did I overspend on compared with last month?",
    "How much did I spend on food in March?",
    "How much did I pay Swiggy?",
    "Where does my money go?",
    "Who did I pay most?",
    "What are my 5 largest payments?",
    "Is anything unusual?",
    "Which subscriptions do I have?",
    "Which payments are recurring?",
    "Which prices went up?",
    "How much did I earn last month?",
    "What is my savings rate?",
    "What will be left over in the next 3 months?",
    "Can I afford ₹15,000 a month?",
    "How can I save money?",
    "Give me a summary",
];

/// What a question wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "intent", rename_all = "snake_case")]
pub enum Intent {
    /// What rose against an earlier time.
    Overspending {
        /// Against what.
        against: Against,
        /// The month asked about; the statement's last if absent.
        period: Option<Period>,
    },
    /// How much was spent on something.
    Spend {
        /// On what.
        target: Target,
        /// When; the whole statement if absent.
        period: Option<Period>,
    },
    /// The categories that took most.
    TopCategories {
        /// How many.
        count: u32,
        /// When.
        period: Option<Period>,
    },
    /// The merchants that took most.
    TopMerchants {
        /// How many.
        count: u32,
        /// When.
        period: Option<Period>,
    },
    /// The largest single rows.
    Largest {
        /// How many.
        count: u32,
        /// Money in rather than out.
        credits: bool,
        /// Of what.
        target: Target,
        /// When.
        period: Option<Period>,
    },
    /// Remarkable rows.
    Unusual,
    /// Payments that come back.
    Recurring,
    /// Those of them that are subscriptions.
    Subscriptions,
    /// Those of them that became dearer.
    PriceRises,
    /// How much came in.
    Income {
        /// From what.
        target: Target,
        /// When.
        period: Option<Period>,
    },
    /// What share of income was kept.
    SavingsRate {
        /// When.
        period: Option<Period>,
    },
    /// What the coming months will leave over.
    Forecast {
        /// How many months ahead.
        months: u32,
    },
    /// Whether an amount is affordable.
    Afford {
        /// Minor units; absent if the question names no amount.
        amount_minor: Option<i64>,
        /// Every month rather than once.
        monthly: bool,
    },
    /// What to do about it all.
    Advice,
    /// The latest balance.
    Balance,
    /// A bit of everything.
    Summary {
        /// When.
        period: Option<Period>,
    },
    /// None of these.
    Unknown,
}

/// A question while it is read.
struct Asked {
    /// The words left when period and comparison are taken out.
    words: Vec<String>,
    period: Option<Period>,
    against: Option<Against>,
    amount_minor: Option<i64>,
}

impl Asked {
    fn has(&self, any_of: &[&str]) -> bool {
        self.words.iter().any(|word| any_of.contains(&word.as_str()))
    }

    fn says(&self, any_of: &[&str]) -> bool {
        let starts = || (0..self.words.len()).map(|at| &self.words[at..]);
        any_of.iter().any(|phrase| starts().any(|words| begin_with(words, phrase)))
    }
}

/// Whether the first of the words are the words of the phrase.
fn begin_with(words: &[String], phrase: &str) -> bool {
    let mut rest = phrase;
    for word in words {
        match rest.strip_prefix(word.as_str()) {
            None => return false,
            Some("") => return true,
            Some(after) => match after.strip_prefix(' ') {
                None => return false,
                Some(next) => rest = next,
            },
        }
    }
    false
}

/// Reads a question about a statement.
#[must_use]
pub fn parse(question: &str, book: &Book<'_>) -> Intent {
    let mut words: Vec<String> = words::split(question).into_iter().take(WORDS_MAX).collect();
    correct(&mut words, book);
    let against = take_comparison(&mut words);
    let found = book.span().and_then(|(_, last)| period::parse(&words, last));
    let period = found.map(|found| {
        words.drain(found.used);
        found.period
    });
    let amount_minor = amount::amount_minor(&words, book.currency());
    rules::decide(&Asked { words, period, against, amount_minor }, book)
}

/// The words that questions and the taxonomy are made of.
struct Known {
    /// What a slip may be corrected to, in the order of preference.
    lexicon: Vec<&'static str>,
    /// The same, and the words of known merchants' names.
    all: HashSet<String>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut lexicon: Vec<&str> =
        vocabulary::LEXICON.iter().flat_map(|list| list.iter().copied()).collect();
    let taxonomy = Taxonomy::bundled();
    let synonyms = taxonomy.categories().iter().flat_map(|category| &category.synonyms);
    let groups = taxonomy.groups().iter().flat_map(|group| &group.synonyms);
    lexicon.extend(synonyms.chain(groups).flat_map(|synonym| synonym.split(' ')));
    let named = taxonomy.merchant_names().flat_map(words::split);
    let all = lexicon.iter().map(|word| (*word).to_owned()).chain(named).collect();
    Known { lexicon, all }
});

/// Replaces words that nobody knows by the known word that they are a slip of. Words of merchants'
/// names are known.
fn correct(words: &mut [String], book: &Book<'_>) {
    let named: LazyCell<HashSet<String>, _> = LazyCell::new(|| {
        let statement = book.merchant_names().iter().take(NAMES_MAX);
        statement.flat_map(|name| words::split(name)).collect()
    });
    let plain = |word: &&mut String| {
        word.len() >= 5 && word.bytes().all(|letter| letter.is_ascii_lowercase())
    };
    for word in words.iter_mut().filter(plain) {
        let known = KNOWN.all.contains(word) || period::month_number(word).is_some();
        if known || named.contains(word) {
            continue;
        }
        if let Some(meant) = KNOWN.lexicon.iter().find(|meant| words::nearly(word, meant)) {
            *word = (*meant).to_owned();
        }
    }
}

/// Takes `vs last month`, `than usual`, `compared to last year` out of the words.
fn take_comparison(words: &mut Vec<String>) -> Option<Against> {
    let at = |at: usize| words.get(at).map_or("", String::as_str);
    let marker = words.iter().position(|word| {
        ["vs", "versus", "than", "against", "compared", "relative", "comparison"]
            .contains(&word.as_str())
    })?;
    let mut end = marker + 1;
    while ["to", "with", "the", "my", "in", "a"].contains(&at(end)) {
        end += 1;
    }
    let (against, taken) = match (at(end), at(end + 1)) {
        ("last" | "previous" | "prior", "month") | ("month" | "one", "before") => {
            (Against::PreviousMonth, 2)
        }
        ("last" | "previous" | "prior", "year") | ("year", "before" | "ago") => {
            (Against::YearBefore, 2)
        }
        ("last" | "previous" | "earlier" | "past" | "other", "months") => {
            (Against::EarlierMonths, 2)
        }
        ("usual" | "normal" | "average" | "before" | "median" | "normally" | "usually", _) => {
            (Against::EarlierMonths, 1)
        }
        _ => return None,
    };
    let end = (end + taken).min(words.len());
    words.drain(marker..end);
    Some(against)
}

#[cfg(test)]
mod tests;
