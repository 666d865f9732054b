//! Policies: the chain in its order, and what it would say of a message.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use genie_core::label::Label;
use genie_core::message::USER;
use genie_core::policy::Preview;
use genie_core::principal::Identity;
use genie_core::specimen::Specimen;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Known;
use crate::body::{self, Json, Params};
use crate::edge::Edge;
use crate::error::Problem;
use crate::page::Registered;
use crate::rights;

/// `GET /v1/policies`: all of them, in the order in which they are asked; with what they objected
/// to, whoever's it was, for operators.
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Params(listing): Params<Registered>,
) -> Result<Response, Problem> {
    let oversees = rights::oversees(caller.identity(), &edge.options.operators);
    let policies = edge.kernel().policies();
    let named = |(id, version, description, hits): (&str, &str, &str, u64)| {
        let hits = oversees.then_some(hits);
        let shown =
            json!({ "id": id, "version": version, "description": description, "hits": hits });
        (id.to_owned(), shown)
    };
    let mut page = listing.of(policies.list().map(named).collect())?;
    page["policy_set"] = json!(policies.version());
    Ok(body::json(&page))
}

/// A message that nobody sends.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Imagined {
    /// The kind of the message, e.g. `question.asked`.
    kind: String,
    /// Who sends it; `user` if absent.
    from: Option<String>,
    /// Who is to get it: an agent, `user`, or `tool:` with the name of a tool.
    to: String,
    /// Its content; an empty object if absent.
    payload: Option<Value>,
    /// Who asks; the caller if absent.
    principal: Option<Asker>,
    /// How sensitive it is; as what comes in over HTTP if absent.
    #[serde(default)]
    #[schemars(schema_with = "labelled")]
    label: Option<Label>,
    /// How many messages led to it.
    #[serde(default)]
    hops: u16,
}

/// The schema of a label.
fn labelled(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["object", "null"],
        "properties": {
            "classification": { "type": "string" },
            "categories": { "type": "array", "items": { "type": "string" } },
            "regions": { "type": "array", "items": { "type": "string" } },
        },
        "additionalProperties": false,
    })
}

/// Somebody of the caller's tenant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asker {
    subject: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    consents: Vec<String>,
}

impl Asker {
    fn of_tenant(self, tenant: &str) -> Identity {
        Identity {
            tenant: tenant.to_owned(),
            subject: self.subject,
            roles: self.roles.into_iter().collect(),
            scopes: self.scopes.into_iter().collect(),
            consents: self.consents.into_iter().collect(),
            ..Identity::default()
        }
    }
}

/// `POST /v1/policies/evaluate`: nothing is recorded, counted or delivered.
pub(crate) async fn evaluate(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Json(imagined, _): Json<Imagined>,
) -> Result<Response, Problem> {
    let tenant = caller.tenant();
    let own = || caller.identity().clone();
    let specimen = Specimen {
        kind: imagined.kind,
        from: imagined.from.unwrap_or_else(|| USER.to_owned()),
        to: imagined.to,
        payload: imagined.payload.unwrap_or_else(|| json!({})),
        principal: imagined.principal.map_or_else(own, |asker| asker.of_tenant(tenant.as_str())),
        label: imagined.label.unwrap_or_else(|| edge.options.label.clone()),
        hops: imagined.hops,
    };
    let preview = edge.kernel().preview(tenant, &specimen);
    let preview = preview.map_err(|error| Problem::invalid("payload", error.to_string()))?;
    let Some(Preview { verdict, steps, .. }) = preview else {
        let problem = format!(
            "nobody is called `{}`; `to` is an agent, `user`, or `tool:` with the name of a tool",
            specimen.to
        );
        return Err(Problem::invalid("to", problem));
    };
    Ok(body::json(&json!({
        "decision": verdict.decision,
        "policy": verdict.policy,
        "policy_version": verdict.policy_version,
        "reason": verdict.reason,
        "redactions": verdict.redactions,
        "approval": verdict.requirement,
        "policy_set": edge.kernel().policies().version(),
        "steps": steps,
    })))
}
