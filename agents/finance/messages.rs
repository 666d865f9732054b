//! What the finance agents say to each other: one payload type for each kind.
//!
//! Rows never travel: a message refers to stored content by hash.

use genie_core::Payload;
use genie_core::blob::Blob;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::domain::advice::Recommendations;
use super::domain::affordability::Affordability;
use super::domain::analysis::Totals;
use super::domain::anomaly::Anomalies;
use super::domain::answer::Answer;
use super::domain::forecast::Forecast;
use super::domain::question::Intent;
use super::domain::recurring::Recurring;

/// A question about a statement, from whoever asks to the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The question, in the asker's words.
    #[schemars(length(max = 2000))]
    pub question: String,
    /// The statement, a CSV file, if one came with the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Blob>,
}

/// A statement to read, from the supervisor to the ingestor.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The file as it was sent.
    pub statement: Blob,
}

/// The rows of a statement, from the ingestor to the normalizer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// The parsed rows.
    pub ledger: Blob,
    /// How many there are.
    pub rows: u32,
    /// How many rows of the file could not be used.
    pub rejected: u32,
}

/// Who the rows were paid to, from the normalizer to the enricher.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The parsed rows.
    pub ledger: Blob,
    /// The merchant of each.
    pub merchants: Blob,
}

/// The rows with merchants and categories, from the enricher to the analyzer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BookRef {
    /// The parsed rows.
    pub ledger: Blob,
    /// The merchant of each.
    pub merchants: Blob,
    /// The category of each.
    pub categories: Blob,
}

/// The statement added up, from the analyzer to everyone who builds on it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Analysed {
    /// The rows.
    pub book: BookRef,
    /// The whole analysis.
    pub analysis: Blob,
    /// Income, spending and net of the whole statement.
    pub totals: Totals,
}

/// An amount to judge, from the supervisor to the affordability agent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CanAfford {
    /// The rows.
    pub book: BookRef,
    /// The amount in minor units.
    pub amount_minor: i64,
    /// Every month rather than once.
    pub monthly: bool,
}

/// All that is known, from the supervisor to the reporter.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Brief {
    /// What the question wants to know.
    pub intent: Intent,
    /// The analysis with its rows.
    pub analysed: Analysed,
    /// The forecast, if that leg answered.
    pub forecast: Option<Forecast>,
    /// The anomalies, if that leg answered.
    pub anomalies: Option<Anomalies>,
    /// The recurring payments, if that leg answered.
    pub recurring: Option<Recurring>,
    /// The recommendations, if that leg answered.
    pub recommendations: Option<Recommendations>,
    /// The verdict on an amount, if the question named one.
    pub affordability: Option<Affordability>,
    /// The legs that gave nothing, and why.
    pub missing: Vec<MissingLeg>,
}

/// A leg that gave nothing.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MissingLeg {
    /// What is missing, e.g. `forecast`.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// A report that is written, from the reporter to the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drafted {
    /// The report, stored so that it travels once: to whoever asked.
    pub report: Blob,
}

/// A report, from the supervisor to whoever asked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The answer, its fields beside these.
    #[serde(flatten)]
    pub answer: Answer,
    /// Whether a leg is missing that could have said more.
    pub partial: bool,
    /// The legs that gave nothing, and why.
    pub missing: Vec<MissingLeg>,
}

/// A report to check, from the supervisor to the auditor.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// The rows that it must rest on.
    pub book: BookRef,
    /// The report.
    pub report: Blob,
}

/// What the auditor found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audited {
    /// Citations compared with the rows.
    pub citations_checked: u32,
    /// What does not hold; empty if everything does.
    pub problems: Vec<String>,
}

impl Payload for Question {
    const KIND: &'static str = "question.asked";
}
impl Payload for Statement {
    const KIND: &'static str = "statement.received";
}
impl Payload for Rows {
    const KIND: &'static str = "transactions.raw";
}
impl Payload for Named {
    const KIND: &'static str = "transactions.normalized";
}
impl Payload for BookRef {
    const KIND: &'static str = "transactions.enriched";
}
impl Payload for Analysed {
    const KIND: &'static str = "analysis.result";
}
impl Payload for Forecast {
    const KIND: &'static str = "forecast.result";
}
impl Payload for Anomalies {
    const KIND: &'static str = "anomalies.result";
}
impl Payload for Recurring {
    const KIND: &'static str = "recurring.result";
}
impl Payload for Recommendations {
    const KIND: &'static str = "recommendations.result";
}
impl Payload for CanAfford {
    const KIND: &'static str = "affordability.request";
}
impl Payload for Affordability {
    const KIND: &'static str = "affordability.result";
}
impl Payload for Brief {
    const KIND: &'static str = "report.request";
}
impl Payload for Drafted {
    const KIND: &'static str = "report.drafted";
}
impl Payload for Report {
    const KIND: &'static str = "report.result";
}
impl Payload for Draft {
    const KIND: &'static str = "audit.request";
}
impl Payload for Audited {
    const KIND: &'static str = "audit.result";
}
