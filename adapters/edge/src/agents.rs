//! Agents: what each is, takes and sends, and how it is doing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::response::Response;
use genie_core::AgentSpec;
use genie_core::registry::Health;
use genie_core::spec::KindSpec;
use serde_json::{Value, json};

use crate::auth::{Caller, Known};
use crate::body::Params;
use crate::edge::Edge;
use crate::error::Problem;
use crate::page::Registered;
use crate::{body, rights};

/// How the agents are doing, whoever's runs they work on: for operators.
fn health(edge: &Edge, caller: &Caller) -> Vec<Health> {
    let oversees = rights::oversees(caller.identity(), &edge.options.operators);
    if oversees { edge.kernel().health() } else { Vec::new() }
}

/// `GET /v1/agents`: all of them, in the order in which they are registered.
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Params(listing): Params<Registered>,
) -> Result<Response, Problem> {
    let health = health(&edge, &caller);
    let specs = edge.kernel().registry().specs();
    let named = |spec: &AgentSpec| (spec.id.to_string(), shown(&edge, spec, &health));
    let mut page = listing.of(specs.map(named).collect())?;
    let mut kinds = BTreeMap::new();
    for spec in edge.kernel().registry().specs() {
        for kind in spec.accepts.iter().chain(&spec.emits).chain(&spec.collects) {
            kinds.entry(kind.name()).or_insert_with(|| kind.schema());
        }
    }
    page["kinds"] = json!(kinds);
    Ok(body::json(&page))
}

/// `GET /v1/agents/{id}`.
pub(crate) async fn show(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let spec = edge.kernel().registry().specs().find(|spec| spec.id == id);
    let spec = spec.ok_or_else(|| Problem::not_found("agent"))?;
    Ok(body::json(&shown(&edge, spec, &health(&edge, &caller))))
}

fn names(kinds: &[KindSpec]) -> Vec<&'static str> {
    kinds.iter().map(KindSpec::name).collect()
}

fn shown(edge: &Edge, spec: &AgentSpec, health: &[Health]) -> Value {
    let found = health.iter().enumerate().find(|(_, health)| &*health.agent == spec.id);
    let health = found.map(|(place, health)| {
        json!({
            "handled_last_minute": edge.throughput.of_last_minute(place, health.handled),
            "handled": health.handled,
            "failed": health.failed,
            "restarts": health.restarts,
            "queued": health.queued,
            "busy_us": health.busy_us,
        })
    });
    json!({
        "id": spec.id,
        "description": spec.description,
        "capabilities": spec.capabilities,
        "accepts": names(&spec.accepts),
        "emits": names(&spec.emits),
        "collects": names(&spec.collects),
        "tools": spec.tools,
        "every_tool": spec.every_tool,
        "risk": spec.risk,
        "fallback": spec.fallback,
        "requires": {
            "roles_any": spec.roles_any,
            "scopes_all": spec.scopes_all,
            "consent": spec.consent,
        },
        "clearance": spec.clearance,
        "reentrant": spec.reentrant,
        "handler_deadline_ms": spec.handler_deadline.as_millis(),
        "concurrency_max": spec.concurrency_max,
        "restarts_max": spec.restarts_max,
        "health": health,
    })
}
