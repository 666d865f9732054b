//! What all handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use genie_core::attempts::Attempts;
use genie_core::audit::receipts::Receipts;
use genie_core::clock::{Clock, Timestamp};
use genie_core::identity::Keys;
use genie_core::ids::{Ids, RunId};
use genie_core::label::Label;
use genie_core::principal::{Identity, Principal};
use genie_core::tasks::Tasks;
use genie_core::{Ask, Kernel};
use tokio_util::sync::CancellationToken;

use crate::ask::Question;
use crate::hub::Hub;
use crate::metrics::Counters;
use crate::pace::Paces;
use crate::retry;
use crate::tools::Requested;

/// The bounds of the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at once; the next waits to be accepted.
    pub connections_max: usize,
    /// Most bytes of a request's body.
    pub body_bytes_max: usize,
    /// Most bytes of a request's line and headers; at least 8,192.
    pub header_bytes_max: usize,
    /// Longest time for a request's headers to come.
    pub header_timeout: Duration,
    /// Longest time for a request's body to come.
    pub body_timeout: Duration,
    /// Most requests of one key in a minute.
    pub requests_per_minute_max: u32,
    /// How often a stream without events says that it is alive.
    pub heartbeat: Duration,
    /// How long a client may leave an event of its stream untaken.
    pub stall: Duration,
}

/// What an edge works with.
pub struct Options {
    /// The kernel.
    pub kernel: Kernel,
    /// Seals an identity that was read from a verified key.
    pub admit: Arc<dyn Fn(Identity) -> Principal + Send + Sync>,
    /// Who may come in.
    pub keys: Arc<dyn Keys>,
    /// What clients have asked under keys of their own.
    pub attempts: Arc<dyn Attempts>,
    /// Where receipts come from; `None` if nothing is signed.
    pub receipts: Option<Arc<dyn Receipts>>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Ids and randomness.
    pub ids: Arc<dyn Ids>,
    /// The request to an agent that a question becomes.
    pub ask: fn(Question) -> Ask,
    /// The request to an agent that a tool call becomes.
    pub execute: fn(Requested) -> Ask,
    /// How sensitive what comes in is taken to be.
    pub label: Label,
    /// Most bytes of a statement.
    pub statement_bytes_max: usize,
    /// The bounds.
    pub limits: Limits,
}

/// A running edge.
pub(crate) struct Edge {
    pub(crate) options: Options,
    pub(crate) hub: Hub,
    pub(crate) counters: Counters,
    pub(crate) paces: Paces,
    pub(crate) tasks: Tasks,
    /// Streams end when this is cancelled.
    pub(crate) closing: CancellationToken,
    draining: AtomicBool,
}

impl Edge {
    pub(crate) fn new(options: Options) -> Arc<Self> {
        let tasks = Tasks::default();
        let hub = Hub::start(&options.kernel, &tasks);
        let paces = Paces::new(options.limits.requests_per_minute_max);
        let edge = Arc::new(Self {
            options,
            paces,
            hub,
            counters: Counters::default(),
            tasks,
            closing: CancellationToken::new(),
            draining: AtomicBool::new(false),
        });
        edge.tasks.spawn(retry::forget(edge.clone()));
        edge
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        &self.options.kernel
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    /// A fresh id for a run.
    pub(crate) fn run_id(&self) -> RunId {
        RunId(self.options.ids.uuid(self.now()))
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }
}
