//! Keys: made, listed and revoked. The secret is in one response and nowhere else.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use genie_core::clock::Timestamp;
use genie_core::identity::{ADMIN, Credential, Error, Key, KeyId, Keys, Query};
use genie_core::ids::Ids;
use genie_core::principal::Identity;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::{Caller, Known};
use crate::body::{self, Json, Params};
use crate::edge::Edge;
use crate::error::Problem;
use crate::page;

/// Most characters of a name, subject, role, scope or consent.
const NAME_LEN_MAX: usize = 200;
/// Most roles, scopes or consents of a key.
const NAMES_MAX: usize = 100;

/// Makes the first administrator's key and gives its text, which is kept nowhere.
///
/// # Errors
/// A store that does not take it.
pub async fn first_admin(
    keys: &dyn Keys,
    ids: &dyn Ids,
    now: Timestamp,
    identity: Identity,
) -> Result<String, Error> {
    let made = Credential::make(ids, now);
    let created_by = identity.subject.as_str().into();
    let key = Key {
        id: made.id(),
        name: "administrator".into(),
        identity,
        secret_sha256: made.secret_sha256(),
        created_by,
        created_at: now,
        expires_at: None,
        revoked_at: None,
    };
    keys.put(&key).await?;
    Ok(made.text().to_string())
}

fn shown(key: &Key) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "tenant": key.identity.tenant,
        "subject": key.identity.subject,
        "roles": key.identity.roles,
        "scopes": key.identity.scopes,
        "consents": key.identity.consents,
        "created_by": key.created_by,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    })
}

/// `GET /v1/auth/me`.
pub(crate) async fn me(Extension(caller): Known) -> Response {
    body::json(&shown(&caller.key))
}

fn is_admin(caller: &Caller) -> bool {
    caller.identity().roles.contains(ADMIN)
}

/// What to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    after: Option<String>,
    limit: Option<usize>,
}

/// `GET /v1/auth/tokens`: newest first; one's own, or for an administrator the tenant's.
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Params(listing): Params<Listing>,
) -> Result<Response, Problem> {
    let limit = page::limit(listing.limit)?;
    let before = listing.after.map(|after| body::id(&after, "key")).transpose()?;
    let subject = (!is_admin(&caller)).then(|| caller.identity().subject.clone());
    let query = Query { subject, before: before.map(KeyId), limit: limit + 1 };
    let keys = edge.options.keys.list(caller.tenant(), &query).await?;
    Ok(body::json(&page::of(keys, limit, shown, |key| key.id.to_string())))
}

/// The body of a new key. What is left out is as in the key that makes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    name: String,
    subject: Option<String>,
    roles: Option<BTreeSet<String>>,
    scopes: Option<BTreeSet<String>>,
    consents: Option<BTreeSet<String>>,
    expires_at: Option<Timestamp>,
}

fn check_name(field: &str, text: &str) -> Result<(), Problem> {
    let fits = !text.trim().is_empty()
        && text.chars().count() <= NAME_LEN_MAX
        && !text.chars().any(char::is_control);
    let problem = || format!("`{field}` has 1 to {NAME_LEN_MAX} characters, on one line");
    if fits { Ok(()) } else { Err(Problem::invalid(field, problem())) }
}

/// What a key has of `field`: what is wanted of what its maker has, or, from an administrator,
/// anything.
fn granted(
    field: &str,
    wanted: Option<BTreeSet<String>>,
    own: &BTreeSet<String>,
    by_admin: bool,
) -> Result<BTreeSet<String>, Problem> {
    let Some(wanted) = wanted else { return Ok(own.clone()) };
    if wanted.len() > NAMES_MAX {
        return Err(Problem::invalid(field, format!("`{field}` has at most {NAMES_MAX} items")));
    }
    for name in &wanted {
        check_name(field, name)?;
    }
    if !by_admin && !wanted.is_subset(own) {
        let problem =
            format!("`{field}` has more than your own key; a key never exceeds its maker");
        return Err(Problem::forbidden(problem));
    }
    Ok(wanted)
}

impl Wanted {
    fn identity(self, maker: &Caller) -> Result<Identity, Problem> {
        let (own, by_admin) = (maker.identity(), is_admin(maker));
        let subject = self.subject.unwrap_or_else(|| own.subject.clone());
        check_name("subject", &subject)?;
        if !by_admin && subject != own.subject {
            return Err(Problem::forbidden("only an administrator makes keys for others"));
        }
        Ok(Identity {
            tenant: own.tenant.clone(),
            subject,
            roles: granted("roles", self.roles, &own.roles, by_admin)?,
            scopes: granted("scopes", self.scopes, &own.scopes, by_admin)?,
            consents: granted("consents", self.consents, &own.consents, by_admin)?,
        })
    }
}

/// `POST /v1/auth/tokens`.
pub(crate) async fn create(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Json(wanted, _): Json<Wanted>,
) -> Result<Response, Problem> {
    check_name("name", &wanted.name)?;
    let (now, name) = (edge.now(), wanted.name.as_str().into());
    // A key that ends must not make one that does not.
    let bound = if is_admin(&caller) { None } else { caller.key.expires_at };
    let expires_at = match (wanted.expires_at, bound) {
        (Some(asked), Some(bound)) => Some(asked.min(bound)),
        (asked, bound) => asked.or(bound),
    };
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Problem::invalid("expires_at", "`expires_at` has passed"));
    }
    let identity = wanted.identity(&caller)?;
    let made = Credential::make(&*edge.options.ids, now);
    let key = Key {
        id: made.id(),
        name,
        identity,
        secret_sha256: made.secret_sha256(),
        created_by: caller.identity().subject.as_str().into(),
        created_at: now,
        expires_at,
        revoked_at: None,
    };
    edge.options.keys.put(&key).await?;
    tracing::info!(key = %key.id, by = %caller.key.id, "a key was made");
    let mut object = shown(&key);
    object["key"] = json!(*made.text());
    let mut response = body::json(&object);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// `DELETE /v1/auth/tokens/{id}`.
pub(crate) async fn revoke(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = KeyId(body::id(&id, "key")?);
    let subject = (!is_admin(&caller)).then(|| caller.identity().subject.clone());
    let keys = &edge.options.keys;
    if !keys.revoke(caller.tenant(), subject.as_deref(), id, edge.now()).await? {
        return Err(Problem::not_found("key"));
    }
    tracing::info!(key = %id, by = %caller.key.id, "a key was revoked");
    Ok(StatusCode::NO_CONTENT.into_response())
}
