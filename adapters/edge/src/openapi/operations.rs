//! What each route is for, what it takes and gives, in the order of the router.

use axum::http::Method;

use super::Operation;
use crate::page::Registered;
use crate::tools;
use crate::{approvals, ask, audit, batch, documents, events, keys, policies, profiles, runs};
use crate::{router, sessions};

/// What goes wrong, by status: `docs/http.md` has the codes.
pub(super) const PROBLEMS: &[(u16, &str)] = &[
    (400, "It cannot be read."),
    (401, "There is no key, or one that does not open."),
    (402, "The budget of the key has too little left."),
    (403, "Policy or rights say no."),
    (404, "There is no such object, or it is not yours."),
    (408, "The body did not come in time."),
    (409, "It is too late, or too early: read the object again."),
    (410, "It is not there any more."),
    (413, "The body is too large."),
    (415, "It is not JSON, or not a file that can be read."),
    (422, "It makes no sense; `detail` says what to change."),
    (429, "Too much or too fast: wait as `Retry-After` says."),
    (500, "Something broke; report the `request_id`."),
    (501, "This build cannot."),
    (502, "A tool, or agents that were needed, failed."),
    (503, "Not now: wait as `Retry-After` says."),
    (504, "There was no answer in time."),
];

const EVENTS: &str = "text/event-stream";
const TEXT: &str = "text/plain";
const HTML: &str = "text/html";

fn get(path: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::GET, path, summary)
}

fn post(path: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::POST, path, summary)
}

/// Every route.
pub(crate) fn operations() -> Vec<Operation> {
    let mut all = of_the_installation();
    all.extend(of_accounts());
    all.extend(of_keys());
    all.extend(of_runs());
    all.extend(of_documents());
    all.extend(of_agents_and_tools());
    all.extend(of_evidence());
    all
}

fn of_the_installation() -> Vec<Operation> {
    vec![
        get("/health", "Whether the process lives").gives(200, "Health", "It does."),
        get("/ready", "Whether it can take requests").gives(200, "Ready", "It can.").gives(
            503,
            "Ready",
            "It cannot; the check that fails says why.",
        ),
        get("/metrics", "Figures for Prometheus").gives_as(
            200,
            (TEXT, "Text"),
            "The text format, version 0.0.4.",
        ),
        get("/debug/pprof/", "Which profiles of the process there are").gives_as(
            200,
            (TEXT, "Text"),
            "Their addresses.",
        ),
        profile("/debug/pprof/profile", "What the threads execute"),
        profile("/debug/pprof/heap", "What is allocated, and what of it stays"),
        get("/openapi.json", "This document").gives(200, "Anything", "OpenAPI 3.1."),
        get("/docs", "This document as a page").gives_as(200, (HTML, "Text"), "It works offline."),
        get("/v1/system", "What this installation is and runs on").gives(
            200,
            "System",
            "Version, policies in force, keys of the log, storage.",
        ),
    ]
}

fn profile(path: &'static str, summary: &'static str) -> Operation {
    get(path, summary).asks::<profiles::Sampling>().fails(&[409, 501]).gives_as(
        200,
        (router::BYTES, "Bytes"),
        "For `go tool pprof`.",
    )
}

fn of_accounts() -> Vec<Operation> {
    let tokens = "An access token, and a refresh token that works once.";
    vec![
        post("/v1/auth/register", "Make an account")
            .takes::<sessions::SigningUp>()
            .fails(&[403, 409, 429, 503])
            .gives(201, "Registered", "The account."),
        post("/v1/auth/login", "Sign in")
            .takes::<sessions::SigningIn>()
            .fails(&[401, 429, 503])
            .gives(200, "Tokens", tokens),
        post("/v1/auth/refresh", "Renew the tokens of a session")
            .takes::<sessions::Renewing>()
            .fails(&[401, 429, 503])
            .gives(200, "Tokens", tokens),
        post("/v1/auth/logout", "Sign out")
            .fails(&[409])
            .gives_nothing(204, "The session has ended, and its tokens open nothing."),
    ]
}

fn of_keys() -> Vec<Operation> {
    let revoke = "Revoke a key";
    vec![
        get("/v1/auth/me", "The key or session that is shown").gives(
            200,
            "Me",
            "Whose it is, and what it may do now.",
        ),
        get("/v1/auth/tokens", "List keys").asks::<keys::Listing>().gives(
            200,
            "Keys",
            "One's own, or as administrator the tenant's.",
        ),
        post("/v1/auth/tokens", "Make a key")
            .takes::<keys::Wanted>()
            .reads("Idempotency-Key")
            .fails(&[409])
            .gives(201, "NewKey", "The key; its text is shown this once."),
        Operation::new(Method::DELETE, "/v1/auth/tokens/{id}", revoke)
            .reads("Idempotency-Key")
            .fails(&[409, 422])
            .gives_nothing(204, "It opens nothing from now on."),
    ]
}

fn of_runs() -> Vec<Operation> {
    let answer = "The answer.";
    let happens = "What happens, while it happens.";
    vec![
        post("/v1/ask", "Ask a question about a statement")
            .takes::<ask::Asked>()
            .fails(&[404])
            .begins_run()
            .gives(200, "Answer", answer)
            .gives_as(200, (EVENTS, "Event"), answer)
            .gives(202, "Waiting", "A human must decide first."),
        post("/v1/ask/stream", "Ask, and see what happens")
            .takes::<ask::Asked>()
            .fails(&[404])
            .begins_run()
            .gives_as(200, (EVENTS, "Event"), happens),
        get("/v1/runs", "List runs, newest first").asks::<runs::Listing>().gives(
            200,
            "Runs",
            "One's own, or as auditor or administrator the tenant's.",
        ),
        get("/v1/runs/{id}", "Show a run").gives(
            200,
            "Run",
            "Messages with verdicts, steps, effects, approvals, outcome.",
        ),
        get("/v1/runs/{id}/events", "The events of a run")
            .asks::<events::Reading>()
            .reads("Last-Event-ID")
            .fails(&[400])
            .gives_as(200, (EVENTS, "Event"), "From the first, or behind `Last-Event-ID`.")
            .gives_nothing(204, "There is nothing more to come."),
        get("/v1/runs/{id}/receipt", "Proof of how a run ended")
            .fails(&[409, 410])
            .gives(200, "Receipt", "As text for `Accept: text/plain`.")
            .gives_as(200, (TEXT, "Text"), "A page."),
        post("/v1/runs/{id}/cancel", "Cancel a run and all it has caused")
            .reads("Idempotency-Key")
            .fails(&[409, 422])
            .gives(202, "Cancelling", "It ends soon."),
        get("/v1/events", "The events of all runs on this process that the key may see")
            .reads("Last-Event-ID")
            .fails(&[400, 410])
            .gives_as(200, (EVENTS, "Event"), "From now on, or behind `Last-Event-ID`."),
        get("/v1/approvals", "List what waits or waited for a human, oldest first")
            .asks::<approvals::Listing>()
            .gives(200, "Approvals", "What the key may see."),
        get("/v1/approvals/{id}", "Show what is to be decided").gives(
            200,
            "Approval",
            "Tool, arguments, digest, policy, requester, expiry.",
        ),
        post("/v1/approvals/{id}/decision", "Decide, once")
            .takes::<approvals::Decided>()
            .reads("Idempotency-Key")
            .fails(&[409, 410])
            .gives(200, "Approval", "As it stands now."),
    ]
}

fn of_documents() -> Vec<Operation> {
    let delete = "Delete a document";
    vec![
        post("/v1/documents", "Send a statement to ask about")
            .takes_file()
            .reads("Idempotency-Key")
            .fails(&[409])
            .gives(201, "Document", "With what it says of itself, and rows that cannot be used."),
        get("/v1/documents", "List documents, newest first").asks::<documents::Listing>().gives(
            200,
            "Documents",
            "One's own, or as auditor or administrator the tenant's.",
        ),
        get("/v1/documents/{id}", "Show a document").gives(
            200,
            "Document",
            "With what it says of itself.",
        ),
        Operation::new(Method::DELETE, "/v1/documents/{id}", delete)
            .reads("Idempotency-Key")
            .fails(&[409, 422])
            .gives_nothing(204, "It is gone; runs that were about it keep what they need."),
    ]
}

fn of_agents_and_tools() -> Vec<Operation> {
    vec![
        get("/v1/agents", "List agents").asks::<Registered>().gives(
            200,
            "Agents",
            "What each takes and sends.",
        ),
        get("/v1/agents/{id}", "Show an agent").gives(200, "Agent", "And how it is doing."),
        get("/v1/tools", "List the tools that this key may call").asks::<Registered>().gives(
            200,
            "Tools",
            "As OpenAI definitions.",
        ),
        post("/v1/tools/execute", "Call a tool")
            .takes::<tools::Call>()
            .begins_run()
            .fails(&[404])
            .gives(200, "Output", "What it gave.")
            .gives(202, "WaitingCall", "A human must decide first."),
        post("/v1/tools/batch", "Call several tools at once")
            .takes::<batch::Batch>()
            .reads("Idempotency-Key")
            .reads("traceparent")
            .gives(200, "Results", "Each call's own result, in their order."),
    ]
}

fn of_evidence() -> Vec<Operation> {
    vec![
        get("/v1/policies", "The chain of policies, in order").asks::<Registered>().gives(
            200,
            "Policies",
            "With how often each objected.",
        ),
        post("/v1/policies/evaluate", "Ask the policies about a message that nobody sends")
            .takes::<policies::Imagined>()
            .gives(200, "Evaluation", "The verdict, and what each policy says."),
        get("/v1/audit", "The tenant's records, chain by chain").asks::<audit::Listing>().gives(
            200,
            "Records",
            "With the exact texts that were hashed.",
        ),
        get("/v1/audit/checkpoint", "The latest signed checkpoint of each chain")
            .fails(&[409])
            .gives(200, "Checkpoints", "As text for `Accept: text/plain`.")
            .gives_as(200, (TEXT, "Text"), "Signed notes."),
        post("/v1/audit/verify", "Check the whole log")
            .takes::<audit::Wanted>()
            .fails(&[409])
            .gives(200, "Verification", "A report, good or bad."),
    ]
}
