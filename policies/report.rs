//! What `genie policy check`, `test` and `explain` have to say, as values to print or serialise.

use std::collections::BTreeSet;
use std::sync::Arc;

use genie_core::payload;
use genie_core::policy::{Decision, Explained, Policy, PolicySet, Requirement};
use genie_core::specimen::Specimen;
use serde::Serialize;

use crate::cases::{self, Case};
use crate::rules::{ID_PREFIX, Problem, Rule, RuleFile, nearest};
use crate::source::Source;
use crate::surroundings::Surroundings;

/// What one rule is.
#[derive(Debug, Clone, Serialize)]
pub struct RuleSummary {
    /// The id in the chain, e.g. `rule/question-length`.
    pub id: String,
    /// Where it begins in its file.
    pub line: usize,
    /// What it is for.
    pub description: String,
    /// The kinds that it is run on; empty for all.
    pub kinds: Vec<String>,
    /// What it decides when its condition is met.
    pub decision: Decision,
    /// What the approval needs that it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Requirement>,
}

/// One file of rules.
#[derive(Debug, Clone, Serialize)]
pub struct FileSummary {
    /// The file.
    pub file: String,
    /// The first twelve hex digits of the SHA-256 of its text.
    pub version: String,
    /// Its rules, in order.
    pub rules: Vec<RuleSummary>,
}

/// The outcome of a check.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CheckReport {
    /// The files; empty if any problem was found in a rule.
    pub files: Vec<FileSummary>,
    /// Everything that is wrong, in order of files and lines.
    pub problems: Vec<Problem>,
    /// Rules without a case.
    pub untested: Vec<String>,
}

impl CheckReport {
    /// Whether the rules and cases can be used.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// The outcome of one case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseResult {
    /// The file of the case.
    pub file: String,
    /// Where the case begins.
    pub line: usize,
    /// The rule or check.
    pub rule: String,
    /// What the case shows.
    pub name: String,
    /// The decision that the case expects.
    pub expected: Decision,
    /// The decision that the rule came to.
    pub actual: Decision,
    /// The reason it gave; empty if it allows.
    pub reason: String,
    /// Whether the two decisions are one.
    pub passed: bool,
}

/// The outcome of all cases.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TestReport {
    /// Every case, in order of files and lines.
    pub cases: Vec<CaseResult>,
    /// What keeps cases from running.
    pub problems: Vec<Problem>,
    /// Rules without a case.
    pub untested: Vec<String>,
}

impl TestReport {
    /// Whether every case ran and came out as expected.
    pub fn passed(&self) -> bool {
        self.problems.is_empty() && self.cases.iter().all(|case| case.passed)
    }
}

/// What a chain says of one message, policy by policy.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The strictest decision.
    pub decision: Decision,
    /// The policy that made it.
    pub policy: Arc<str>,
    /// That policy's version.
    pub policy_version: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// What the approval needs, if one is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Requirement>,
    /// The version of the whole chain.
    pub set_version: String,
    /// Every policy's own answer, in order.
    pub steps: Vec<Explained>,
}

/// Checks rules and cases without running anything.
pub fn check(source: &Source) -> CheckReport {
    let mut report = CheckReport::default();
    let rules = match source.rule_files() {
        Ok(files) => files,
        Err(problems) => {
            report.problems = problems;
            Vec::new()
        }
    };
    let (cases, problems) = read_cases(source);
    report.problems.extend(problems);
    report.untested = untested(&rules, &cases);
    report.files = rules.iter().map(summary).collect();
    report
}

/// Runs every case against the rule or check that it names.
pub fn test(source: &Source) -> TestReport {
    let mut report = TestReport::default();
    let rules = match source.rule_files() {
        Ok(files) => files,
        Err(problems) => {
            report.problems = problems;
            return report;
        }
    };
    let (cases, problems) = read_cases(source);
    report.problems = problems;
    report.untested = untested(&rules, &cases);
    let mut policies = crate::baseline();
    let all_rules = rules.iter().flat_map(RuleFile::rules);
    policies.extend(all_rules.map(|rule| rule.clone() as Arc<dyn Policy>));
    for case in &cases {
        match run(case, &policies) {
            Ok(result) => report.cases.push(result),
            Err(problem) => report.problems.push(problem),
        }
    }
    report
}

/// What `set` says of a message, and each of its policies by itself.
///
/// # Errors
/// If the specimen's payload has no JSON form.
pub fn explain(
    set: &PolicySet,
    specimen: &Specimen,
    surroundings: &Surroundings,
) -> Result<Explanation, payload::Error> {
    let message = specimen.message()?;
    let facts = surroundings.facts();
    let verdict = set.preview(&message, &facts);
    Ok(Explanation {
        decision: verdict.decision,
        policy: verdict.policy.clone(),
        policy_version: verdict.policy_version.clone(),
        reason: verdict.reason.clone(),
        approval: verdict.requirement.clone(),
        set_version: set.version().to_owned(),
        steps: set.explain(&message, &facts),
    })
}

fn read_cases(source: &Source) -> (Vec<Case>, Vec<Problem>) {
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for file in &source.cases {
        match cases::parse(file) {
            Ok(cases) => read.extend(cases),
            Err(problem) => problems.push(problem),
        }
    }
    (read, problems)
}

fn untested(files: &[RuleFile], cases: &[Case]) -> Vec<String> {
    let tested: BTreeSet<&str> = cases.iter().map(|case| bare(&case.rule)).collect();
    let names = files.iter().flat_map(RuleFile::rules).map(|rule| rule.name());
    names.filter(|name| !tested.contains(name)).map(str::to_owned).collect()
}

fn summary(file: &RuleFile) -> FileSummary {
    let rule = |rule: &Arc<Rule>| RuleSummary {
        id: rule.id().to_owned(),
        line: rule.line(),
        description: rule.describe().to_owned(),
        kinds: rule.kinds().to_vec(),
        decision: rule.decision(),
        approval: rule.requirement().cloned(),
    };
    FileSummary {
        file: file.name().to_owned(),
        version: file.version().to_owned(),
        rules: file.rules().iter().map(rule).collect(),
    }
}

/// An id without the prefix of rules.
fn bare(id: &str) -> &str {
    id.strip_prefix(ID_PREFIX).unwrap_or(id)
}

fn run(case: &Case, policies: &[Arc<dyn Policy>]) -> Result<CaseResult, Problem> {
    let problem = |message: String, hint: Option<String>| Problem {
        file: case.file.clone(),
        line: case.line,
        message,
        hint,
    };
    let Some(policy) = policies.iter().find(|policy| bare(policy.id()) == bare(&case.rule)) else {
        let near = nearest(&case.rule, policies.iter().map(|policy| bare(policy.id())));
        let message = format!("no rule or check is called `{}`", case.rule);
        return Err(problem(message, near.map(|near| format!("did you mean `{near}`?"))));
    };
    let set =
        PolicySet::new(vec![policy.clone()]).map_err(|error| problem(error.to_string(), None))?;
    let message = case.specimen.message().map_err(|error| problem(error.to_string(), None))?;
    let verdict = set.evaluate(&message, &case.surroundings.facts());
    let allowed = verdict.decision == Decision::Allow;
    Ok(CaseResult {
        file: case.file.clone(),
        line: case.line,
        rule: policy.id().to_owned(),
        name: case.name.clone(),
        expected: case.expect,
        actual: verdict.decision,
        reason: if allowed { String::new() } else { verdict.reason.to_string() },
        passed: verdict.decision == case.expect,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::source::File;

    #[test]
    fn every_case_that_is_compiled_in_comes_out_as_it_says() {
        let report = test(&Source::embedded());
        let failed: Vec<&CaseResult> = report.cases.iter().filter(|case| !case.passed).collect();
        assert!(report.passed(), "{failed:#?} {:#?}", report.problems);
    }

    #[test]
    fn every_rule_and_every_check_has_a_case_that_allows_and_one_that_does_not() {
        let source = Source::embedded();
        let report = test(&source);
        assert!(report.untested.is_empty(), "{:?}", report.untested);
        for (id, ..) in source.policy_set().unwrap().list() {
            let of = |allowed: bool| {
                let fits = |case: &&CaseResult| {
                    case.rule == id && (case.expected == Decision::Allow) == allowed
                };
                report.cases.iter().find(fits).is_some()
            };
            // No kind is declared around a case, so the schema check can only refuse there.
            assert!(of(true) || id == "payload-schema", "no case of `{id}` allows");
            // Sizes beyond the limit do not belong into a text file.
            assert!(of(false) || id == "message-size", "no case of `{id}` refuses");
        }
    }

    #[test]
    fn a_case_that_fails_or_names_no_rule_is_reported() {
        let mut source = Source::embedded();
        source.cases = vec![File {
            name: "c.toml".into(),
            text: "[[case]]\nrule = \"hop-lop\"\nname = \"a\"\n\
                   message = { kind = \"k\", to = \"a\" }\nexpect = \"allow\"\n\
                   [[case]]\nrule = \"hop-loop\"\nname = \"b\"\n\
                   message = { kind = \"k\", to = \"a\" }\nexpect = \"deny\"\n"
                .into(),
        }];
        let report = test(&source);
        assert!(!report.passed());
        assert_eq!(
            report.problems[0].to_string(),
            "c.toml:1: no rule or check is called `hop-lop`\nhint: did you mean `hop-loop`?"
        );
        let case = &report.cases[0];
        assert_eq!((case.line, case.passed, case.actual), (6, false, Decision::Allow));
        assert!(!report.untested.is_empty());
    }

    #[test]
    fn a_check_lists_the_rules_or_every_problem() {
        let report = check(&Source::embedded());
        assert!(report.is_sound(), "{:?}", report.problems);
        assert_eq!(report.files[0].version.len(), 12);
        assert!(report.files.iter().all(|file| !file.rules.is_empty()));

        let mut source = Source::embedded();
        source.rules[0].text = source.rules[0].text.replace("kinds", "kind");
        source.cases[0].text.push_str("\n[[cases]]\n");
        let report = check(&source);
        assert!(!report.is_sound() && report.files.is_empty());
        assert_eq!(report.problems.len(), 2, "{:?}", report.problems);
    }

    #[test]
    fn an_explanation_has_every_policy_in_order_and_the_strictest_decision() {
        let set = Source::embedded().policy_set().unwrap();
        let mut specimen = Specimen::new("ask", "a", json!({"question": "mail bob@example.com"}));
        specimen.principal.tenant = "acme".into();
        specimen.principal.subject = "asha".into();
        let explanation = explain(&set, &specimen, &Surroundings::of(&specimen)).unwrap();
        let ids: Vec<&str> = explanation.steps.iter().map(|step| &*step.policy).collect();
        let listed: Vec<&str> = set.list().map(|(id, ..)| id).collect();
        assert_eq!(ids, listed);
        assert_eq!(explanation.decision, Decision::Deny);
        assert_eq!(&*explanation.policy, "payload-schema");
        let pii = explanation.steps.iter().find(|step| step.policy == "pii").unwrap();
        assert_eq!(pii.decision, Decision::Redact);
    }
}
