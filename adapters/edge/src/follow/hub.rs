//! One observer of the kernel for all clients: hands each event to those who follow its run.
//!
//! Each follower has a bounded queue; one that lags is told so and reads on from the journal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use genie_core::ids::RunId;
use genie_core::tap::{Event, Tap};
use genie_core::tasks::Tasks;
use tokio::sync::broadcast;

/// Most events of a run that wait for one of its followers.
const EVENTS_MAX: usize = 256;

type Followed = Arc<Mutex<HashMap<RunId, broadcast::Sender<Event>>>>;

/// Where followers of runs register.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    followed: Followed,
}

fn locked(followed: &Followed) -> MutexGuard<'_, HashMap<RunId, broadcast::Sender<Event>>> {
    followed.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Starts to observe.
    pub(crate) fn start(tap: Tap, tasks: &Tasks) -> Self {
        let followed = Followed::default();
        tasks.spawn(hand_out(tap, followed.clone()));
        Self { followed }
    }

    /// Follows a run, which need not have begun. Whether the caller may is [`super::Follower`]'s
    /// business, and nobody else gets at this.
    pub(super) fn follow(&self, run: RunId) -> Subscription {
        let mut followed = locked(&self.followed);
        let sender = followed.entry(run).or_insert_with(|| broadcast::Sender::new(EVENTS_MAX));
        Subscription { receiver: sender.subscribe(), run, followed: self.followed.clone() }
    }

    /// How many runs are followed.
    pub(crate) fn followed(&self) -> usize {
        locked(&self.followed).len()
    }
}

async fn hand_out(mut tap: Tap, followed: Followed) {
    loop {
        match tap.next().await {
            Ok(Some(event)) => {
                let sender = locked(&followed).get(&event.run_id()).cloned();
                if let Some(sender) = sender {
                    // An error means that the last follower has just left.
                    let _ = sender.send(event);
                }
            }
            Ok(None) => return,
            Err(error) => {
                // What was missed is in the journal, where followers see the gap.
                tracing::warn!(%error, "events were missed");
                tap.skip();
            }
        }
    }
}

/// A follower's end.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) receiver: broadcast::Receiver<Event>,
    run: RunId,
    followed: Followed,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut followed = locked(&self.followed);
        // The receiver itself is dropped after this.
        if followed.get(&self.run).is_some_and(|sender| sender.receiver_count() <= 1) {
            followed.remove(&self.run);
        }
    }
}
