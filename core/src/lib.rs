//! What Genie is: message, label, principal, agent contract, registry, bus, journal and ports.
//!
//! No HTTP, SQL, files or wall clock here, and no business domain. Agents and policies see only
//! this crate; the composition root gives it adapters for its ports.

pub mod clock;
pub mod failure;
pub mod governed;
pub mod ids;
pub mod label;
pub mod limits;
pub mod message;
pub mod payload;
pub mod policy;
pub mod principal;
pub mod spec;
pub mod specimen;

pub use async_trait::async_trait;
