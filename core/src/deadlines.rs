//! Ends runs at their deadlines: one task for all of them, since a task and a timer for each would
//! cost every run more than the few that expire are worth.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ids::RunId;
use crate::kernel::Shared;
use crate::outcome::Outcome;
use crate::run::Run;

/// The runs in memory, by when they expire.
#[derive(Default)]
pub(crate) struct Deadlines {
    watched: Mutex<Watched>,
    sooner: Notify,
}

#[derive(Default)]
struct Watched {
    runs: BTreeMap<(Instant, RunId), Weak<Run>>,
    /// When the task looks next, if it does.
    looks_at: Option<Instant>,
}

impl Deadlines {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches the deadline of a run until it is let go.
    pub(crate) fn watch(&self, run: &Arc<Run>) {
        let mut watched = self.watched();
        watched.runs.insert((run.expires, run.id), Arc::downgrade(run));
        let sooner = watched.looks_at.is_none_or(|looks_at| run.expires < looks_at);
        drop(watched);
        if sooner {
            self.sooner.notify_one();
        }
    }

    /// The run has ended, or left the memory.
    pub(crate) fn let_go(&self, run: &Run) {
        self.watched().runs.remove(&(run.expires, run.id));
    }

    /// Says when there is something to do next, and remembers that it was said.
    fn next(&self) -> Option<Instant> {
        let mut watched = self.watched();
        watched.looks_at = watched.runs.first_key_value().map(|((expires, _), _)| *expires);
        watched.looks_at
    }

    fn due(&self, now: Instant) -> Option<Arc<Run>> {
        let mut watched = self.watched();
        while let Some(first) = watched.runs.first_entry().filter(|first| first.key().0 <= now) {
            if let Some(run) = first.remove().upgrade() {
                return Some(run);
            }
        }
        None
    }
}

/// Ends every run whose deadline comes.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let deadlines = &shared.deadlines;
    loop {
        match deadlines.next() {
            None => deadlines.sooner.notified().await,
            Some(at) => tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = deadlines.sooner.notified() => {}
            },
        }
        while let Some(run) = deadlines.due(Instant::now()) {
            let deadline_ms = run.deadline.micros_since(run.started) / 1_000;
            run.finish(Outcome::Expired { deadline_ms }, None).await;
        }
    }
}
