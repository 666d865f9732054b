//! Genie's journal, runs, approvals and blobs on SQLite and PostgreSQL.
//!
//! A process that runs agents [opens](open) a database in [`Mode::Own`] and gets one chain of the
//! journal, which it alone writes: [`queue`] takes records in without waiting, [`writer`] writes
//! them in groups, [`group`] says what one transaction holds. The other ports read and write the
//! tables directly; a query is written once for both databases unless they differ in it ([`pool`]).

mod accounts;
mod approvals;
mod attempts;
mod blobs;
mod budgets;
mod checkpoints;
mod documents;
mod erase;
mod evidence;
mod group;
mod identity;
mod journal;
mod open;
mod pack;
mod pool;
mod postgres;
mod queue;
mod rotate;
mod rows;
mod runs;
mod schema;
mod sealing;
mod snapshot;
mod sqlite;
mod stats;
mod writer;

pub use checkpoints::{ChainInfo, Checkpoint, Checkpoints, Error as AuditError, Tile};
pub use erase::{EraseError, Erased};
pub use evidence::{BlobKey, RawApproval, RawContent, RawDocument, RawLink, RawRecord, RawRun};
pub use open::{Location, Mode, OpenError, Opened, Options, migrate, open, revert, status};
pub use rotate::{KekUse, KeyStatus, RotateError, Rotated};
pub use schema::Status;
pub use sealing::Error as SealingError;
pub use sealing::kek::{Kek, Keks, KeyError, KeySource};
pub use sqlx::Error as DatabaseError;
pub use stats::{EntryType, Stats, Table};
pub use writer::Retry;
