//! Approvals: what waits for a human, and the decision.
//!
//! Whoever decides sees what they decide on: recipient, arguments and digest. The kernel holds the
//! rules; here is who may look.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use genie_core::approval::{Approval, ApprovalId, Choice, Filter, Resolution};
use genie_core::identity::APPROVER;
use genie_core::ids::RunId;
use genie_core::journal::chain::Hash;
use genie_core::principal::Identity;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::auth::{Caller, Known};
use crate::body::{self, Json, Params};
use crate::edge::Edge;
use crate::error::Problem;
use crate::{page, retry, rights, view};

/// How many approvals are read at a time to find those that the caller may see.
const READ: usize = 500;
/// How often at most for one page.
const READS_MAX: usize = 20;
/// Most characters of a reason.
const REASON_LEN_MAX: usize = 2_000;

/// How an approval may stand.
const STATUSES: [&str; 6] = ["pending", "approved", "rejected", "expired", "withdrawn", "resolved"];

/// What to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    /// Only those with this status.
    #[schemars(extend("enum" = STATUSES))]
    status: Option<String>,
    /// Only those of this run.
    #[schemars(with = "Option<uuid::Uuid>")]
    run_id: Option<String>,
    /// What `next` of the page before says.
    #[schemars(with = "Option<uuid::Uuid>")]
    after: Option<String>,
    /// Items of a page, 50 if absent.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
}

/// `GET /v1/approvals`: oldest first.
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Params(listing): Params<Listing>,
) -> Result<Response, Problem> {
    let limit = page::limit(listing.limit)?;
    let run = listing.run_id.map(|run| body::id_param("run_id", &run)).transpose()?;
    let after = listing.after.map(|after| body::id_param("after", &after)).transpose()?;
    let mut filter = Filter {
        run_id: run.map(RunId),
        status: body::word_param("status", listing.status, &STATUSES)?,
        after: after.map(ApprovalId),
        limit: READ,
    };
    let (now, mut found) = (edge.now(), Vec::new());
    let only_waiting = filter.status.as_deref() == Some("pending");
    let is_listed = |approval: &Approval| {
        may_see(caller.identity(), approval) && (!only_waiting || view::waits(approval, now))
    };
    for _ in 0..READS_MAX {
        let read = edge.kernel().approvals(caller.tenant(), &filter).await?;
        let last = read.last().map(|approval| approval.id).filter(|_| read.len() == READ);
        found.extend(read.into_iter().filter(is_listed));
        if found.len() > limit || last.is_none() {
            break;
        }
        filter.after = last;
    }
    let shown = |approval: &Approval| view::approval(approval, now);
    Ok(body::json(&page::of(found, limit, shown, |approval| approval.id.to_string())))
}

/// Whoever asked, whoever may decide, and whoever sees everything.
fn may_see(identity: &Identity, approval: &Approval) -> bool {
    rights::sees(identity, &approval.requester)
        || identity.roles.contains(APPROVER)
        || identity.roles.contains(&*approval.requirement.role)
}

/// The approval, if the caller may know of it.
async fn visible(edge: &Edge, caller: &Caller, id: &str) -> Result<Approval, Problem> {
    let id = ApprovalId(body::id(id, "approval")?);
    let found = edge.kernel().approval(caller.tenant(), id).await?;
    let found = found.filter(|approval| may_see(caller.identity(), approval));
    found.ok_or_else(|| Problem::not_found("approval"))
}

/// `GET /v1/approvals/{id}`.
pub(crate) async fn show(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let approval = visible(&edge, &caller, &id).await?;
    Ok(body::json(&view::approval(&approval, edge.now())))
}

/// What a human says.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Word {
    Approve,
    Reject,
}

/// The body of a decision: a word, or for an unknown effect what became of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decided {
    /// What is decided on what waits.
    decision: Option<Word>,
    /// What became of an effect that nobody knew about.
    #[schemars(with = "Option<String>")]
    #[schemars(extend("enum" = ["happened", "did_not_happen", "retry", null]))]
    resolution: Option<Resolution>,
    /// What is known of its result.
    #[serde(default)]
    result: Value,
    /// Why.
    #[serde(default)]
    #[schemars(length(max = 2_000))]
    reason: String,
    /// That of the action as the human has seen it.
    #[schemars(with = "Option<String>", regex(pattern = "^[0-9a-f]{64}$"))]
    digest: Option<Hash>,
}

impl Decided {
    fn choice(&self) -> Result<Choice, Problem> {
        match (self.decision, self.resolution) {
            (Some(_), _) if !self.result.is_null() => {
                Err(Problem::invalid("result", "only a resolution has a `result`"))
            }
            (Some(Word::Approve), None) => Ok(Choice::Approve),
            (Some(Word::Reject), None) => Ok(Choice::Reject),
            (None, Some(resolution)) => {
                Ok(Choice::Resolve { resolution, result: self.result.clone() })
            }
            _ => Err(Problem::invalid("decision", "give `decision` or `resolution`, and one only")),
        }
    }
}

/// `POST /v1/approvals/{id}/decision`.
pub(crate) async fn decide(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(decided, digest): Json<Decided>,
) -> Result<Response, Problem> {
    let choice = decided.choice()?;
    if decided.reason.chars().count() > REASON_LEN_MAX {
        let problem = format!("`reason` has more than {REASON_LEN_MAX} characters");
        return Err(Problem::invalid("reason", problem));
    }
    let id = visible(&edge, &caller, &id).await?.id;
    let turn = retry::turn(&edge, &caller, &headers, (digest, id.0)).await?;
    let said = (choice.clone(), decided.reason.as_str());
    let approval = match edge.kernel().decide(&caller.principal, id, decided.digest, said).await {
        Ok(approval) => approval,
        // It may be refused because it counts already.
        Err(error) if turn.is_again() => {
            let by = &*caller.identity().subject;
            let known = edge.kernel().approval(caller.tenant(), id).await?;
            let counted = known.filter(|known| {
                known.decisions.iter().any(|one| *one.by == *by && one.choice == choice)
            });
            counted.ok_or(error)?
        }
        Err(error) => return Err(turn.failed(&edge, error.into()).await),
    };
    Ok(body::json(&view::approval(&approval, edge.now())))
}
