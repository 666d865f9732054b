//! Keys: made, listed and revoked. The secret is in one response and nowhere else.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use genie_core::budget::BudgetId;
use genie_core::clock::Timestamp;
use genie_core::identity::{ADMIN, Credential, Key, KeyId, Maker, Query, Quotas};
use genie_core::journal::chain::Hash;
use genie_core::limits::KEY_CHAIN_MAX;
use genie_core::principal::{Allowed, Identity};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::{Caller, Known, Shown};
use crate::body::{self, Json, Params};
use crate::edge::Edge;
use crate::error::Problem;
use crate::money::Money;
use crate::retry::{self, Turn};
use crate::{page, sessions};

/// Most characters of a name, subject, role, scope or consent.
const NAME_LEN_MAX: usize = 200;
/// Most roles, scopes or consents of a key.
const NAMES_MAX: usize = 100;

fn shown(key: &Key) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "tenant": key.identity.tenant,
        "subject": key.identity.subject,
        "roles": key.identity.roles,
        "scopes": key.identity.scopes,
        "consents": key.identity.consents,
        "allowed_tools": key.identity.allowed.tools,
        "allowed_models": key.identity.allowed.models,
        "allowed_agents": key.identity.allowed.agents,
        "rate_limit_per_minute": key.quotas.per_minute,
        "rate_limit_per_day": key.quotas.per_day,
        "created_by": key.created_by,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    })
}

/// `GET /v1/auth/me`.
pub(crate) async fn me(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
) -> Result<Response, Problem> {
    Ok(body::json(&match &caller.shown {
        Shown::Key(lineage) => {
            // What it may do now, which may be less than what it was made with.
            let identity = caller.identity().clone();
            let mut object = shown(&Key { identity, ..lineage.key().clone() });
            object["kind"] = json!("key");
            object["budget"] = budget(&edge, &caller, lineage.key()).await?;
            object
        }
        Shown::Session(session) => json!({
            "kind": "session",
            "user": sessions::shown(&session.1),
            "tenant": caller.tenant(),
            "subject": caller.identity().subject,
            "roles": caller.identity().roles,
            "scopes": caller.identity().scopes,
            "consents": caller.identity().consents,
            "expires_at": session.0.expires_at,
        }),
    }))
}

/// How a key's budget stands; null if it has none.
async fn budget(edge: &Edge, caller: &Caller, key: &Key) -> Result<Value, Problem> {
    if key.budget_minor.is_none() {
        return Ok(Value::Null);
    }
    let budget = edge.kernel().budget(caller.tenant(), BudgetId(key.id.0)).await?;
    let (budget, currency) = (budget.unwrap_or_default(), &edge.options.currency);
    Ok(json!({
        "limit": currency.money(budget.limit_minor),
        "spent": currency.money(budget.spent_minor),
        "reserved": currency.money(budget.reserved_minor),
        "left": currency.money(budget.left_minor()),
    }))
}

fn is_admin(caller: &Caller) -> bool {
    caller.identity().roles.contains(ADMIN)
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

/// `GET /v1/auth/tokens`: newest first; one's own, or for an administrator the tenant's.
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    Params(listing): Params<Listing>,
) -> Result<Response, Problem> {
    let limit = page::limit(listing.limit)?;
    let before = listing.after.map(|after| body::id_param("after", &after)).transpose()?;
    let subject = (!is_admin(&caller)).then(|| caller.identity().subject.clone());
    let query = Query { subject, before: before.map(KeyId), limit: limit + 1 };
    let keys = edge.options.entrance.keys().list(caller.tenant(), &query).await?;
    Ok(body::json(&page::of(keys, limit, shown, |key| key.id.to_string())))
}

/// The body of a new key. What is left out is as in the key that makes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WantedKey")]
pub(crate) struct Wanted {
    /// What it is for.
    #[schemars(length(max = 200), regex(pattern = r"\S"))]
    name: String,
    /// Whose it is; the maker's own if absent.
    subject: Option<String>,
    #[schemars(with = "Option<Vec<String>>")]
    roles: Option<BTreeSet<String>>,
    #[schemars(with = "Option<Vec<String>>")]
    scopes: Option<BTreeSet<String>>,
    #[schemars(with = "Option<Vec<String>>")]
    consents: Option<BTreeSet<String>>,
    /// The tools that may be called on its behalf; as with its maker if absent, none if empty.
    #[schemars(with = "Option<Vec<String>>")]
    allowed_tools: Option<BTreeSet<String>>,
    /// The models that may be called on its behalf.
    #[schemars(with = "Option<Vec<String>>")]
    allowed_models: Option<BTreeSet<String>>,
    /// The agents that it may ask.
    #[schemars(with = "Option<Vec<String>>")]
    allowed_agents: Option<BTreeSet<String>>,
    /// Most requests in a minute.
    rate_limit_per_minute: Option<NonZeroU32>,
    /// Most requests in a day, from midnight to midnight UTC.
    rate_limit_per_day: Option<NonZeroU32>,
    /// What it may spend.
    budget: Option<Money>,
    /// When it ends; at the latest with the key that makes it.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    expires_at: Option<Timestamp>,
}

/// Whether this can be somebody's or something's name.
pub(crate) fn is_name(text: &str) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= NAME_LEN_MAX
        && !text.chars().any(char::is_control)
}

fn check_name(field: &str, text: &str) -> Result<(), Problem> {
    let problem = || format!("`{field}` has 1 to {NAME_LEN_MAX} characters, on one line");
    if is_name(text) { Ok(()) } else { Err(Problem::invalid(field, problem())) }
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
        let problem = format!("`{field}` has more than you have; a key never exceeds its maker");
        return Err(Problem::forbidden(problem));
    }
    Ok(wanted)
}

/// What a key is kept to: to what is wanted, or to what its maker is. Nobody gives more than that,
/// not even an administrator, since a key for tools is not to make itself one for all.
fn kept_to(
    field: &str,
    wanted: Option<BTreeSet<String>>,
    own: Option<&BTreeSet<String>>,
) -> Result<Option<BTreeSet<String>>, Problem> {
    match (wanted, own) {
        (None, own) => Ok(own.cloned()),
        (wanted, None) => granted(field, wanted, &BTreeSet::new(), true).map(Some),
        (wanted, Some(own)) => granted(field, wanted, own, false).map(Some),
    }
}

impl Wanted {
    fn quotas(&self) -> Quotas {
        Quotas {
            per_minute: self.rate_limit_per_minute.map(NonZeroU32::get),
            per_day: self.rate_limit_per_day.map(NonZeroU32::get),
        }
    }

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
            allowed: Allowed {
                tools: kept_to("allowed_tools", self.allowed_tools, own.allowed.tools.as_ref())?,
                models: kept_to(
                    "allowed_models",
                    self.allowed_models,
                    own.allowed.models.as_ref(),
                )?,
                agents: kept_to(
                    "allowed_agents",
                    self.allowed_agents,
                    own.allowed.agents.as_ref(),
                )?,
            },
            ..Identity::default()
        })
    }
}

/// What a caller's keys are made with, and when that ends.
fn maker(caller: &Caller) -> Result<(Maker, Option<Timestamp>), Problem> {
    let behind = match &caller.shown {
        Shown::Key(lineage) => lineage.makers().len() + 1,
        Shown::Session(_) => 0,
    };
    if behind >= KEY_CHAIN_MAX {
        let problem = format!("at most {KEY_CHAIN_MAX} keys stand behind each other");
        return Err(Problem::forbidden(problem));
    }
    Ok(match &caller.shown {
        Shown::Key(lineage) => (Maker::Key(lineage.key().id), lineage.key().expires_at),
        Shown::Session(session) => (Maker::Account(session.1.id), None),
    })
}

/// `POST /v1/auth/tokens`.
pub(crate) async fn create(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
    headers: HeaderMap,
    Json(wanted, digest): Json<Wanted>,
) -> Result<Response, Problem> {
    check_name("name", &wanted.name)?;
    let (now, name) = (edge.now(), wanted.name.as_str().into());
    let (maker, bound) = maker(&caller)?;
    // A key that ends must not make one that does not.
    let expires_at = match (wanted.expires_at, bound) {
        (Some(asked), Some(bound)) => Some(asked.min(bound)),
        (asked, bound) => asked.or(bound),
    };
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Problem::invalid("expires_at", "`expires_at` has passed"));
    }
    let quotas = wanted.quotas();
    let currency = &edge.options.currency;
    let budget = wanted.budget.as_ref().map(|money| currency.minor("budget", money)).transpose()?;
    let identity = wanted.identity(&caller)?;
    let made = Credential::make(&*edge.options.ids, now);
    if let Turn::Again(again) = retry::turn(&edge, &caller, &headers, (digest, made.id().0)).await?
    {
        let id = KeyId(again.id());
        // Its secret is nowhere any more.
        if edge.options.entrance.has_made(id).await? {
            return Err(Problem::key_made(id));
        }
        again.missing(&edge).await?;
    }
    let key = Key {
        id: made.id(),
        name,
        identity,
        secret_sha256: made.secret_sha256(),
        created_by: caller.identity().subject.as_str().into(),
        maker,
        quotas,
        budget_minor: budget,
        created_at: now,
        expires_at,
        revoked_at: None,
    };
    if let Some(limit_minor) = budget {
        edge.kernel().allot(caller.tenant(), BudgetId(key.id.0), limit_minor).await?;
    }
    edge.options.entrance.keys().put(caller.tenant(), &key).await?;
    tracing::info!(key = %key.id, by = caller.identity().subject, "a key was made");
    let mut object = shown(&key);
    object["budget"] = json!(budget.map(|minor| currency.money(minor)));
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
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = KeyId(body::id(&id, "key")?);
    let request = Hash::of(format!("revoke {id}").as_bytes());
    let turn = retry::turn(&edge, &caller, &headers, (request, id.0)).await?;
    let subject = (!is_admin(&caller)).then(|| caller.identity().subject.clone());
    let keys = edge.options.entrance.keys();
    let is_revoked = keys.revoke(caller.tenant(), subject.as_deref(), id, edge.now()).await?;
    if !is_revoked && !turn.is_again() {
        return Err(turn.failed(&edge, Problem::not_found("key")).await);
    }
    tracing::info!(key = %id, by = caller.identity().subject, "a key was revoked");
    Ok(StatusCode::NO_CONTENT.into_response())
}
