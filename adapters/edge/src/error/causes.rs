//! What stores and the kernel say no with, as problems.

use axum::http::StatusCode;
use genie_core::approval::{DecideError, Refusal};
use genie_core::audit::receipts::NoReceipt;
use genie_core::{Refused, journal, ours};

use super::Problem;
use crate::newcomer::NotMade;

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let text = refused.to_string();
        match refused {
            Refused::Overloaded { retry_after_ms, .. } => {
                let overloaded = Self::later("overloaded", text, retry_after_ms.div_ceil(1_000));
                Self { status: StatusCode::TOO_MANY_REQUESTS, ..overloaded }
            }
            Refused::Draining => Self::later("draining", text, 5),
            Refused::Budget { .. } => Self::unpaid(text),
            Refused::NoRecipient { .. } => Self::invalid("agent", text),
            Refused::ForeignPrincipal => Self::forbidden(text),
            Refused::Invalid(text) => Self::invalid("", text),
        }
    }
}

impl From<journal::Error> for Problem {
    fn from(error: journal::Error) -> Self {
        Self::unavailable(&error)
    }
}

impl From<ours::Error> for Problem {
    fn from(error: ours::Error) -> Self {
        match error {
            ours::Error::Journal(error) => error.into(),
            ours::Error::Runs(error) => error.into(),
        }
    }
}

impl From<genie_core::runs::Error> for Problem {
    fn from(error: genie_core::runs::Error) -> Self {
        Self::unavailable(&error)
    }
}

impl From<genie_core::approval::Error> for Problem {
    fn from(error: genie_core::approval::Error) -> Self {
        Self::unavailable(&error)
    }
}

impl From<genie_core::attempts::Error> for Problem {
    fn from(error: genie_core::attempts::Error) -> Self {
        Self::unavailable(&error)
    }
}

impl From<genie_core::document::Error> for Problem {
    fn from(error: genie_core::document::Error) -> Self {
        Self::unavailable(&error)
    }
}

impl From<genie_core::identity::Error> for Problem {
    fn from(error: genie_core::identity::Error) -> Self {
        Self::unavailable(&error)
    }
}

impl From<genie_core::pace::Error> for Problem {
    fn from(_: genie_core::pace::Error) -> Self {
        // Whoever counts has said so, once for all requests.
        Self::later("uncounted", "requests cannot be counted now, and pass only if they are", 1)
    }
}

impl From<genie_core::budget::Error> for Problem {
    fn from(error: genie_core::budget::Error) -> Self {
        Self::unavailable(&error)
    }
}

impl From<NotMade> for Problem {
    fn from(error: NotMade) -> Self {
        match error {
            NotMade::Unfit { field, detail } => Self::invalid(field, detail),
            NotMade::Taken => {
                Self::new(StatusCode::CONFLICT, "email_taken", "conflict", error.to_string())
            }
            NotMade::Unhashed => Self::busy(),
            NotMade::Store(error) => error.into(),
        }
    }
}

impl From<DecideError> for Problem {
    fn from(error: DecideError) -> Self {
        let refusal = match error {
            DecideError::NotFound(_) => return Self::not_found("approval"),
            DecideError::Store(error) => return error.into(),
            DecideError::Refused(refusal) => refusal,
        };
        let text = refusal.to_string();
        match refusal {
            Refusal::Decided { .. } => Self::conflict("decided", text),
            Refusal::Again(..) => Self::conflict("decided_by_you", text),
            Refusal::Digest => Self::conflict("digest", text),
            Refusal::Expired { .. } => {
                Self::new(StatusCode::GONE, "expired", "it is too late", text)
            }
            Refusal::Requester(_) => {
                Self::new(StatusCode::FORBIDDEN, "requester", "forbidden", text)
            }
            Refusal::Role { .. } => Self::forbidden(text),
            Refusal::Unfit(_) => Self::invalid("decision", text),
        }
    }
}

impl From<NoReceipt> for Problem {
    fn from(error: NoReceipt) -> Self {
        let text = error.to_string();
        match error {
            NoReceipt::NoRun => Self::not_found("run"),
            NoReceipt::Open => Self::conflict("run_open", text),
            NoReceipt::Erased => Self::new(StatusCode::GONE, "erased", "it is too late", text),
            NoReceipt::Uncovered => Self::later("uncovered", text, 30),
            NoReceipt::Failed(error) => Self::unavailable(&error),
        }
    }
}
