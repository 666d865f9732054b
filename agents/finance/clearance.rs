//! What the finance agents may be given: a customer's own statement, narrations included.

use genie_core::AgentSpec;
use genie_core::label::{Classification, PERSONAL, UNTRUSTED};

/// The clearance that every finance agent declares.
pub(super) trait Cleared {
    /// Clears the agent for statements.
    ///
    /// Narrations are personal data and are written by strangers. These agents only compute, so a
    /// narration that reads like an instruction is a narration.
    #[must_use]
    fn cleared(self) -> Self;
}

impl Cleared for AgentSpec {
    fn cleared(self) -> Self {
        self.cleared_for(Classification::Confidential)
            .cleared_for_category(PERSONAL)
            .cleared_for_category(UNTRUSTED)
    }
}
