//! How much each agent has done of late: counts taken at intervals, for a little longer than a
//! minute.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use genie_core::registry::Health;
use tokio::time::Instant;

use crate::edge::Edge;

/// How often the counts are taken.
const EVERY: Duration = Duration::from_secs(10);
/// The time that is told of.
const WINDOW: Duration = Duration::from_mins(1);

/// What agents had handled, and when.
#[derive(Debug, Default)]
pub(crate) struct Throughput {
    /// The oldest first; the first is the last one from before the window.
    samples: Mutex<VecDeque<(Instant, Vec<u64>)>>,
}

impl Throughput {
    /// Takes down what agents have handled so far.
    fn take(&self, health: &[Health], now: Instant) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back((now, health.iter().map(|agent| agent.handled).collect()));
        while samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            samples.pop_front();
        }
    }

    /// How many messages the agent at this place has handled within the last minute, or since the
    /// process started if that is later; up to one interval more.
    pub(crate) fn of_last_minute(&self, place: usize, handled: u64) -> u64 {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let before = samples.front().and_then(|(_, counts)| counts.get(place).copied());
        handled.saturating_sub(before.unwrap_or(0))
    }
}

/// Takes the counts, as long as the edge lives.
pub(crate) async fn watch(edge: Arc<Edge>) {
    loop {
        edge.throughput.take(&edge.kernel().health(), Instant::now());
        tokio::time::sleep(EVERY).await;
    }
}
