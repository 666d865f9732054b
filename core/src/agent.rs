//! The contract of an agent: a spec and one async function.

use crate::async_trait;
use crate::context::Context;
use crate::failure::Failure;
use crate::governed::Governed;
use crate::payload;
use crate::spec::AgentSpec;

/// Something that handles messages.
///
/// An agent is stateless: what it keeps during a run lives in [`Context::state`], what it knows
/// arrives through the context. It is registered by one line and takes no arguments.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an agent",
    note = "implement `spec` and `handle` under `#[genie_core::async_trait]`"
)]
pub trait Agent: Send + Sync + 'static {
    /// What the agent is, accepts, sends and may be given. Asked once, at registration.
    fn spec(&self) -> AgentSpec;

    /// Handles one message.
    ///
    /// # Errors
    /// An error ends up, typed, with whoever is waiting for the reply, after the agent's fallback
    /// has had its turn.
    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), Error>;
}

/// Why a handler gave up.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The agent itself could not do it; the text says why and what would help.
    #[error("{0}")]
    Own(String),
    /// Something that it called did not work.
    #[error(transparent)]
    Called(#[from] Failure),
    /// A payload could not be read or written.
    #[error(transparent)]
    Payload(#[from] payload::Error),
}

impl Error {
    /// The agent itself could not do it.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self::Own(reason.into())
    }

    /// The failure that the caller sees: the cause, if something that was called is to blame.
    pub(crate) fn failure_of(self, agent: &std::sync::Arc<str>) -> Failure {
        match self {
            Self::Called(failure) => failure,
            Self::Own(reason) => Failure::Failed { agent: agent.clone(), reason },
            Self::Payload(error) => {
                Failure::Failed { agent: agent.clone(), reason: error.to_string() }
            }
        }
    }
}
