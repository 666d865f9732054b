//! A message together with its verdict: the only thing that reaches a handler or a user.
//!
//! Only the bus can make one. A handler takes a [`Governed`], so there is no way to reach it with a
//! message that no policy has seen.

use std::ops::Deref;
use std::sync::Arc;

use crate::message::Message;
use crate::policy::Verdict;

/// A message that the policy chain has let through, redacted if the verdict says so.
#[derive(Debug, Clone)]
pub struct Governed {
    message: Arc<Message>,
    verdict: Arc<Verdict>,
}

impl Governed {
    pub(crate) fn new(message: Arc<Message>, verdict: Arc<Verdict>) -> Self {
        Self { message, verdict }
    }

    /// The verdict that let the message through.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    pub(crate) fn message(&self) -> &Arc<Message> {
        &self.message
    }
}

impl Deref for Governed {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}
