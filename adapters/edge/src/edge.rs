//! What all handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use genie_core::attempts::Attempts;
use genie_core::audit::evidence::Evidence;
use genie_core::audit::receipts::Receipts;
use genie_core::clock::{Clock, Timestamp};
use genie_core::document::Documents;
use genie_core::ids::{Ids, RunId};
use genie_core::label::Label;
use genie_core::pace::Paces;
use genie_core::tap::Tap;
use genie_core::tasks::Tasks;
use genie_core::{Ask, Kernel, Tenant};
use tokio_util::sync::CancellationToken;

use crate::ask::Question;
use crate::audit::Turn;
use crate::documents::Read;
use crate::entrance::Entrance;
use crate::follow::Hub;
use crate::metrics::Counters;
use crate::money::Currency;
use crate::password::Passwords;
use crate::profiles::Profiles;
use crate::retry;
use crate::system::About;
use crate::throughput::{self, Throughput};
use crate::tokens::{self, Seeds, Tokens};
use crate::tools::Requested;
use crate::upload::Uploads;

/// The bounds of the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at once; the next waits to be accepted.
    pub connections_max: usize,
    /// Most bytes of a request's body.
    pub body_bytes_max: usize,
    /// Most bytes of a request's line and headers; at least 8,192.
    pub header_bytes_max: usize,
    /// Most bytes of uploads in memory at once, over all clients.
    pub uploads_bytes_max: usize,
    /// Longest time for a request's headers to come.
    pub header_timeout: Duration,
    /// Longest time for a request's body to come.
    pub body_timeout: Duration,
    /// Most requests of one key in a minute.
    pub requests_per_minute_max: u32,
    /// Most requests of one subject in a minute, whatever credentials they show.
    pub user_requests_per_minute_max: u32,
    /// Most requests of one tenant in a minute.
    pub tenant_requests_per_minute_max: u32,
    /// Most attempts to sign in to one account in a minute.
    pub sign_ins_per_minute_max: u32,
    /// Most attempts to register, sign in or renew tokens from one address in a minute.
    pub address_sign_ins_per_minute_max: u32,
    /// How often a stream without events says that it is alive.
    pub heartbeat: Duration,
    /// How long a client may leave an event of its stream, or the rest of an answer, untaken.
    pub stall: Duration,
}

/// How people sign in with a password.
pub struct SignIn {
    /// The keys that tokens are signed with.
    pub seeds: Seeds,
    /// How long an access token opens routes.
    pub access: Duration,
    /// How long a session lasts, however often it is renewed.
    pub session: Duration,
}

/// What an edge works with.
pub struct Options {
    /// The kernel.
    pub kernel: Kernel,
    /// Who may come in.
    pub entrance: Entrance,
    /// The tenant whose administrators and auditors operate the installation, and so get at what is
    /// about all tenants together.
    pub operators: Tenant,
    /// How they sign in with a password.
    pub sign_in: SignIn,
    /// Where requests are counted.
    pub paces: Arc<dyn Paces>,
    /// What clients have asked under keys of their own.
    pub attempts: Arc<dyn Attempts>,
    /// Where receipts come from; `None` if nothing is signed.
    pub receipts: Option<Arc<dyn Receipts>>,
    /// The log as evidence; `None` if nothing is signed.
    pub evidence: Option<Arc<dyn Evidence>>,
    /// What takes profiles of the process; `None` if nothing does.
    pub profiles: Option<Profiles>,
    /// What the installation says of itself.
    pub about: About,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Ids and randomness.
    pub ids: Arc<dyn Ids>,
    /// What people have sent to ask about.
    pub documents: Arc<dyn Documents>,
    /// Why a file with this beginning, or of just these bytes, is no statement, if that shows.
    pub look: fn(&[u8]) -> Result<(), String>,
    /// What a statement says of itself, or why it is none.
    pub read: fn(Vec<u8>) -> Result<Read, String>,
    /// The request to an agent that a question becomes.
    pub ask: fn(Question) -> Ask,
    /// The request to an agent that a tool call becomes.
    pub execute: fn(Requested) -> Ask,
    /// How sensitive what comes in is taken to be.
    pub label: Label,
    /// Most bytes of a statement.
    pub statement_bytes_max: usize,
    /// The currency that keys spend.
    pub currency: Currency,
    /// The bounds.
    pub limits: Limits,
}

/// The id of a run that is about to begin; made just now, so that it is nobody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fresh(RunId);

impl Fresh {
    pub(crate) fn id(self) -> RunId {
        self.0
    }
}

/// A running edge.
pub(crate) struct Edge {
    pub(crate) options: Options,
    pub(crate) hub: Hub,
    pub(crate) counters: Counters,
    pub(crate) passwords: Passwords,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) tasks: Tasks,
    /// Streams end when this is cancelled.
    pub(crate) closing: CancellationToken,
    pub(crate) started_at: Timestamp,
    pub(crate) verifying: Turn,
    pub(crate) throughput: Throughput,
    pub(crate) uploads: Uploads,
    draining: AtomicBool,
}

impl Edge {
    /// Starts an edge, whose streams show what `tap` gives.
    pub(crate) fn new(options: Options, tap: Tap) -> Arc<Self> {
        let tasks = Tasks::default();
        let hub = Hub::start(tap, options.kernel.clone(), &tasks);
        let tokens = Arc::new(Tokens::new(options.sign_in.seeds.clone()));
        let edge = Arc::new(Self {
            started_at: options.clock.now(),
            verifying: Turn::default(),
            throughput: Throughput::default(),
            uploads: Uploads::default(),
            options,
            passwords: Passwords::new(tasks.clone()),
            tokens,
            hub,
            counters: Counters::default(),
            tasks,
            closing: CancellationToken::new(),
            draining: AtomicBool::new(false),
        });
        edge.tasks.spawn(retry::forget(edge.clone()));
        edge.tasks.spawn(throughput::watch(edge.clone()));
        edge.tasks.spawn(tokens::watch(edge.tokens.clone(), edge.tasks.clone()));
        edge
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        &self.options.kernel
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    /// A fresh id for a run.
    pub(crate) fn fresh(&self) -> Fresh {
        Fresh(RunId(self.options.ids.uuid(self.now())))
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }
}
