//! The composition root, readable top to bottom: build → run → drain.
//!
//! The only place that names concrete adapters.

use std::future::Future;
use std::sync::Arc;

use genie_core::Agent;
use genie_core::approval::MemoryApprovals;
use genie_core::blob::MemoryBlobs;
use genie_core::journal::memory::MemoryJournal;
use genie_core::kernel::{self, Kernel, Options};
use genie_core::policy::{EmptySet, Policy, PolicySet};
use genie_core::principal::{Authority, Identity, Principal};
use genie_core::runs::MemoryRuns;
use genie_core::tool::Tool;

use crate::config::Config;
use crate::host::{SystemClock, SystemIds};

/// Why an installation does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refuses what it was given.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// A rule file does not load.
    #[error(transparent)]
    Rules(#[from] genie_policies::LoadError),
    /// There is no policy.
    #[error(transparent)]
    Policies(#[from] EmptySet),
}

/// An installation being put together.
///
/// ```no_run
/// # async fn example() -> Result<(), genie::app::Error> {
/// let running = genie::App::build(genie::config::Config::default())
///     .agents(genie_agents::ALL)
///     .start()
///     .await?;
/// # Ok(()) }
/// ```
pub struct App {
    config: Config,
    agents: Vec<&'static dyn Agent>,
    tools: Vec<Arc<dyn Tool>>,
    policies: Vec<Arc<dyn Policy>>,
}

impl App {
    /// Begins with a configuration and the built-in policies.
    #[must_use]
    pub fn build(config: Config) -> Self {
        Self { config, agents: Vec::new(), tools: Vec::new(), policies: Vec::new() }
    }

    /// Adds agents.
    #[must_use]
    pub fn agents(mut self, agents: &[&'static dyn Agent]) -> Self {
        self.agents.extend_from_slice(agents);
        self
    }

    /// Adds one agent.
    #[must_use]
    pub fn agent(mut self, agent: &'static dyn Agent) -> Self {
        self.agents.push(agent);
        self
    }

    /// Adds a tool that agents may call if their spec names it.
    #[must_use]
    pub fn tool(mut self, tool: impl Tool) -> Self {
        self.tools.push(Arc::new(tool));
        self
    }

    /// Adds a policy after the built-in ones. It can only make verdicts stricter.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policies.push(Arc::new(policy));
        self
    }

    /// Starts the supervision tree.
    ///
    /// # Errors
    /// [`Error`] names the agent, rule file or policy that does not fit.
    pub async fn start(self) -> Result<Running, Error> {
        let mut policies = genie_policies::baseline();
        policies.extend(genie_policies::rules(self.config.policies.as_deref())?);
        policies.extend(self.policies);
        let journal = Arc::new(MemoryJournal::keeping(self.config.journal_records_max));
        let (kernel, authority) = Kernel::start(Options {
            agents: self.agents,
            tools: self.tools,
            policies: PolicySet::new(policies)?,
            runs: Arc::new(MemoryRuns::over(journal.clone())),
            approvals: Arc::new(MemoryApprovals::default()),
            journal,
            blobs: Arc::new(MemoryBlobs::default()),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            limits: self.config.limits,
            home_region: self.config.home_region,
            user_clearance: self.config.user_clearance,
        })
        .await?;
        Ok(Running { kernel, authority })
    }

    /// Runs until `shutdown` is ready, then drains.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let running = self.start().await?;
        shutdown.await;
        running.drain().await;
        Ok(())
    }
}

/// A running installation.
pub struct Running {
    kernel: Kernel,
    authority: Authority,
}

impl Running {
    /// The handle to ask, observe and cancel with.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Seals an identity that the caller has verified.
    #[must_use]
    pub fn admit(&self, identity: Identity) -> Principal {
        self.authority.admit(identity)
    }

    /// Lets runs end, cancels what does not, and stops. Returns how many runs were cancelled.
    pub async fn drain(&self) -> usize {
        self.kernel.drain().await
    }
}
