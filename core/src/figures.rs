//! What a kernel counts since it started, for whoever watches over it. Nothing is decided by it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::outcome::Outcome;
use crate::policy::Decision;

/// The ways in which a run ends, as in the API.
const OUTCOMES: [&str; 5] = ["completed", "denied", "failed", "cancelled", "expired"];

/// The decisions of a verdict, from the most lenient to the strictest.
const DECISIONS: [&str; 4] = ["allow", "redact", "require_approval", "deny"];

/// The bounds that a request may be refused for.
const LIMITS: [&str; 3] = ["journal_backlog", "queued_per_agent_max", "runs_in_flight_max"];

/// Upper ends of the steps of a histogram of waits, in microseconds: from a write to memory to a
/// disk that is in trouble.
pub const WAIT_STEPS_US: [u64; 10] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000];

/// Counts under fixed names.
#[derive(Debug)]
struct Named<const N: usize> {
    names: [&'static str; N],
    counts: [AtomicU64; N],
}

impl<const N: usize> Named<N> {
    fn new(names: [&'static str; N]) -> Self {
        Self { names, counts: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    fn count(&self, name: &str) {
        if let Some(index) = self.names.iter().position(|known| *known == name) {
            self.counts[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(&self) -> [(&'static str, u64); N] {
        std::array::from_fn(|index| (self.names[index], self.counts[index].load(Ordering::Relaxed)))
    }
}

/// What the values of a figure do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They only grow while the process lives.
    Counter,
    /// They come and go.
    Gauge,
    /// They are [`Value::Waits`].
    Histogram,
}

/// One value of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// So many.
    Count(u64),
    /// So long, in microseconds; shown in seconds.
    Micros(u64),
    /// So many, by how long they took.
    Waits(Waits),
}

/// A figure as it is shown and sent: a value for each set of labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Its name, as Prometheus has it.
    pub name: &'static str,
    /// What its values do.
    pub kind: Kind,
    /// The values, with labels that hold nothing of what a client sent.
    pub values: Vec<(Vec<(&'static str, String)>, Value)>,
}

/// How long something took, in steps.
#[derive(Debug, Default)]
struct Histogram {
    steps: [AtomicU64; WAIT_STEPS_US.len() + 1],
    sum_us: AtomicU64,
}

/// A histogram as it was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// How many took as long as each of [`WAIT_STEPS_US`] or less; the last one counts all.
    pub up_to: [u64; WAIT_STEPS_US.len() + 1],
    /// All of them together, in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    fn count(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let step = WAIT_STEPS_US.iter().position(|end| took_us <= *end);
        self.steps[step.unwrap_or(WAIT_STEPS_US.len())].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(took_us, Ordering::Relaxed);
    }

    fn read(&self) -> Waits {
        let mut all = 0;
        let up_to = std::array::from_fn(|step| {
            all += self.steps[step].load(Ordering::Relaxed);
            all
        });
        Waits { up_to, sum_us: self.sum_us.load(Ordering::Relaxed) }
    }
}

/// What a kernel counts.
#[derive(Debug)]
pub struct Figures {
    started: AtomicU64,
    ended: Named<5>,
    verdicts: Named<4>,
    refused: Named<3>,
    durable: Histogram,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            started: AtomicU64::new(0),
            ended: Named::new(OUTCOMES),
            verdicts: Named::new(DECISIONS),
            refused: Named::new(LIMITS),
            durable: Histogram::default(),
        }
    }
}

impl Figures {
    pub(crate) fn run_started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn run_ended(&self, outcome: &Outcome) {
        self.ended.count(outcome.name());
    }

    pub(crate) fn judged(&self, decision: Decision) {
        self.verdicts.counts[decision as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, limit: &str) {
        self.refused.count(limit);
    }

    pub(crate) fn waited_for_disk(&self, took: Duration) {
        self.durable.count(took);
    }

    /// Runs that were admitted.
    #[must_use]
    pub fn runs_started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Runs that ended here, by outcome.
    #[must_use]
    pub fn runs_ended(&self) -> [(&'static str, u64); 5] {
        self.ended.read()
    }

    /// Messages that were judged, by decision.
    #[must_use]
    pub fn verdicts(&self) -> [(&'static str, u64); 4] {
        self.verdicts.read()
    }

    /// Requests that were refused, by the bound that was reached.
    #[must_use]
    pub fn requests_refused(&self) -> [(&'static str, u64); 3] {
        self.refused.read()
    }

    /// How long answers waited until all that they rest on was durable.
    #[must_use]
    pub fn waits_for_disk(&self) -> Waits {
        self.durable.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_in_its_step_and_in_all_longer_ones() {
        let histogram = Histogram::default();
        for micros in [1, 100, 101, 2_000_000] {
            histogram.count(Duration::from_micros(micros));
        }
        let Waits { up_to, sum_us } = histogram.read();
        assert_eq!(up_to, [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
        assert_eq!(sum_us, 2_000_202);
    }

    #[test]
    fn every_decision_and_outcome_counts_under_its_own_name() {
        let figures = Figures::default();
        let decisions =
            [Decision::Allow, Decision::Redact, Decision::RequireApproval, Decision::Deny];
        for (decision, name) in decisions.into_iter().zip(DECISIONS) {
            figures.judged(decision);
            assert_eq!(serde_json::to_value(decision).unwrap(), name);
        }
        assert_eq!(figures.verdicts().map(|(_, count)| count), [1; 4]);
        figures.run_ended(&Outcome::Cancelled { reason: String::new() });
        figures.run_ended(&Outcome::Expired { deadline_ms: 1 });
        assert_eq!(figures.runs_ended().map(|(_, count)| count), [0, 0, 0, 1, 1]);
    }
}
