//! The one writer of a chain: takes what waits, writes it in one transaction, says so.
//!
//! While one group is being written the next gathers, so that the cost of a commit is shared by
//! all that came in the meantime. On SQLite, what nobody waits for yet is written into a
//! transaction that is left open, so that the commit alone is left once somebody waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::group::Group;
use crate::postgres::{self, PostgresSink};
use crate::queue::{Due, Queue};
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

    /// Writes a part of the transaction that is open, or opens one. If it is refused, the
    /// transaction is taken back as a whole.
    async fn write_ahead(&mut self, part: &Group, sealed: &Sealed) -> Result<(), Refused> {
        match self {
            Self::Sqlite(sink) => sink.write_ahead(part, sealed).await,
            Self::Postgres(_) => Err(Refused),
        }
    }

    /// Writes the last part, if there is one, and commits. As with [`Self::write_ahead`].
    async fn commit(&mut self, last: Option<(&Group, &Sealed)>) -> Result<(), Refused> {
        match self {
            Self::Sqlite(sink) => sink.commit(last).await,
            Self::Postgres(_) => Err(Refused),
        }
    }
}

/// A transaction was taken back. Why is found out when all of it is written at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused;

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
    /// What is written ahead of its commit, and since when. It is kept, so that it can be written
    /// again.
    ahead: Vec<Group>,
    since: Option<Instant>,
}

/// The journal is closed for good.
struct Closed;

/// Writes whatever comes, until it is stopped or fenced.
pub(crate) async fn run(queue: Arc<Queue>, sealer: GroupSealer, sink: Sink, retry: Retry) {
    let mut writer = Writer { queue, sealer, sink, retry, ahead: Vec::new(), since: None };
    loop {
        let done = match writer.queue.next(writer.since).await {
            Due::Part(part) => writer.write_ahead(part).await,
            Due::Commit(last) => writer.commit(last).await,
        };
        if let Err(Closed) = done {
            return;
        }
    }
}

impl Writer {
    /// Writes what nobody waits for yet into a transaction that is left open, so that little is
    /// left to do once somebody does.
    async fn write_ahead(&mut self, part: Group) -> Result<(), Closed> {
        // Nobody else can write while the transaction is open: not even a key that is asked for.
        if !self.ahead.is_empty() && !self.sealer.knows(&part) {
            self.commit(None).await?;
        }
        let written = match self.sealer.seal(&part).await {
            Ok(sealed) => self.sink.write_ahead(&part, &sealed).await,
            Err(_) => Err(Refused),
        };
        self.ahead.push(part);
        self.since.get_or_insert_with(Instant::now);
        match written {
            Ok(()) => Ok(()),
            Err(Refused) => self.write_again().await,
        }
    }

    async fn commit(&mut self, last: Option<Group>) -> Result<(), Closed> {
        if self.ahead.is_empty() {
            return match last {
                Some(group) => self.write(group).await,
                None => Ok(()),
            };
        }
        let apart = last.as_ref().is_some_and(|last| !self.sealer.knows(last));
        let (last, next) = if apart { (None, last) } else { (last, None) };
        let committed = match &last {
            None => self.sink.commit(None).await,
            Some(group) => match self.sealer.seal(group).await {
                Ok(sealed) => self.sink.commit(Some((group, &sealed))).await,
                Err(_) => Err(Refused),
            },
        };
        self.ahead.extend(last);
        match committed {
            Ok(()) => {
                self.since = None;
                for group in self.ahead.drain(..) {
                    self.queue.wrote(&group);
                }
            }
            Err(Refused) => self.write_again().await?,
        }
        match next {
            Some(group) => self.write(group).await,
            None => Ok(()),
        }
    }

    /// Writes all of a transaction that was taken back.
    async fn write_again(&mut self) -> Result<(), Closed> {
        self.since = None;
        match self.ahead.drain(..).reduce(Group::followed_by) {
            Some(group) => self.write(group).await,
            None => Ok(()),
        }
    }

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
