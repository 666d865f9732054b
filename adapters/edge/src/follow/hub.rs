//! One observer of the kernel for all clients: hands each event to those who follow its run.
//!
//! Each follower has a bounded queue; one that lags is told so and reads on from the journal. So
//! are all of them if the hub itself lags: to read what it has missed would take longer than to
//! miss it, and most of it is of runs that nobody follows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use genie_core::ids::RunId;
use genie_core::tap::{Event, Live, Tap};
use genie_core::tasks::Tasks;
use genie_core::{Kernel, Tenant};
use tokio::sync::broadcast;
use tokio::time::Instant;

/// Most events of a run that wait for one of its followers.
const EVENTS_MAX: usize = 256;

/// Most events that are handed out before other tasks have their turn.
const AT_ONCE_MAX: usize = 1_024;

/// How often to look for records of runs that other processes work on.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A pause is so many times as long as the look before it took, if that is longer.
const PAUSE_FACTOR: u32 = 20;

/// Most runs that are looked up at once.
const LOOKED_UP_MAX: usize = 1_024;

/// What a follower is told.
#[derive(Debug, Clone)]
pub(super) enum News {
    Event(Event),
    /// Something was missed, which is in the journal if it is a record.
    Missed,
    /// So many records of the run are in the journal by now, whoever has written them.
    Grown(u64),
}

/// The followers of a run.
#[derive(Debug)]
struct Line {
    tenant: Tenant,
    sender: broadcast::Sender<News>,
    /// The records that they were told of last.
    grown: u64,
}

type Followed = Arc<Mutex<HashMap<RunId, Line>>>;

/// Where followers of runs register.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    followed: Followed,
}

fn locked(followed: &Followed) -> MutexGuard<'_, HashMap<RunId, Line>> {
    followed.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Starts to observe.
    pub(crate) fn start(tap: Tap, kernel: Kernel, tasks: &Tasks) -> Self {
        let followed = Followed::default();
        tasks.spawn(hand_out(tap, followed.clone()));
        tasks.spawn(look(kernel, followed.clone()));
        Self { followed }
    }

    /// Follows a run, which need not have begun. Whether the caller may is [`super::Follower`]'s
    /// business, and nobody else gets at this.
    pub(super) fn follow(&self, tenant: &Tenant, run: RunId) -> Subscription {
        let mut followed = locked(&self.followed);
        let line = followed.entry(run).or_insert_with(|| Line {
            tenant: tenant.clone(),
            sender: broadcast::Sender::new(EVENTS_MAX),
            grown: 0,
        });
        Subscription { receiver: line.sender.subscribe(), run, followed: self.followed.clone() }
    }

    /// How many runs are followed.
    pub(crate) fn followed(&self) -> usize {
        locked(&self.followed).len()
    }
}

async fn hand_out(mut tap: Tap, followed: Followed) {
    // Nobody follows yet, and what comes first is in the journal.
    tap.skip();
    loop {
        let mut next = Some(tap.live().await);
        let mut handed = 0;
        while let Some(live) = next {
            match live {
                Live::Event(event) => {
                    let sender =
                        locked(&followed).get(&event.run_id()).map(|line| line.sender.clone());
                    if let Some(sender) = sender {
                        // An error means that the last follower has just left.
                        let _ = sender.send(News::Event(event));
                    }
                }
                Live::Missed => {
                    for line in locked(&followed).values() {
                        let _ = line.sender.send(News::Missed);
                    }
                }
                Live::Closed => return,
            }
            handed += 1;
            // Waiting for one at a time would let it in for a few at a time, and it would fall
            // behind as soon as there is much else to do.
            next = if handed < AT_ONCE_MAX { tap.live_now() } else { None };
        }
    }
}

/// Tells followers how far their runs are, if other processes may work on them.
async fn look(kernel: Kernel, followed: Followed) {
    let mut pause = LOOK_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        let lines: Vec<(Tenant, RunId)> =
            locked(&followed).iter().map(|(run, line)| (line.tenant.clone(), *run)).collect();
        let began = Instant::now();
        for runs in lines.chunks(LOOKED_UP_MAX) {
            match kernel.grown_elsewhere(runs).await {
                Ok(grown) => tell(&followed, grown),
                Err(error) => {
                    tracing::debug!(%error, "runs of other processes cannot be looked up");
                    break;
                }
            }
        }
        pause = LOOK_EVERY.max(began.elapsed() * PAUSE_FACTOR);
    }
}

fn tell(followed: &Followed, grown: Vec<(RunId, u64)>) {
    let mut followed = locked(followed);
    for (run, records) in grown {
        if let Some(line) = followed.get_mut(&run)
            && line.grown != records
        {
            line.grown = records;
            let _ = line.sender.send(News::Grown(records));
        }
    }
}

/// A follower's end.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) receiver: broadcast::Receiver<News>,
    run: RunId,
    followed: Followed,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut followed = locked(&self.followed);
        // The receiver itself is dropped after this.
        if followed.get(&self.run).is_some_and(|line| line.sender.receiver_count() <= 1) {
            followed.remove(&self.run);
        }
    }
}
