//! The composition root, readable top to bottom: build → run → drain.
//!
//! The only place that names concrete adapters.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use genie_agents::finance::domain::statement::{ParseOptions, parse};
use genie_core::approval::{Approvals, MemoryApprovals};
use genie_core::attempts::{Attempts, MemoryAttempts};
use genie_core::audit::evidence::Evidence;
use genie_core::audit::receipts::Receipts;
use genie_core::blob::{Blobs, MemoryBlobs};
use genie_core::budget::{Budgets, MemoryBudgets};
use genie_core::document::{Documents, MemoryDocuments};
use genie_core::identity::accounts::Accounts;
use genie_core::identity::{KeyRing, MemoryAccounts, MemoryKeys};
use genie_core::journal::Journal;
use genie_core::journal::memory::MemoryJournal;
use genie_core::kernel::{self, Kernel, Options};
use genie_core::policy::{EmptySet, Policy, PolicySet};
use genie_core::principal::{Authority, Identity, Principal};
use genie_core::replay::World;
use genie_core::runs::{MemoryRuns, Runs};
use genie_core::tasks::Tasks;
use genie_core::tool::Tool;
use genie_core::{Agent, System};
use genie_store::{Mode, Opened};
use genie_tools::{Calculator, ClockNow, DocumentQuery, PaymentTransfer, Row, Rows};

use crate::auditor::evidence::Shown;
use crate::auditor::receipts::Signed;
use crate::auditor::{self, keys::KeyFile};
use crate::config::Config;
use crate::host::{SystemClock, SystemIds};
use crate::telemetry::{Source, Spans};

pub use genie_tools::Bank;

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
    /// Personal data is never kept in the clear for want of a place for its key.
    #[error(
        "there is no place for the sealing key; name its file with `--sealing-key FILE` or \
         `sealing_key`"
    )]
    NoKey,
    /// The collector that the settings name cannot be told anything.
    #[error("{0}")]
    Telemetry(String),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] genie_store::OpenError),
}

/// Where everything is kept.
struct Ports {
    journal: Arc<dyn Journal>,
    runs: Arc<dyn Runs>,
    approvals: Arc<dyn Approvals>,
    blobs: Arc<dyn Blobs>,
    budgets: Arc<dyn Budgets>,
    attempts: Arc<dyn Attempts>,
    documents: Arc<dyn Documents>,
    keys: Arc<dyn KeyRing>,
    accounts: Arc<dyn Accounts>,
    store: Option<Opened>,
}

impl Ports {
    /// In memory, or in a database that this process opens to run agents.
    async fn open(config: &Config) -> Result<Self, Error> {
        let Some(location) = config.storage.location() else {
            let journal = Arc::new(MemoryJournal::keeping(config.journal_records_max));
            return Ok(Self {
                runs: Arc::new(MemoryRuns::over(journal.clone())),
                approvals: Arc::new(MemoryApprovals::over(journal.clone())),
                journal,
                blobs: Arc::new(MemoryBlobs::default()),
                budgets: Arc::new(MemoryBudgets::default()),
                attempts: Arc::new(MemoryAttempts::default()),
                documents: Arc::new(MemoryDocuments::default()),
                keys: Arc::new(MemoryKeys::default()),
                accounts: Arc::new(MemoryAccounts::default()),
                store: None,
            });
        };
        let options = genie_store::Options {
            lease: config.lease,
            heartbeat: config.lease / 3,
            sealing: Some(config.sealing().ok_or(Error::NoKey)?),
            ..genie_store::Options::default()
        };
        let store = genie_store::open(&location, Mode::Own, options).await?;
        Ok(Self {
            journal: store.journal.clone(),
            runs: store.runs.clone(),
            approvals: store.approvals.clone(),
            blobs: store.blobs.clone(),
            budgets: store.budgets.clone(),
            attempts: store.attempts.clone(),
            documents: store.documents.clone(),
            keys: store.keys.clone(),
            accounts: store.accounts.clone(),
            store: Some(store),
        })
    }
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
    /// Begins with a configuration, the built-in policies and the tools without effects.
    #[must_use]
    pub fn build(config: Config) -> Self {
        let tools: Vec<Arc<dyn Tool>> =
            vec![Arc::new(Calculator), Arc::new(ClockNow::by(Arc::new(SystemClock)))];
        Self { config, agents: Vec::new(), tools, policies: Vec::new() }
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

    /// Adds the payer of `genie ask --demo` and the banks that it pays at, whose ledger is a file
    /// beside the runs. An agent of that name that is there already stays.
    #[must_use]
    pub fn demo(mut self, bank: Bank) -> Self {
        let taken: Vec<&str> = self.agents.iter().map(|agent| agent.spec().id).collect();
        let demo = genie_agents::DEMO.iter().filter(|agent| !taken.contains(&agent.spec().id));
        self.agents.extend(demo);
        let ledger = self.config.storage.payments();
        self.tool(PaymentTransfer::once(&ledger, bank)).tool(PaymentTransfer::keyed(&ledger, bank))
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
        let policies = self.policy_set()?;
        let ports = Ports::open(&self.config).await?;
        let mut tools = self.tools;
        tools.push(document_query(&ports.documents));
        let (kernel, authority) = Kernel::start(Options {
            agents: self.agents,
            tools,
            policies,
            journal: ports.journal,
            runs: ports.runs,
            approvals: ports.approvals,
            blobs: ports.blobs,
            budgets: ports.budgets.clone(),
            prices: self.config.prices.of.clone(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            limits: self.config.limits,
            home_region: self.config.home_region.clone(),
            user_clearance: self.config.user_clearance.clone(),
        })
        .await?;
        let tasks = Tasks::default();
        let auditor = ports.store.as_ref().and_then(|store| audit(&self.config, store, &tasks));
        let receipts = ports.store.as_ref().zip(auditor.clone());
        let receipts = receipts.map(|(store, auditor)| {
            Arc::new(Signed { runs: store.runs.clone(), store: store.checkpoints.clone(), auditor })
                as Arc<dyn Receipts>
        });
        let evidence = ports.store.as_ref().zip(auditor.clone()).zip(self.config.checkpoint_key());
        let evidence = evidence.map(|((store, auditor), key)| {
            let (store, key) = (store.checkpoints.clone(), KeyFile::at(key));
            Arc::new(Shown { store, auditor, key, ids: Arc::new(SystemIds) }) as Arc<dyn Evidence>
        });
        let system = kernel.system(&authority);
        let spans = Spans::start(&self.config.telemetry, system.tap());
        let (spans, error) = match spans {
            Ok(spans) => (spans, None),
            Err(error) => (Spans::default(), Some(error)),
        };
        let spans = Mutex::new(Some(spans));
        let running = Running {
            kernel,
            system,
            authority,
            attempts: ports.attempts,
            keys: ports.keys,
            accounts: ports.accounts,
            documents: ports.documents,
            receipts,
            evidence,
            store: Mutex::new(ports.store),
            auditor,
            spans,
            tasks,
            drain: self.config.limits.drain,
        };
        match error {
            None => Ok(running),
            Some(error) => {
                running.drain().await;
                Err(Error::Telemetry(error))
            }
        }
    }

    /// The policies in force: the built-in checks, the rules, and those that were added.
    fn policy_set(&self) -> Result<PolicySet, Error> {
        let mut policies = genie_policies::baseline();
        policies.extend(genie_policies::rules(self.config.policies.as_deref())?);
        policies.extend(self.policies.iter().cloned());
        Ok(PolicySet::new(policies)?)
    }

    /// What a replay judges by: the policies, and the facts around the messages.
    pub(crate) fn world(self) -> Result<(PolicySet, World), Error> {
        let Config { user_clearance, home_region, limits, .. } = &self.config;
        let mut tools = self.tools.clone();
        // Nothing is looked up in a replay.
        let nothing: Arc<dyn Documents> = Arc::new(MemoryDocuments::default());
        tools.push(document_query(&nothing));
        let clearance = user_clearance.clone();
        let world = World::new(&self.agents, &tools, clearance, home_region, limits);
        Ok((self.policy_set()?, world.map_err(kernel::Error::from)?))
    }

    /// Runs until `shutdown` is ready, then drains.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let running = self.start().await?;
        shutdown.await;
        running.drain().await;
        Ok(())
    }
}

/// The tool that looks into statements.
fn document_query(documents: &Arc<dyn Documents>) -> Arc<dyn Tool> {
    Arc::new(DocumentQuery::over(documents.clone(), statement_rows))
}

/// Reads a statement for the tool that looks into it.
fn statement_rows(content: &[u8]) -> Result<Rows, String> {
    let ledger = parse(content, &ParseOptions::default()).map_err(|error| error.to_string())?;
    let rows = ledger.entries.iter().map(|entry| Row {
        line: entry.line,
        date: entry.date.to_string(),
        amount_minor: entry.amount_minor,
        description: entry.description.to_string(),
    });
    Ok(Rows { currency: ledger.currency.to_string(), rows: rows.collect() })
}

/// Starts to sign the log of this process's chain.
fn audit(config: &Config, store: &Opened, tasks: &Tasks) -> Option<auditor::Handle> {
    let chain = store.checkpoints.own_chain()?;
    let options = auditor::Options {
        store: store.checkpoints.clone(),
        key: KeyFile::at(config.checkpoint_key()?),
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
        every: config.checkpoint_every,
    };
    Some(auditor::start(options, chain, tasks))
}

/// A running installation.
pub struct Running {
    kernel: Kernel,
    system: System,
    authority: Authority,
    attempts: Arc<dyn Attempts>,
    documents: Arc<dyn Documents>,
    keys: Arc<dyn KeyRing>,
    accounts: Arc<dyn Accounts>,
    receipts: Option<Arc<dyn Receipts>>,
    evidence: Option<Arc<dyn Evidence>>,
    store: Mutex<Option<Opened>>,
    auditor: Option<auditor::Handle>,
    spans: Mutex<Option<Spans>>,
    tasks: Tasks,
    drain: Duration,
}

impl Running {
    /// The handle to ask, observe and cancel with.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// What goes across tenants: for who runs the installation, not for who answers requests.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Seals an identity that the caller has verified.
    #[must_use]
    pub fn admit(&self, identity: Identity) -> Principal {
        self.authority.admit(identity)
    }

    /// What clients have asked under keys of their own.
    #[must_use]
    pub fn attempts(&self) -> &Arc<dyn Attempts> {
        &self.attempts
    }

    /// What people have sent to ask about.
    #[must_use]
    pub fn documents(&self) -> &Arc<dyn Documents> {
        &self.documents
    }

    /// Who may come in over a network.
    #[must_use]
    pub fn keys(&self) -> &Arc<dyn KeyRing> {
        &self.keys
    }

    /// Who signs in with a password.
    #[must_use]
    pub fn accounts(&self) -> &Arc<dyn Accounts> {
        &self.accounts
    }

    /// Where receipts come from; `None` if nothing is signed.
    #[must_use]
    pub fn receipts(&self) -> Option<Arc<dyn Receipts>> {
        self.receipts.clone()
    }

    /// The log as evidence; `None` if nothing is signed.
    #[must_use]
    pub fn evidence(&self) -> Option<Arc<dyn Evidence>> {
        self.evidence.clone()
    }

    /// Sends these figures to the collector that the settings name, if they name one.
    pub(crate) fn push(&self, source: Source) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spans) = &mut *spans {
            spans.push(source);
        }
    }

    /// Whether runs outlive this process.
    #[must_use]
    pub fn keeps_runs(&self) -> bool {
        self.system.journal().is_durable()
    }

    /// Lets runs end and stops. What has not ended by then is cancelled, or, if a database keeps
    /// it, left for the next process. Returns how many runs were left.
    pub async fn drain(&self) -> usize {
        let left = self.stop().await;
        self.finish().await;
        left
    }

    /// The first half of [`Self::drain`]: no run is admitted or at work after it, and all that is
    /// on record can still be read.
    pub async fn stop(&self) -> usize {
        self.kernel.drain().await
    }

    /// The second half: signs the end of the log and closes the database.
    pub async fn finish(&self) {
        if let Some(auditor) = &self.auditor {
            // What could not be written by now is not signed.
            let durable = self.kernel.durable(self.kernel.head().seq);
            let _ = tokio::time::timeout(self.drain, durable).await;
            if let Err(error) = auditor.checkpoint().await {
                tracing::error!(%error, "the end of the log is not signed");
            }
        }
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(spans) = spans {
            spans.close().await;
        }
        self.tasks.shut_down().await;
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(store) = store
            && let Err(error) = store.close().await
        {
            tracing::error!(%error, "some records could not be written");
        }
    }
}
