//! Fan-in: how many legs a handler needs, how long it waits, and what it gets if some are missing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::governed::Governed;

/// When a gather is satisfied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    All,
    Quorum(usize),
}

/// What a scatter or fan-in waits for.
#[derive(Debug, Clone, Copy)]
pub struct Gather {
    need: Need,
    deadline: Option<Duration>,
    partial: bool,
}

impl Gather {
    /// Waits for every leg.
    #[must_use]
    pub fn all() -> Self {
        Self { need: Need::All, deadline: None, partial: false }
    }

    /// Waits for the first leg that answers.
    #[must_use]
    pub fn first() -> Self {
        Self::all().quorum(1)
    }

    /// Waits for `legs` legs.
    #[must_use]
    pub fn quorum(mut self, legs: usize) -> Self {
        self.need = Need::Quorum(legs);
        self
    }

    /// Waits no longer than this.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Whether to go on with the legs that answered when not enough do.
    #[must_use]
    pub fn partial(mut self, partial: bool) -> Self {
        self.partial = partial;
        self
    }

    pub(crate) fn needed_of(self, legs: usize) -> usize {
        match self.need {
            Need::All => legs,
            Need::Quorum(needed) => needed.min(legs),
        }
    }

    /// Whether more answers would change nothing: enough legs have answered well, or, if partial
    /// results are not wanted, too many have failed.
    pub(crate) fn is_settled(self, legs: usize, well: usize, badly: usize) -> bool {
        let needed = self.needed_of(legs);
        well >= needed || (!self.partial && legs.saturating_sub(badly) < needed)
    }

    pub(crate) fn longest_wait(self) -> Option<Duration> {
        self.deadline
    }

    /// The gathered legs, or the failure if they are too few and partial ones are not wanted.
    pub(crate) fn close(self, gathered: Gathered) -> Result<Gathered, Failure> {
        let legs = gathered.arrived.len() + gathered.missing.len();
        if self.partial || gathered.arrived.len() >= self.needed_of(legs) {
            return Ok(gathered);
        }
        let reason = gathered
            .missing
            .iter()
            .map(|missing| format!("`{}`: {}", missing.leg, missing.reason))
            .collect::<Vec<_>>()
            .join("; ");
        Err(Failure::Incomplete { reason })
    }
}

/// A leg that gave nothing, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The agent that was asked, or the kind that was waited for.
    pub leg: String,
    /// Why nothing came.
    pub reason: String,
    /// The failure behind it, if there was one rather than just silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What a gather gave.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    /// The messages that arrived, in the order of the legs.
    pub arrived: Vec<Governed>,
    /// The legs that gave nothing.
    pub missing: Vec<Missing>,
}

impl Gathered {
    /// Whether every leg answered.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The message of a kind, if it arrived.
    #[must_use]
    pub fn of_kind(&self, kind: &str) -> Option<&Governed> {
        self.arrived.iter().find(|message| message.kind() == kind)
    }

    /// The payload of type `T`, if its kind arrived and can be read.
    #[must_use]
    pub fn payload<T: crate::payload::Payload>(&self) -> Option<T> {
        self.of_kind(T::KIND).and_then(|message| message.decode().ok())
    }
}
