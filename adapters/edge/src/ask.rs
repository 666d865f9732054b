//! `POST /v1/ask`: a question, answered at once or as a stream of what happens.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;
use genie_core::Ask;
use genie_core::journal::chain::Hash;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::answer::{self, Halt};
use crate::auth::{Caller, Known};
use crate::body::{self, Json};
use crate::documents;
use crate::edge::Edge;
use crate::error::Problem;
use crate::events::{self, OfRun, Reader, Until};
use crate::follow::Follower;
use crate::request;
use crate::retry::{self, Entry};
use crate::runs::Visible;
use crate::view::Sight;

/// Most characters of a question.
const QUESTION_LEN_MAX: usize = 2_000;

/// A question that was read and checked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The question, in the asker's words.
    pub question: String,
    /// The statement that it is about, a bank's CSV file, if one came with it.
    pub statement: Option<Vec<u8>>,
    /// The agent to ask, if the asker says.
    pub agent: Option<String>,
}

/// The body of a question.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// The question, in words.
    #[schemars(length(max = 2_000), regex(pattern = r"\S"))]
    question: String,
    /// The statement that it is about: the text of a CSV file. The supervisor needs one.
    #[schemars(with = "Option<String>", regex(pattern = r"\S"))]
    statement: Option<String>,
    /// Or the document that holds it.
    #[schemars(with = "Option<uuid::Uuid>")]
    document_id: Option<String>,
    /// The agent to ask; the supervisor if absent.
    agent: Option<String>,
    /// Whether to answer with a stream of events.
    #[serde(default)]
    stream: bool,
}

/// `POST /v1/ask`.
pub(crate) async fn ask(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    headers: HeaderMap,
    Json(asked, digest): Json<Asked>,
) -> Result<Response, Problem> {
    let streams = asked.stream || body::accepts(&headers, "text/event-stream");
    if streams {
        return streamed(&edge, &caller, &headers, (asked, digest)).await;
    }
    let ask = request_of(&edge, &caller, &headers, asked).await?;
    let entry = retry::enter(&edge, &caller, &headers, digest).await?;
    let (run, halt) = Box::pin(answer::of(&edge, &caller, entry, ask)).await?;
    Ok(match halt {
        Halt::Waiting { wake_at, approvals } => {
            answer::waiting(run, (wake_at, &approvals), json!({}))
        }
        Halt::Answered(answered) => {
            let mut object = match answered.body.value() {
                value if value.is_object() => value,
                value => json!({ "answer": value }),
            };
            object["run_id"] = json!(run);
            object["outcome"] = json!("completed");
            object["usage"] = answered.end.usage();
            object["receipt"] = answered.end.receipt();
            answer::of_run(body::json(&object), run)
        }
    })
}

/// `POST /v1/ask/stream`.
pub(crate) async fn ask_stream(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    headers: HeaderMap,
    Json(asked, digest): Json<Asked>,
) -> Result<Response, Problem> {
    streamed(&edge, &caller, &headers, (asked, digest)).await
}

async fn streamed(
    edge: &Arc<Edge>,
    caller: &Caller,
    headers: &HeaderMap,
    (asked, digest): (Asked, Hash),
) -> Result<Response, Problem> {
    let ask = request_of(edge, caller, headers, asked).await?;
    let (run, follower) = match retry::enter(edge, caller, headers, digest).await? {
        Entry::Known(run) => (run, Follower::of(edge, &Visible::to(caller, edge, run).await?)),
        Entry::New(run, attempt) => {
            let follower = Follower::of_new(edge, caller.tenant(), run);
            // The run goes on if the client leaves; its events can be read again.
            drop(answer::begin(edge, caller, (run, attempt), ask).await?);
            // The id of the run is about to leave: whoever has it must find the run again, come
            // what may.
            edge.kernel().durable(edge.kernel().head().seq).await?;
            (run.id(), follower)
        }
    };
    let reader = Reader { sight: Sight::of(caller.identity()), until: Until::Halt };
    let response = events::stream(edge, caller.clone(), OfRun { follower, reader });
    Ok(answer::of_run(response, run))
}

/// The request to the agents.
async fn request_of(
    edge: &Edge,
    caller: &Caller,
    headers: &HeaderMap,
    asked: Asked,
) -> Result<Ask, Problem> {
    let Asked { question, statement, document_id, agent, .. } = asked;
    if question.trim().is_empty() {
        return Err(Problem::invalid("question", "`question` is empty; ask in words"));
    }
    if question.chars().count() > QUESTION_LEN_MAX {
        let problem = format!("`question` has more than {QUESTION_LEN_MAX} characters");
        return Err(Problem::invalid("question", problem));
    }
    let statement = match (statement, document_id) {
        (None, None) => None,
        (Some(statement), None) => Some(inline(edge, statement)?),
        (None, Some(id)) => Some(documents::content(edge, caller, &id).await?),
        (Some(_), Some(_)) => {
            let problem = "give `statement` or `document_id`, and one only";
            return Err(Problem::invalid("statement", problem));
        }
    };
    let ask = (edge.options.ask)(Question { question, statement, agent });
    Ok(labelled(edge, headers, ask))
}

/// A statement that came with its question.
fn inline(edge: &Edge, statement: String) -> Result<Vec<u8>, Problem> {
    let bytes_max = edge.options.statement_bytes_max;
    if statement.trim().is_empty() || statement.len() > bytes_max {
        let problem = format!("`statement` is a CSV file of 1 to {bytes_max} bytes");
        return Err(Problem::invalid("statement", problem));
    }
    Ok(statement.into_bytes())
}

/// Labels what comes in, names the request, and continues the trace of whoever sends it.
pub(crate) fn labelled(edge: &Edge, headers: &HeaderMap, ask: Ask) -> Ask {
    let mut ask = ask.labelled(edge.options.label.clone());
    if let Some(id) = request::id(headers) {
        ask = ask.requested_as(id);
    }
    match request::trace_id(headers) {
        Some(trace) => ask.traced(trace),
        None => ask,
    }
}
