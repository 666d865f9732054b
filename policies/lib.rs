//! What Genie may do.

pub mod detect;
