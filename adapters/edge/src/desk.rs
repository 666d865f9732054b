//! What the tests of the edge share: an edge over a kernel in memory, on paused time, and keys.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use genie_core::approval::MemoryApprovals;
use genie_core::attempts::MemoryAttempts;
use genie_core::blob::MemoryBlobs;
use genie_core::clock::{SteadyClock, Timestamp};
use genie_core::identity::{Credential, Key, Keys, MemoryKeys};
use genie_core::ids::SeededIds;
use genie_core::journal::memory::MemoryJournal;
use genie_core::kernel;
use genie_core::label::{Classification, Clearance, Label};
use genie_core::message::Message;
use genie_core::payload::Payload;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError, PolicySet};
use genie_core::principal::Identity;
use genie_core::runs::MemoryRuns;
use genie_core::{
    Agent, AgentError, AgentSpec, Ask, Context, Governed, Kernel, async_trait, limits,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt;

use crate::ask::Question;
use crate::edge::{Edge, Limits, Options};
use crate::router;
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
        "Everything may pass."
    }

    fn evaluate(&self, _: &Message, _: &Facts<'_>) -> Result<Judgement, PolicyError> {
        Ok(Judgement::Allow)
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
    keys: Arc<MemoryKeys>,
    clock: Arc<SteadyClock>,
    ids: Arc<SeededIds>,
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
            journal,
            approvals: Arc::new(MemoryApprovals::default()),
            blobs: Arc::new(MemoryBlobs::default()),
            clock: clock.clone(),
            ids: ids.clone(),
            limits: limits::Limits::default(),
            home_region: "in".to_owned(),
            user_clearance: Clearance::up_to(Classification::Restricted),
        })
        .await
        .unwrap();
        let keys = Arc::new(MemoryKeys::default());
        let edge = Edge::new(Options {
            kernel,
            admit: Arc::new(move |identity| authority.admit(identity)),
            keys: keys.clone(),
            attempts: Arc::new(MemoryAttempts::default()),
            receipts: None,
            clock: clock.clone(),
            ids: ids.clone(),
            ask: question,
            execute: call,
            label: Label::new(Classification::Public),
            statement_bytes_max: 1_000,
            limits: Limits {
                connections_max: 10,
                body_bytes_max: 2_000,
                header_bytes_max: 8_192,
                header_timeout: Duration::from_secs(1),
                body_timeout: Duration::from_secs(1),
                requests_per_minute_max,
                heartbeat: Duration::from_secs(15),
                stall: Duration::from_secs(30),
            },
        });
        Self { router: router::router(&edge), edge, keys, clock, ids }
    }

    /// A key of `tenant` with these roles; expired or revoked if one says so.
    pub(crate) async fn key(&self, tenant: &str, roles: &[&str], fate: Fate) -> String {
        use genie_core::clock::Clock;
        let now = self.clock.now();
        let made = Credential::make(&*self.ids, now);
        let key = Key {
            id: made.id(),
            name: "test".into(),
            identity: Identity {
                tenant: tenant.to_owned(),
                subject: "asha".to_owned(),
                roles: roles.iter().map(|role| (*role).to_owned()).collect(),
                ..Identity::default()
            },
            secret_sha256: made.secret_sha256(),
            created_by: "asha".into(),
            created_at: now,
            expires_at: (fate == Fate::Expired).then_some(now),
            revoked_at: (fate == Fate::Revoked).then_some(now),
        };
        self.keys.put(&key).await.unwrap();
        made.text().to_string()
    }

    pub(crate) async fn send(
        &self,
        method: &Method,
        path: &str,
        key: Option<&str>,
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).cloned();
        assert!(response.headers().contains_key("x-request-id"), "{method} {path}");
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_client_error() || status.is_server_error() {
            let kind = kind.unwrap();
            assert_eq!(kind, "application/problem+json", "{method} {path}: {body}");
            assert_eq!(body["status"], status.as_u16());
            assert!(body["code"].is_string() && body["request_id"].is_string(), "{body}");
        }
        Answer { status, body }
    }
}

/// A response.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
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
}
