//! The log as evidence: whether all of it verifies.

use genie_core::audit::evidence::{Fault, Sound};
use serde::Deserialize;
use serde_json::json;

use crate::client::{Client, Request};
use crate::error::Error;

/// What a server found when it checked its log.
#[derive(Debug, Clone, Deserialize)]
pub struct Verification {
    /// Whether all is as it was written.
    pub verified: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What the log holds, if it verifies.
    pub report: Option<Sound>,
    /// The first thing that is not as it was written, if it does not.
    pub fault: Option<Fault>,
}

impl Client {
    /// Has the server check its whole log, against a checkpoint that was kept elsewhere if one is
    /// given. Whoever does not trust the server checks an export instead.
    ///
    /// # Errors
    /// [`Error::Problem`], such as `unsigned`, or one that passes while another check is made.
    pub async fn verify(&self, checkpoint: Option<&str>) -> Result<Verification, Error> {
        let body = json!({ "checkpoint": checkpoint });
        self.json(Request::post(&["v1", "audit", "verify"], Some(&body)).repeatable()).await
    }
}
