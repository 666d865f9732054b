//! Documents: statements that somebody sends once, and asks about as often as they like.
//!
//! What a file is follows from its bytes; neither its name nor its `Content-Type` is believed. It
//! is read whole when it comes, so that whoever sends it learns at once which rows are of no use.

use std::sync::Arc;

use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use genie_core::blob::Blob;
use genie_core::document::{Document, DocumentId, Query};
use genie_core::journal::chain::Hash;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::{Caller, Known};
use crate::body::{self, Params};
use crate::edge::Edge;
use crate::error::Problem;
use crate::retry::{self, Turn};
use crate::{page, rights, upload};

/// A file that was read.
#[derive(Debug, Clone)]
pub struct Read {
    /// What to keep of it: the text of a CSV file.
    pub content: Vec<u8>,
    /// What it says of itself.
    pub statement: Value,
}

/// Most documents of one subject.
const DOCUMENTS_MAX: usize = 1_000;

/// `POST /v1/documents`: the file is the body, or the one file of a form.
pub(crate) async fn create(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    retry::given(&headers)?;
    let (content, share) = upload::receive(&edge, request).await?;
    let sent = Hash::of(&[b"document\n", &content[..]].concat());
    let (Read { content, statement }, _share) = reading(&edge, content, share).await?;
    let now = edge.now();
    let id = DocumentId(edge.options.ids.uuid(now));
    let subject = &*caller.identity().subject;
    let turn = match retry::turn(&edge, &caller, &headers, (sent, id.0)).await? {
        Turn::Again(again) => {
            let known = DocumentId(again.id());
            let known = edge.options.documents.get(caller.tenant(), Some(subject), known).await?;
            match known {
                Some((document, _)) => return Ok(created(&document, statement)),
                None => Turn::First(Some(again.missing(&edge).await?)),
            }
        }
        first @ Turn::First(_) => first,
    };
    let document = Document {
        id,
        tenant: caller.tenant().clone(),
        subject: subject.into(),
        blob: Blob::of(&content),
        created_at: now,
    };
    if !edge.options.documents.put(&document, &content, DOCUMENTS_MAX).await? {
        let problem = format!("you have {DOCUMENTS_MAX} documents; delete one that is done with");
        return Err(turn.failed(&edge, Problem::conflict("full", problem)).await);
    }
    Ok(created(&document, statement))
}

fn created(document: &Document, statement: Value) -> Response {
    let mut object = json!(document);
    object["statement"] = statement;
    let mut response = body::json(&object);
    *response.status_mut() = StatusCode::CREATED;
    response
}

/// What the file says of itself, found out beside the tasks that answer others. What it holds of
/// something is held until then, even if whoever asked has gone.
async fn reading<H: Send + 'static>(
    edge: &Edge,
    content: Vec<u8>,
    held: H,
) -> Result<(Read, H), Problem> {
    let read = edge.options.read;
    let read = tokio::task::spawn_blocking(move || read(content).map(|read| (read, held))).await;
    read.map_err(|_| Problem::panicked())?.map_err(|problem| Problem::invalid("", problem))
}

/// What to list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    /// What `next` of the page before says.
    #[schemars(with = "Option<uuid::Uuid>")]
    after: Option<String>,
    /// Items of a page, 50 if absent.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
}

/// `GET /v1/documents`: newest first; one's own, or for who sees everything the tenant's.
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Params(listing): Params<Listing>,
) -> Result<Response, Problem> {
    let limit = page::limit(listing.limit)?;
    let before = listing.after.map(|after| body::id_param("after", &after)).transpose()?;
    let query = Query {
        subject: rights::own(caller.identity()).map(str::to_owned),
        before: before.map(DocumentId),
        limit: limit + 1,
    };
    let found = edge.options.documents.list(caller.tenant(), &query).await?;
    Ok(body::json(&page::of(found, limit, |one| json!(one), |one| one.id.to_string())))
}

/// `GET /v1/documents/{id}`: what is known of it, and what it says of itself.
pub(crate) async fn show(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = DocumentId(body::id(&id, "document")?);
    let own = rights::own(caller.identity());
    let found = edge.options.documents.get(caller.tenant(), own, id).await?;
    let (document, content) = found.ok_or_else(|| Problem::not_found("document"))?;
    let mut object = json!(document);
    object["statement"] = reading(&edge, content, ()).await?.0.statement;
    Ok(body::json(&object))
}

/// `DELETE /v1/documents/{id}`.
pub(crate) async fn delete(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = DocumentId(body::id(&id, "document")?);
    let request = Hash::of(format!("delete {id}").as_bytes());
    let turn = retry::turn(&edge, &caller, &headers, (request, id.0)).await?;
    let own = rights::own(caller.identity());
    if !edge.options.documents.delete(caller.tenant(), own, id).await? && !turn.is_again() {
        return Err(turn.failed(&edge, Problem::not_found("document")).await);
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The content of one of the caller's own documents, to ask about.
///
/// # Errors
/// No document that they have.
pub(crate) async fn content(edge: &Edge, caller: &Caller, id: &str) -> Result<Vec<u8>, Problem> {
    let id = body::id_param("document_id", id)?;
    let own = Some(&*caller.identity().subject);
    let found = edge.options.documents.get(caller.tenant(), own, DocumentId(id)).await?;
    Ok(found.ok_or_else(|| Problem::not_found("document"))?.1)
}
