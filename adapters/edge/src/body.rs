//! Reading bodies, queries and paths; what cannot be read is a problem that says why.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use genie_core::journal::chain::Hash;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_json::error::Category;
use uuid::Uuid;

use crate::edge::Edge;
use crate::error::Problem;

/// A JSON body, with the hash of the path and the bytes that it came as.
pub(crate) struct Json<T>(pub(crate) T, pub(crate) Hash);

impl<T: DeserializeOwned> FromRequest<Arc<Edge>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, edge: &Arc<Edge>) -> Result<Self, Problem> {
        if !is_json(request.headers()) || is_encoded(request.headers()) {
            return Err(Problem::content_type());
        }
        let path = request.uri().path().to_owned();
        let bytes = bytes(edge, request, edge.options.limits.body_bytes_max).await?;
        // A list would be read as the fields in their order, without their names.
        if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            let _: IgnoredAny = parsed(&bytes)?;
            return Err(Problem::invalid("", "the body is not a JSON object"));
        }
        let digest = Hash::of(&[path.as_bytes(), b"\n", &bytes].concat());
        parsed(&bytes).map(|body| Self(body, digest))
    }
}

/// The body as it came.
///
/// # Errors
/// One that is larger than this, that takes too long, or that does not come whole.
pub(crate) async fn bytes(
    edge: &Edge,
    request: Request,
    bytes_max: usize,
) -> Result<Vec<u8>, Problem> {
    let body = read(request.into_body(), bytes_max);
    let read = tokio::time::timeout(edge.options.limits.body_timeout, body).await;
    Ok(read.map_err(|_| Problem::too_slow("body"))??.into())
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let broken = |error: &serde_json::Error| match error.classify() {
        Category::Data => None,
        Category::Io | Category::Syntax | Category::Eof => {
            Some(Problem::malformed(format!("the body is no JSON: {error}")))
        }
    };
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut text).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        broken(inner).unwrap_or_else(|| unfit(&path, &inner.to_string()))
    })?;
    let ended = text.end();
    ended.map_err(|error| broken(&error).unwrap_or_else(|| unfit("", &error.to_string())))?;
    Ok(read)
}

/// What is wrong with the field at this path, by what serde says of it. A value that came with it
/// is not repeated: it may be a password.
fn unfit(path: &str, said: &str) -> Problem {
    let said = said.split(" at line ").next().unwrap_or(said);
    // The object is at the path if the field in it is not there, or not known.
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|prefix| said.strip_prefix(prefix)?.split('`').next());
    let path = path.trim_start_matches('.');
    let field = match named {
        Some(name) if path.is_empty() || path == name => name.to_owned(),
        Some(name) if path.ends_with(&format!(".{name}")) => path.to_owned(),
        Some(name) => format!("{path}.{name}"),
        None => path.to_owned(),
    };
    let expected = ["invalid ", "unknown variant "].iter().any(|how| said.starts_with(how));
    match said.rsplit_once(", expected ").filter(|_| expected) {
        Some((_, wanted)) => Problem::invalid(&field, format!("`{field}` is not {wanted}")),
        None => Problem::invalid(&field, said),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else {
        return false;
    };
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Whether the body is compressed: nothing is unpacked, so that nothing small becomes large here.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    encodings.any(|encoding| !encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

async fn read(body: Body, bytes_max: usize) -> Result<axum::body::Bytes, Problem> {
    use axum::body::HttpBody as _;
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(Problem::too_large(bytes_max));
    }
    to_bytes(body, bytes_max).await.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            if error.to_string().contains("length limit exceeded") {
                return Problem::too_large(bytes_max);
            }
            cause = error.source();
        }
        Problem::cut_short("body")
    })
}

/// What stands behind the `?`.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Edge>> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Edge>) -> Result<Self, Problem> {
        params(&parts.uri).map(Self)
    }
}

/// What stands behind the `?`.
///
/// # Errors
/// What is none of these parameters, or not as they are.
pub(crate) fn params<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    if !is_text(uri.query().unwrap_or_default()) {
        return Err(Problem::invalid("", "what stands behind the `?` is no UTF-8"));
    }
    let read = Query::try_from_uri(uri);
    read.map(|Query(params)| params).map_err(|error| {
        let said = error.body_text();
        let said = said.rsplit_once("query string: ").map_or(&*said, |(_, said)| said);
        let (path, said) = said.split_once(": ").unwrap_or(("", said));
        unfit(path, said)
    })
}

/// Whether a query is text once its `%xx` are the bytes that they stand for.
fn is_text(query: &str) -> bool {
    let mut bytes = Vec::with_capacity(query.len());
    let mut parts = query.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => bytes.push(byte),
            // A percent sign that stands for itself.
            None => bytes.extend_from_slice(b"%"),
        }
        let rest = part.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
        bytes.extend_from_slice(rest.as_bytes());
    }
    str::from_utf8(&bytes).is_ok()
}

/// The id in the path; what is none names nothing.
pub(crate) fn id(text: &str, what: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::not_found(what))
}

/// The id in a parameter of the query.
pub(crate) fn id_param(field: &str, text: &str) -> Result<Uuid, Problem> {
    let problem = || Problem::invalid(field, format!("`{field}` is not an id; leave it out"));
    Uuid::try_parse(text).map_err(|_| problem())
}

/// The word in a parameter of the query, which is one of these.
pub(crate) fn word_param(
    field: &str,
    given: Option<String>,
    words: &[&str],
) -> Result<Option<String>, Problem> {
    if given.as_deref().is_none_or(|word| words.contains(&word)) {
        return Ok(given);
    }
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    Err(Problem::invalid(field, format!("`{field}` is one of {}", words.join(", "))))
}

/// A JSON answer.
pub(crate) fn json(value: &Value) -> Response {
    json_text(value.to_string())
}

/// A JSON answer that is text already.
pub(crate) fn json_text(text: impl Into<Body>) -> Response {
    let mut response = text.into().into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Whether the client would rather have this content type.
pub(crate) fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let texts = headers.get_all(axum::http::header::ACCEPT).iter();
    let mut kinds = texts.filter_map(|text| text.to_str().ok()).flat_map(|text| text.split(','));
    kinds.any(|one| one.split(';').next().is_some_and(|one| one.trim().eq_ignore_ascii_case(kind)))
}
