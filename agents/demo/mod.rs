//! Agents that `genie ask --demo` shows things with; small, but what they do cannot be undone.

pub mod messages;
pub(crate) mod payer;

use genie_core::Ask;

/// The scope that a credential needs to have something paid.
pub const SCOPE: &str = "payment:request";

/// The request that has the payer pay somebody.
#[must_use]
pub fn ask(request: &messages::Requested) -> Ask {
    Ask::new("payer", request)
}
