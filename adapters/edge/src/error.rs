//! What goes wrong, as RFC 9457 `application/problem+json`: the one place that knows which status a
//! failure has.
//!
//! | Status | What the caller should do | What the operator should do |
//! | --- | --- | --- |
//! | 400, 408, 413, 415, 422, 431 | change the request | nothing |
//! | 401 | show a key or token that is good, or sign in | nothing |
//! | 402 | have a key made with a larger budget | nothing |
//! | 403 | not ask again; policy or rights say no | look at the policy if many complain |
//! | 404, 405 | look up what there is | nothing |
//! | 409, 410 | read the object again | nothing |
//! | 429, 503 | wait as `Retry-After` says | look at `/metrics` and `/ready` |
//! | 501 | use a build that can | build it with its default features |
//! | 500, 502, 504 | report the `request_id` | look it up in the log |

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use genie_core::failure::{Denied, Failure};
use genie_core::identity::KeyId;
use genie_core::ids::RunId;
use genie_core::outcome::Outcome;
use serde_json::{Map, Value, json};

mod causes;

/// The content type of problems.
pub(crate) const PROBLEM: &str = "application/problem+json";
/// The header that names the run that a request has started.
pub(crate) const RUN_ID: HeaderName = HeaderName::from_static("genie-run-id");

/// Something that went wrong. [`crate::request`] adds the id of the request and writes it.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    more: Map<String, Value>,
    run: Option<RunId>,
    retry_after_s: Option<u64>,
}

impl Problem {
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let detail = detail.into();
        Self { status, code, title, detail, more: Map::new(), run: None, retry_after_s: None }
    }

    /// A body that is no JSON.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        let title = "the request cannot be read";
        Self::new(StatusCode::BAD_REQUEST, "malformed", title, detail)
    }

    /// A field with a value that makes no sense.
    pub(crate) fn invalid(field: &str, detail: impl Into<String>) -> Self {
        let title = "the request makes no sense";
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", title, detail);
        let errors = json!([{ "field": field, "detail": problem.detail }]);
        if field.is_empty() { problem } else { problem.with("errors", errors) }
    }

    /// No such object, or none that the caller may know of.
    pub(crate) fn not_found(what: &str) -> Self {
        let detail = format!("there is no such {what}, or it is not yours");
        Self::new(StatusCode::NOT_FOUND, "not_found", "not found", detail)
    }

    pub(crate) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_route", "not found", "there is no such route")
    }

    pub(crate) fn method() -> Self {
        let detail = "the route does not take this method; `Allow` says which it takes";
        let title = "method not allowed";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", title, detail)
    }

    pub(crate) fn content_type() -> Self {
        let detail = "send JSON, with `Content-Type: application/json`, and not compressed";
        let title = "unsupported media type";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", title, detail)
    }

    /// A file that is none that can be read.
    pub(crate) fn no_statement(detail: impl Into<String>) -> Self {
        let title = "unsupported media type";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", title, detail)
    }

    /// A part of the request, its headers or its body, that ended too early.
    pub(crate) fn cut_short(part: &str) -> Self {
        Self::malformed(format!("the {part} did not come whole"))
    }

    pub(crate) fn too_large(bytes_max: usize) -> Self {
        let detail = format!("the body exceeds the {bytes_max} bytes allowed");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the request is too large", detail)
    }

    /// More or longer headers than are read.
    pub(crate) fn headers_too_large(bytes_max: usize, headers_max: usize) -> Self {
        let detail = format!(
            "the line and the headers exceed the {bytes_max} bytes or {headers_max} headers allowed"
        );
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Self::new(status, "too_large", "the request is too large", detail)
    }

    /// A part of the request, its headers or its body, that takes too long.
    pub(crate) fn too_slow(part: &str) -> Self {
        let detail = format!("the {part} did not come in time");
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the request is too slow", detail)
    }

    /// No credential, or one that does not open.
    pub(crate) fn unauthenticated(code: &'static str, detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, "a credential is needed", detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "forbidden", detail)
    }

    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "it is too late", detail)
    }

    /// A key that was made, and whose text was in the answer to the request that made it only.
    pub(crate) fn key_made(id: KeyId) -> Self {
        let detail = format!(
            "the request made the key `{id}` before, and its text is shown once; if it is lost, \
             delete that key and make another under a new `Idempotency-Key`"
        );
        Self::conflict("key_made", detail).with("key_id", json!(id))
    }

    /// A place in the journal from which nobody can go on without a gap.
    pub(crate) fn gone() -> Self {
        let detail = "what came behind this `Last-Event-ID` is not kept here; leave it out to \
                      begin with what happens now, and read `GET /v1/runs` for the rest";
        Self::new(StatusCode::GONE, "gone", "it is too late", detail)
    }

    /// A log that was verified just now, or is.
    pub(crate) fn verifying(seconds: u64) -> Self {
        let detail = format!("verifying reads everything and has to rest; wait {seconds} s");
        let problem = Self::later("verifying", detail, seconds);
        Self { status: StatusCode::TOO_MANY_REQUESTS, ..problem }
    }

    /// A log that is too large to be verified by the way.
    pub(crate) fn too_much_to_verify() -> Self {
        let detail = "the log is too large to be verified here; run `genie audit verify`";
        Self::later("too_much", detail, 3_600)
    }

    /// The session of a token is over.
    pub(crate) fn ended_session() -> Self {
        Self::unauthenticated("ended_session", "the session of this token has ended; sign in")
    }

    /// More than the rule of this name lets anybody ask.
    pub(crate) fn too_fast(rule: &str, seconds: u64) -> Self {
        let detail = format!("the requests of the rule `{rule}` are used up; wait {seconds} s");
        let problem = Self::later("rate_limited", detail, seconds);
        Self { status: StatusCode::TOO_MANY_REQUESTS, ..problem }
    }

    /// Too many passwords to hash at once.
    pub(crate) fn busy() -> Self {
        Self::later("busy", "too many sign in at once", 1)
    }

    /// Too much that is uploaded at once.
    pub(crate) fn uploading() -> Self {
        Self::later("busy", "too much is uploaded at once; send it again in a moment", 1)
    }

    /// A request whose twin is just being taken.
    pub(crate) fn in_progress() -> Self {
        let detail = "the same request is just being taken; send it again in a moment";
        let problem = Self::conflict("in_progress", detail);
        Self { retry_after_s: Some(1), ..problem }
    }

    /// A profile is just being taken.
    pub(crate) fn profiling(detail: impl Into<String>) -> Self {
        let problem = Self::conflict("profiling", detail);
        Self { retry_after_s: Some(10), ..problem }
    }

    /// This build or system takes no profiles.
    pub(crate) fn no_profile(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "no_profile", "it cannot be done here", detail)
    }

    /// A process that stops before it has the answer.
    pub(crate) fn stopping() -> Self {
        Self::later("draining", "the installation stops; the run goes on afterwards", 5)
    }

    /// A process that stops before it has done what takes long and is of this process only.
    pub(crate) fn ending() -> Self {
        Self::later("draining", "the process stops; ask the next one", 5)
    }

    /// A client that has ended its side while something is made for it alone, for as long as it is
    /// there.
    pub(crate) fn left() -> Self {
        Self::malformed("keep your side of the connection open until the answer is there")
    }

    pub(crate) fn panicked() -> Self {
        let detail = "the handler of the request failed; it is in the log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error", detail)
    }

    /// A store that does not answer. What it says is for the log.
    pub(crate) fn unavailable(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a store refuses");
        Self::later("unavailable", "the database does not answer", 1)
    }

    fn later(code: &'static str, detail: impl Into<String>, seconds: u64) -> Self {
        let title = "not now";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title, detail);
        Self { retry_after_s: Some(seconds), ..problem }
    }

    /// Adds a field.
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.more.insert(field.to_owned(), value);
        self
    }

    /// Says that the failing fields are those of a part of the request.
    pub(crate) fn within(mut self, part: &str) -> Self {
        let errors = self.more.get_mut("errors").and_then(Value::as_array_mut);
        for error in errors.into_iter().flatten() {
            let field = error["field"].as_str().unwrap_or_default();
            error["field"] = json!(format!("{part}.{field}"));
        }
        self
    }

    /// Says which run it is about.
    pub(crate) fn of_run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self.with("run_id", json!(run))
    }

    /// More than the budget has left.
    fn unpaid(detail: String) -> Self {
        let title = "the budget is spent";
        Self::new(StatusCode::PAYMENT_REQUIRED, "budget_exhausted", title, detail)
    }

    fn denied(denied: &Denied) -> Self {
        let title = "denied by policy";
        Self::new(StatusCode::FORBIDDEN, "denied", title, denied.to_string())
            .with("policy", json!(denied.policy))
            .with("policy_version", json!(denied.policy_version))
            .with("reason", json!(denied.reason))
    }

    /// The run that it is about.
    pub(crate) fn run(&self) -> Option<RunId> {
        self.run
    }

    /// What is said of it within the answer to a request that did not fail as a whole.
    pub(crate) fn typed(&self) -> Value {
        let mut object = json!({
            "code": self.code,
            "status": self.status.as_u16(),
            "title": self.title,
            "detail": self.detail,
        });
        if let Some(fields) = object.as_object_mut() {
            fields.extend(self.more.clone());
            fields.remove("run_id");
            if let Some(seconds) = self.retry_after_s {
                fields.insert("retry_after_s".to_owned(), json!(seconds));
            }
        }
        object
    }

    /// What the document says of the request `id` for `instance`.
    pub(crate) fn document(&self, instance: &str, id: &str) -> Value {
        let mut object = json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "instance": instance,
            "code": self.code,
            "request_id": id,
        });
        if let Some(fields) = object.as_object_mut() {
            fields.extend(self.more.clone());
        }
        object
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(run) = self.run.and_then(|run| HeaderValue::try_from(run.to_string()).ok()) {
            headers.insert(RUN_ID, run);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Why a run that has ended gave no answer; `None` if it gave one.
pub(crate) fn of_outcome(outcome: &Outcome, run: RunId) -> Option<Problem> {
    let problem = match outcome {
        Outcome::Completed { .. } => return None,
        Outcome::Denied { denied } | Outcome::Failed { cause: Failure::Denied(denied) } => {
            Problem::denied(denied)
        }
        // Its process is stopping; the run stays on record and goes on in the next.
        Outcome::Failed { cause: Failure::RunEnded } => Problem::stopping(),
        Outcome::Failed { cause } => of_failure(cause),
        Outcome::Cancelled { reason } => {
            let detail = format!("the run was cancelled: {reason}");
            Problem::new(StatusCode::CONFLICT, "cancelled", "the run was cancelled", detail)
        }
        Outcome::Expired { deadline_ms } => {
            let detail = format!("there was no answer within {deadline_ms} ms");
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "expired", "the run expired", detail)
        }
    };
    Some(problem.of_run(run).with("outcome", json!(outcome.name())))
}

fn of_failure(cause: &Failure) -> Problem {
    if let Failure::BudgetExhausted { .. } = cause {
        return Problem::unpaid(cause.to_string());
    }
    let status = match cause {
        Failure::Denied(_) | Failure::Rejected { .. } => StatusCode::FORBIDDEN,
        Failure::ApprovalExpired { .. } => StatusCode::GONE,
        // The agent, or a schema or bound, does not take what it was given.
        Failure::Failed { .. }
        | Failure::BadArguments { .. }
        | Failure::Payload { .. }
        | Failure::Limit { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Failure::Tool { .. } | Failure::Incomplete { .. } => StatusCode::BAD_GATEWAY,
        Failure::HandlerDeadline { .. } => StatusCode::GATEWAY_TIMEOUT,
        Failure::Journal { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Problem::new(status, cause.code(), "the run failed", cause.to_string())
}
