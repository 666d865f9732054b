//! How a run ends: in exactly one of five ways.

use serde::{Deserialize, Serialize};

use crate::failure::{Denied, Failure};
use crate::payload::Body;

/// The one outcome of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The root message was answered.
    Completed {
        /// The kind of the answer.
        kind: String,
        /// SHA-256 of the answer's JSON text; the text itself is the run's last message.
        answer_sha256: crate::journal::chain::Hash,
        /// The answer, delivered to whoever asked.
        #[serde(skip)]
        answer: Body,
    },
    /// Policy refused the root message or the answer.
    Denied {
        /// The refusal.
        #[serde(flatten)]
        denied: Denied,
    },
    /// Something failed on the way and nothing could stand in for it.
    Failed {
        /// The cause.
        cause: Failure,
    },
    /// Someone cancelled the run.
    Cancelled {
        /// Who or why.
        reason: String,
    },
    /// The deadline passed.
    Expired {
        /// The deadline in milliseconds from the start.
        deadline_ms: u64,
    },
}

impl Outcome {
    /// The word for the outcome, as in the API.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Completed { .. } => "completed",
            Self::Denied { .. } => "denied",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
            Self::Expired { .. } => "expired",
        }
    }
}
