//! What people type for categories and groups of them, found in one pass over a question.
//!
//! Owns the synonyms, codes and names of the taxonomy as one matcher. It knows no merchants.

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

use super::{Category, Group};
use crate::finance::domain::words;

/// What a phrase means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant<'a> {
    /// Several categories.
    Group(&'a Group),
    /// One category.
    Category(&'a Category),
}

/// A phrase found in a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phrase<'a> {
    /// Its length in bytes, with a space before and behind.
    pub len: usize,
    /// What it means.
    pub meant: Meant<'a>,
}

/// Every phrase, groups before categories, each in the order of the file.
#[derive(Debug)]
pub(super) struct Phrases {
    matcher: AhoCorasick,
    /// For each pattern, the position of its group or, behind the groups, of its category.
    meanings: Vec<usize>,
}

impl Phrases {
    /// Compiles the phrases.
    ///
    /// # Errors
    /// If they do not fit the matcher.
    pub(super) fn of(groups: &[Group], categories: &[Category]) -> Result<Self, BuildError> {
        let of_groups = groups.iter().map(|group| group.synonyms.iter().collect());
        let of_categories = categories.iter().map(|category| {
            category.synonyms.iter().chain([&category.code, &category.name]).collect()
        });
        let texts: Vec<Vec<&String>> = of_groups.chain(of_categories).collect();
        let phrases = texts.iter().enumerate().flat_map(|(meaning, texts)| {
            texts.iter().map(move |text| (words::fold(text), meaning))
        });
        let named = phrases.filter(|(phrase, _)| phrase.len() > 2);
        let (patterns, meanings): (Vec<String>, Vec<usize>) = named.unzip();
        let matcher = AhoCorasick::builder().match_kind(MatchKind::Standard).build(patterns)?;
        Ok(Self { matcher, meanings })
    }

    /// The longest phrase in a folded text; of equals a group's, then the first of the file.
    pub(super) fn longest<'a>(
        &self,
        folded: &str,
        groups: &'a [Group],
        categories: &'a [Category],
    ) -> Option<Phrase<'a>> {
        let hits = self.matcher.find_overlapping_iter(folded);
        let best = hits.min_by_key(|hit| (std::cmp::Reverse(hit.len()), hit.pattern()))?;
        let meaning = *self.meanings.get(best.pattern().as_usize())?;
        let category = |at: usize| categories.get(at).map(Meant::Category);
        let meant = match meaning.checked_sub(groups.len()) {
            None => groups.get(meaning).map(Meant::Group),
            Some(at) => category(at),
        };
        Some(Phrase { len: best.len(), meant: meant? })
    }
}
