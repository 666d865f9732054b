//! Signing up, in and out, and renewing a session's tokens.
//!
//! A wrong password and an unknown address get the same answer after the same work. A refresh token
//! works once: one that comes again is in two hands, so that its session ends.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use genie_core::clock::Timestamp;
use genie_core::identity::accounts::{Account, Session, SessionId};
use genie_core::journal::chain::Hash;
use genie_core::pace::Claim;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::auth::{Known, Shown};
use crate::body::{self, Json};
use crate::edge::Edge;
use crate::error::Problem;
use crate::newcomer::{Newcomer, NotMade, normal};
use crate::pace::{self, paced};
use crate::tokens::{Refusal, Use};

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What was sent, or why it cannot be read: that counts as an attempt, too.
type Sent<T> = Result<Json<T>, Problem>;

/// The peer, as a handler asks for it; there is none without a connection.
type Whence = Option<Extension<Peer>>;

impl Peer {
    /// Whom requests are counted for: of an IPv6 address the network, which one client has whole.
    fn whom(from: Whence) -> String {
        match from.map(|Extension(Self(address))| address.to_canonical()) {
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}")
            }
            Some(IpAddr::V4(address)) => address.to_string(),
            None => String::new(),
        }
    }
}

fn of_address(edge: &Edge, from: Whence) -> Claim {
    let quota = edge.options.limits.address_sign_ins_per_minute_max;
    pace::minute("address", Peer::whom(from), quota)
}

/// What is shown of an account.
pub(crate) fn shown(account: &Account) -> Value {
    json!({
        "id": account.id,
        "email": account.email,
        "name": account.name,
        "tenant": account.identity.tenant,
        "roles": account.identity.roles,
        "scopes": account.identity.scopes,
        "consents": account.identity.consents,
        "created_at": account.created_at,
    })
}

/// Reads what is not to stay in memory.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

/// Who wants an account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SigningUp {
    email: String,
    #[serde(deserialize_with = "secret")]
    #[schemars(with = "String")]
    password: Zeroizing<String>,
    name: String,
}

/// `POST /v1/auth/register`.
pub(crate) async fn register(
    State(edge): State<Arc<Edge>>,
    from: Whence,
    wanted: Sent<SigningUp>,
) -> Result<Response, Problem> {
    let claims = vec![of_address(&edge, from)];
    Box::pin(paced(&edge, claims, async { registered(&edge, wanted?.0).await })).await
}

async fn registered(edge: &Edge, wanted: SigningUp) -> Result<Response, Problem> {
    let entrance = &edge.options.entrance;
    if !entrance.takes_newcomers() {
        let problem = "nobody registers here; ask an administrator for an account";
        return Err(Problem::forbidden(problem));
    }
    let SigningUp { email, password, name } = wanted;
    let newcomer = Newcomer::new(&email, &name, password)?;
    let ids = &edge.options.ids;
    let hash = edge.passwords.hash(newcomer.password.clone(), ids.clone()).await?;
    let now = edge.now();
    let made = entrance.sign_up(&newcomer, hash, (ids.uuid(now), now)).await?;
    let account = made.ok_or(NotMade::Taken)?;
    tracing::info!(account = %account.id, "an account was made");
    let mut response = body::json(&json!({ "user": shown(&account) }));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Who signs in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SigningIn {
    email: String,
    #[serde(deserialize_with = "secret")]
    #[schemars(with = "String")]
    password: Zeroizing<String>,
}

/// `POST /v1/auth/login`.
pub(crate) async fn login(
    State(edge): State<Arc<Edge>>,
    from: Whence,
    given: Sent<SigningIn>,
) -> Result<Response, Problem> {
    let given = given.map(|Json(given, _)| (normal(&given.email), given.password));
    let mut claims = vec![of_address(&edge, from)];
    if let Ok((email, _)) = &given {
        // What somebody tries is not kept as it is.
        let whom = Hash::of(email.as_bytes()).to_string();
        let quota = edge.options.limits.sign_ins_per_minute_max;
        claims.insert(0, pace::minute("login", whom, quota));
    }
    let login = async {
        let (email, password) = given?;
        logged_in(&edge, &email, password).await
    };
    Box::pin(paced(&edge, claims, login)).await
}

async fn logged_in(
    edge: &Edge,
    email: &str,
    password: Zeroizing<String>,
) -> Result<Response, Problem> {
    let entrance = &edge.options.entrance;
    let Some(account) = entrance.sign_in(&edge.passwords, email, password).await? else {
        let problem = "e-mail address or password is wrong";
        return Err(Problem::unauthenticated("invalid_login", problem));
    };
    let now = edge.now();
    let session = Session {
        id: SessionId(edge.options.ids.uuid(now)),
        account: account.id,
        generation: 0,
        created_at: now,
        expires_at: now.plus(edge.options.sign_in.session),
        ended_at: None,
    };
    entrance.open(&session, &account).await?;
    tracing::info!(account = %account.id, session = %session.id, "a session was opened");
    answer(edge, &session, &account, now)
}

/// Both tokens of a session.
fn answer(
    edge: &Edge,
    session: &Session,
    account: &Account,
    now: Timestamp,
) -> Result<Response, Problem> {
    let sign_in = &edge.options.sign_in;
    let made =
        |of, lasts| edge.tokens.made(of, session, (now, lasts)).ok_or_else(Problem::panicked);
    let mut response = body::json(&json!({
        "access_token": made(Use::Access, sign_in.access)?,
        "refresh_token": made(Use::Refresh, sign_in.session)?,
        "token_type": "Bearer",
        "expires_in": sign_in.access.as_secs(),
        "user": shown(account),
    }));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A token to renew.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Renewing {
    #[serde(deserialize_with = "secret")]
    #[schemars(with = "String")]
    refresh_token: Zeroizing<String>,
}

/// `POST /v1/auth/refresh`.
pub(crate) async fn refresh(
    State(edge): State<Arc<Edge>>,
    from: Whence,
    given: Sent<Renewing>,
) -> Result<Response, Problem> {
    let claims = vec![of_address(&edge, from)];
    Box::pin(paced(&edge, claims, async { refreshed(&edge, &given?.0.refresh_token).await })).await
}

async fn refreshed(edge: &Edge, token: &str) -> Result<Response, Problem> {
    let now = edge.now();
    let claims = edge.tokens.claims(&edge.tasks, (Use::Refresh, token), now).await?;
    let entrance = &edge.options.entrance;
    let (session, account) = entrance.session(&claims, now).await?;
    if !entrance.renew((&session, &account), &claims).await? {
        entrance.end((&session, &account), now).await?;
        tracing::warn!(account = %account.id, session = %session.id, "a refresh token came twice");
        let problem = "this refresh token was used before, so that its session has ended; sign in";
        return Err(Problem::unauthenticated("reused_token", problem));
    }
    let session = Session { generation: session.generation + 1, ..session };
    answer(edge, &session, &account, now)
}

/// `POST /v1/auth/logout`.
pub(crate) async fn logout(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Known,
) -> Result<Response, Problem> {
    let Shown::Session(session) = &caller.shown else {
        let problem = "a key has no session; `DELETE /v1/auth/tokens/{id}` revokes it";
        return Err(Problem::conflict("no_session", problem));
    };
    edge.options.entrance.end((&session.0, &session.1), edge.now()).await?;
    tracing::info!(session = %session.0.id, "a session was closed");
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid | Refusal::UnknownKey => {
                Self::unauthenticated("invalid_token", "this is no good token")
            }
            Refusal::Expired => {
                Self::unauthenticated("expired_token", "the token has expired; refresh it")
            }
        }
    }
}
