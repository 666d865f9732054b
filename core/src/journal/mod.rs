//! The journal: the one append-only, hash-chained record of runs.
//!
//! [`record`] says what is written, [`chain`] how it is sealed, [`store`] is the port of the
//! databases, [`memory`] its in-process adapter, [`lines`] the file form and [`verify`] the proof.

pub mod chain;
pub mod lines;
pub mod memory;
pub mod record;
pub mod store;
pub mod verify;

pub(crate) mod writer;

pub use record::{Entry, Record};
pub use store::{Error, Journal};
