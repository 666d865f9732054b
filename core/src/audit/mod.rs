//! The audit log: what lets anyone check the journal without trusting whoever keeps it.
//!
//! The records of a chain are the leaves of a Merkle tree ([`merkle`], stored as [`tiles`]); its
//! head is signed as a [`checkpoint`], which is a signed [`note`] under one of the log's [`keys`];
//! a [`receipt`] proves from all of these how one run ended. Nothing here does I/O, knows the time
//! or makes random numbers.

pub mod checkpoint;
mod encoding;
pub mod evidence;
pub mod keys;
pub mod merkle;
pub mod note;
pub mod receipt;
pub mod receipts;
pub mod tiles;
