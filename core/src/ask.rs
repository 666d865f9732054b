//! A request to the kernel: what it carries, why it may be refused, and the run that it starts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::blob::Blob;
use crate::failure::Failure;
use crate::ids::RunId;
use crate::label::Label;
use crate::outcome::Outcome;
use crate::payload::{self, Body, Payload};

/// Why a request is not admitted. Nothing has happened, and nothing was recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too much is going on.
    #[error("overloaded: `{limit}` is reached; try again in {retry_after_ms} ms")]
    Overloaded {
        /// The bound that is reached.
        limit: &'static str,
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// A budget of the principal has too little left.
    #[error("a run costs {price_minor}, and the budget has {left_minor} left (minor units)")]
    Budget {
        /// What a run costs.
        price_minor: u64,
        /// What is left.
        left_minor: u64,
    },
    /// The installation is shutting down.
    #[error("the installation is shutting down")]
    Draining,
    /// There is no such agent, or it does not take the kind.
    #[error("agent `{agent}` does not take `{kind}`; `genie agents` lists who takes what")]
    NoRecipient {
        /// The agent.
        agent: String,
        /// The kind.
        kind: String,
    },
    /// The principal was not admitted here.
    #[error("the principal was not admitted by this installation")]
    ForeignPrincipal,
    /// The request has no JSON form, or its content is too large.
    #[error("{0}")]
    Invalid(String),
}

/// A request to an agent.
#[derive(Debug)]
pub struct Ask {
    pub(crate) to: String,
    pub(crate) kind: String,
    pub(crate) body: Result<Body, payload::Error>,
    pub(crate) label: Label,
    pub(crate) content: Vec<(Blob, Arc<[u8]>)>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) trace_id: Option<u128>,
    pub(crate) run_id: Option<RunId>,
    pub(crate) request_id: Option<Arc<str>>,
}

impl Ask {
    /// A request with a typed payload, to an agent by id or capability.
    #[must_use]
    pub fn new<T: Payload>(to: &str, payload: &T) -> Self {
        Self::with_body(to, T::KIND, Body::of(payload))
    }

    /// A request with a payload from outside, as JSON text.
    #[must_use]
    pub fn from_json(to: &str, kind: &str, text: &str) -> Self {
        Self::with_body(to, kind, Body::from_text(kind, text))
    }

    fn with_body(to: &str, kind: &str, body: Result<Body, payload::Error>) -> Self {
        Self {
            to: to.to_owned(),
            kind: kind.to_owned(),
            body,
            label: Label::default(),
            content: Vec::new(),
            deadline: None,
            trace_id: None,
            run_id: None,
            request_id: None,
        }
    }

    /// The agent that it is for, by id or capability.
    #[must_use]
    pub fn to(&self) -> &str {
        &self.to
    }

    /// Labels the request and its content.
    #[must_use]
    pub fn labelled(mut self, label: Label) -> Self {
        self.label = label;
        self
    }

    /// Adds content that the payload refers to by [`Blob::of`].
    #[must_use]
    pub fn with_content(mut self, content: impl Into<Arc<[u8]>>) -> Self {
        let content = content.into();
        self.content.push((Blob::of(&content), content));
        self
    }

    /// Asks for an answer within `deadline`; the installation's own bound still holds.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Starts the run under an id that whoever asks has made for it, fresh, so that they can look
    /// out for its events before there are any.
    #[must_use]
    pub fn under(mut self, run: RunId) -> Self {
        self.run_id = Some(run);
        self
    }

    /// Records the id of the request that this came with, so that whoever has the one finds the
    /// other. It is kept in the clear.
    #[must_use]
    pub fn requested_as(mut self, id: &str) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// Continues the trace of whoever asks.
    #[must_use]
    pub fn traced(mut self, trace_id: u128) -> Self {
        self.trace_id = Some(trace_id);
        self
    }
}

/// An admitted run.
#[derive(Debug)]
pub struct Running {
    /// Its id.
    pub run_id: RunId,
    pub(crate) outcome: oneshot::Receiver<Arc<Outcome>>,
}

impl Running {
    /// Waits for the outcome. Dropping this instead does not cancel the run.
    pub async fn outcome(self) -> Arc<Outcome> {
        let outcome = self.outcome.await;
        outcome.unwrap_or_else(|_| Arc::new(Outcome::Failed { cause: Failure::RunEnded }))
    }
}
