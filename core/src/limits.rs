//! Every bound of the kernel in one table: name, unit, default, why.
//!
//! Nothing in the kernel grows without one of these. [`Limits`] holds those that an installation
//! may set; the constants that agents override in their spec are its defaults.

use std::time::Duration;

/// Longest time one handler may take, unless its spec says otherwise: long enough for a slow model,
/// short enough that a hung handler is noticed.
pub const HANDLER_DEADLINE: Duration = Duration::from_secs(30);

/// Longest time one attempt at a tool may take, unless its spec says otherwise.
pub const TOOL_DEADLINE: Duration = Duration::from_secs(20);

/// Most attempts at a tool that may be called again; the fourth rarely fares better than the third.
pub const TOOL_ATTEMPTS_MAX: u32 = 3;

/// Wait before the second attempt at a tool; doubles with each further one.
pub const TOOL_BACKOFF: Duration = Duration::from_millis(100);

/// Most handlers of one agent at work at once, over all runs. Handlers that wait for a reply do not
/// count, so that waiting can never block progress.
pub const HANDLERS_PER_AGENT_MAX: usize = 256;

/// Most restarts of one activation after a panic: one bad message should not burn a core.
pub const RESTARTS_MAX: u32 = 2;

/// Wait before the first restart; doubles with each further one.
pub const RESTART_BACKOFF: Duration = Duration::from_millis(10);

/// Most actors of one agent that stand by for their next activation. An actor takes about 8 KiB;
/// more than this are rarely let go before the next are wanted.
pub const STANDBY_PER_AGENT_MAX: usize = 32;

/// Most marks of those whose requests are counted: beyond it, those go that wait the least. A mark
/// is about 100 bytes.
pub const PACES_MAX: usize = 100_000;

/// Most keys that stand behind each other, each made with the one before: each is looked up at
/// every request.
pub const KEY_CHAIN_MAX: usize = 4;

/// Most sessions of one account at once; one more ends the oldest.
pub const SESSIONS_PER_ACCOUNT_MAX: usize = 50;

/// Bounds of one kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most runs admitted at once; the next is refused as overloaded. 1,024 parked runs take about
    /// 16 MiB.
    pub runs_in_flight_max: usize,
    /// Most messages that wait at one agent over all runs before new runs are refused. Internal
    /// messages are never shed for it.
    pub queued_per_agent_max: usize,
    /// Most messages that wait at one activation; a sender that finds it full waits its turn.
    pub queued_per_activation_max: usize,
    /// Most messages of one run; a run that sends more fails as `limit`.
    pub messages_per_run_max: u32,
    /// Most hops from the root to a message of the run.
    pub hops_max: u16,
    /// Most bytes of one payload; larger content belongs in a blob.
    pub message_bytes_max: usize,
    /// Most bytes of one blob.
    pub blob_bytes_max: usize,
    /// Most bytes of all blobs of one run.
    pub blobs_per_run_bytes_max: usize,
    /// Most failures that a run remembers to explain a missing leg.
    pub failures_per_run_max: usize,
    /// Longest life of a run unless the request asks for less.
    pub run_deadline: Duration,
    /// A run that waits for a human or a timer leaves the memory if it will wait for longer than
    /// this: less is not worth the way back.
    pub park_after: Duration,
    /// Most events that a slow observer may lag behind before it must catch up from the journal.
    pub tap_events_max: usize,
    /// Longest time that a graceful drain waits before it cancels what is left.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            runs_in_flight_max: 1_024,
            queued_per_agent_max: 65_536,
            queued_per_activation_max: 1_024,
            messages_per_run_max: 10_000,
            hops_max: 64,
            message_bytes_max: 256 * 1_024,
            blob_bytes_max: 64 * 1_024 * 1_024,
            blobs_per_run_bytes_max: 512 * 1_024 * 1_024,
            failures_per_run_max: 64,
            run_deadline: Duration::from_mins(1),
            park_after: Duration::from_secs(5),
            tap_events_max: 4_096,
            drain: Duration::from_secs(10),
        }
    }
}
