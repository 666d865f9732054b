//! HOW genie runs.
