//! What the tests of the edge share: an edge over a kernel in memory, on paused time, and keys.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use genie_core::approval::MemoryApprovals;
use genie_core::attempts::MemoryAttempts;
use genie_core::blob::MemoryBlobs;
use genie_core::budget::{MemoryBudgets, Prices};
use genie_core::clock::{SteadyClock, Timestamp};
use genie_core::document::MemoryDocuments;
use genie_core::identity::accounts::{
    Account, AccountId, Accounts, PasswordHash, Session, SessionId,
};
use genie_core::identity::{Credential, Key, Keys, Maker, MemoryAccounts, MemoryKeys, Quotas};
use genie_core::ids::{Ids, SeededIds};
use genie_core::journal::memory::MemoryJournal;
use genie_core::kernel;
use genie_core::label::{Classification, Clearance, Label};
use genie_core::message::Message;
use genie_core::pace::MemoryPaces;
use genie_core::payload::Payload;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError, PolicySet, Requirement};
use genie_core::principal::Identity;
use genie_core::runs::MemoryRuns;
use genie_core::{
    Agent, AgentError, AgentSpec, Ask, Context, Governed, Kernel, Tenant, async_trait, limits,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::ServiceExt;
use zeroize::Zeroizing;

use crate::ask::Question;
use crate::auth::Caller;
use crate::documents::Read;
use crate::edge::{Edge, Limits, Options, SignIn};
use crate::entrance::{Admit, Entrance};
use crate::money::Currency;
use crate::profiles::{NoProfile, Profiles};
use crate::router;
use crate::system::About;
use crate::tokens::Use;
use crate::tools::Requested;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Word(String);

impl Payload for Word {
    const KIND: &'static str = "word";
}

struct Echo;

#[async_trait]
impl Agent for Echo {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("echo", "answers with what it was sent").accepts::<Word>().emits::<Word>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let Word(word) = message.decode()?;
        assert!(word != "panic", "as asked");
        Ok(cx.reply(&Word(word)).await?)
    }
}

struct Allow;

impl Policy for Allow {
    fn id(&self) -> &'static str {
        "allow"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "Everything may pass, but to hold something takes a human."
    }

    fn evaluate(&self, message: &Message, _: &Facts<'_>) -> Result<Judgement, PolicyError> {
        if message.to() == "echo" && message.payload().value() == json!("hold") {
            let (reason, requirement) = ("as asked".to_owned(), Requirement::default());
            return Ok(Judgement::RequireApproval { reason, requirement });
        }
        Ok(Judgement::Allow)
    }
}

/// Who has these roles in this tenant.
pub(crate) fn rights(tenant: &str, roles: &[&str]) -> Identity {
    Identity {
        tenant: tenant.to_owned(),
        subject: "asha".to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        ..Identity::default()
    }
}

fn question(asked: Question) -> Ask {
    Ask::new("echo", &Word(asked.question))
}

fn call(requested: Requested) -> Ask {
    Ask::new("echo", &Word(requested.tool))
}

/// An edge over a kernel in memory, with keys of all kinds.
pub(crate) struct Desk {
    pub(crate) edge: Arc<Edge>,
    router: Router,
    admit: Admit,
    keys: Arc<MemoryKeys>,
    pub(crate) accounts: Arc<MemoryAccounts>,
    clock: Arc<SteadyClock>,
    ids: Arc<SeededIds>,
}

/// Bounds that no test reaches by accident, but for this one.
fn limits_with(requests_per_minute_max: u32) -> Limits {
    Limits {
        connections_max: 10,
        body_bytes_max: 2_000,
        uploads_bytes_max: 10_000,
        header_bytes_max: 8_192,
        header_timeout: Duration::from_secs(1),
        body_timeout: Duration::from_secs(1),
        requests_per_minute_max,
        user_requests_per_minute_max: 10_000,
        tenant_requests_per_minute_max: 10_000,
        sign_ins_per_minute_max: 5,
        address_sign_ins_per_minute_max: 1_000,
        heartbeat: Duration::from_secs(15),
        stall: Duration::from_secs(30),
    }
}

impl Desk {
    pub(crate) async fn new() -> Self {
        Self::with_quota(10_000).await
    }

    pub(crate) async fn with_quota(requests_per_minute_max: u32) -> Self {
        let journal = Arc::new(MemoryJournal::keeping(10_000));
        let (clock, ids) = (
            Arc::new(SteadyClock::starting_at(Timestamp::from_micros(1_000_000_000_000))),
            Arc::new(SeededIds::new(7)),
        );
        let (kernel, authority) = Kernel::start(kernel::Options {
            agents: vec![&Echo],
            tools: Vec::new(),
            policies: PolicySet::new(vec![Arc::new(Allow)]).unwrap(),
            runs: Arc::new(MemoryRuns::over(journal.clone())),
            approvals: Arc::new(MemoryApprovals::over(journal.clone())),
            journal,
            blobs: Arc::new(MemoryBlobs::default()),
            clock: clock.clone(),
            ids: ids.clone(),
            limits: limits::Limits::default(),
            budgets: Arc::new(MemoryBudgets::default()),
            prices: Prices::default(),
            home_region: "in".to_owned(),
            user_clearance: Clearance::up_to(Classification::Restricted),
        })
        .await
        .unwrap();
        let keys = Arc::new(MemoryKeys::default());
        let accounts = Arc::new(MemoryAccounts::default());
        let tap = kernel.system(&authority).tap();
        let admit: Admit = Arc::new(move |identity| authority.admit(identity));
        let operators = admit(rights("acme", &[])).tenant().clone();
        let newcomers = Some(rights("acme", &["user"]));
        let ring = keys.clone();
        let options = Options {
            kernel,
            entrance: Entrance::new(ring, accounts.clone(), admit.clone(), newcomers),
            operators,
            sign_in: SignIn {
                seeds: Arc::new(|| Ok(vec![Zeroizing::new([7; 32])])),
                access: Duration::from_mins(15),
                session: Duration::from_hours(24),
            },
            paces: Arc::new(MemoryPaces::by(clock.clone())),
            attempts: Arc::new(MemoryAttempts::default()),
            receipts: None,
            evidence: None,
            profiles: Some(Profiles {
                cpu: |_, lasts, _| Ok(lasts.as_secs().to_string().into_bytes()),
                heap: |_, _, _| Err(NoProfile::Busy("wait".to_owned())),
            }),
            about: About {
                storage: "memory",
                transport: "in_process",
                limits: "in_process",
                disclosure: "A test answers.".to_owned(),
            },
            currency: Currency { code: "INR".to_owned(), decimals: 2 },
            clock: clock.clone(),
            ids: ids.clone(),
            documents: Arc::new(MemoryDocuments::default()),
            look: |_| Ok(()),
            read: |content| Ok(Read { statement: json!({ "bytes": content.len() }), content }),
            ask: question,
            execute: call,
            label: Label::new(Classification::Public),
            statement_bytes_max: 1_000,
            limits: limits_with(requests_per_minute_max),
        };
        let edge = Edge::new(options, tap);
        Self { router: router::router(&edge), edge, admit, keys, accounts, clock, ids }
    }

    /// A tenant, as somebody of it has it.
    pub(crate) fn tenant(&self, name: &str) -> Tenant {
        (self.admit)(rights(name, &[])).tenant().clone()
    }

    /// A key of `tenant` with these roles; expired or revoked if one says so.
    pub(crate) async fn key(&self, tenant: &str, roles: &[&str], fate: Fate) -> String {
        use genie_core::clock::Clock;
        let now = self.clock.now();
        let made = Credential::make(&*self.ids, now);
        let key = Key {
            id: made.id(),
            name: "test".into(),
            identity: rights(tenant, roles),
            secret_sha256: made.secret_sha256(),
            created_by: "asha".into(),
            maker: Maker::Operator,
            quotas: Quotas::default(),
            budget_minor: None,
            created_at: now,
            expires_at: (fate == Fate::Expired).then_some(now),
            revoked_at: (fate == Fate::Revoked).then_some(now),
        };
        self.keys.put(&self.tenant(tenant), &key).await.unwrap();
        made.text().to_string()
    }

    /// Whoever shows this key or token.
    pub(crate) async fn caller(&self, text: &str) -> Caller {
        let (edge, now) = (&self.edge, self.edge.now());
        let Some(credential) = Credential::parse(text) else {
            let claims = edge.tokens.claims(&edge.tasks, (Use::Access, text), now).await.unwrap();
            return edge.options.entrance.by_token(&claims, now).await.unwrap();
        };
        edge.options.entrance.by_key(&credential, now).await.unwrap()
    }

    /// Revokes a key as another process would, in the store.
    pub(crate) async fn revoke_elsewhere(&self, key: &str) {
        use genie_core::clock::Clock;
        let id = Credential::parse(key).unwrap().id();
        assert!(self.keys.revoke(&self.tenant("acme"), None, id, self.clock.now()).await.unwrap());
    }

    /// An access token of an account of `tenant` with these roles.
    pub(crate) async fn token(&self, tenant: &str, roles: &[&str], fate: Fate) -> String {
        use genie_core::clock::Clock;
        let (now, id) = (self.clock.now(), self.ids.uuid(self.clock.now()));
        let account = Account {
            id: AccountId(id),
            email: format!("{id}@example.com").into(),
            name: "Asha".into(),
            password: PasswordHash("none".into()),
            identity: rights(tenant, roles),
            created_at: now,
            disabled_at: (fate == Fate::Disabled).then_some(now),
        };
        assert!(self.accounts.create(&account).await.unwrap());
        let session = Session {
            id: SessionId(self.ids.uuid(now)),
            account: account.id,
            generation: 0,
            created_at: now,
            expires_at: now.plus(Duration::from_hours(24)),
            ended_at: (fate == Fate::Revoked).then_some(now),
        };
        self.accounts.open(&self.tenant(tenant), &session, 50).await.unwrap();
        let lasts = if fate == Fate::Expired { Duration::ZERO } else { Duration::from_hours(1) };
        self.edge.tokens.made(Use::Access, &session, (now, lasts)).unwrap()
    }

    pub(crate) async fn send(
        &self,
        method: &Method,
        path: &str,
        key: Option<&str>,
        body: &str,
    ) -> Answer {
        self.answer(request(method, path, key, body)).await
    }

    pub(crate) async fn answer(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().clone());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let headers = response.headers().clone();
        let kind = headers.get(CONTENT_TYPE).cloned();
        assert!(response.headers().contains_key("x-request-id"), "{method} {path}");
        if kind.as_ref().is_some_and(|kind| kind == "text/event-stream") {
            // It has no end of its own.
            return Answer { status, headers, body: Value::Null };
        }
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_client_error() || status.is_server_error() {
            let kind = kind.unwrap();
            assert_eq!(kind, "application/problem+json", "{method} {path}: {body}");
            assert_eq!(body["status"], status.as_u16());
            assert!(body["code"].is_string() && body["request_id"].is_string(), "{body}");
        }
        Answer { status, headers, body }
    }
}

/// A request, which need not be sent as it is.
pub(crate) fn request(method: &Method, path: &str, key: Option<&str>, body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, format!("Bearer {key}"));
    }
    if !body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// What has become of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Good,
    Expired,
    Revoked,
    /// Of an account that lets nobody in.
    Disabled,
}
