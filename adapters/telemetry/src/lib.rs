//! Spans of what agents do, and figures, for an OpenTelemetry collector.
//!
//! Spans are read off the journal's records as they are written, so that traces and the journal
//! cannot disagree, and carry ids, names, kinds, times and policies, never what was said. What a
//! collector does not take in time is dropped and counted: nothing waits for telemetry.

mod export;
mod metrics;
mod sink;
mod spans;
mod wire;

pub use export::{Error, Handle, Options, start};
pub use metrics::Source;
