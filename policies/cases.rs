//! Cases: messages with the decision that a rule or check must come to, as text beside the rules.
//!
//! ```toml
//! [[case]]
//! rule = "question-length"              # the id of a rule or of a built-in check
//! name = "a short question passes"
//! message = { kind = "question.asked", to = "supervisor", payload = { question = "why?" } }
//! recipient = { ceiling = "public" }    # optional; also categories, region, roles_any, …
//! expect = "allow"                      # or "redact", "require_approval", "deny"
//! ```

use genie_core::label::{Classification, Clearance};
use genie_core::policy::{Decision, Recipient};
use genie_core::specimen::Specimen;
use serde::Deserialize;
use toml::Spanned;

use crate::rules::{Problem, line_at, toml_problem};
use crate::source::File;
use crate::surroundings::Surroundings;

/// One case, ready to run.
#[derive(Debug, Clone)]
pub struct Case {
    /// The file that it stands in.
    pub file: String,
    /// Where it begins, counted from 1.
    pub line: usize,
    /// The id of the rule or check that it tests.
    pub rule: String,
    /// What it shows, as a sentence.
    pub name: String,
    /// The message.
    pub specimen: Specimen,
    /// What stands around the message.
    pub surroundings: Surroundings,
    /// The decision that the rule must come to.
    pub expect: Decision,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(default)]
    case: Vec<Spanned<CaseText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseText {
    rule: String,
    name: String,
    message: Specimen,
    #[serde(default)]
    recipient: RecipientText,
    run_tenant: Option<String>,
    expect: Decision,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RecipientText {
    ceiling: Classification,
    categories: Vec<String>,
    region: Option<String>,
    roles_any: Vec<String>,
    scopes_all: Vec<String>,
    consent: Option<String>,
}

impl From<RecipientText> for Recipient {
    fn from(text: RecipientText) -> Self {
        Self {
            clearance: Clearance {
                ceiling: text.ceiling,
                categories: text.categories.into_iter().collect(),
                region: text.region,
            },
            roles_any: text.roles_any,
            scopes_all: text.scopes_all,
            consent: text.consent,
        }
    }
}

/// Reads a file of cases.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse(file: &File) -> Result<Vec<Case>, Problem> {
    let read: FileText =
        toml::from_str(&file.text).map_err(|error| toml_problem(&file.name, &file.text, &error))?;
    let case = |text: Spanned<CaseText>| {
        let line = line_at(&file.text, text.span().start);
        let text = text.into_inner();
        let mut surroundings = Surroundings::of(&text.message);
        surroundings.recipient = text.recipient.into();
        if let Some(tenant) = text.run_tenant {
            surroundings.run_tenant = tenant;
        }
        Case {
            file: file.name.clone(),
            line,
            rule: text.rule,
            name: text.name,
            specimen: text.message,
            surroundings,
            expect: text.expect,
        }
    };
    Ok(read.case.into_iter().map(case).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Problem {
        let file = File { name: "c.toml".into(), text: text.into() };
        parse(&file).unwrap_err()
    }

    #[test]
    fn a_slip_in_a_case_is_reported_with_its_line() {
        let good = "[[case]]\nrule = \"r\"\nname = \"n\"\n\
                    message = { kind = \"k\", to = \"a\" }\nexpect = \"deny\"\n";
        let slips = [
            (good.replace("expect", "expects"), 5, "unknown field `expects`"),
            (good.replace("to = ", "tu = "), 4, "unknown field `tu`"),
            (good.replace("\"deny\"", "\"denied\""), 5, "unknown variant `denied`"),
            (good.replace("name", "nome"), 3, "unknown field `nome`"),
        ];
        for (text, line, message) in slips {
            let problem = problem(&text);
            assert!(problem.message.contains(message), "{problem}");
            assert_eq!(problem.line, line, "{problem}");
        }
    }
}
