//! What the kernel tests share: a kernel on paused time with a small policy, and payloads.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use genie_core::approval::MemoryApprovals;
use genie_core::blob::MemoryBlobs;
use genie_core::budget::{MemoryBudgets, Prices};
use genie_core::clock::{SteadyClock, Timestamp};
use genie_core::ids::SeededIds;
use genie_core::journal::chain::Head;
use genie_core::journal::memory::MemoryJournal;
use genie_core::journal::{Record, lines, verify};
use genie_core::kernel::{Kernel, Options};
use genie_core::label::{Classification, Clearance, PERSONAL};
use genie_core::limits::Limits;
use genie_core::message::Message;
use genie_core::outcome::Outcome;
use genie_core::policy::{
    Facts, Judgement, Policy, PolicyError, PolicySet, Redaction, Requirement,
};
use genie_core::principal::{Authority, Identity, Principal};
use genie_core::runs::MemoryRuns;
use genie_core::{
    Agent, AgentError, AgentSpec, Ask, Context, Failure, Governed, Payload, System, async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The request of most tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Question {
    pub(crate) text: String,
}

impl Payload for Question {
    const KIND: &'static str = "question";
}

/// The answer of most tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Answer {
    pub(crate) text: String,
}

impl Payload for Answer {
    const KIND: &'static str = "answer";
}

/// One of several kinds for what agents publish and gather.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Part<const N: usize> {
    pub(crate) text: String,
}

impl<const N: usize> Payload for Part<N> {
    const KIND: &'static str = ["part.zero", "part.one", "part.two", "part.three"][N];
}

pub(crate) fn part<const N: usize>(text: &str) -> Part<N> {
    Part { text: text.to_owned() }
}

/// What a handler made from a closure gives.
pub(crate) type Handling<'a> = Pin<Box<dyn Future<Output = Result<(), AgentError>> + Send + 'a>>;

struct Made<F> {
    spec: AgentSpec,
    handle: F,
}

#[async_trait]
impl<F> Agent for Made<F>
where
    F: for<'a> Fn(Governed, &'a mut Context) -> Handling<'a> + Send + Sync + 'static,
{
    fn spec(&self) -> AgentSpec {
        self.spec.clone()
    }

    async fn handle(&self, message: Governed, cx: &mut Context) -> Result<(), AgentError> {
        (self.handle)(message, cx).await
    }
}

/// An agent made from a closure. It lives as long as the test process, as every agent does.
pub(crate) fn agent<F>(spec: AgentSpec, handle: F) -> &'static dyn Agent
where
    F: for<'a> Fn(Governed, &'a mut Context) -> Handling<'a> + Send + Sync + 'static,
{
    Box::leak(Box::new(Made { spec, handle }))
}

/// The spec of an agent that asks and answers questions.
pub(crate) fn spec(id: &'static str) -> AgentSpec {
    AgentSpec::new(id, "an agent of a test")
        .accepts::<Question>()
        .emits::<Question>()
        .emits::<Answer>()
}

/// An agent that answers after a wait, with its id and what it was asked.
pub(crate) fn slow(id: &'static str, wait: Duration) -> &'static dyn Agent {
    agent(spec(id), move |message, cx| {
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            let asked: Question = message.decode()?;
            Ok(cx.reply(&answer(format!("{id}: {}", asked.text))).await?)
        })
    })
}

/// An agent that never comes to an end.
pub(crate) fn dead(id: &'static str) -> &'static dyn Agent {
    agent(spec(id), |_, _| Box::pin(std::future::pending()))
}

pub(crate) fn question(text: &str) -> Question {
    Question { text: text.to_owned() }
}

pub(crate) fn answer(text: impl Into<String>) -> Answer {
    Answer { text: text.into() }
}

/// Panics at the words, without the hook, which would print a trace for each of thousands.
fn crash_at(text: &str) {
    if text.contains("policy crash") {
        std::panic::resume_unwind(Box::new("the policy cannot bear the words"));
    }
}

/// Denies what contains `forbidden`, redacts `secret`, panics at `crash`, errors at `undecided`.
pub(crate) struct Words;

impl Policy for Words {
    fn id(&self) -> &'static str {
        "words"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "reacts to single words"
    }

    fn evaluate(&self, message: &Message, _facts: &Facts<'_>) -> Result<Judgement, PolicyError> {
        let text = message.payload().text();
        if text.contains("forbidden") {
            return Ok(Judgement::deny("the word is forbidden"));
        }
        if text.contains("undecided") {
            return Err(PolicyError("the word is undecided".into()));
        }
        if text.contains("approval") {
            return Ok(Judgement::RequireApproval {
                reason: "a human must see it".into(),
                requirement: Requirement::default(),
            });
        }
        crash_at(text);
        if text.contains("secret") {
            let redaction = Redaction { pointer: "/text".into(), range: None, what: "word".into() };
            let reason = "the word is secret".into();
            return Ok(Judgement::Redact { redactions: vec![redaction], reason });
        }
        if text.contains("misplaced") {
            let redaction =
                Redaction { pointer: "/nowhere".into(), range: None, what: "word".into() };
            let reason = "the word is misplaced".into();
            return Ok(Judgement::Redact { redactions: vec![redaction], reason });
        }
        Ok(Judgement::Allow)
    }

    fn inspect(&self, content: &str) -> Vec<&'static str> {
        crash_at(content);
        if content.contains("name") { vec![PERSONAL] } else { Vec::new() }
    }
}

/// Allows everything: the second link, so that the order matters.
pub(crate) struct Lenient;

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

/// Denies what has come too far.
pub(crate) struct Hops;

impl Policy for Hops {
    fn id(&self) -> &'static str {
        "hops"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn describe(&self) -> &'static str {
        "denies what has come too far"
    }

    fn evaluate(&self, message: &Message, facts: &Facts<'_>) -> Result<Judgement, PolicyError> {
        Ok(if message.hops() > facts.hops_max {
            Judgement::deny("too many hops")
        } else {
            Judgement::Allow
        })
    }
}

/// Counts how many of it exist.
pub(crate) struct Present(Arc<AtomicUsize>);

impl Present {
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A kernel with everything that a test looks at; checks the journal when it is closed.
pub(crate) struct Desk {
    pub(crate) kernel: Kernel,
    pub(crate) authority: Authority,
    pub(crate) principal: Principal,
}

impl Desk {
    pub(crate) async fn with(agents: &[&'static dyn Agent]) -> Self {
        Self::limited(agents, Limits::default()).await
    }

    pub(crate) async fn limited(agents: &[&'static dyn Agent], limits: Limits) -> Self {
        Self::of(Options { limits, ..options(agents) }).await
    }

    pub(crate) async fn of(options: Options) -> Self {
        let (kernel, authority) = Kernel::start(options).await.unwrap();
        let principal = authority.admit(identity("acme"));
        Self { kernel, authority, principal }
    }

    /// Asks an agent and waits for the outcome.
    pub(crate) async fn ask(&self, to: &str, text: &str) -> Arc<Outcome> {
        self.outcome(Ask::new(to, &question(text))).await
    }

    pub(crate) async fn outcome(&self, ask: Ask) -> Arc<Outcome> {
        self.kernel.ask(&self.principal, ask).await.unwrap().outcome().await
    }

    /// Why a run failed.
    pub(crate) async fn failure(&self, to: &str, text: &str) -> Failure {
        match &*self.ask(to, text).await {
            Outcome::Failed { cause } => cause.clone(),
            other => panic!("`{text}` did not fail: {other:?}"),
        }
    }

    /// What goes across tenants.
    pub(crate) fn system(&self) -> System {
        self.kernel.system(&self.authority)
    }

    pub(crate) async fn records(&self) -> Vec<Arc<Record>> {
        self.system().journal().read(0, usize::MAX).await.unwrap()
    }

    /// The journal as a file.
    pub(crate) async fn file(&self) -> Vec<u8> {
        let mut file = Vec::new();
        for record in self.records().await {
            lines::write(&record, &mut file).unwrap();
        }
        file
    }

    /// Stops the kernel and checks what must hold after every test: nothing in flight, nothing
    /// queued, and a journal that verifies, so every run has one outcome and all its records.
    pub(crate) async fn close(self) {
        assert_eq!(self.kernel.drain().await, 0, "runs were left in flight");
        self.check().await;
    }

    /// Checks that nothing is left in memory once the kernel has stopped.
    pub(crate) fn check_memory(&self) {
        assert_eq!(self.kernel.runs_in_flight(), 0);
        for health in self.kernel.health() {
            assert_eq!(health.queued, 0, "messages are left at `{}`", health.agent);
        }
    }

    /// Checks what must hold once the kernel has stopped.
    pub(crate) async fn check(&self) {
        self.check_memory();
        let head = self.kernel.head();
        if head != Head::EMPTY {
            let report = verify::verify(self.file().await.as_slice(), Some(head)).unwrap();
            assert_eq!(report.head, head);
        }
    }
}

pub(crate) fn identity(tenant: &str) -> Identity {
    Identity { tenant: tenant.into(), subject: "ann".into(), ..Identity::default() }
}

/// What a test kernel is made of.
pub(crate) fn options(agents: &[&'static dyn Agent]) -> Options {
    let journal = Arc::new(MemoryJournal::keeping(10_000_000));
    Options {
        agents: agents.to_vec(),
        tools: Vec::new(),
        policies: PolicySet::new(vec![Arc::new(Words), Arc::new(Lenient)]).unwrap(),
        runs: Arc::new(MemoryRuns::over(journal.clone())),
        approvals: Arc::new(MemoryApprovals::over(journal.clone())),
        journal,
        blobs: Arc::new(MemoryBlobs::default()),
        clock: Arc::new(SteadyClock::starting_at(Timestamp::from_micros(1_700_000_000_000_000))),
        ids: Arc::new(SeededIds::new(7)),
        limits: Limits::default(),
        budgets: Arc::new(MemoryBudgets::default()),
        prices: Prices::default(),
        home_region: "in".into(),
        user_clearance: Clearance::up_to(Classification::Confidential).and_category(PERSONAL),
    }
}

/// The text of a completed run's answer.
pub(crate) fn text_of(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Completed { answer, .. } => answer.decode::<Answer>().unwrap().text,
        other => panic!("the run did not complete: {other:?}"),
    }
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
