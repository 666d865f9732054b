//! Approvals: what waits for a human, and the human's word.

use genie_core::approval::{Approval, ApprovalId, Choice};
use genie_core::ids::RunId;
use genie_core::journal::chain::Hash;
use serde_json::{Value, json};

use crate::client::{Client, Request};
use crate::error::Error;
use crate::page::Page;

/// Which approvals to list, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Approvals {
    /// Only those that stand so.
    pub status: Option<String>,
    /// Only those of this run.
    pub run: Option<RunId>,
    /// Those behind this page, as it said in `next`.
    pub after: Option<String>,
    /// At most so many; 1 to 500.
    pub limit: Option<usize>,
}

/// What a human says.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The word.
    pub choice: Choice,
    /// Why.
    pub reason: String,
    /// The digest of what the human has seen: if it is not what waits, nothing is decided.
    pub digest: Option<Hash>,
}

impl Decision {
    fn body(&self) -> Value {
        let mut body = match &self.choice {
            Choice::Approve => json!({ "decision": "approve" }),
            Choice::Reject => json!({ "decision": "reject" }),
            Choice::Resolve { resolution, result } => {
                json!({ "resolution": resolution, "result": result })
            }
        };
        body["reason"] = json!(self.reason);
        if let Some(digest) = self.digest {
            body["digest"] = json!(digest);
        }
        body
    }
}

impl Client {
    /// Some of the approvals.
    ///
    /// # Errors
    /// A server that says no, or is not reached.
    pub async fn approvals(&self, wanted: &Approvals) -> Result<Page<Approval>, Error> {
        let Approvals { status, run, after, limit } = wanted;
        let request = Request::get(&["v1", "approvals"]).with("status", status.as_deref());
        let request = request.with("run_id", *run).with("after", after.as_deref());
        self.json(request.with("limit", *limit)).await
    }

    /// An approval.
    ///
    /// # Errors
    /// [`Error::Problem`] with `not_found` if there is none, or it is not for this token.
    pub async fn approval(&self, id: ApprovalId) -> Result<Approval, Error> {
        let id = id.to_string();
        self.json(Request::get(&["v1", "approvals", &id])).await
    }

    /// Decides, once however often it has to be sent.
    ///
    /// # Errors
    /// [`Error::Problem`], such as `requester`, `decided`, `digest` or `approval_expired`.
    pub async fn decide(&self, id: ApprovalId, decision: &Decision) -> Result<Approval, Error> {
        let (name, body) = (id.to_string(), decision.body());
        let path = ["v1", "approvals", &name, "decision"];
        self.json(Request::post(&path, Some(&body)).keyed(&*self.ids)).await
    }
}
