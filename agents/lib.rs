//! What Genie does: one file per agent, one visible list.
//!
//! Adding an agent takes a file, its `mod` line and its line in [`ALL`]; an agent that is declared
//! but not listed does not compile.

pub mod assistant;
pub mod demo;
pub mod finance;

#[cfg(test)]
mod trial;

use genie_core::Agent;

/// Every agent of this build, in the order in which it is shown.
pub const ALL: &[&dyn Agent] = &[
    &finance::supervisor::Supervisor,
    &finance::ingestor::Ingestor,
    &finance::normalizer::Normalizer,
    &finance::enricher::Enricher,
    &finance::analyzer::Analyzer,
    &finance::forecaster::Forecaster,
    &finance::anomaly_detector::AnomalyDetector,
    &finance::recurring_detector::RecurringDetector,
    &finance::recommender::Recommender,
    &finance::affordability::Affordability,
    &finance::reporter::Reporter,
    &finance::fallback::Fallback,
    &finance::auditor::Auditor,
    &assistant::tool_executor::ToolExecutor,
];

/// The agents of `genie ask --demo`.
pub const DEMO: &[&dyn Agent] = &[&demo::payer::Payer];
