//! What Genie may do.
