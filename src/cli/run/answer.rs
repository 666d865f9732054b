//! The answer as JSON and as a report for people.
//!
//! Owns the order of the report's sections; tables and bars are drawn in `draw`. Pure text: colour
//! is left out where standard output is no terminal.

use clap::builder::styling::Style;
use genie_agents::finance::domain::answer::{Answer, Citation, Finding, LeftOut};
use genie_agents::finance::messages::{MissingLeg, Report};
use genie_core::failure::Failure;
use genie_core::outcome::Outcome;
use genie_core::payload::{self, Payload};
use serde_json::{Value, json};

use super::draw::Page;
use super::{Ending, Finished};

/// Most unusable rows that are described one by one.
const REJECTS_SHOWN_MAX: usize = 5;
/// Most lines that a finding names.
const LINES_SHOWN_MAX: usize = 8;

/// The run as one JSON object: the answer's fields with the run's, or the problem, or what it
/// waits for.
pub(super) fn json(finished: &Finished) -> Value {
    let mut object = match &finished.ending {
        Ending::Waiting { wake_at, approvals } => {
            json!({ "outcome": "waiting", "wake_at": wake_at, "approvals": approvals })
        }
        Ending::Ended(outcome, end) => {
            let mut object = outcome_json(outcome);
            object["outcome"] = json!(outcome.name());
            object["usage"] = json!({ "messages": end.messages, "duration_us": end.duration_us });
            object["receipt"] = json!({ "records": end.records, "head": end.head });
            object
        }
    };
    object["run_id"] = json!(finished.run_id);
    object
}

/// The answer's fields, or the problem.
pub(crate) fn outcome_json(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Completed { answer, .. } if answer.value().is_object() => answer.value(),
        Outcome::Completed { answer, .. } => json!({ "answer": answer.value() }),
        outcome => problem(outcome),
    }
}

/// Why there is no answer, with the fields of RFC 9457 that make sense without HTTP.
fn problem(outcome: &Outcome) -> Value {
    let problem = |title: &str, code: &str, detail: String| {
        let kind = "about:blank";
        json!({ "type": kind, "title": title, "code": code, "detail": detail })
    };
    match outcome {
        Outcome::Denied { denied } => {
            let mut object = problem("denied by policy", "denied", denied.to_string());
            object["policy"] = json!(denied.policy);
            object["policy_version"] = json!(denied.policy_version);
            object["reason"] = json!(denied.reason);
            object
        }
        Outcome::Failed { cause } => {
            let mut object = problem("the run failed", cause.code(), cause.to_string());
            if let Failure::Failed { agent, reason } = cause {
                object["agent"] = json!(agent);
                object["reason"] = json!(reason);
            }
            object
        }
        Outcome::Cancelled { reason } => {
            problem("the run was cancelled", "cancelled", reason.clone())
        }
        Outcome::Expired { deadline_ms } => {
            problem("the run expired", "expired", format!("no answer within {deadline_ms} ms"))
        }
        Outcome::Completed { .. } => json!({}),
    }
}

/// The answer of a completed run, for a page of this width: a report, or the fields of whatever
/// else an agent answers.
pub(crate) fn text(
    kind: &str,
    answer: &payload::Body,
    page: Page,
) -> Result<String, payload::Error> {
    if kind == Report::KIND {
        return report(answer, page);
    }
    let value = answer.value();
    let mut text = String::from("\n");
    match value.as_object() {
        Some(fields) => {
            for (name, field) in fields {
                let field = field.as_str().map_or_else(|| field.to_string(), str::to_owned);
                text.push_str(&page.paragraph(Style::new(), &format!("{name}: {field}")));
            }
        }
        None => text.push_str(&page.paragraph(Style::new(), &value.to_string())),
    }
    text.push('\n');
    Ok(text)
}

/// The report on a completed run, for a page of this width.
fn report(answer: &payload::Body, page: Page) -> Result<String, payload::Error> {
    let Report { answer, missing, .. } = answer.decode()?;
    let mut text = String::from("\n");
    text.push_str(&page.paragraph(Style::new().bold(), &answer.answer));
    for table in &answer.tables {
        text.push_str(&page.heading(&table.title));
        let bars = table.bars.as_deref().unwrap_or_default();
        text.push_str(&page.table(&table.columns, &table.rows, bars));
    }
    text.push_str(&findings(&answer.findings, page));
    text.push_str(&citations(&answer, page));
    text.push_str(&absent(&answer, &missing, page));
    if !answer.can_ask.is_empty() {
        text.push_str(&page.heading("What can be asked"));
        text.extend(answer.can_ask.iter().map(|question| page.item(question)));
    }
    text.push('\n');
    Ok(text)
}

fn findings(findings: &[Finding], page: Page) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut text = page.heading("Findings");
    for finding in findings {
        text.push_str(&page.item(&titled(finding)));
        let said = finding.amount.is_some_and(|amount| amount.display() == finding.detail);
        if !said {
            text.push_str(&page.under_item(Style::new(), &finding.detail));
        }
        text.push_str(&page.under_item(Style::new().dimmed(), &finding.rationale));
        if !finding.rows.is_empty() {
            text.push_str(&page.under_item(Style::new().dimmed(), &lines(&finding.rows)));
        }
    }
    text
}

/// The title with the amount, unless it names the amount itself.
fn titled(finding: &Finding) -> String {
    let amount = finding.amount.map(|amount| amount.display());
    match amount.filter(|amount| !finding.title.contains(amount.as_str())) {
        Some(amount) => format!("{}: {amount}", finding.title),
        None => finding.title.clone(),
    }
}

/// `Line 12`, `Lines 12, 40`, `Lines 12, 40 and 3 more`.
fn lines(lines: &[u32]) -> String {
    let named: Vec<String> = lines.iter().take(LINES_SHOWN_MAX).map(u32::to_string).collect();
    let noun = if lines.len() == 1 { "Line" } else { "Lines" };
    let more = match lines.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{noun} {}{more}", named.join(", "))
}

fn citations(answer: &Answer, page: Page) -> String {
    if answer.citations.is_empty() {
        return String::new();
    }
    let (shown, total) = (answer.citations.len(), answer.citations_total);
    let of = if u32::try_from(shown).is_ok_and(|shown| shown < total) {
        format!(" ({shown} of {total})")
    } else {
        String::new()
    };
    let columns = ["Line", "Date", "Description", "Amount"].map(str::to_owned);
    let row = |cited: &Citation| {
        vec![
            cited.line.to_string(),
            cited.date.to_string(),
            cited.description.clone(),
            cited.amount.display(),
        ]
    };
    let rows: Vec<Vec<String>> = answer.citations.iter().map(row).collect();
    page.heading(&format!("Rows it rests on{of}")) + &page.table(&columns, &rows, &[])
}

/// What is not in the answer, and why.
fn absent(answer: &Answer, missing: &[MissingLeg], page: Page) -> String {
    let mut text = String::new();
    if !answer.could_not.is_empty() || !missing.is_empty() {
        text.push_str(&page.warning("What could not be answered"));
        text.extend(answer.could_not.iter().map(|reason| page.item(reason)));
        let leg = |leg: &MissingLeg| page.item(&format!("Without `{}`: {}", leg.what, leg.reason));
        text.extend(missing.iter().map(leg));
    }
    if let Some(left_out) = &answer.left_out {
        text.push_str(&self::left_out(left_out, page));
    }
    text
}

fn left_out(left_out: &LeftOut, page: Page) -> String {
    let rows = left_out.rows;
    let plural = if rows == 1 { "" } else { "s" };
    let mut text = page.warning(&format!("Left out: {rows} row{plural} that could not be used"));
    let shown = left_out.first.iter().take(REJECTS_SHOWN_MAX);
    for reject in shown.clone() {
        let column = match reject.column.as_str() {
            "" => String::new(),
            column => format!(", column `{column}`"),
        };
        let value = match reject.value.as_str() {
            "" => "the row".to_owned(),
            value => format!("`{value}`"),
        };
        let what = format!("Line {}{column}: {value} {}", reject.line, reject.problem);
        text.push_str(&page.item(&what));
        text.push_str(&page.under_item(Style::new().dimmed(), &format!("Fix: {}", reject.fix)));
    }
    match rows.saturating_sub(u32::try_from(shown.len()).unwrap_or(u32::MAX)) {
        0 => {}
        more => text.push_str(&page.item(&format!("and {more} more"))),
    }
    text
}

#[cfg(test)]
mod tests {
    use genie_agents::finance::domain::ledger::Reject;
    use genie_core::payload::Body;

    use super::*;

    /// An answer that lacks something in every way that it can.
    fn incomplete() -> Report {
        let rejects = (1..=7).map(|line| Reject {
            line,
            column: "amount".into(),
            value: "12,oo".into(),
            problem: "is not an amount".into(),
            fix: "write digits only".into(),
        });
        Report {
            answer: Answer {
                answer: "Nothing much happened.".into(),
                findings: Vec::new(),
                tables: Vec::new(),
                citations: Vec::new(),
                citations_total: 0,
                could_not: vec!["The statement names no balance.".into()],
                left_out: Some(LeftOut { rows: 9, first: rejects.collect() }),
                can_ask: vec!["What was my income?".into()],
            },
            partial: true,
            missing: vec![MissingLeg { what: "forecast".into(), reason: "it is late".into() }],
        }
    }

    #[test]
    fn what_is_missing_is_said_and_what_is_empty_has_no_heading() {
        let body = Body::of(&incomplete()).unwrap();
        let text = report(&body, Page::of_stdout()).unwrap();
        let text = anstream::adapter::strip_str(&text).to_string();
        let expected = "
Nothing much happened.

What could not be answered
• The statement names no balance.
• Without `forecast`: it is late

Left out: 9 rows that could not be used
• Line 1, column `amount`: `12,oo` is not an amount
  Fix: write digits only
";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("• and 4 more\n\nWhat can be asked\n• What was my income?\n\n"));
        assert!(!text.contains("Findings") && !text.contains("Rows it rests on"), "{text}");
    }

    #[test]
    fn lines_are_counted_beyond_the_first() {
        assert_eq!(lines(&[3]), "Line 3");
        assert_eq!(lines(&[3, 4]), "Lines 3, 4");
        assert_eq!(lines(&[1, 2, 3, 4, 5, 6, 7, 8, 9]), "Lines 1, 2, 3, 4, 5, 6, 7, 8 and 1 more");
    }
}
