//! Content that is kept in memory: what is not yet in the database, so that it is found at once,
//! and what was used last, so that it is decoded once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use genie_core::Tenant;
use genie_core::blob::{Blob, Scope, Stored};
use genie_core::ids::RunId;

/// Content of one run.
#[derive(Debug)]
struct Held {
    blob: Blob,
    tenant: Tenant,
    subject: Arc<str>,
    stored: Arc<Stored>,
    /// The queue's number for it; it may go once that is written.
    ticket: u64,
}

/// A cache bounded by the bytes of the content in it, except for what is yet to be written, which
/// the queue bounds.
#[derive(Debug)]
pub(super) struct Cache {
    runs: HashMap<RunId, Vec<Held>>,
    /// What is inside, the oldest first; what was released may still be named.
    order: VecDeque<(RunId, Blob)>,
    count: usize,
    bytes: u64,
    bytes_max: u64,
    /// Counts whatever goes, so that who looked in the database meanwhile knows to look again.
    gone: u64,
}

impl Cache {
    pub(super) fn new(bytes_max: u64) -> Self {
        let (runs, order) = (HashMap::new(), VecDeque::new());
        Self { runs, order, count: 0, bytes: 0, bytes_max, gone: 0 }
    }

    pub(super) fn gone(&self) -> u64 {
        self.gone
    }

    /// The content, if it is that of this scope.
    pub(super) fn get(&self, scope: &Scope, blob: Blob) -> Option<Arc<Stored>> {
        let held = self.runs.get(&scope.run)?.iter().find(|held| held.blob == blob)?;
        let same = held.tenant == scope.tenant && held.subject == scope.subject;
        same.then(|| held.stored.clone())
    }

    /// Takes content in, in the place of what is there, and lets go of what is too much; `written`
    /// is the number of the last thing in the database. Gives the runs that something was let go
    /// of.
    pub(super) fn put(
        &mut self,
        scope: &Scope,
        blob: Blob,
        (stored, ticket): (Arc<Stored>, u64),
        written: u64,
    ) -> Vec<RunId> {
        let (tenant, subject) = (scope.tenant.clone(), scope.subject.clone());
        let held = Held { blob, tenant, subject, stored, ticket };
        let run = self.runs.entry(scope.run).or_default();
        if let Some(place) = run.iter_mut().find(|held| held.blob == blob) {
            *place = held;
            return Vec::new();
        }
        run.push(held);
        self.order.push_back((scope.run, blob));
        self.count += 1;
        self.bytes += blob.bytes;
        self.shrink(written)
    }

    /// Lets go of what a run has in the database.
    pub(super) fn release(&mut self, run: RunId, written: u64) {
        let Some(mut held) = self.runs.remove(&run) else { return };
        held.retain(|held| {
            let keep = held.ticket > written;
            if !keep {
                self.count -= 1;
                self.bytes -= held.blob.bytes;
                self.gone += 1;
            }
            keep
        });
        if !held.is_empty() {
            self.runs.insert(run, held);
        }
        if self.order.len() > 2 * self.count + 64 {
            let runs = &self.runs;
            self.order.retain(|(run, blob)| {
                runs.get(run).is_some_and(|held| held.iter().any(|held| held.blob == *blob))
            });
        }
    }

    fn shrink(&mut self, written: u64) -> Vec<RunId> {
        let mut shrunk = Vec::new();
        while self.bytes > self.bytes_max {
            let Some((run, blob)) = self.order.front() else { break };
            let held = self.runs.get_mut(run);
            let place = held.and_then(|held| {
                let at = held.iter().position(|held| held.blob == *blob)?;
                Some((held, at))
            });
            if let Some((held, at)) = place {
                if held[at].ticket > written {
                    break;
                }
                shrunk.push(*run);
                held.swap_remove(at);
                let empty = held.is_empty();
                self.count -= 1;
                self.bytes -= blob.bytes;
                self.gone += 1;
                if empty {
                    self.runs.remove(run);
                }
            }
            self.order.pop_front();
        }
        shrunk
    }
}
