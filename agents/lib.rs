//! What Genie does: one file per agent, one visible list.

pub mod finance;
