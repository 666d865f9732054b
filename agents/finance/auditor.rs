//! The auditor: checks a report against the rows, independently of whoever wrote it.
//!
//! Every citation must be a row of the statement with the date and amount that the report gives
//! it; every finding must carry its rationale and point to rows that exist.

use std::collections::HashMap;

use genie_core::{Agent, AgentError, AgentSpec, Context, Governed, async_trait};

use super::clearance::Cleared;
use super::domain::answer::Answer;
use super::domain::book::{Book, Row};
use super::messages::{Audited, Draft, Report};
use super::shelf::Shelf;

/// Checks reports.
pub(crate) struct Auditor;

/// Most problems that are described one by one.
const PROBLEMS_MAX: usize = 10;

#[async_trait]
impl Agent for Auditor {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("auditor", "checks a report against the rows that it cites")
            .capability("check_report")
            .accepts::<Draft>()
            .emits::<Audited>()
            .cleared()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let draft: Draft = message.decode()?;
        let shelf = Shelf::open(cx, &draft.book).await?;
        let report = cx.load::<Report>(&draft.report).await?;
        let audited = check(&report.answer, &shelf.book()?);
        Ok(cx.reply(&audited).await?)
    }
}

/// Compares what a report cites with the rows of the book.
fn check(answer: &Answer, book: &Book<'_>) -> Audited {
    let cited = answer.citations.iter().map(|citation| citation.line);
    let pointed = answer.findings.iter().flat_map(|finding| finding.rows.iter().copied());
    let wanted: std::collections::HashSet<u32> = cited.chain(pointed).collect();
    let rows: HashMap<u32, Row<'_>> =
        book.rows().filter(|row| wanted.contains(&row.line)).map(|row| (row.line, row)).collect();
    let mut problems = Vec::new();
    for citation in &answer.citations {
        match rows.get(&citation.line) {
            None => problems.push(format!("line {} is cited but has no row", citation.line)),
            Some(row)
                if row.amount_minor != citation.amount.amount_minor
                    || row.date != citation.date.0 =>
            {
                problems.push(format!("line {} is cited with another amount or date", row.line));
            }
            Some(_) => {}
        }
    }
    for finding in &answer.findings {
        if finding.rationale.trim().is_empty() {
            problems.push(format!("the finding `{}` has no rationale", finding.title));
        }
        if let Some(line) = finding.rows.iter().find(|line| !rows.contains_key(line)) {
            problems.push(format!("the finding `{}` points to line {line}", finding.title));
        }
    }
    problems.truncate(PROBLEMS_MAX);
    let citations_checked = u32::try_from(answer.citations.len()).unwrap_or(u32::MAX);
    Audited { citations_checked, problems }
}

#[cfg(test)]
mod tests {
    use super::super::domain::answer::{Citation, Finding};
    use super::super::domain::generate::SAMPLE_TEN_ROWS;
    use super::super::domain::merchant::merchants;
    use super::super::domain::money::{Currency, Money};
    use super::super::domain::statement::{ParseOptions, parse};
    use super::super::domain::taxonomy::categorise;
    use super::*;

    /// What the auditor says of an answer that `change` has altered; unaltered, it cites the rent.
    #[track_caller]
    fn problems(change: impl FnOnce(&mut Answer)) -> Vec<String> {
        let ledger = parse(SAMPLE_TEN_ROWS.as_bytes(), &ParseOptions::default()).unwrap();
        let merchants = merchants(&ledger);
        let categories = categorise(&ledger, &merchants);
        let book = Book::new(&ledger, &merchants, &categories).unwrap();
        let rent = ledger.entries.iter().find(|entry| entry.amount_minor == -2_500_000).unwrap();
        let mut answer = Answer {
            answer: "The rent is your largest payment.".to_owned(),
            findings: vec![Finding {
                title: "Rent".to_owned(),
                detail: "₹25,000.00".to_owned(),
                rationale: "no row is larger".to_owned(),
                amount: None,
                rows: vec![rent.line],
            }],
            tables: Vec::new(),
            citations: vec![Citation {
                line: rent.line,
                date: rent.date.into(),
                description: rent.description.to_string(),
                amount: Money::new(rent.amount_minor, Currency::INR),
            }],
            citations_total: 1,
            could_not: Vec::new(),
            left_out: None,
            can_ask: Vec::new(),
        };
        change(&mut answer);
        check(&answer, &book).problems
    }

    #[test]
    fn a_report_that_rests_on_its_rows_passes() {
        assert!(problems(|_| {}).is_empty());
    }

    #[test]
    fn a_citation_that_is_not_what_its_row_says_is_a_problem() {
        assert_eq!(problems(|answer| answer.citations[0].amount.amount_minor = -1).len(), 1);
        let other_day = time::macros::date!(2026 - 01 - 03);
        assert_eq!(problems(|answer| answer.citations[0].date = other_day.into()).len(), 1);
        assert_eq!(problems(|answer| answer.citations[0].line = 99).len(), 1);
    }

    #[test]
    fn a_finding_without_a_rationale_or_with_a_row_that_is_not_there_is_a_problem() {
        assert_eq!(problems(|answer| answer.findings[0].rationale = " ".to_owned()).len(), 1);
        assert_eq!(problems(|answer| answer.findings[0].rows.push(99)).len(), 1);
    }
}
