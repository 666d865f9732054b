//! The answer to a question about a statement: a sentence, what it rests on, and what is missing.
//!
//! Owns the shape of answers and which intent is answered where. Figures come from the analyses;
//! an analysis that did not arrive is named in [`Answer::could_not`], and the rest is answered.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::advice::Recommendations;
use super::affordability::Affordability;
use super::analysis::Analysis;
use super::anomaly::Anomalies;
use super::book::Book;
use super::day::Day;
use super::forecast::Forecast;
use super::ledger::Reject;
use super::money::Money;
use super::question::Intent;
use super::recurring::Recurring;

mod change;
mod income;
mod outlook;
mod spend;
mod summary;
mod top;
mod watch;
mod wording;

/// Most rows cited one by one; the rest are counted.
pub const CITATIONS_MAX: usize = 20;
/// Most findings of one answer.
pub const FINDINGS_MAX: usize = 20;
/// Most rows of one table.
pub const TABLE_ROWS_MAX: usize = 24;

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The answer in one or two sentences.
    pub answer: String,
    /// What stands behind it.
    pub findings: Vec<Finding>,
    /// The figures side by side.
    pub tables: Vec<Table>,
    /// Rows of the statement that it rests on, at most [`CITATIONS_MAX`].
    pub citations: Vec<Citation>,
    /// How many rows it rests on in all.
    pub citations_total: u32,
    /// What could not be answered, and why; each a sentence.
    pub could_not: Vec<String>,
    /// Rows of the file that could not be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    /// Questions that can be asked, if this one was not understood.
    pub can_ask: Vec<String>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What, in a few words.
    pub title: String,
    /// The figures.
    pub detail: String,
    /// Why it is said.
    pub rationale: String,
    /// The amount at stake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Lines of the file that it rests on.
    pub rows: Vec<u32>,
}

/// Figures side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Cells, row by row, formatted.
    pub rows: Vec<Vec<String>>,
    /// One magnitude per row in minor units, for bars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bars: Option<Vec<i64>>,
}

/// One row of the statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Citation {
    /// Line of the file.
    pub line: u32,
    /// Booking date.
    pub date: Day,
    /// The narration as the bank wrote it; it may name people.
    pub description: String,
    /// Signed amount.
    pub amount: Money,
}

/// Rows of the file that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// How many.
    pub rows: u32,
    /// The first of them.
    pub first: Vec<Reject>,
}

/// What the analyses found; `None` where one did not arrive.
#[derive(Debug, Clone, Copy)]
pub struct Legs<'a> {
    /// Totals of the statement.
    pub analysis: &'a Analysis,
    /// The coming months.
    pub forecast: Option<&'a Forecast>,
    /// Remarkable rows.
    pub anomalies: Option<&'a Anomalies>,
    /// Advice.
    pub recommendations: Option<&'a Recommendations>,
    /// Recurring payments.
    pub recurring: Option<&'a Recurring>,
    /// The verdict on the amount that the question names.
    pub affordability: Option<&'a Affordability>,
}

/// Answers an intent.
#[must_use]
pub fn compose(intent: &Intent, book: &Book<'_>, legs: &Legs<'_>) -> Answer {
    let mut draft = Draft::new(book);
    if book.span().is_none() {
        "The statement has no usable rows, so nothing can be said about it."
            .clone_into(&mut draft.answer);
        draft.could_not("the statement has no usable rows");
        return draft.finish(legs.analysis);
    }
    match intent {
        Intent::Overspending { against, period } => {
            change::overspending(&mut draft, *against, period.as_ref());
        }
        Intent::Spend { target, period } => spend::spend(&mut draft, target, period.as_ref()),
        Intent::TopCategories { count, period } => {
            top::categories(&mut draft, *count, period.as_ref());
        }
        Intent::TopMerchants { count, period } => {
            top::merchants(&mut draft, *count, period.as_ref());
        }
        Intent::Largest { count, credits, target, period } => {
            let asked = top::Largest { count: *count, credits: *credits, target };
            top::largest(&mut draft, &asked, period.as_ref());
        }
        Intent::Unusual => watch::unusual(&mut draft, legs.anomalies),
        Intent::Recurring => watch::recurring(&mut draft, legs.recurring, false),
        Intent::Subscriptions => watch::recurring(&mut draft, legs.recurring, true),
        Intent::PriceRises => watch::price_rises(&mut draft, legs.recurring),
        Intent::Income { target, period } => income::income(&mut draft, target, period.as_ref()),
        Intent::SavingsRate { period } => income::savings_rate(&mut draft, period.as_ref()),
        Intent::Forecast { months } => outlook::forecast(&mut draft, *months, legs.forecast),
        Intent::Afford { amount_minor, monthly } => {
            outlook::afford(&mut draft, *amount_minor, *monthly, legs.affordability);
        }
        Intent::Advice => outlook::advice(&mut draft, legs.recommendations),
        Intent::Balance => income::balance(&mut draft),
        Intent::Summary { period } => summary::summary(&mut draft, period.as_ref(), legs),
        Intent::Unknown => summary::unknown(&mut draft, legs),
    }
    draft.finish(legs.analysis)
}

/// An answer while it is written.
struct Draft<'a> {
    book: &'a Book<'a>,
    answer: String,
    findings: Vec<Finding>,
    tables: Vec<Table>,
    /// Lines to cite, most telling first, possibly with repetitions.
    cited: Vec<u32>,
    /// Rows that the answer rests on beyond those in `cited`.
    uncited: u32,
    could_not: Vec<String>,
    can_ask: Vec<String>,
}

impl<'a> Draft<'a> {
    fn new(book: &'a Book<'a>) -> Self {
        Self {
            book,
            answer: String::new(),
            findings: Vec::new(),
            tables: Vec::new(),
            cited: Vec::new(),
            uncited: 0,
            could_not: Vec::new(),
            can_ask: Vec::new(),
        }
    }

    fn money(&self, amount_minor: i64) -> Money {
        Money::new(amount_minor, self.book.currency())
    }

    fn shown(&self, amount_minor: i64) -> String {
        self.money(amount_minor).display()
    }

    /// The days that the statement covers, in words.
    fn coverage(&self) -> String {
        self.book.span().map_or_else(
            || "the statement has no rows".to_owned(),
            |(first, last)| format!("the statement covers {} to {}", Day(first), Day(last)),
        )
    }

    /// Adds to the headline.
    fn say(&mut self, text: &str) {
        self.answer.push_str(text);
    }

    fn could_not(&mut self, reason: &str) {
        self.could_not.push(format!("{}.", wording::sentence(reason)));
    }

    /// Records a finding and cites its rows.
    fn find(&mut self, finding: Finding) {
        self.cited.extend(&finding.rows);
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// Cites rows, most telling first, out of `count` that the answer rests on.
    fn cite(&mut self, lines: &[u32], count: u32) {
        self.cited.extend(lines);
        let listed = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        self.uncited = self.uncited.saturating_add(count.saturating_sub(listed));
    }

    fn finish(mut self, analysis: &Analysis) -> Answer {
        let mut order: BTreeMap<u32, usize> = BTreeMap::new();
        for line in &self.cited {
            let next = order.len();
            order.entry(*line).or_insert(next);
        }
        let total = u32::try_from(order.len()).unwrap_or(u32::MAX).saturating_add(self.uncited);
        let mut citations: Vec<(usize, Citation)> = self
            .book
            .rows()
            .filter_map(|row| order.get(&row.line).map(|rank| (*rank, row)))
            .filter(|(rank, _)| *rank < CITATIONS_MAX)
            .map(|(rank, row)| {
                let citation = Citation {
                    line: row.line,
                    date: row.date.into(),
                    description: row.description.to_owned(),
                    amount: self.money(row.amount_minor),
                };
                (rank, citation)
            })
            .collect();
        citations.sort_by_key(|(rank, citation)| (*rank, citation.line));
        citations.truncate(CITATIONS_MAX);
        for table in &mut self.tables {
            table.rows.truncate(TABLE_ROWS_MAX);
            if let Some(bars) = &mut table.bars {
                bars.truncate(TABLE_ROWS_MAX);
            }
        }
        Answer {
            answer: self.answer,
            findings: self.findings,
            tables: self.tables,
            citations: citations.into_iter().map(|(_, citation)| citation).collect(),
            citations_total: total,
            could_not: self.could_not,
            left_out: (analysis.rejected > 0)
                .then(|| LeftOut { rows: analysis.rejected, first: analysis.rejects.clone() }),
            can_ask: self.can_ask,
        }
    }
}

#[cfg(test)]
mod tests;
