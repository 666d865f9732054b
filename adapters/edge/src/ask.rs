//! `POST /v1/ask`: a question, answered at once or as a stream of what happens.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::Response;
use genie_core::Ask;
use genie_core::journal::chain::Hash;
use serde::Deserialize;
use serde_json::json;

use crate::answer::{self, Halt};
use crate::auth::{Caller, Known};
use crate::body::{self, Json};
use crate::edge::Edge;
use crate::error::Problem;
use crate::events::{self, Reader, Until};
use crate::follow::Follower;
use crate::request;
use crate::retry::{self, Entry};
use crate::view::Sight;

/// Most characters of a question.
const QUESTION_LEN_MAX: usize = 2_000;

/// A question that was read and checked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The question, in the asker's words.
    pub question: String,
    /// The statement that it is about, a bank's CSV file.
    pub statement: Vec<u8>,
    /// The agent to ask, if the asker says.
    pub agent: Option<String>,
}

/// The body of a question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    question: String,
    statement: String,
    agent: Option<String>,
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
    let ask = request_of(&edge, &headers, asked)?;
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
    let ask = request_of(edge, headers, asked)?;
    let (run, follower) = match retry::enter(edge, caller, headers, digest).await? {
        Entry::Known(run) => (run, Follower::of(edge.kernel(), &edge.hub, run)),
        Entry::New(run, attempt) => {
            let follower = Follower::of_new(edge.kernel(), &edge.hub, run);
            // The run goes on if the client leaves; its events can be read again.
            drop(answer::begin(edge, caller, (run, attempt), ask).await?);
            (run, follower)
        }
    };
    let sight = Sight::of(caller.identity());
    let response = events::stream(edge, follower, Reader { run, sight, until: Until::Halt });
    Ok(answer::of_run(response, run))
}

/// The request to the agents.
fn request_of(edge: &Edge, headers: &HeaderMap, asked: Asked) -> Result<Ask, Problem> {
    let Asked { question, statement, agent, .. } = asked;
    if question.trim().is_empty() {
        return Err(Problem::invalid("question", "`question` is empty; ask in words"));
    }
    if question.chars().count() > QUESTION_LEN_MAX {
        let problem = format!("`question` has more than {QUESTION_LEN_MAX} characters");
        return Err(Problem::invalid("question", problem));
    }
    let bytes_max = edge.options.statement_bytes_max;
    if statement.trim().is_empty() || statement.len() > bytes_max {
        let problem = format!("`statement` is a CSV file of 1 to {bytes_max} bytes");
        return Err(Problem::invalid("statement", problem));
    }
    let statement = statement.into_bytes();
    let ask = (edge.options.ask)(Question { question, statement, agent });
    Ok(labelled(edge, headers, ask))
}

/// Labels what comes in, and continues the trace of whoever sends it.
pub(crate) fn labelled(edge: &Edge, headers: &HeaderMap, ask: Ask) -> Ask {
    let ask = ask.labelled(edge.options.label.clone());
    match request::trace_id(headers) {
        Some(trace) => ask.traced(trace),
        None => ask,
    }
}
