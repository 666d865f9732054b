//! The tool `document.query`: rows of a statement that whoever asks has sent before.
//!
//! It finds nothing but documents of the one who began the run, whatever the arguments say.

use std::fmt;
use std::sync::Arc;

use genie_core::async_trait;
use genie_core::document::{DocumentId, Documents};
use genie_core::label::{Classification, PERSONAL};
use genie_core::tool::{Attempt, Effects, Tool, ToolError, ToolSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// Rows that are given if the caller does not say how many.
const ROWS: u32 = 50;

/// Which way money goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Direction {
    /// To the account.
    In,
    /// From the account.
    Out,
}

/// What to look for; all of it must fit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The document.
    document_id: Uuid,
    /// Text within the description, in capitals or not.
    #[schemars(length(min = 1, max = 200))]
    contains: Option<String>,
    /// The first day, such as `2026-08-01`.
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}$"))]
    from: Option<String>,
    /// The last day.
    #[schemars(regex(pattern = r"^\d{4}-\d{2}-\d{2}$"))]
    to: Option<String>,
    /// Which way the money goes.
    direction: Option<Direction>,
    /// Most rows to give, 50 if absent; sums are over all that fit.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
}

/// A row of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The line of the file.
    pub line: u32,
    /// The day, as in ISO 8601.
    pub date: String,
    /// Signed minor units: money in is positive, money out negative.
    pub amount_minor: i64,
    /// What the bank wrote.
    pub description: String,
}

/// A statement that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// The currency of all amounts.
    pub currency: String,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// Reads statements.
pub type ReadRows = fn(&[u8]) -> Result<Rows, String>;

/// Looks into documents.
pub struct DocumentQuery {
    documents: Arc<dyn Documents>,
    read: ReadRows,
}

impl fmt::Debug for DocumentQuery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DocumentQuery")
    }
}

impl DocumentQuery {
    /// Looks into these documents, with what reads one.
    #[must_use]
    pub fn over(documents: Arc<dyn Documents>, read: ReadRows) -> Self {
        Self { documents, read }
    }
}

impl Wanted {
    fn fits(&self, row: &Row) -> bool {
        let within = |text: &String| row.description.to_lowercase().contains(&text.to_lowercase());
        self.contains.as_ref().is_none_or(within)
            && self.from.as_ref().is_none_or(|from| row.date >= *from)
            && self.to.as_ref().is_none_or(|to| row.date <= *to)
            && self.direction.is_none_or(|way| (way == Direction::In) == (row.amount_minor > 0))
    }

    fn answer(&self, read: &Rows) -> Result<Value, ToolError> {
        let (mut sums, mut matched, mut rows) = ((0_i64, 0_i64), 0_u64, Vec::new());
        for row in read.rows.iter().filter(|row| self.fits(row)) {
            matched += 1;
            let sum = if row.amount_minor > 0 { &mut sums.0 } else { &mut sums.1 };
            let added = sum.checked_add(row.amount_minor);
            let huge = || ToolError::Failed("the amounts add up to more than fits".to_owned());
            *sum = added.ok_or_else(huge)?;
            if rows.len() < self.limit.unwrap_or(ROWS) as usize {
                rows.push(row);
            }
        }
        Ok(json!({
            "document_id": self.document_id,
            "currency": read.currency,
            "matched": matched,
            "in_minor": sums.0,
            "out_minor": sums.1,
            "rows": rows,
        }))
    }
}

#[async_trait]
impl Tool for DocumentQuery {
    fn spec(&self) -> ToolSpec {
        ToolSpec::new::<Wanted>(
            "document.query",
            "finds rows of a statement that the asker has sent, by text, days and direction",
        )
        .effects(Effects::None)
        .cleared_for(Classification::Confidential)
        .cleared_for_category(PERSONAL)
    }

    async fn call(&self, attempt: Attempt<'_>) -> Result<Value, ToolError> {
        let wanted: Wanted = attempt.read()?;
        let (id, subject) = (DocumentId(wanted.document_id), Some(attempt.subject));
        let found = self.documents.get(attempt.tenant, subject, id).await;
        let found = found.map_err(|error| ToolError::Failed(error.to_string()))?;
        let missing = || {
            let problem = "there is no such document, or it is not yours; `GET /v1/documents` \
                           lists those that are";
            ToolError::Failed(problem.to_owned())
        };
        let (_, content) = found.ok_or_else(missing)?;
        let read = self.read;
        let read = tokio::task::spawn_blocking(move || read(&content)).await;
        let read =
            read.map_err(|_| ToolError::Failed("the statement cannot be read".to_owned()))?;
        wanted.answer(&read.map_err(ToolError::Failed)?)
    }
}

#[cfg(test)]
mod tests {
    use genie_core::blob::Blob;
    use genie_core::clock::Timestamp;
    use genie_core::document::{Document, MemoryDocuments};
    use genie_core::ids::RunId;

    use super::*;

    /// Lines such as `2026-08-01 -450 Swiggy`.
    fn read(content: &[u8]) -> Result<Rows, String> {
        let text = str::from_utf8(content).map_err(|error| error.to_string())?;
        let row = |(line, text): (u32, &str)| {
            let mut parts = text.splitn(3, ' ');
            let mut next = || parts.next().unwrap().to_owned();
            let (date, amount, description) = (next(), next(), next());
            Row { line, date, amount_minor: amount.parse().unwrap(), description }
        };
        Ok(Rows { currency: "INR".to_owned(), rows: (1..).zip(text.lines()).map(row).collect() })
    }

    async fn ask(arguments: Value, subject: &str) -> Result<Value, ToolError> {
        let content = b"2026-08-01 100000 Salary\n2026-08-03 -45000 SWIGGY order\n\
                        2026-09-03 -95000 Swiggy\n";
        let documents = MemoryDocuments::default();
        let tenant = crate::trial::acme();
        let document = Document {
            id: DocumentId(Uuid::from_u128(1)),
            tenant: tenant.clone(),
            subject: "asha".into(),
            blob: Blob::of(content),
            created_at: Timestamp::from_micros(0),
        };
        documents.put(&document, content, 10).await.unwrap();
        let mut arguments = arguments;
        arguments["document_id"] = json!(Uuid::from_u128(1));
        let attempt = Attempt {
            arguments: &arguments,
            idempotency_key: "k",
            run_id: RunId(Uuid::nil()),
            tenant: &tenant,
            subject,
        };
        DocumentQuery::over(Arc::new(documents), read).call(attempt).await
    }

    #[tokio::test]
    async fn rows_are_found_by_text_days_and_direction() {
        let check = async |arguments: Value, lines: &[u64], sums: (i64, i64)| {
            let found = ask(arguments.clone(), "asha").await.unwrap();
            let rows = found["rows"].as_array().unwrap();
            let found_lines: Vec<u64> =
                rows.iter().map(|row| row["line"].as_u64().unwrap()).collect();
            assert_eq!(found_lines, lines, "{arguments}");
            assert_eq!((&found["in_minor"], &found["out_minor"]), (&json!(sums.0), &json!(sums.1)));
        };
        check(json!({}), &[1, 2, 3], (100_000, -140_000)).await;
        check(json!({ "contains": "swiggy" }), &[2, 3], (0, -140_000)).await;
        check(json!({ "from": "2026-08-03", "to": "2026-08-31" }), &[2], (0, -45_000)).await;
        check(json!({ "direction": "in" }), &[1], (100_000, 0)).await;
        check(json!({ "direction": "out", "limit": 1 }), &[2], (0, -140_000)).await;
        check(json!({ "contains": "Tanishq" }), &[], (0, 0)).await;
    }

    #[tokio::test]
    async fn the_document_of_another_is_not_there() {
        let refused = ask(json!({}), "ravi").await.unwrap_err().to_string();
        assert!(refused.contains("no such document"), "{refused}");
    }
}
