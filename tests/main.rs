//! The whole program, through its front door: the real binary, its output and its exit code.
//!
//! One integration binary; this is its map.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod program;

mod agents;
mod audit;
mod audit_proofs;
mod audit_tamper;
mod bench;
mod checkpoints;
mod config;
mod data;
mod db;
mod durable;
mod examples;
mod finance;
mod http;
mod inputs;
mod new;
mod policy;
mod postgres;
mod readme;
mod replay;
mod rights;
mod rows;
mod run;
mod sealing;
mod tidy;
mod unsealed;
