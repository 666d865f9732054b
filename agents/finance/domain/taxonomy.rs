//! The one taxonomy: category codes, the words people use for them, and the rules that find them.
//!
//! Owns `taxonomy.toml` and its lookup. It deliberately does not look at amounts beyond their
//! sign, and learns nothing: the same row always gets the same category.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use serde::Deserialize;

use super::ledger::{Categories, Ledger, Merchants};
use super::{merchant, words};

mod phrases;

use phrases::Phrases;
pub use phrases::{Meant, Phrase};

/// Code of rows that no rule places.
pub const UNCATEGORIZED: &str = "uncategorized";
/// Code of credits that give spending back.
pub const REFUND: &str = "income:refund";
/// Code of credits from people.
pub const TRANSFER_IN: &str = "income:transfer";
/// Code of debits to people.
pub const TRANSFER_OUT: &str = "transfer:person";
/// Code of credits that no rule places.
pub const INCOME_OTHER: &str = "income:other";
/// Code of cash withdrawals.
pub const CASH: &str = "cash:atm";

/// One category of the taxonomy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a line of its own in the data file")]
pub struct Category {
    /// What agents exchange, e.g. `food:delivery`.
    pub code: String,
    /// What people read, e.g. `Food delivery`.
    pub name: String,
    /// Never advised for trimming: rent, tax, instalments, insurance, utilities and the like.
    #[serde(default)]
    pub essential: bool,
    /// The row does not say what the money bought.
    #[serde(default)]
    pub opaque: bool,
    /// A regular payment of this category counts as a subscription.
    #[serde(default)]
    pub subscription: bool,
    /// The category is for money in.
    #[serde(default)]
    pub income: bool,
    /// What people type.
    #[serde(default)]
    pub synonyms: Vec<String>,
    /// What a statement's own category column says.
    #[serde(default)]
    stated: Vec<String>,
    /// Words in a narration.
    #[serde(default)]
    keywords: Vec<String>,
    /// Display name to narration words.
    #[serde(default)]
    merchants: BTreeMap<String, Vec<String>>,
}

/// Several categories under one word, e.g. `Eating out`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What people read.
    pub name: String,
    /// What people type.
    pub synonyms: Vec<String>,
    /// Codes of the categories meant.
    pub members: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    category: Vec<Category>,
    group: Vec<Group>,
}

/// What one pattern of the matcher reveals.
#[derive(Debug, Clone)]
enum Rule {
    Merchant { name: Box<str>, category: usize },
    Keyword { category: usize },
}

/// A known merchant found in a narration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<'a> {
    /// Name for display, e.g. `Swiggy`.
    pub name: &'a str,
    /// Index of its category in [`Taxonomy::categories`].
    pub category: usize,
}

/// What the rules find in one narration.
#[derive(Debug, Clone, Copy, Default)]
struct Found<'a> {
    merchant: Option<Known<'a>>,
    spending: Option<usize>,
    income: Option<usize>,
}

/// The taxonomy, ready to match.
#[derive(Debug)]
pub struct Taxonomy {
    categories: Vec<Category>,
    groups: Vec<Group>,
    matcher: AhoCorasick,
    rules: Vec<Rule>,
    phrases: Phrases,
    stated: HashMap<String, usize>,
    codes: HashMap<String, usize>,
}

static BUNDLED: LazyLock<Taxonomy> = LazyLock::new(|| {
    #[expect(
        clippy::expect_used,
        reason = "the text is compiled in, and the test `the_bundled_taxonomy_is_sound` reads it"
    )]
    Taxonomy::parse(include_str!("taxonomy.toml")).expect("the bundled taxonomy is sound")
});

/// Why a taxonomy file is unusable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not TOML, or not the expected shape.
    #[error("the taxonomy cannot be read")]
    Shape(#[from] toml::de::Error),
    /// The patterns do not fit the matcher.
    #[error("the taxonomy's patterns cannot be compiled")]
    Patterns(#[from] aho_corasick::BuildError),
    /// A group names a category that does not exist, or a needed category is missing.
    #[error("the taxonomy names `{0}`, which is no category; add it or correct the name")]
    NoCategory(String),
}

impl Taxonomy {
    /// The taxonomy that Genie ships.
    #[must_use]
    pub fn bundled() -> &'static Self {
        &BUNDLED
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let File { category: categories, group: groups } = toml::from_str(text)?;
        let codes: HashMap<String, usize> =
            categories.iter().enumerate().map(|(at, one)| (one.code.clone(), at)).collect();
        let needed = [UNCATEGORIZED, REFUND, TRANSFER_IN, TRANSFER_OUT, INCOME_OTHER, CASH];
        let named = groups.iter().flat_map(|group| group.members.iter().map(String::as_str));
        if let Some(missing) = named.chain(needed).find(|code| !codes.contains_key(*code)) {
            return Err(Error::NoCategory(missing.to_owned()));
        }
        let (patterns, rules) = compile(&categories);
        let stated = categories
            .iter()
            .enumerate()
            .flat_map(|(at, one)| {
                let own = [words::fold(&one.code), words::fold(&one.name)];
                one.stated.iter().map(|text| words::fold(text)).chain(own).map(move |key| (key, at))
            })
            .collect();
        let matcher = AhoCorasick::builder().match_kind(MatchKind::Standard).build(patterns)?;
        let phrases = Phrases::of(&groups, &categories)?;
        Ok(Self { categories, groups, matcher, rules, phrases, stated, codes })
    }

    /// Every category, in the order of the file.
    #[must_use]
    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// Every group of categories.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The category with this code.
    #[must_use]
    pub fn get(&self, code: &str) -> Option<&Category> {
        self.codes.get(code).map(|at| &self.categories[*at])
    }

    /// The name for display of a code; an unknown code is its own name.
    #[must_use]
    pub fn name<'a>(&'a self, code: &'a str) -> &'a str {
        self.get(code).map_or(code, |category| &category.name)
    }

    /// The names for display of every known merchant.
    pub fn merchant_names(&self) -> impl Iterator<Item = &str> {
        self.categories.iter().flat_map(|one| one.merchants.keys().map(String::as_str))
    }

    /// Whether spending of this category may be advised to shrink.
    #[must_use]
    pub fn trimmable(&self, code: &str) -> bool {
        self.get(code).is_some_and(|one| !one.essential && !one.opaque && !one.income)
    }

    /// The category that a statement's own word for it means.
    #[must_use]
    pub fn stated(&self, text: &str) -> Option<&Category> {
        self.stated.get(&words::fold(text)).map(|at| &self.categories[*at])
    }

    /// The longest phrase in a folded question that means categories; of equals a group's.
    #[must_use]
    pub fn phrase(&self, folded: &str) -> Option<Phrase<'_>> {
        self.phrases.longest(folded, &self.groups, &self.categories)
    }

    /// The known merchant in a narration, matched at word boundaries; the longest match wins, then
    /// the earliest.
    #[must_use]
    pub fn merchant(&self, narration: &str) -> Option<Known<'_>> {
        self.merchant_in(&words::fold(narration))
    }

    /// As [`Taxonomy::merchant`], in a narration that is folded already.
    #[must_use]
    pub fn merchant_in(&self, folded: &str) -> Option<Known<'_>> {
        self.find(folded).merchant
    }

    /// Runs the rules over a folded narration.
    fn find(&self, folded: &str) -> Found<'_> {
        let mut found = Found::default();
        let (mut merchant_len, mut spending_len, mut income_len) = (0, 0, 0);
        for hit in self.matcher.find_overlapping_iter(folded) {
            match &self.rules[hit.pattern().as_usize()] {
                Rule::Merchant { name, category } if hit.len() > merchant_len => {
                    merchant_len = hit.len();
                    found.merchant = Some(Known { name, category: *category });
                }
                Rule::Keyword { category } => {
                    let income = self.categories[*category].income;
                    let (slot, longest) = if income {
                        (&mut found.income, &mut income_len)
                    } else {
                        (&mut found.spending, &mut spending_len)
                    };
                    if hit.len() > *longest {
                        *longest = hit.len();
                        *slot = Some(*category);
                    }
                }
                Rule::Merchant { .. } => {}
            }
        }
        found
    }

    /// The category of one row, as an index into [`Taxonomy::categories`].
    ///
    /// Debits: a known merchant, else a narration keyword, else the file's own category, else a
    /// transfer if the narration is one, else `uncategorized`. A keyword only refines what the file
    /// says: where both speak of different families (`food`, `utilities`), the file is believed.
    ///
    /// Credits: an income keyword, else the file's own income category, else a known merchant's
    /// credit is a refund, else money from a person, else other income.
    fn place(&self, row: &Placed<'_>) -> usize {
        let found = self.find(&words::fold(row.description));
        let stated = row.stated.and_then(|text| self.stated.get(&words::fold(text)).copied());
        let at = |code: &str| self.codes.get(code).copied().unwrap_or_default();
        if row.credit {
            let stated = stated.filter(|at| self.categories[*at].income);
            let refund = found.merchant.map(|_| at(REFUND));
            let person = merchant::is_transfer(row.description).then(|| at(TRANSFER_IN));
            return found.income.or(stated).or(refund).or(person).unwrap_or(at(INCOME_OTHER));
        }
        let stated = stated.filter(|at| !self.categories[*at].income);
        let family = |at: usize| self.categories[at].code.split(':').next().unwrap_or_default();
        let keyword = found.spending.filter(|keyword| {
            stated.is_none_or(|stated| {
                family(*keyword) == family(stated) || self.categories[stated].code == UNCATEGORIZED
            })
        });
        let person = merchant::is_transfer(row.description).then(|| at(TRANSFER_OUT));
        let known = found.merchant.map(|known| known.category);
        known.or(keyword).or(stated).or(person).unwrap_or(at(UNCATEGORIZED))
    }
}

/// What [`Taxonomy::place`] looks at.
#[derive(PartialEq, Eq, Hash)]
struct Placed<'a> {
    description: &'a str,
    stated: Option<&'a str>,
    credit: bool,
}

/// The patterns of the matcher, each ` word … `, and what each reveals.
fn compile(categories: &[Category]) -> (Vec<String>, Vec<Rule>) {
    let mut patterns = Vec::new();
    let mut rules = Vec::new();
    for (category, one) in categories.iter().enumerate() {
        for (name, texts) in &one.merchants {
            for text in texts {
                patterns.push(words::fold(text));
                rules.push(Rule::Merchant { name: name.as_str().into(), category });
            }
        }
        for text in &one.keywords {
            patterns.push(words::fold(text));
            rules.push(Rule::Keyword { category });
        }
    }
    (patterns, rules)
}

/// Places every row of the ledger in the taxonomy.
///
/// A merchant overlay that knows a row's merchant by its display name counts as much as the
/// narration itself. Rows beyond the overlay's end are placed by their narration alone.
#[must_use]
pub fn categorise(ledger: &Ledger, merchants: &Merchants) -> Categories {
    let taxonomy = Taxonomy::bundled();
    let by_name: Vec<Option<usize>> = merchants
        .names
        .iter()
        .map(|name| taxonomy.merchant(name).map(|known| known.category))
        .collect();
    let mut placed: HashMap<Placed<'_>, usize> = HashMap::new();
    let mut slots: Vec<Option<u16>> = vec![None; taxonomy.categories.len()];
    let mut codes: Vec<Box<str>> = Vec::new();
    let mut of_row = Vec::with_capacity(ledger.entries.len());
    for (at, entry) in ledger.entries.iter().enumerate() {
        let row = Placed {
            description: &entry.description,
            stated: entry.stated_category.as_deref(),
            credit: entry.amount_minor > 0,
        };
        let named = merchants
            .of_row
            .get(at)
            .and_then(|name| by_name.get(*name as usize).copied().flatten())
            .filter(|_| !row.credit);
        let category = named
            .unwrap_or_else(|| *placed.entry(row).or_insert_with_key(|row| taxonomy.place(row)));
        let slot = slots[category].unwrap_or_else(|| {
            codes.push(taxonomy.categories[category].code.as_str().into());
            (codes.len() - 1) as u16
        });
        slots[category] = Some(slot);
        of_row.push(slot);
    }
    Categories { codes, of_row }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finance::domain::fixture::statement;

    #[test]
    fn the_bundled_taxonomy_is_sound() {
        let taxonomy = Taxonomy::parse(include_str!("taxonomy.toml")).unwrap();
        let merchants: usize = taxonomy.categories.iter().map(|one| one.merchants.len()).sum();
        assert!(merchants >= 100, "{merchants} merchants");
        let mut patterns: Vec<String> = compile(&taxonomy.categories).0;
        patterns.sort();
        let twice: Vec<_> = patterns.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "a word must lead to one category: {twice:?}");
        let essentials =
            ["housing:rent", "tax", "finance:emi", "finance:insurance", "utilities:power"];
        for code in essentials {
            assert!(!taxonomy.trimmable(code), "{code}");
        }
        assert!(taxonomy.trimmable("food:delivery"));
    }

    #[track_caller]
    fn check(narration: &str, stated: &str, amount: i64, expected: &str) {
        let statement = statement([("2026-01-01", narration, stated, amount)]);
        let Categories { codes, of_row } = &statement.categories;
        assert_eq!(&*codes[usize::from(of_row[0])], expected, "{narration}");
    }

    #[test]
    fn debits_are_placed_by_merchant_keyword_and_stated_category() {
        let cases = [
            ("UPI/412345678901/Swiggy/swiggy@ybl/Payment", "", "food:delivery"),
            ("SWIGGY INSTAMART", "", "food:groceries"),
            ("Electricity bill", "Utilities", "utilities:power"),
            ("Monthly payment", "Utilities", "utilities:other"),
            ("Rent payment", "Housing", "housing:rent"),
            ("CURRENT ACCOUNT SWEEP", "", UNCATEGORIZED),
            ("MOTOROLA STORE", "", UNCATEGORIZED),
            ("OLA CABS BANGALORE", "", "transport:ride"),
            ("Uber ride", "", "transport:ride"),
            ("UBER EATS", "", "food:delivery"),
            ("NACH/DR/HDFC LTD HOME LOAN EMI", "", "finance:emi"),
            ("REMINDER SERVICES", "", UNCATEGORIZED),
            ("LIC PREMIUM", "", "finance:insurance"),
            ("CHEMIST CORNER", "", "health"),
            ("ACH D- INDIAN CLEARING CORP-SIP", "", "invest:sip"),
            ("ATM WDL 412345 MG ROAD", "", "cash:atm"),
            ("TREATMENT SUPPLIES", "", UNCATEGORIZED),
            ("AMAZON PRIME VIDEO", "", "entertainment:streaming"),
            ("Amazon order", "Shopping", "shopping:online"),
            ("INDIAN OIL PETROL PUMP", "", "transport:fuel"),
            ("IMPS/P2A/412345678901/PRIYA K/HDFC", "", "transfer:person"),
            ("ADVANCE TAX CHALLAN", "", "tax"),
            ("Corner shop", "Groceries", "food:groceries"),
            ("Corner cafe", "Groceries", "food:dining"),
        ];
        for (narration, stated, expected) in cases {
            check(narration, stated, -1_000, expected);
        }
    }

    #[test]
    fn credits_are_placed_by_what_they_say_they_are() {
        let cases = [
            ("NEFT CR-ACME CORP-SALARY JAN", "", "income:salary"),
            ("Salary", "Income", "income:salary"),
            ("INT PD 01-10-2025 TO 31-12-2025", "", "income:interest"),
            ("AMAZON REFUND 403-123", "", REFUND),
            ("UPI/412345678901/Amazon/amazon@apl", "", REFUND),
            ("UPI/412345678901/RAHUL/rahul@ybl", "", TRANSFER_IN),
            ("Cheque 123", "", INCOME_OTHER),
        ];
        for (narration, stated, expected) in cases {
            check(narration, stated, 1_000, expected);
        }
    }
}
