//! What Genie is: message, label, principal, agent contract, registry, bus, journal and ports.
//!
//! No HTTP, SQL, files or wall clock here, and no business domain. Agents and policies see only
//! this crate; the composition root gives it adapters for its ports.

mod activation;
pub mod agent;
pub mod approval;
pub mod ask;
pub mod attempts;
pub mod audit;
pub mod blob;
pub mod budget;
mod bus;
mod charging;
pub mod clock;
pub mod context;
mod crew;
mod deadlines;
pub mod document;
pub mod failure;
pub mod figures;
mod gate;
pub mod gather;
pub mod governed;
mod history;
pub mod identity;
pub mod ids;
pub mod journal;
mod keeper;
pub mod kernel;
pub mod label;
pub mod limits;
pub mod message;
pub mod ours;
pub mod outcome;
pub mod pace;
pub mod payload;
pub mod policy;
pub mod principal;
mod recovery;
mod redact;
pub mod registry;
pub mod replay;
mod run;
pub mod runs;
pub mod spec;
pub mod specimen;
mod supervisor;
pub mod system;
pub mod tap;
pub mod tasks;
pub mod tenant;
pub mod tool;

pub use agent::{Agent, Error as AgentError};
pub use ask::{Ask, Refused, Running};
pub use async_trait::async_trait;
pub use context::Context;
pub use failure::Failure;
pub use gather::Gather;
pub use governed::Governed;
pub use kernel::Kernel;
pub use payload::Payload;
pub use spec::{AgentSpec, Risk};
pub use system::System;
pub use tenant::Tenant;
