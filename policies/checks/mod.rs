//! The built-in checks: one policy per file, each a pure function of a message and its facts.
//!
//! Their order is in `lib.rs`.

pub mod allow_lists;
pub mod classification_ceiling;
pub mod consent;
pub mod data_residency;
pub mod explainability;
pub mod hop_loop;
pub mod message_size;
pub mod payload_schema;
pub mod pii;
pub mod prompt_injection;
pub mod required_attributes;
pub mod role_scope;
pub mod tenant_isolation;

#[cfg(test)]
mod testbed;
