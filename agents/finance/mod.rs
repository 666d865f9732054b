//! The finance family: agents that answer questions about a bank statement.

pub mod domain;
