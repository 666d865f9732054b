//! Runs: listed, shown and cancelled.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use genie_core::Tenant;
use genie_core::approval::Filter;
use genie_core::ids::RunId;
use genie_core::journal::chain::Hash;
use genie_core::journal::{Entry, Record};
use genie_core::outcome::Outcome;
use genie_core::runs::{Query, Summary};
use genie_core::tap::outcome_of;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::End;
use crate::auth::{Caller, Known};
use crate::body::{self, Params};
use crate::edge::Edge;
use crate::error::{Problem, of_outcome};
use crate::view::{self, Sight};
use crate::{page, retry, rights};

/// Most approvals that are shown with a run.
const APPROVALS_MAX: usize = 100;

/// How a run may stand.
const STATUSES: [&str; 7] =
    ["running", "waiting", "completed", "denied", "failed", "cancelled", "expired"];

/// What to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    /// Only those with this status.
    #[schemars(extend("enum" = STATUSES))]
    status: Option<String>,
    /// What `next` of the page before says.
    #[schemars(with = "Option<uuid::Uuid>")]
    after: Option<String>,
    /// Items of a page, 50 if absent.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
}

/// `GET /v1/runs`: newest first.
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Params(listing): Params<Listing>,
) -> Result<Response, Problem> {
    let limit = page::limit(listing.limit)?;
    let before = listing.after.map(|after| body::id_param("after", &after)).transpose()?;
    let query = Query {
        subject: rights::own(caller.identity()).map(str::to_owned),
        status: body::word_param("status", listing.status, &STATUSES)?,
        before: before.map(RunId),
        limit: limit + 1,
    };
    let runs = edge.kernel().runs(caller.tenant(), &query).await?;
    let page = page::of(runs, limit, |run| json!(run), |run| run.run_id.to_string());
    Ok(body::json(&page))
}

/// A run that its caller may know of; there is no other way to one than [`Visible::to`].
pub(crate) struct Visible {
    summary: Summary,
    tenant: Tenant,
}

impl Visible {
    /// The run, if the caller may know of it.
    ///
    /// # Errors
    /// No run that they may, whether or not there is one.
    pub(crate) async fn to(caller: &Caller, edge: &Edge, run: RunId) -> Result<Self, Problem> {
        let found = edge.kernel().run(caller.tenant(), run).await?;
        let found = found.filter(|run| rights::sees(caller.identity(), &run.subject));
        let summary = found.ok_or_else(|| Problem::not_found("run"))?;
        Ok(Self { summary, tenant: caller.tenant().clone() })
    }

    /// Whose it is.
    pub(crate) fn tenant(&self) -> &Tenant {
        &self.tenant
    }
}

impl Deref for Visible {
    type Target = Summary;

    fn deref(&self) -> &Summary {
        &self.summary
    }
}

/// The run with the id that a path has, if the caller may know of it.
pub(crate) async fn visible(edge: &Edge, caller: &Caller, id: &str) -> Result<Visible, Problem> {
    Visible::to(caller, edge, RunId(body::id(id, "run")?)).await
}

/// `GET /v1/runs/{id}`: everything on record.
pub(crate) async fn show(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let run = visible(&edge, &caller, &id).await?;
    let records = edge.kernel().records(caller.tenant(), run.run_id).await?;
    let filter = Filter { run_id: Some(run.run_id), limit: APPROVALS_MAX, ..Filter::default() };
    let approvals = edge.kernel().approvals(caller.tenant(), &filter).await?;
    let (sight, now) = (Sight::of(caller.identity()), edge.now());
    let mut object = json!(*run);
    object["messages"] = records.iter().filter_map(|record| sight.message(record)).collect();
    object["steps"] = entries(&records, sight, |entry| matches!(entry, Entry::Step { .. }));
    object["handled"] = entries(&records, sight, |entry| matches!(entry, Entry::Handled { .. }));
    object["effects"] = entries(&records, sight, |entry| matches!(entry, Entry::Effect { .. }));
    object["approvals"] = approvals.iter().map(|one| view::approval(one, now)).collect();
    object["usage"] = usage(&records);
    let cost = edge.kernel().cost(caller.tenant(), run.run_id).await?;
    object["cost"] = json!(cost.map(|minor| edge.options.currency.money(minor)));
    object["receipt"] = json!(End::of_records(&records).map(|end| end.receipt()));
    if let Some(outcome) = outcome_of(&records) {
        object["outcome"] = json!(outcome.name());
        match &outcome {
            Outcome::Completed { answer, .. } => object["answer"] = answer.value(),
            ended => {
                let problem = of_outcome(ended, run.run_id);
                let instance = format!("/v1/runs/{}", run.run_id);
                object["problem"] =
                    problem.map_or(Value::Null, |problem| problem.document(&instance, ""));
                if let Some(fields) = object["problem"].as_object_mut() {
                    fields.remove("request_id");
                }
            }
        }
    }
    Ok(body::json(&object))
}

fn entries(records: &[Arc<Record>], sight: Sight, is: impl Fn(&Entry) -> bool) -> Value {
    let chosen = records.iter().filter(|record| is(&record.entry));
    chosen.map(|record| sight.entry(&record.entry, None)).collect()
}

/// How much the run took, once it has ended.
fn usage(records: &[Arc<Record>]) -> Value {
    let ended = records.iter().rev().find_map(|record| match &record.entry {
        Entry::RunEnd { records, messages, duration_us, .. } => {
            Some(json!({ "records": records, "messages": messages, "duration_us": duration_us }))
        }
        _ => None,
    });
    ended.unwrap_or_else(|| json!({ "records": records.len() }))
}

/// `POST /v1/runs/{id}/cancel`: ends the run and everything it has caused.
pub(crate) async fn cancel(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let run = visible(&edge, &caller, &id).await?;
    let request = Hash::of(format!("cancel {}", run.run_id).as_bytes());
    let turn = retry::turn(&edge, &caller, &headers, (request, run.run_id.0)).await?;
    let reason = format!("cancelled by {}", caller.identity().subject);
    let taken = run.ended_at.is_none()
        && edge.kernel().cancel(&caller.principal, run.run_id, &reason).await;
    if !(taken || turn.is_again() && &*run.status == "cancelled") {
        let ended = Problem::conflict("run_ended", "the run has ended already").of_run(run.run_id);
        return Err(turn.failed(&edge, ended).await);
    }
    let mut response = body::json(&json!({ "run_id": run.run_id, "status": "cancelling" }));
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}
