//! The name of something new, and the forms it takes: file, id and type.

use anyhow::bail;

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 40;

/// Words that Rust 2024 keeps for itself; none can name a module.
#[rustfmt::skip]
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "union",
];

/// Names of files and crates that mean something else already.
const TAKEN: [&str; 7] = ["alloc", "core", "lib", "main", "std", "test", "user"];

/// Names that say nothing about what is inside; the style guide bans them.
const VAGUE: [&str; 5] = ["util", "utils", "helpers", "common", "misc"];

/// Types that the skeletons use, so that nothing in the same file can be called so.
#[rustfmt::skip]
const TYPES: [&str; 21] = [
    "Agent", "AgentError", "AgentSpec", "Case", "Context", "Decision", "Deserialize", "Facts",
    "Governed", "JsonSchema", "Judgement", "Message", "Option", "Payload", "Policy", "PolicyError",
    "Reply", "Request", "Result", "Serialize", "String",
];

/// A name that can be a module, an id and a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// Reads a name such as `greeter` or `exchange_rates`.
    ///
    /// # Errors
    /// Says what is wrong with it, and what would do.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let word = |part: &str| {
            part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9')) && !part.is_empty()
        };
        let starts_well = text.starts_with(|first: char| first.is_ascii_lowercase());
        if !starts_well || !text.split('_').all(word) {
            bail!(
                "`{text}` is not a name: use lower-case words of letters and digits with `_` \
                 between them, e.g. `exchange_rates`"
            );
        }
        if text.len() > NAME_BYTES_MAX {
            bail!("`{text}` is too long: use at most {NAME_BYTES_MAX} characters");
        }
        if KEYWORDS.contains(&text) {
            bail!("`{text}` is a word of Rust itself; choose another name");
        }
        if TAKEN.contains(&text) {
            bail!("`{text}` is reserved; choose another name");
        }
        if VAGUE.contains(&text) {
            bail!("`{text}` does not say what is inside; name the one thing that it does");
        }
        let name = Self(text.to_owned());
        if TYPES.contains(&name.pascal().as_str()) {
            let pascal = name.pascal();
            bail!("`{text}` would need a type `{pascal}`, which is taken; choose another name");
        }
        Ok(name)
    }

    /// The name of the module and file, e.g. `exchange_rates`.
    pub(super) fn snake(&self) -> &str {
        &self.0
    }

    /// The id of a policy, e.g. `exchange-rates`.
    pub(super) fn kebab(&self) -> String {
        self.0.replace('_', "-")
    }

    /// The name of the type, e.g. `ExchangeRates`.
    pub(super) fn pascal(&self) -> String {
        let capital = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
        self.0.split('_').map(capital).collect()
    }

    /// A template with the forms of the name in their places.
    pub(super) fn fill(&self, template: &str) -> String {
        template
            .replace("{{name}}", self.snake())
            .replace("{{id}}", &self.kebab())
            .replace("{{Type}}", &self.pascal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_form_for_file_id_and_type() {
        let name = Name::parse("exchange_rates2").unwrap();
        assert_eq!(name.snake(), "exchange_rates2");
        assert_eq!(name.kebab(), "exchange-rates2");
        assert_eq!(name.pascal(), "ExchangeRates2");
    }

    #[test]
    fn what_cannot_be_a_module_an_id_and_a_type_is_refused_with_a_reason() {
        let cases = [
            ("", "is not a name"),
            ("Greeter", "is not a name"),
            ("2nd", "is not a name"),
            ("my-agent", "is not a name"),
            ("_hidden", "is not a name"),
            ("double__bar", "is not a name"),
            ("../escape", "is not a name"),
            ("naïve", "is not a name"),
            ("match", "a word of Rust"),
            ("gen", "a word of Rust"),
            ("user", "reserved"),
            ("std", "reserved"),
            ("utils", "does not say what is inside"),
            ("request", "a type `Request`"),
            ("agent_spec", "a type `AgentSpec`"),
            ("a_name_that_is_longer_than_anyone_can_read", "too long"),
        ];
        for (text, expected) in cases {
            let error = Name::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
