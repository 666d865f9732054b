//! What goes wrong, in kinds that a caller can act on.

use std::time::Duration;

use genie_core::ids::RunId;
use serde::Deserialize;
use serde_json::Value;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the server cannot be used.
    #[error("`{server}` is not the address of a server: {problem}")]
    Address {
        /// The address, without a password.
        server: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The token would go over a network in the clear.
    #[error(
        "`http://{host}` would take the token over a network in the clear; use `https`, or `http` \
         to this machine"
    )]
    Insecure {
        /// The host.
        host: String,
    },
    /// The token has characters that no header can carry.
    #[error("the token is not one line of visible characters")]
    Token,
    /// The file that was to be sent cannot be read; of it nothing counts as sent.
    #[error("cannot read what is to be sent: {0}")]
    Upload(#[source] std::io::Error),
    /// The system does not give what connections need.
    #[error("cannot set up connections: {0}")]
    Setup(#[source] reqwest::Error),
    /// The server was not reached, or the connection broke, as often as was tried.
    #[error("`{server}` did not answer, in {attempts} attempts: {problem}")]
    Unreachable {
        /// Its address.
        server: String,
        /// How often it was tried.
        attempts: u32,
        /// What went wrong last, with its causes.
        problem: String,
    },
    /// The server says no.
    #[error(transparent)]
    Problem(Box<Problem>),
    /// What came is not what this client knows; it may be older or newer than the server.
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(String),
}

impl Error {
    /// The stable code of a problem that the server names.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.problem().map(|problem| &*problem.code)
    }

    /// What the server says, if it is the server that says no.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    pub(crate) fn unreadable(error: &dyn std::fmt::Display) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// An error with its causes, on one line, and without addresses.
pub(crate) fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What a server says instead of doing it: RFC 9457, with Genie's fields.
#[derive(Debug, Clone, Default, Deserialize, thiserror::Error)]
#[error("{detail}")]
#[serde(default)]
pub struct Problem {
    /// The status of the answer.
    pub status: u16,
    /// The stable code, such as `not_found`; empty if it was not Genie that answered.
    pub code: String,
    /// What kind of problem it is.
    pub title: String,
    /// What is wrong with this request.
    pub detail: String,
    /// The id of the request, to be looked up in the server's log.
    pub request_id: String,
    /// The run that it is about.
    pub run_id: Option<RunId>,
    /// The policy that denies it.
    pub policy: Option<String>,
    /// That policy's version.
    pub policy_version: Option<String>,
    /// What the policy objects to.
    pub reason: Option<String>,
    /// How the run ended.
    pub outcome: Option<String>,
    /// The fields that make no sense.
    pub errors: Vec<FieldError>,
    /// How long to wait before trying again, if the server says.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

/// A field that makes no sense.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct FieldError {
    /// Which one.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Problem {
    /// Reads the answer; one that is no problem document says only its status.
    pub(crate) fn read(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_default();
        if problem.detail.is_empty() {
            problem.detail = format!("the server answers {status}, and says nothing that is known");
        }
        problem.status = status;
        problem.retry_after = retry_after;
        problem
    }

    /// Reads what is said of one part of a request that did not fail as a whole.
    pub(crate) fn of_part(error: Value, run_id: Value) -> Result<Self, serde_json::Error> {
        let after = error["retry_after_s"].as_u64().map(Duration::from_secs);
        let problem: Self = serde_json::from_value(error)?;
        Ok(Self { run_id: serde_json::from_value(run_id)?, retry_after: after, ..problem })
    }

    /// Whether the same request may be taken a little later: the server is busy, stops, or is just
    /// taking its twin.
    pub(crate) fn passes(&self) -> bool {
        matches!(self.status, 429 | 503) || self.code == "in_progress"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_as_far_as_it_is_known() {
        let body = br#"{"type":"about:blank","title":"denied by policy","status":403,
            "detail":"policy `p` denies it: r","code":"denied","request_id":"r-1","policy":"p",
            "run_id":"01a1fc80-4db8-792d-8843-7f61e5d9b35c","later":[1]}"#;
        let problem = Problem::read(403, body, None);
        assert_eq!((&*problem.code, problem.policy.as_deref()), ("denied", Some("p")));
        assert!(problem.run_id.is_some() && !problem.passes());
        let page = Problem::read(503, b"<html>no</html>", Some(Duration::from_secs(2)));
        assert_eq!((&*page.code, page.status, page.passes()), ("", 503, true));
        assert!(page.detail.contains("503"), "{}", page.detail);
    }
}
