//! What the kernel tests share: a kernel on paused time with a small policy, and payloads.

use std::sync::Arc;
use std::time::Duration;

use genie_core::blob::MemoryBlobs;
use genie_core::clock::{SteadyClock, Timestamp};
use genie_core::ids::SeededIds;
use genie_core::journal::memory::MemoryJournal;
use genie_core::journal::{Record, lines, verify};
use genie_core::kernel::{Kernel, Options};
use genie_core::label::{Classification, Clearance, PERSONAL};
use genie_core::limits::Limits;
use genie_core::message::Message;
use genie_core::outcome::Outcome;
use genie_core::policy::{Facts, Judgement, Policy, PolicyError, PolicySet, Redaction};
use genie_core::principal::{Identity, Principal};
use genie_core::{Agent, Ask, Payload};
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

pub(crate) fn question(text: &str) -> Question {
    Question { text: text.to_owned() }
}

pub(crate) fn answer(text: impl Into<String>) -> Answer {
    Answer { text: text.into() }
}

/// Denies what contains `forbidden`, redacts `secret`, panics at `crash`, errors at `undecided`.
struct Words;

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
        assert!(!text.contains("policy crash"), "the policy cannot bear the word");
        if text.contains("secret") {
            let redaction = Redaction { pointer: "/text".into(), range: None, what: "word".into() };
            let reason = "the word is secret".into();
            return Ok(Judgement::Redact { redactions: vec![redaction], reason });
        }
        Ok(Judgement::Allow)
    }
}

/// Allows everything: the second link, so that the order matters.
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

/// A kernel with everything that a test looks at; checks the journal when it is closed.
pub(crate) struct Desk {
    pub(crate) kernel: Kernel,
    pub(crate) principal: Principal,
}

impl Desk {
    pub(crate) async fn with(agents: &[&'static dyn Agent]) -> Self {
        Self::limited(agents, Limits::default()).await
    }

    pub(crate) async fn limited(agents: &[&'static dyn Agent], limits: Limits) -> Self {
        let options = Options {
            agents: agents.to_vec(),
            policies: PolicySet::new(vec![Arc::new(Words), Arc::new(Lenient)]).unwrap(),
            journal: Arc::new(MemoryJournal::keeping(10_000_000)),
            blobs: Arc::new(MemoryBlobs::default()),
            clock: Arc::new(SteadyClock::starting_at(Timestamp::from_micros(
                1_700_000_000_000_000,
            ))),
            ids: Arc::new(SeededIds::new(7)),
            limits,
            home_region: "in".into(),
            user_clearance: Clearance::up_to(Classification::Confidential).and_category(PERSONAL),
        };
        let (kernel, authority) = Kernel::start(options).await.unwrap();
        let identity =
            Identity { tenant: "acme".into(), subject: "ann".into(), ..Identity::default() };
        let principal = authority.admit(identity);
        Self { kernel, principal }
    }

    /// Asks an agent and waits for the outcome.
    pub(crate) async fn ask(&self, to: &str, text: &str) -> Arc<Outcome> {
        self.outcome(Ask::new(to, &question(text))).await
    }

    pub(crate) async fn outcome(&self, ask: Ask) -> Arc<Outcome> {
        self.kernel.ask(&self.principal, ask).await.unwrap().outcome().await
    }

    pub(crate) async fn records(&self) -> Vec<Arc<Record>> {
        self.kernel.journal().read(0, usize::MAX).await.unwrap()
    }

    /// Stops the kernel and checks what must hold after every test: nothing in flight, nothing
    /// queued, and a journal that verifies, so every run has one outcome and all its records.
    pub(crate) async fn close(self) {
        assert_eq!(self.kernel.drain().await, 0, "runs were left in flight");
        assert_eq!(self.kernel.runs_in_flight(), 0);
        for health in self.kernel.health() {
            assert_eq!(health.queued, 0, "messages are left at `{}`", health.agent);
        }
        let mut file = Vec::new();
        for record in self.records().await {
            lines::write(&record, &mut file).unwrap();
        }
        let report = verify::verify(file.as_slice(), Some(self.kernel.head())).unwrap();
        assert_eq!(report.head, self.kernel.head());
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
