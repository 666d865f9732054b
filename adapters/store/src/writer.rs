//! The one writer of a chain: takes what waits, writes it in one transaction, says so.
//!
//! While one group is being written the next gathers, so that the cost of a commit is shared by
//! all that came in the meantime.

use std::sync::Arc;
use std::time::Duration;

use crate::group::Group;
use crate::postgres::{self, PostgresSink};
use crate::queue::Queue;
use crate::sealing;
use crate::sealing::group::{GroupSealer, Sealed};
use crate::sqlite::SqliteSink;

/// Moves the end of a chain, if the chain is still ours and where we left it: the first statement
/// of every transaction. It also holds up whoever wants to take the chain over until it is done.
pub(crate) const ADVANCE: &str = "UPDATE chains SET head_seq = $1, head_hash = $2 \
                                  WHERE id = $3 AND epoch = $4 AND head_seq = $5";
/// The end of a chain, if the chain is ours.
pub(crate) const HEAD: &str = "SELECT head_seq, head_hash FROM chains WHERE id = $1 AND epoch = $2";

/// Why a group was not written.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Another process owns the chain: for good.
    Fenced(String),
    /// The database refused; it is asked again.
    Refused(String),
    /// A key that the group was sealed with was erased meanwhile; it is sealed anew.
    Erased,
}

/// What came of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    All,
    /// The chain is no longer ours.
    Lost,
    /// A key that the group was sealed with is no longer there.
    Erased,
}

/// Where groups go.
#[derive(Debug)]
pub(crate) enum Sink {
    Sqlite(Box<SqliteSink>),
    Postgres(Box<PostgresSink>),
}

impl Sink {
    async fn write(&mut self, group: &Group, sealed: &Sealed) -> Result<(), Fault> {
        match self {
            Self::Sqlite(sink) => sink.write(group, sealed).await,
            Self::Postgres(sink) => sink.write(group, sealed).await,
        }
    }

    /// A group that could not even be sealed.
    fn refused(&self, error: &sealing::Error) -> Fault {
        match (error, self) {
            (sealing::Error::Database(_), Self::Sqlite(sink)) => sink.refused(error),
            (sealing::Error::Database(_), Self::Postgres(_)) => postgres::refused(error),
            _ => Fault::Refused(error.to_string()),
        }
    }
}

/// How long to wait before the database is asked again: doubled each time up to the longest.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// The first wait.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

/// What a writer works with.
struct Writer {
    queue: Arc<Queue>,
    sealer: GroupSealer,
    sink: Sink,
    retry: Retry,
}

/// The journal is closed for good.
struct Closed;

/// Writes whatever comes, until it is stopped or fenced.
pub(crate) async fn run(queue: Arc<Queue>, sealer: GroupSealer, sink: Sink, retry: Retry) {
    let mut writer = Writer { queue, sealer, sink, retry };
    loop {
        let group = writer.queue.next().await;
        if let Err(Closed) = writer.write(group).await {
            return;
        }
    }
}

impl Writer {
    /// Writes a group in a transaction of its own, however often it takes.
    async fn write(&mut self, group: Group) -> Result<(), Closed> {
        let mut wait = self.retry.first;
        loop {
            let written = match self.sealer.seal(&group).await {
                Ok(sealed) => self.sink.write(&group, &sealed).await,
                Err(error) => Err(self.sink.refused(&error)),
            };
            match written {
                Ok(()) => break,
                Err(Fault::Erased) => self.sealer.forget(),
                Err(Fault::Fenced(reason)) => {
                    tracing::error!(reason, "the journal is closed for good");
                    self.queue.shut(reason);
                    return Err(Closed);
                }
                Err(Fault::Refused(reason)) => {
                    tracing::error!(reason, wait_ms = wait.as_millis(), "the journal cannot write");
                    self.queue.fail(reason);
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(self.retry.longest);
                }
            }
        }
        self.queue.wrote(&group);
        Ok(())
    }
}
