//! The journal: the one append-only, hash-chained record of runs.
//!
//! [`record`] and [`steps`] say what is written, [`chain`] how it is sealed, [`store`] is the port
//! of the databases, [`restore`] reads back what they keep, [`memory`] is the in-process adapter,
//! [`lines`] the file form, [`census`] what each run must count up to and [`verify`] the proof.

pub mod census;
pub mod chain;
pub mod lines;
pub mod memory;
pub mod record;
pub mod restore;
pub mod steps;
pub mod store;
pub mod verify;

mod text;
pub(crate) mod writer;

mod facts;

pub use record::{Entry, Record};
pub use restore::entry_shown;
pub use store::{Error, Journal, Text};
