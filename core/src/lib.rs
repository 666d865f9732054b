//! What Genie is.
