//! One life of a process after the other over one directory: a kernel with an agent that asks
//! another and keeps content, on the store as it is.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use genie_core::clock::{SteadyClock, Timestamp};
use genie_core::ids::{RunId, SeededIds};
use genie_core::journal::{Entry, Record, lines, verify};
use genie_core::kernel::{self, Kernel};
use genie_core::label::{Classification, Clearance};
use genie_core::limits::Limits;
use genie_core::message::Message;
use genie_core::outcome::Outcome;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError, PolicySet};
use genie_core::principal::{Identity, Principal};
use genie_core::{Agent, AgentError, AgentSpec, Ask, Context, Governed, Payload, async_trait};
use genie_store::{KeySource, Location, Mode, OpenError, Opened, Options, Retry, open};
use genie_store_disk::Disk;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// There is one disk in a process.
pub(crate) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub(crate) fn disk() -> &'static Disk {
    Disk::install().unwrap()
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Question {
    number: u64,
}

impl Payload for Question {
    const KIND: &'static str = "question";
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Answer {
    doubled: u64,
}

impl Payload for Answer {
    const KIND: &'static str = "answer";
}

/// Keeps a page or two, asks the other, and passes its answer on.
struct Front;

#[async_trait]
impl Agent for Front {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("front", "keeps content and asks the other agent")
            .accepts::<Question>()
            .emits::<Question>()
            .emits::<Answer>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let question: Question = message.decode()?;
        let kept = cx.store(Arc::new(vec![question.number; 2_000])).await?;
        let answer: Answer = cx.ask("back", &question).await?;
        let read: Arc<Vec<u64>> = cx.load(&kept).await?;
        assert_eq!(read.len(), 2_000);
        Ok(cx.reply(&answer).await?)
    }
}

struct Back;

#[async_trait]
impl Agent for Back {
    fn spec(&self) -> AgentSpec {
        AgentSpec::new("back", "doubles a number").accepts::<Question>().emits::<Answer>()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        let Question { number } = message.decode()?;
        Ok(cx.reply(&Answer { doubled: 2 * number }).await?)
    }
}

struct Lenient;

impl Policy for Lenient {
    fn id(&self) -> &'static str {
        "lenient"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "allows everything"
    }

    fn evaluate(&self, _: &Message, _: &Facts<'_>) -> Result<Judgement, PolicyError> {
        Ok(Judgement::Allow)
    }
}

/// What whoever asked was told.
pub(crate) type Told = Vec<(RunId, Arc<Outcome>)>;

/// A process: the store and a kernel over it.
pub(crate) struct Life {
    store: Opened,
    kernel: Kernel,
    principal: Principal,
}

impl Life {
    /// Begins over a directory, and takes up what an earlier life left.
    pub(crate) async fn begin(directory: &Path) -> Result<Self, OpenError> {
        static LIVES: AtomicU64 = AtomicU64::new(1);
        let (first, longest) = (Duration::from_millis(1), Duration::from_millis(4));
        let options = Options {
            retry: Retry { first, longest },
            sealing: Some(KeySource::File(directory.with_extension("key"))),
            ..Options::default()
        };
        let location = Location::Sqlite(directory.to_owned());
        let store = open(&location, Mode::Own, options).await?;
        let started = Timestamp::from_micros(1_700_000_000_000_000);
        let options = kernel::Options {
            agents: vec![&Front, &Back],
            tools: Vec::new(),
            policies: PolicySet::new(vec![Arc::new(Lenient)]).unwrap(),
            journal: store.journal.clone(),
            runs: store.runs.clone(),
            approvals: store.approvals.clone(),
            blobs: store.blobs.clone(),
            clock: Arc::new(SteadyClock::starting_at(started)),
            ids: Arc::new(SeededIds::new(LIVES.fetch_add(1, Ordering::Relaxed))),
            limits: Limits { drain: Duration::from_millis(20), ..Limits::default() },
            budgets: store.budgets.clone(),
            prices: genie_core::budget::Prices::default(),
            home_region: "in".into(),
            user_clearance: Clearance::up_to(Classification::Confidential),
        };
        let (kernel, authority) = Kernel::start(options).await.unwrap();
        let (tenant, subject) = ("acme".into(), "asha".into());
        let principal = authority.admit(Identity { tenant, subject, ..Identity::default() });
        Ok(Self { store, kernel, principal })
    }

    /// Asks and waits; an error if the run was not admitted.
    pub(crate) async fn ask(&self, number: u64) -> Option<(RunId, Arc<Outcome>)> {
        let ask = Ask::new("front", &Question { number });
        let run = self.kernel.ask(&self.principal, ask).await.ok()?;
        Some((run.run_id, run.outcome().await))
    }

    /// Waits until everything that was left has come to its end.
    pub(crate) async fn caught_up(&self) {
        self.kernel.caught_up().await;
        self.kernel.idle().await;
    }

    /// Ends as a process does that is told to.
    pub(crate) async fn end(self) {
        self.kernel.drain().await;
        // What could not be written is what the tests are about.
        let _ = self.store.close().await;
    }

    /// Checks the journal, and that it has for every run one outcome, the one that was told.
    pub(crate) async fn check(&self, told: &Told, case: impl Debug) {
        let records = self.store.journal.read(0, usize::MAX).await.unwrap();
        let mut file = Vec::new();
        for record in &records {
            lines::write(record, &mut file).unwrap();
        }
        if let Some(last) = records.last() {
            let report = verify::verify(file.as_slice(), Some(self.kernel.head())).unwrap();
            assert_eq!(report.head.seq, last.seq);
        }
        let mut outcomes = outcomes(&records);
        for (run, outcome) in told {
            match (outcomes.remove(run), &**outcome) {
                (Some(one), outcome) if one == [outcome.name()] => {}
                // It was told that nobody knows.
                (Some(_) | None, Outcome::Failed { cause }) if cause.code() == "journal" => {}
                (recorded, told) => {
                    panic!("{case:?}: run {run}: recorded {recorded:?}, told {told:?}")
                }
            }
        }
        for (run, outcomes) in outcomes {
            assert_eq!(outcomes.len(), 1, "{case:?}: run {run}: {outcomes:?}");
        }
    }
}

/// The outcomes on record of every run that has begun.
fn outcomes(records: &[Arc<Record>]) -> HashMap<RunId, Vec<&'static str>> {
    let mut outcomes: HashMap<RunId, Vec<&'static str>> = HashMap::new();
    for record in records {
        match &record.entry {
            Entry::RunStarted { run_id, .. } => {
                outcomes.insert(*run_id, Vec::new());
            }
            Entry::Outcome { run_id, outcome, .. } => {
                outcomes.get_mut(run_id).unwrap().push(outcome.name());
            }
            _ => {}
        }
    }
    outcomes
}

/// A life that asks a few times, from the first opening of the directory to its close.
pub(crate) async fn reference(directory: &Path) -> Told {
    let mut told = Told::new();
    let Ok(life) = Life::begin(directory).await else { return told };
    for number in 1..=3 {
        told.extend(life.ask(number).await);
    }
    life.end().await;
    told
}
