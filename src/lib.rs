//! HOW genie runs: configuration, composition root and command line.
//!
//! An embedder uses [`App`]: the binary does nothing else.

pub mod app;
mod auditor;
mod bench;
pub mod cli;
pub mod config;
mod host;
mod pacing;
mod profiles;
mod signing;
pub mod storage;
mod telemetry;

pub use app::App;
