//! What a rule may name: the fields of a message, the functions, and the types of both.
//!
//! One table serves the type check, the hints and the documentation. How a message becomes a value
//! is in `context.rs`.

/// The type of an expression, as far as it is known when a rule is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    /// Known only when the rule runs: the payload and what comes out of it.
    Any,
    /// True or false.
    Bool,
    /// A number, whole or not.
    Number,
    /// Text.
    Text,
    /// The classification: text, one of four words, never ordered as text.
    Classification,
    /// Bytes, written `b"…"`.
    Bytes,
    /// Null.
    Null,
    /// A list of one type.
    List(Box<Type>),
    /// A map that the rule writes out.
    Map,
    /// `message`, `message.label` or `message.principal`.
    Record(&'static Record),
}

/// A part of the message with known fields.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// How a rule writes it.
    pub(super) path: &'static str,
    /// Name and type of each field.
    pub(super) fields: &'static [(&'static str, Field)],
}

/// The type of a field, in a form that a constant can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// Known when the rule runs.
    Any,
    /// A whole number.
    Number,
    /// Text.
    Text,
    /// One of the four classifications.
    Classification,
    /// A list of text.
    Texts,
    /// A part with fields of its own.
    Record(&'static Record),
}

/// The one variable of a rule.
pub(super) const MESSAGE: Record = Record {
    path: "message",
    fields: &[
        ("kind", Field::Text),
        ("from", Field::Text),
        ("to", Field::Text),
        ("payload", Field::Any),
        ("label", Field::Record(&LABEL)),
        ("principal", Field::Record(&PRINCIPAL)),
        ("bytes", Field::Number),
        ("hops", Field::Number),
    ],
};

const LABEL: Record = Record {
    path: "message.label",
    fields: &[
        ("classification", Field::Classification),
        ("categories", Field::Texts),
        ("regions", Field::Texts),
    ],
};

const PRINCIPAL: Record = Record {
    path: "message.principal",
    fields: &[
        ("tenant", Field::Text),
        ("subject", Field::Text),
        ("roles", Field::Texts),
        ("scopes", Field::Texts),
        ("consents", Field::Texts),
    ],
};

/// The words that a classification can be.
pub(super) const CLASSIFICATIONS: &[&str] = &["public", "internal", "confidential", "restricted"];

/// The functions that a rule may call, and CEL's macros.
pub(super) const FUNCTIONS: &[&str] = &[
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "int",
    "double",
    "string",
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
];

impl Field {
    /// The type of the field.
    pub(super) fn as_type(self) -> Type {
        match self {
            Self::Any => Type::Any,
            Self::Number => Type::Number,
            Self::Text => Type::Text,
            Self::Classification => Type::Classification,
            Self::Texts => Type::List(Box::new(Type::Text)),
            Self::Record(record) => Type::Record(record),
        }
    }
}

impl Record {
    /// The type of a field, if there is one of this name.
    pub(super) fn field(&self, name: &str) -> Option<Type> {
        let (_, field) = self.fields.iter().find(|(field, _)| *field == name)?;
        Some(field.as_type())
    }
}

impl Type {
    /// How an error message calls it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Any => "a value of the payload",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "text",
            Self::Classification => "the classification",
            Self::Bytes => "bytes",
            Self::Null => "null",
            Self::List(_) => "a list",
            Self::Map => "a map",
            Self::Record(record) => record.path,
        }
    }

    /// Whether values of the two types can be equal.
    pub(super) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _)
            | (_, Self::Any)
            | (Self::Text | Self::Classification, Self::Text | Self::Classification) => true,
            (Self::List(one), Self::List(two)) => one.meets(two),
            (one, two) => one == two,
        }
    }
}

/// The candidate nearest to `name`, if one is near enough to be meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters, letter case aside.
fn distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (line, a) in one.to_lowercase().chars().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (column, b) in two.iter().enumerate() {
            let change = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = change.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_the_name_and_a_stranger_finds_none() {
        let names = ["classification", "categories", "regions"];
        assert_eq!(nearest("clasification", names), Some("classification"));
        assert_eq!(nearest("Region", names), Some("regions"));
        assert_eq!(nearest("weather", names), None);
    }
}
