//! `genie bench`: measures this build against its budgets, each scenario in a process of its own.
//!
//! Absolute figures depend on the machine; the ratios to a bare actor cast and a bare channel are
//! taken in the same run and travel better.

mod agents;
mod audit;
mod bus;
mod durable;
mod finance;
mod gather;
mod host;
mod http;
mod recovery;

use std::time::Duration;

use genie_core::label::{Classification, Label};
use genie_core::principal::{Identity, Principal};
use genie_core::{Agent, Ask};
use serde::Serialize;

use crate::App;
use crate::app::Running;
use crate::config::Config;
use crate::storage::Storage;

/// One measured figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: &'static str,
    /// The value.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// The budget, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) budget: Option<Budget>,
}

/// What a figure must keep to.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Budget {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

impl Figure {
    fn new(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, budget: None }
    }

    fn at_least(mut self, bound: f64) -> Self {
        self.budget = Some(Budget::AtLeast(bound));
        self
    }

    fn at_most(mut self, bound: f64) -> Self {
        self.budget = Some(Budget::AtMost(bound));
        self
    }

    /// Whether the figure keeps to its budget; `None` without one.
    pub(crate) fn met(&self) -> Option<bool> {
        self.budget.map(|budget| match budget {
            Budget::AtLeast(bound) => self.value >= bound,
            Budget::AtMost(bound) => self.value <= bound,
        })
    }
}

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How long each throughput is measured.
    pub(crate) seconds: u64,
    /// How many runs the soak makes.
    pub(crate) soak_runs: u64,
}

/// The scenario whose memory is small for each of many.
pub(crate) const WAITING: &str = "waiting";

/// The scenarios by name, in the order in which they are shown.
pub(crate) const SCENARIOS: &[&str] = &[
    "bus",
    "finance",
    "gather",
    "denied",
    "parked",
    "statement",
    "soak",
    "durable",
    "recovery",
    WAITING,
    "conversation",
    "audit",
    "http",
];

/// Measures one scenario in this process.
///
/// # Errors
/// A name that is not in [`SCENARIOS`], or an installation that does not start.
pub(crate) async fn measure(
    scenario: &str,
    effort: Effort,
    agents: &'static [&'static dyn Agent],
    storage: &Storage,
) -> anyhow::Result<Vec<Figure>> {
    match scenario {
        "bus" => bus::throughput(effort).await,
        "finance" => finance::throughput(effort, agents).await,
        "gather" => gather::latency().await,
        "denied" => bus::denied(agents).await,
        "parked" => gather::parked().await,
        "statement" => finance::large_statement(agents).await,
        "soak" => finance::soak(effort, agents).await,
        "durable" => durable::side_by_side(effort, agents, storage).await,
        "recovery" => recovery::unfinished().await,
        WAITING => recovery::parked().await,
        "conversation" => recovery::conversation().await,
        "audit" => audit::proofs(effort, agents).await,
        "http" => http::measure(effort).await,
        unknown => anyhow::bail!("`{unknown}` is not a scenario; try {}", SCENARIOS.join(", ")),
    }
}

/// Serves what the HTTP interface is compared with, until the process ends.
///
/// # Errors
/// A port that cannot be had.
pub(crate) async fn bare() -> anyhow::Result<()> {
    http::bare().await
}

/// A started installation with the principal that asks.
struct Bench {
    running: Running,
    principal: Principal,
}

impl Bench {
    async fn start(
        agents: &[&'static dyn Agent],
        adjust: impl FnOnce(&mut Config),
    ) -> anyhow::Result<Self> {
        Self::with(agents, adjust, |app| app).await
    }

    async fn with(
        agents: &[&'static dyn Agent],
        adjust: impl FnOnce(&mut Config),
        more: impl FnOnce(App) -> App,
    ) -> anyhow::Result<Self> {
        // Records beyond these are dropped, so that memory stays flat over any number of runs.
        let mut config = Config { journal_records_max: 8_192, ..Config::default() };
        adjust(&mut config);
        let running = more(App::build(config).agents(agents)).start().await?;
        let principal = running.admit(Identity {
            tenant: "bench".into(),
            subject: "bench".into(),
            scopes: [genie_agents::finance::SCOPE.to_owned()].into(),
            consents: [genie_agents::finance::CONSENT.to_owned()].into(),
            ..Identity::default()
        });
        Ok(Self { running, principal })
    }
}

/// A question about a statement, labelled as the command line labels it.
fn question(question: &str, statement: Vec<u8>) -> Ask {
    let label = Label::new(Classification::Confidential).with_region("in");
    genie_agents::finance::ask(question, statement).labelled(label)
}

/// The value below which `percent` of the sorted durations lie, in milliseconds.
fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |duration| duration.as_secs_f64() * 1_000.0)
}
