//! The kernel: options in, a handle out; admission, cancellation and drain between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use ractor::{Actor, ActorRef};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::approval::Approvals;
use crate::ask::{Ask, Refused, Running};
use crate::blob::{Blob, Blobs, Stored};
use crate::budget::{Budgets, Prices};
use crate::bus::{Draft, Target, outcome_of, user_address};
use crate::clock::{Clock, Timestamp};
use crate::crew::Crew;
use crate::deadlines::{self, Deadlines};
use crate::failure::Failure;
use crate::figures::Figures;
use crate::ids::{Ids, MessageId, RunId};
use crate::journal::chain::Head;
use crate::journal::steps::Route;
use crate::journal::writer::Writer;
use crate::journal::{self, Entry, Journal};
use crate::keeper::{Parked, keep};
use crate::label::{Clearance, Label};
use crate::limits::Limits;
use crate::outcome::Outcome;
use crate::policy::{PolicySet, Recipient};
use crate::principal::{Authority, Identity, Principal};
use crate::registry::{self, Health, Registry};
use crate::run::{Birth, Run};
use crate::runs::Runs;
use crate::supervisor::Genie;
use crate::system::System;
use crate::tap::{Tap, Taps};
use crate::tasks::Tasks;
use crate::tool::{Tool, Tools};

mod control;
mod scoped;

/// Everything that a kernel is made of.
pub struct Options {
    /// The agents, in the order in which they are listed.
    pub agents: Vec<&'static dyn Agent>,
    /// The tools that they may call.
    pub tools: Vec<Arc<dyn Tool>>,
    /// The policies in force.
    pub policies: PolicySet,
    /// Where records go.
    pub journal: Arc<dyn Journal>,
    /// Who owns which run.
    pub runs: Arc<dyn Runs>,
    /// Where approvals wait.
    pub approvals: Arc<dyn Approvals>,
    /// Where large content goes.
    pub blobs: Arc<dyn Blobs>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Ids and randomness.
    pub ids: Arc<dyn Ids>,
    /// What keys may spend.
    pub budgets: Arc<dyn Budgets>,
    /// What things cost.
    pub prices: Prices,
    /// The bounds.
    pub limits: Limits,
    /// The region in which this installation processes, e.g. `in`.
    pub home_region: String,
    /// What whoever asks may be given back.
    pub user_clearance: Clearance,
}

/// Why a kernel does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The agents do not fit together.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The root of the supervision tree did not start.
    #[error("the supervision tree did not start: {0}")]
    Tree(String),
}

/// What all parts of one kernel share.
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) policies: PolicySet,
    pub(crate) writer: Writer,
    pub(crate) taps: Taps,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) budgets: Arc<dyn Budgets>,
    pub(crate) prices: Prices,
    pub(crate) limits: Limits,
    pub(crate) home_region: String,
    pub(crate) user: Arc<str>,
    pub(crate) user_recipient: Recipient,
    pub(crate) public: Arc<Label>,
    pub(crate) tasks: Tasks,
    pub(crate) ready: Notify,
    pub(crate) policy_set: Arc<str>,
    pub(crate) realm: u64,
    pub(crate) tools: Tools,
    pub(crate) approvals: Arc<dyn Approvals>,
    pub(crate) run_index: Arc<dyn Runs>,
    pub(crate) runs: DashMap<RunId, Arc<Run>, RandomState>,
    pub(crate) parked: DashMap<RunId, Parked, RandomState>,
    /// A parked run may be due earlier than the keeper knows.
    pub(crate) woken: Notify,
    /// What was left unfinished before this kernel started is at work.
    pub(crate) caught_up: CancellationToken,
    pub(crate) deadlines: Deadlines,
    pub(crate) in_flight: AtomicUsize,
    /// The keeper waits for a place.
    pub(crate) starved: AtomicBool,
    pub(crate) figures: Figures,
    pub(crate) idle: Notify,
    draining: AtomicBool,
    crews: Vec<Crew>,
}

impl Shared {
    /// The actors of one agent.
    pub(crate) fn crew(&self, agent: usize) -> &Crew {
        &self.crews[agent]
    }

    /// The shared name of a declared kind.
    pub(crate) fn kind_name(&self, kind: &str) -> Arc<str> {
        self.registry.kind(kind).map_or_else(|| kind.into(), crate::spec::KindSpec::shared)
    }

    /// Lets go of an ended run.
    pub(crate) fn retire(&self, run: RunId) {
        if self.runs.remove(&run).is_some() {
            self.blobs.release(run);
            self.vacate();
        }
    }

    /// Observes everything that was and is recorded after the record with this number.
    pub(crate) fn tap_after(&self, seq: u64) -> Tap {
        let receiver = self.taps.subscribe();
        // What comes behind this head is received. To read on from the journal where nothing was
        // missed would give the records of a run first, and what is beside them after its end.
        let behind = seq < self.writer.head().seq;
        Tap::new(receiver, self.writer.store().clone(), (seq, behind))
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Whoever asked for a run of which not even the request is on record.
    pub(crate) fn nobody(&self) -> Principal {
        Authority::new(self.realm).admit(Identity::default())
    }

    /// Ends a run, in memory or parked, as cancelled; `false` if it is not ours.
    pub(crate) async fn cancel(self: &Arc<Self>, run: RunId, reason: String) -> bool {
        let outcome = Outcome::Cancelled { reason };
        let live = self.runs.get(&run).map(|run| run.clone());
        match live {
            Some(run) => {
                run.end(outcome).await;
                true
            }
            None => self.end_parked(run, outcome).await,
        }
    }

    /// The failure of an agent that leads to the kind, if one of these is: why it has not come.
    pub(crate) fn blamed_for(&self, kind: &str, noted: &[(Arc<str>, Failure)]) -> Option<Failure> {
        let blamed = noted.iter().find(|(agent, _)| self.registry.leads_to(agent, kind));
        blamed.map(|(_, failure)| failure.clone())
    }
}

/// A running kernel. Cheap to clone.
#[derive(Clone)]
pub struct Kernel {
    shared: Arc<Shared>,
    root: ActorRef<()>,
}

impl Kernel {
    /// Starts the supervision tree and gives the one right to admit principals.
    pub async fn start(options: Options) -> Result<(Self, Authority), Error> {
        let mut registry = Registry::new(&options.agents)?;
        let tools = Tools::new(&options.tools)?;
        registry.link_tools(&tools)?;
        let taps = Taps::new(options.limits.tap_events_max);
        // Zero is the realm of specimens, which no kernel admits.
        let realm = options.ids.random().max(1);
        let shared = Arc::new(Shared {
            crews: registry.entries().iter().map(|_| Crew::default()).collect(),
            registry,
            policy_set: options.policies.version().into(),
            policies: options.policies,
            writer: Writer::new(options.journal, taps.clone()),
            taps,
            blobs: options.blobs,
            clock: options.clock,
            ids: options.ids,
            budgets: options.budgets,
            prices: options.prices,
            limits: options.limits,
            home_region: options.home_region,
            user: user_address(),
            user_recipient: Recipient {
                clearance: options.user_clearance,
                roles_any: Vec::new(),
                scopes_all: Vec::new(),
                consent: None,
            },
            public: Arc::new(Label::new(crate::label::Classification::Public)),
            tasks: Tasks::default(),
            ready: Notify::new(),
            realm,
            tools,
            approvals: options.approvals,
            run_index: options.runs,
            runs: DashMap::default(),
            parked: DashMap::default(),
            woken: Notify::new(),
            caught_up: CancellationToken::new(),
            deadlines: Deadlines::default(),
            in_flight: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
            figures: Figures::default(),
            idle: Notify::new(),
            draining: AtomicBool::new(false),
        });
        let genie = Genie { shared: shared.clone() };
        let (root, _) =
            Actor::spawn(None, genie, ()).await.map_err(|error| Error::Tree(error.to_string()))?;
        shared.ready.notified().await;
        shared.tasks.spawn(keep(shared.clone()));
        shared.tasks.spawn(deadlines::keep(shared.clone()));
        shared.tasks.spawn(shared.clone().settle_what_is_left());
        Ok((Self { shared, root }, Authority::new(realm)))
    }

    /// Admits a request and starts its run.
    pub async fn ask(&self, principal: &Principal, ask: Ask) -> Result<Running, Refused> {
        let shared = &self.shared;
        let agent = self.check(principal, &ask)?;
        let now = shared.clock.now();
        let run_id = ask.run_id.unwrap_or_else(|| RunId(shared.ids.uuid(now)));
        shared.reserve_run(principal, run_id).await?;
        // Nothing is waited for from here on: whoever asks may go away.
        if let Err(refused) = self.admit() {
            shared.return_run(principal, run_id).await;
            return Err(refused);
        }
        let lasts = ask
            .deadline
            .map_or(shared.limits.run_deadline, |asked| asked.min(shared.limits.run_deadline));
        let (sender, outcome) = oneshot::channel();
        let run = Arc::new(Run::new(
            shared.clone(),
            Birth {
                id: run_id,
                principal: principal.clone(),
                trace_id: ask.trace_id.unwrap_or_else(|| run_id.0.as_u128()),
                started: now,
                deadline: now.plus(lasts),
                expires: Instant::now() + lasts,
                before: Vec::new(),
                history: None,
            },
            Some(sender),
        ));
        shared.runs.insert(run_id, run.clone());
        shared.figures.run_started();
        self.begin(run, agent, ask, now).await;
        Ok(Running { run_id, outcome })
    }

    /// Stores the content, records the start, watches the deadline and sends the root message.
    async fn begin(&self, run: Arc<Run>, agent: usize, ask: Ask, now: Timestamp) {
        let shared = &self.shared;
        let started = Entry::RunStarted {
            run_id: run.id,
            at: now,
            policy_set: shared.policy_set.clone(),
            deadline: run.deadline,
            tenant: run.principal.tenant().name(),
            subject: run.principal.subject().into(),
            agent: shared.registry.entry(agent).id.clone(),
            request_id: ask.request_id,
        };
        if let Err(cause) = shared.writer.append(&run.tally, [started]) {
            return run.finish(Outcome::Failed { cause }, None).await;
        }
        // Before anything that may wait: a run always ends, also if whoever asks goes away now.
        shared.deadlines.watch(&run);
        let label = match self.store_content(&run, ask.content, ask.label).await {
            Ok(label) => label,
            Err(cause) => return run.finish(outcome_of(cause), None).await,
        };
        let Ok(body) = ask.body else { return };
        let id = MessageId(shared.ids.uuid(now));
        run.begin(Draft {
            id,
            route: Route::ROOT,
            cause: None,
            from: shared.user.clone(),
            to: Target::Agent(agent),
            kind: shared.kind_name(&ask.kind),
            body,
            label: Arc::new(label),
            hops: 0,
        })
        .await;
    }

    /// Keeps the content of a request under a label that its inspection may raise.
    async fn store_content(
        &self,
        run: &Run,
        content: Vec<(Blob, Arc<[u8]>)>,
        label: Label,
    ) -> Result<Label, Failure> {
        let mut joined = label;
        for (blob, bytes) in content {
            let text = String::from_utf8_lossy(&bytes);
            for category in self.shared.policies.inspect(&text).map_err(Failure::Denied)? {
                joined = joined.with_category(category);
            }
            drop(text);
            run.keep(blob, Stored::new(bytes, Arc::new(joined.clone()))).await?;
        }
        Ok(joined)
    }

    fn check(&self, principal: &Principal, ask: &Ask) -> Result<usize, Refused> {
        if principal.realm() != self.shared.realm {
            return Err(Refused::ForeignPrincipal);
        }
        if let Err(error) = &ask.body {
            return Err(Refused::Invalid(error.to_string()));
        }
        let bound = self.shared.limits.blob_bytes_max;
        if ask.content.iter().any(|(_, content)| content.len() > bound) {
            return Err(Refused::Invalid(format!("content exceeds the {bound} bytes allowed")));
        }
        if ask.run_id.is_some_and(|run| self.shared.runs.contains_key(&run)) {
            return Err(Refused::Invalid("the id of the run is taken".to_owned()));
        }
        let registry = &self.shared.registry;
        let found =
            registry.resolve(&ask.to).filter(|agent| registry.entry(*agent).accepts(&ask.kind));
        found.ok_or_else(|| Refused::NoRecipient { agent: ask.to.clone(), kind: ask.kind.clone() })
    }

    /// Takes a place among the runs in flight.
    fn admit(&self) -> Result<(), Refused> {
        let shared = &self.shared;
        let overloaded = |limit| {
            shared.figures.refused(limit);
            Refused::Overloaded { limit, retry_after_ms: 1_000 }
        };
        if !shared.writer.store().has_room() {
            return Err(overloaded("journal_backlog"));
        }
        let bound = shared.limits.queued_per_agent_max;
        let mut entries = shared.registry.entries().iter();
        if entries.any(|entry| entry.counters.queued.load(Ordering::Relaxed) >= bound) {
            return Err(overloaded("queued_per_agent_max"));
        }
        // The place is taken before `draining` is read and a drain counts after it has been set, so
        // no run starts behind a drain's back.
        let before = shared.in_flight.fetch_add(1, Ordering::SeqCst);
        // A run already admitted goes on before a new one begins.
        let kept = usize::from(shared.starved.load(Ordering::SeqCst));
        let refused = if shared.draining.load(Ordering::SeqCst) {
            Refused::Draining
        } else if before + kept >= shared.limits.runs_in_flight_max {
            overloaded("runs_in_flight_max")
        } else {
            return Ok(());
        };
        shared.vacate();
        Err(refused)
    }

    /// What goes across tenants, for the composition root.
    ///
    /// # Panics
    /// With the authority of another kernel.
    #[must_use]
    pub fn system(&self, authority: &Authority) -> System {
        assert_eq!(authority.realm(), self.shared.realm, "the authority is another kernel's");
        System::of(self.shared.clone())
    }

    /// The end of the chain.
    #[must_use]
    pub fn head(&self) -> Head {
        self.shared.writer.head()
    }

    /// The number of the chain that this process writes.
    #[must_use]
    pub fn chain(&self) -> i64 {
        self.shared.writer.store().chain()
    }

    /// Returns once every record of this process up to `seq` is durable.
    ///
    /// # Errors
    /// A journal that never takes them.
    pub async fn durable(&self, seq: u64) -> Result<(), journal::Error> {
        self.shared.writer.store().durable(seq).await
    }

    /// The registered agents.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// The policies in force.
    #[must_use]
    pub fn policies(&self) -> &PolicySet {
        &self.shared.policies
    }

    /// What was counted since the start.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.shared.figures
    }

    /// How each agent is doing.
    #[must_use]
    pub fn health(&self) -> Vec<Health> {
        self.shared.registry.health()
    }

    /// How many runs are in flight.
    #[must_use]
    pub fn runs_in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::SeqCst)
    }

    /// Returns when no run is in flight.
    pub async fn idle(&self) {
        loop {
            let notified = self.shared.idle.notified();
            if self.runs_in_flight() == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Stops admitting, lets runs end for as long as the drain bound allows, and stops the tree.
    /// What is left then is cancelled, or, if it is durably on record, left for the next process.
    /// Returns how many runs were left.
    pub async fn drain(&self) -> usize {
        let shared = &self.shared;
        shared.draining.store(true, Ordering::SeqCst);
        let in_time = tokio::time::timeout(shared.limits.drain, self.idle()).await.is_ok();
        let mut left: Vec<Arc<Run>> =
            if in_time { Vec::new() } else { shared.runs.iter().map(|run| run.clone()).collect() };
        left.sort_by_key(|run| run.id);
        // What is on record is taken up by the next process; what is not would be lost.
        if !shared.writer.store().is_durable() {
            for run in &left {
                let reason = "the installation is shutting down".to_owned();
                run.end(Outcome::Cancelled { reason }).await;
            }
            let reason = "the installation is shutting down".to_owned();
            shared.end_all_parked(&Outcome::Cancelled { reason }).await;
        }
        let kept = shared.writer.store().is_durable();
        let ended = kept || tokio::time::timeout(shared.limits.drain, self.idle()).await.is_ok();
        if !ended || shared.writer.pay().is_err() {
            tracing::error!("the journal refuses the end of some runs");
        }
        let stopped = self.root.stop_and_wait(None, Some(shared.limits.drain)).await;
        if let Err(error) = stopped {
            tracing::warn!(%error, "the supervision tree did not stop in time");
        }
        shared.tasks.shut_down().await;
        left.len()
    }
}
