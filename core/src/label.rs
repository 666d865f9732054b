//! How sensitive a message is: a lattice of classification, categories and regions.
//!
//! A derived message carries the join of the labels of everything its sender has seen, so it is
//! never less protected than its inputs. Deciding what a label permits is the policies' business.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The category that marks personal data, given by content inspection or by the edge.
pub const PERSONAL: &str = "personal";

/// The category of text that tries to instruct a model, given by content inspection.
pub const UNTRUSTED: &str = "untrusted";

/// How far content may travel, from least to most protected.
///
/// Anything that is not exactly one of the four lower-case words reads as [`Self::Restricted`]:
/// an unknown or mis-cased classification is never a free pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Classification {
    /// Anyone may see it.
    Public,
    /// Anyone inside the tenant may see it.
    #[default]
    Internal,
    /// Only recipients cleared for confidential content.
    Confidential,
    /// Only recipients cleared for everything.
    Restricted,
}

impl Classification {
    /// The word used in JSON, configuration and rules.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Confidential => "confidential",
            Self::Restricted => "restricted",
        }
    }

    /// Reads a classification; whatever is unknown is [`Self::Restricted`].
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        match text {
            "public" => Self::Public,
            "internal" => Self::Internal,
            "confidential" => Self::Confidential,
            _ => Self::Restricted,
        }
    }
}

impl Serialize for Classification {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Classification {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(Self::from_text(&text))
    }
}

/// The label of one message or blob.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Label {
    /// How far the content may travel.
    pub classification: Classification,
    /// What kinds of content are inside, e.g. [`PERSONAL`].
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub categories: BTreeSet<String>,
    /// Regions that the content is bound to, e.g. `in`; a recipient must be within all of them.
    /// Empty means not stated.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub regions: BTreeSet<String>,
}

impl Label {
    /// A label with a classification and nothing else.
    #[must_use]
    pub fn new(classification: Classification) -> Self {
        Self { classification, ..Self::default() }
    }

    /// The same label with one more category.
    #[must_use]
    pub fn with_category(mut self, category: &str) -> Self {
        self.categories.insert(category.to_owned());
        self
    }

    /// The same label bound to one more region.
    #[must_use]
    pub fn with_region(mut self, region: &str) -> Self {
        self.regions.insert(region.to_owned());
        self
    }

    /// Whether content labelled `other` needs no more protection than this label gives.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.classification >= other.classification
            && other.categories.is_subset(&self.categories)
            && other.regions.is_subset(&self.regions)
    }

    /// The join of two labels, shared if it is one of them: most messages of a run have the same.
    pub(crate) fn joined(one: &Arc<Self>, other: &Arc<Self>) -> Arc<Self> {
        if one.covers(other) {
            one.clone()
        } else if other.covers(one) {
            other.clone()
        } else {
            Arc::new(one.join(other))
        }
    }

    /// The least label that covers both: the highest classification, every category, every region.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self {
            classification: self.classification.max(other.classification),
            categories: self.categories.union(&other.categories).cloned().collect(),
            regions: self.regions.union(&other.regions).cloned().collect(),
        }
    }
}

/// What a recipient may be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clearance {
    /// The highest classification that the recipient may receive.
    pub ceiling: Classification,
    /// The categories that the recipient may receive.
    pub categories: BTreeSet<String>,
    /// The region in which the recipient processes; `None` is the installation's home region.
    pub region: Option<String>,
}

impl Default for Clearance {
    fn default() -> Self {
        Self { ceiling: Classification::Internal, categories: BTreeSet::new(), region: None }
    }
}

impl Clearance {
    /// Clearance up to `ceiling`, for no category.
    #[must_use]
    pub fn up_to(ceiling: Classification) -> Self {
        Self { ceiling, ..Self::default() }
    }

    /// The same clearance for one more category.
    #[must_use]
    pub fn and_category(mut self, category: &str) -> Self {
        self.categories.insert(category.to_owned());
        self
    }

    /// The same clearance for a recipient that processes in `region`.
    #[must_use]
    pub fn in_region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels() -> impl Strategy<Value = Label> {
        let names = || proptest::collection::btree_set("[a-d]", 0..4);
        (0_u8..4, names(), names()).prop_map(|(rank, categories, regions)| Label {
            classification: match rank {
                0 => Classification::Public,
                1 => Classification::Internal,
                2 => Classification::Confidential,
                _ => Classification::Restricted,
            },
            categories,
            regions,
        })
    }

    #[test]
    fn an_unknown_or_mis_cased_classification_reads_as_restricted() {
        for text in ["top-secret", "PUBLIC", "Public", "", "pii", " public"] {
            assert_eq!(Classification::from_text(text), Classification::Restricted, "{text}");
        }
        let label: Label = serde_json::from_str(r#"{"classification":"PUBLIC"}"#).unwrap();
        assert_eq!(label.classification, Classification::Restricted);
    }

    proptest! {
        #[test]
        fn the_join_covers_both_of_its_inputs(a in labels(), b in labels()) {
            let join = a.join(&b);
            prop_assert!(join.covers(&a) && join.covers(&b));
        }

        #[test]
        fn the_join_is_the_least_cover(a in labels(), b in labels(), c in labels()) {
            if c.covers(&a) && c.covers(&b) {
                prop_assert!(c.covers(&a.join(&b)));
            }
        }

        #[test]
        fn join_is_commutative_associative_and_idempotent(
            a in labels(), b in labels(), c in labels(),
        ) {
            prop_assert_eq!(a.join(&b), b.join(&a));
            prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
            prop_assert_eq!(a.join(&a), a);
        }
    }
}
