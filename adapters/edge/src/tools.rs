//! Tools: which the caller may use, and one call through the bus.
//!
//! A call is a run like any other: judged by the same policies, held for the same approvals, on the
//! same record. There is no other way to a tool.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;
use genie_core::principal::Identity;
use genie_core::tool::{Effects, ToolSpec};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{self, Halt};
use crate::ask::labelled;
use crate::auth::Known;
use crate::body::{self, Json};
use crate::edge::Edge;
use crate::error::Problem;
use crate::retry;

/// Most characters of a call's id.
const CALL_ID_LEN_MAX: usize = 128;

/// A call that was read and checked.
#[derive(Debug, Clone)]
pub struct Requested {
    /// The tool.
    pub tool: String,
    /// Its arguments, an object.
    pub arguments: Value,
}

/// Whether a caller has what the tool asks of them.
fn may_use(identity: &Identity, spec: &ToolSpec) -> bool {
    let roles = &spec.roles_any;
    (roles.is_empty() || roles.iter().any(|role| identity.roles.contains(*role)))
        && spec.scopes_all.iter().all(|scope| identity.scopes.contains(*scope))
}

/// `GET /v1/tools`: `OpenAI` tool definitions.
pub(crate) async fn list(State(edge): State<Arc<Edge>>, Extension(caller): Known) -> Response {
    let specs = edge.kernel().tools().specs();
    let usable = specs.filter(|spec| may_use(caller.identity(), spec));
    let data: Vec<Value> = usable.map(shown).collect();
    body::json(&json!({ "data": data, "next": null }))
}

fn shown(spec: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "function": {
            "name": spec.name,
            "description": spec.description,
            "parameters": (spec.schema)(),
        },
        "effects": spec.effects,
        // Unless a rule about the tool says otherwise, for some arguments or all.
        "requires_approval": spec.effects != Effects::None,
    })
}

/// An `OpenAI` tool call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    function: Function,
}

/// What is called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Function {
    name: String,
    /// An object, or its JSON text as models write it.
    arguments: Value,
}

impl Call {
    fn check(self) -> Result<(String, Requested), Problem> {
        if self.kind != "function" {
            return Err(Problem::invalid("type", "`type` is `function`"));
        }
        if self.id.is_empty() || self.id.len() > CALL_ID_LEN_MAX {
            let problem = format!("`id` has 1 to {CALL_ID_LEN_MAX} characters");
            return Err(Problem::invalid("id", problem));
        }
        let arguments = match self.function.arguments {
            Value::String(text) => serde_json::from_str(&text).map_err(|error| {
                let problem = format!("`arguments` is not the text of a JSON object: {error}");
                Problem::invalid("function.arguments", problem)
            })?,
            arguments => arguments,
        };
        if !arguments.is_object() {
            let problem = "`arguments` is a JSON object or the text of one";
            return Err(Problem::invalid("function.arguments", problem));
        }
        Ok((self.id, Requested { tool: self.function.name, arguments }))
    }
}

/// `POST /v1/tools/execute`.
pub(crate) async fn execute(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    headers: HeaderMap,
    Json(call, digest): Json<Call>,
) -> Result<Response, Problem> {
    let (id, requested) = call.check()?;
    let mut specs = edge.kernel().tools().specs();
    let spec = specs.find(|spec| spec.name == requested.tool);
    if !spec.is_some_and(|spec| may_use(caller.identity(), spec)) {
        return Err(Problem::not_found("tool"));
    }
    let ask = labelled(&edge, &headers, (edge.options.execute)(requested));
    let entry = retry::enter(&edge, &caller, &headers, digest).await?;
    let (run, halt) = Box::pin(answer::of(&edge, &caller, entry, ask)).await?;
    Ok(match halt {
        Halt::Waiting { wake_at, approvals } => {
            answer::waiting(run, (wake_at, &approvals), json!({ "tool_call_id": id }))
        }
        Halt::Answered(answered) => {
            let object = json!({
                "tool_call_id": id,
                "output": answered.body.value()["output"],
                "duration_ms": answered.end.duration_us.div_ceil(1_000),
                "run_id": run,
            });
            answer::of_run(body::json(&object), run)
        }
    })
}
