//! Tools: which the caller may use, and one call through the bus.
//!
//! A call is a run like any other: judged by the same policies, held for the same approvals, on the
//! same record. There is no other way to a tool.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;
use genie_core::ids::RunId;
use genie_core::payload::Payload;
use genie_core::principal::Identity;
use genie_core::specimen::Specimen;
use genie_core::tool::{ADDRESS, ToolCall, ToolSpec};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{self, Answer, Halt};
use crate::ask::labelled;
use crate::auth::{Caller, Known};
use crate::body::{self, Json, Params};
use crate::edge::Edge;
use crate::error::Problem;
use crate::page::Registered;
use crate::retry::{self, Entry};

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
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Params(listing): Params<Registered>,
) -> Result<Response, Problem> {
    let specs = edge.kernel().tools().specs();
    let kept_to = caller.identity().allowed.tools.as_ref();
    let usable = specs.filter(|spec| {
        may_use(caller.identity(), spec) && kept_to.is_none_or(|tools| tools.contains(spec.name))
    });
    let named = usable.map(|spec| (spec.name.to_owned(), shown(&edge, &caller, spec)));
    Ok(body::json(&listing.of(named.collect())?))
}

/// Whether a call of the tool by the caller may come to wait for a human, whatever its arguments.
fn may_wait(edge: &Edge, caller: &Caller, spec: &ToolSpec) -> bool {
    let arguments = Value::Null;
    let call = (edge.options.execute)(Requested { tool: spec.name.to_owned(), arguments });
    let payload = json!({ "tool": spec.name, "effects": spec.effects, "arguments": null });
    let specimen = Specimen {
        from: call.to().to_owned(),
        principal: caller.identity().clone(),
        label: edge.options.label.clone(),
        ..Specimen::new(ToolCall::KIND, &format!("{ADDRESS}{}", spec.name), payload)
    };
    // Nothing of it is larger than a message may be; if it were, it would not be called.
    let preview = edge.kernel().preview(caller.tenant(), &specimen);
    preview.ok().flatten().is_some_and(|preview| preview.may_hold)
}

fn shown(edge: &Edge, caller: &Caller, spec: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "function": {
            "name": spec.name,
            "description": spec.description,
            "parameters": (spec.schema)(),
        },
        "effects": spec.effects,
        "requires_approval": may_wait(edge, caller, spec),
    })
}

/// An `OpenAI` tool call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    /// The caller's own name for the call.
    #[schemars(length(min = 1, max = 128))]
    id: String,
    #[serde(rename = "type")]
    #[schemars(extend("const" = "function"))]
    kind: String,
    function: Function,
}

/// What is called.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Function {
    /// The tool.
    name: String,
    /// An object, or its JSON text as models write it.
    #[schemars(extend("type" = ["object", "string"]))]
    arguments: Value,
}

impl Call {
    /// The id, as the caller has given it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether it has the shape of a call.
    pub(crate) fn is_sound(&self) -> Result<(), Problem> {
        if self.kind != "function" {
            return Err(Problem::invalid("type", "`type` is `function`"));
        }
        if self.id.is_empty() || self.id.len() > CALL_ID_LEN_MAX {
            let problem = format!("`id` has 1 to {CALL_ID_LEN_MAX} characters");
            return Err(Problem::invalid("id", problem));
        }
        if !self.function.arguments.is_object() && !self.function.arguments.is_string() {
            return Err(Self::no_object());
        }
        Ok(())
    }

    fn no_object() -> Problem {
        let problem = "`arguments` is a JSON object or the text of one";
        Problem::invalid("function.arguments", problem)
    }

    fn check(self) -> Result<(String, Requested), Problem> {
        self.is_sound()?;
        let arguments = match self.function.arguments {
            Value::String(text) => serde_json::from_str(&text).map_err(|error| {
                let problem = format!("`arguments` is not the text of a JSON object: {error}");
                Problem::invalid("function.arguments", problem)
            })?,
            arguments => arguments,
        };
        if !arguments.is_object() {
            return Err(Self::no_object());
        }
        Ok((self.id, Requested { tool: self.function.name, arguments }))
    }
}

/// A call that its caller may make.
///
/// # Errors
/// A call that makes no sense, or a tool that is not there for the caller.
pub(crate) fn ready(
    edge: &Edge,
    caller: &Caller,
    call: Call,
) -> Result<(String, Requested), Problem> {
    let (id, requested) = call.check()?;
    let mut specs = edge.kernel().tools().specs();
    let spec = specs.find(|spec| spec.name == requested.tool);
    if !spec.is_some_and(|spec| may_use(caller.identity(), spec)) {
        return Err(Problem::not_found("tool"));
    }
    Ok((id, requested))
}

/// What becomes of a call: a run of its own, behind the one gate.
///
/// # Errors
/// The problem that the caller is told.
pub(crate) async fn made(
    edge: &Arc<Edge>,
    caller: &Caller,
    headers: &HeaderMap,
    (requested, entry): (Requested, Entry),
) -> Result<(RunId, Halt), Problem> {
    let ask = labelled(edge, headers, (edge.options.execute)(requested));
    Box::pin(answer::of(edge, caller, entry, ask)).await
}

/// What a caller is told of a call that was answered.
pub(crate) fn output(id: &str, run: RunId, answered: &Answer) -> Value {
    json!({
        "tool_call_id": id,
        "output": answered.body.value()["output"],
        "duration_ms": answered.end.duration_us.div_ceil(1_000),
        "run_id": run,
    })
}

/// `POST /v1/tools/execute`.
pub(crate) async fn execute(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    headers: HeaderMap,
    Json(call, digest): Json<Call>,
) -> Result<Response, Problem> {
    let (id, requested) = ready(&edge, &caller, call)?;
    let entry = retry::enter(&edge, &caller, &headers, digest).await?;
    let (run, halt) = made(&edge, &caller, &headers, (requested, entry)).await?;
    Ok(match halt {
        Halt::Waiting { wake_at, approvals } => {
            answer::waiting(run, (wake_at, &approvals), json!({ "tool_call_id": id }))
        }
        Halt::Answered(answered) => answer::of_run(body::json(&output(&id, run, &answered)), run),
    })
}
