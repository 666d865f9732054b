//! The power is cut, and the disk refuses, at every single write and sync of a reference run: what
//! was acknowledged is there afterwards, the chain verifies and every run has one outcome.
//!
//! The disk is a layer below SQLite (`adapters/store/disk`), so that the store is tested as it is.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod cut;
mod lives;
mod refused;
