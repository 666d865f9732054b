//! From the text of a rule file to checked rules, or to every problem with its line.

use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::{Arc, LazyLock};

use cel::{Env, Program};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::{Spanned, Value};

use crate::checks::required_attributes::is_kind;

use super::approval::ApprovalText;
use super::context::Parts;
use super::schema::nearest;
use super::{Action, ID_PREFIX, Problem, Rule, RuleFile, typing};

/// Most bytes of one condition: a longer one is a program, and belongs in a check.
const CONDITION_BYTES_MAX: usize = 4_096;

/// CEL's standard library, shared by all rules.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(default)]
    rule: Vec<Spanned<RuleText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    id: Spanned<String>,
    description: Spanned<String>,
    #[serde(default)]
    kinds: Vec<Spanned<String>>,
    when: Spanned<String>,
    decision: Spanned<String>,
    reason: Spanned<String>,
    #[serde(default)]
    fields: Vec<Spanned<String>>,
    approver_role: Option<Spanned<Value>>,
    quorum: Option<Spanned<Value>>,
    expires: Option<Spanned<Value>>,
    requester_may_approve: Option<Spanned<Value>>,
}

/// Where a file's problems are gathered.
pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Report<'_> {
    pub(super) fn add(&mut self, at: usize, message: String, hint: Option<String>) {
        let line = line_at(self.text, at);
        self.problems.push(Problem { file: self.file.to_owned(), line, message, hint });
    }
}

/// Reads and checks a file.
pub(super) fn file(name: &str, text: &str) -> Result<RuleFile, Vec<Problem>> {
    let mut report = Report { file: name, text, problems: Vec::new() };
    let read: FileText =
        toml::from_str(text).map_err(|error| vec![toml_problem(name, text, &error)])?;
    let version = content_version(text);
    let mut rules: Vec<Arc<Rule>> = Vec::new();
    for rule in read.rule {
        let start = rule.span().start;
        let rule = rule.into_inner();
        let id_at = rule.id.span().start;
        let id = rule.id.get_ref().clone();
        if let Some(first) = rules.iter().find(|other| other.name() == id) {
            let message = format!("the id `{id}` is taken by the rule in line {}", first.line);
            report.add(id_at, message, None);
            continue;
        }
        if let Some(rule) = self::rule(&mut report, rule, start, &version) {
            rules.push(Arc::new(rule));
        }
    }
    if report.problems.is_empty() {
        return Ok(RuleFile { name: name.to_owned(), version, rules });
    }
    report.problems.sort_by_key(|problem| problem.line);
    Err(report.problems)
}

/// One rule; `None` if something is wrong with it, which the report then has.
fn rule(report: &mut Report<'_>, mut text: RuleText, start: usize, version: &str) -> Option<Rule> {
    let before = report.problems.len();
    let id = text.id.get_ref();
    if id.is_empty() || !id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        let message = format!("`{id}` is not an id; use a-z, 0-9 and `-`");
        report.add(text.id.span().start, message, None);
    }
    for (field, value) in [("description", &text.description), ("reason", &text.reason)] {
        if value.get_ref().trim().is_empty() {
            report.add(value.span().start, format!("`{field}` is empty; say it in a clause"), None);
        }
    }
    for kind in text.kinds.iter().filter(|kind| !is_kind(kind.get_ref())) {
        let message = format!("`{}` is not a kind such as `tool.call`", kind.get_ref());
        report.add(kind.span().start, message, None);
    }
    let approval = ApprovalText {
        approver_role: text.approver_role.take(),
        quorum: text.quorum.take(),
        expires: text.expires.take(),
        requester_may_approve: text.requester_may_approve.take(),
    };
    let action = action(report, &text, &approval);
    let program = condition(report, &text.when);
    if report.problems.len() > before {
        return None;
    }
    Some(Rule {
        id: format!("{ID_PREFIX}{id}"),
        version: version.to_owned(),
        description: text.description.into_inner(),
        line: line_at(report.text, start),
        kinds: text.kinds.into_iter().map(Spanned::into_inner).collect(),
        program: program?,
        parts: Parts::of(text.when.get_ref()),
        action: action?,
        reason: text.reason.into_inner(),
        env: ENV.clone(),
    })
}

fn action(report: &mut Report<'_>, text: &RuleText, approval: &ApprovalText) -> Option<Action> {
    const DECISIONS: [&str; 3] = ["deny", "redact", "require_approval"];
    let (decision, at) = (text.decision.get_ref().as_str(), text.decision.span().start);
    for field in text.fields.iter().filter(|field| !field.get_ref().starts_with('/')) {
        let message = format!("`{}` is not a JSON pointer", field.get_ref());
        let hint = format!("write `/{}`", field.get_ref().replace('.', "/"));
        report.add(field.span().start, message, Some(hint));
    }
    if decision != "require_approval" {
        approval.refuse(report);
    }
    let fields = || text.fields.iter().map(|field| field.get_ref().clone()).collect();
    match (decision, text.fields.as_slice()) {
        ("deny", []) => Some(Action::Deny),
        ("require_approval", []) => Some(Action::RequireApproval(approval.requirement(report))),
        ("redact", [_, ..]) => Some(Action::Redact(fields())),
        ("redact", []) => {
            let hint = "name them as JSON pointers: fields = [\"/note\"]".to_owned();
            report.add(at, "`redact` needs the fields to replace".to_owned(), Some(hint));
            None
        }
        ("deny" | "require_approval", [first, ..]) => {
            let message = "`fields` goes with the decision `redact` only".to_owned();
            report.add(first.span().start, message, None);
            None
        }
        (unknown, _) => {
            let hint = match nearest(unknown, DECISIONS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it is one of {}", DECISIONS.join(", ")),
            };
            report.add(at, format!("unknown decision `{unknown}`"), Some(hint));
            None
        }
    }
}

/// The compiled and checked condition.
fn condition(report: &mut Report<'_>, when: &Spanned<String>) -> Option<Program> {
    let source = when.get_ref();
    let start = content_start(report.text, &when.span());
    if source.len() > CONDITION_BYTES_MAX {
        let message = format!("the condition is longer than {CONDITION_BYTES_MAX} bytes");
        report.add(start, message, None);
        return None;
    }
    // The parser is generated code; a panic in it must not take the process down.
    let compiled = catch_unwind(|| Program::compile(source));
    let program = match compiled {
        Ok(Ok(program)) => program,
        Ok(Err(errors)) => {
            let first = errors.errors.first();
            let line = first.map_or(1, |error| usize::try_from(error.pos.0).unwrap_or(1));
            let what = first.map_or("it cannot be read", |error| error.msg.as_str());
            let hint = syntax_hint(source);
            report.add(line_start(report.text, start, line), format!("condition: {what}"), hint);
            return None;
        }
        Err(_) => {
            report.add(start, "condition: it cannot be read".to_owned(), None);
            return None;
        }
    };
    match typing::check(&program) {
        Ok(()) => Some(program),
        Err(fault) => {
            let offset = program.source_info().offset_for(fault.node).map_or(0, |(from, _)| from);
            let offset = usize::try_from(offset).unwrap_or(0);
            let line = 1 + source.chars().take(offset).filter(|one| *one == '\n').count();
            let at = line_start(report.text, start, line);
            report.add(at, format!("condition: {}", fault.message), fault.hint);
            None
        }
    }
}

/// What is commonly meant by a condition that is not CEL.
fn syntax_hint(source: &str) -> Option<String> {
    let words = || source.split_whitespace();
    let quotes = |quote: char| source.matches(quote).count() % 2 == 1;
    let hint = if words().any(|word| word == "=") {
        "equality is `==`"
    } else if words().any(|word| matches!(word, "and" | "AND" | "or" | "OR" | "not" | "NOT")) {
        "CEL writes `&&`, `||` and `!`"
    } else if quotes('"') || quotes('\'') {
        "a string is not closed"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

/// Where the text of a TOML string begins: a multi-line string drops its first line break.
fn content_start(text: &str, span: &Range<usize>) -> usize {
    let raw = text.get(span.clone()).unwrap_or_default();
    let opening = ["\"\"\"\r\n", "\"\"\"\n", "'''\r\n", "'''\n"];
    let skipped = opening.iter().find(|opening| raw.starts_with(**opening));
    span.start + skipped.map_or(0, |opening| opening.len())
}

/// The first byte of the `line`-th line of a string whose content begins at `start`.
fn line_start(text: &str, start: usize, line: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let breaks = rest.match_indices('\n').map(|(at, _)| start + at + 1);
    match line.checked_sub(2) {
        Some(skip) => breaks.into_iter().nth(skip).unwrap_or(start),
        None => start,
    }
}

/// The line of a byte, counted from 1.
pub(crate) fn line_at(text: &str, at: usize) -> usize {
    1 + text.match_indices('\n').take_while(|(line_end, _)| *line_end < at).count()
}

/// A problem of TOML itself or of an unknown key, with the nearest known key.
pub(crate) fn toml_problem(file: &str, text: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map_or(1, |span| line_at(text, span.start));
    let message = error.message().lines().next().unwrap_or_default().to_owned();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let hint = match (message.starts_with("unknown field"), quoted.next()) {
        (true, Some(unknown)) => {
            nearest(unknown, quoted).map(|near| format!("did you mean `{near}`?"))
        }
        _ => None,
    };
    Problem { file: file.to_owned(), line, message, hint }
}

/// The version of a text: the first twelve hex digits of its SHA-256.
pub(crate) fn content_version(text: &str) -> String {
    use std::fmt::Write;
    Sha256::digest(text).iter().take(6).fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
