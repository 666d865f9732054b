//! The finance family: agents that answer questions about a bank statement.
//!
//! `supervisor → ingestor → normalizer → enricher → analyzer ⇉ {forecaster, anomaly_detector,
//! recurring_detector, recommender} ⇒ supervisor → reporter → auditor`. The rows are stored once
//! and referred to by hash; [`domain`] holds the arithmetic, the agents only carry it over the bus.

pub(crate) mod affordability;
pub(crate) mod analyzer;
pub(crate) mod anomaly_detector;
pub(crate) mod auditor;
mod clearance;
pub mod domain;
pub(crate) mod enricher;
pub(crate) mod fallback;
pub(crate) mod forecaster;
pub(crate) mod ingestor;
pub mod messages;
pub(crate) mod normalizer;
pub(crate) mod recommender;
pub(crate) mod recurring_detector;
pub(crate) mod reporter;
mod shelf;
pub(crate) mod supervisor;

use std::time::Duration;

use genie_core::blob::Blob;
use genie_core::gather::Gathered;
use genie_core::{AgentError, Ask, Failure, Payload};

/// The scope that a credential needs to ask.
pub const SCOPE: &str = "finance:ask";

/// The purpose that the subject must have consented to before a statement is read.
pub const CONSENT: &str = "statement-analysis";

/// Longest wait for the legs that build on the analysis.
const LEGS_WAIT: Duration = Duration::from_secs(3);

/// Longest wait for the pipeline up to the analysis: a million rows take a few seconds.
const PIPELINE_WAIT: Duration = Duration::from_secs(20);

/// The request that puts a question about a statement to the supervisor.
///
/// `statement` is the bank's CSV file as it came.
#[must_use]
pub fn ask(question: &str, statement: Vec<u8>) -> Ask {
    ask_of("supervisor", question, Some(statement))
}

/// The same request to another agent that takes questions, which may want no statement.
#[must_use]
pub fn ask_of(agent: &str, question: &str, statement: Option<Vec<u8>>) -> Ask {
    let blob = statement.as_deref().map(Blob::of);
    let payload = messages::Question { question: question.to_owned(), statement: blob };
    let ask = Ask::new(agent, &payload);
    match statement {
        Some(statement) => ask.with_content(statement),
        None => ask,
    }
}

/// The gathered payload of a kind, or the failure that kept it away.
fn need<T: Payload>(gathered: &Gathered) -> Result<T, AgentError> {
    if let Some(message) = gathered.of_kind(T::KIND) {
        return Ok(message.decode()?);
    }
    let missing = gathered.missing.iter().find(|missing| missing.leg == T::KIND);
    Err(match missing.and_then(|missing| missing.failure.clone()) {
        Some(failure) => failure.into(),
        None => Failure::Incomplete {
            reason: missing.map_or_else(
                || format!("`{}` was not waited for", T::KIND),
                |missing| format!("`{}`: {}", missing.leg, missing.reason),
            ),
        }
        .into(),
    })
}
