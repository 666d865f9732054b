//! One life of a process after the other, over one disk and one outside world.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use genie_core::approval::{Approval, Choice, Filter, Resolution};
use genie_core::clock::{SteadyClock, Timestamp};
use genie_core::ids::{RunId, SeededIds};
use genie_core::journal::chain::Hash;
use genie_core::journal::{Entry, lines, verify};
use genie_core::kernel::{Kernel, Options};
use genie_core::outcome::Outcome;
use genie_core::principal::Principal;
use genie_core::tool::{Attempt, Effects, Tool, ToolError, ToolSpec};
use genie_core::{Agent, async_trait};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::disk::{Disk, Fault, Mount};
use crate::{Desk, identity, options};

/// The world outside: what tools have done to it.
#[derive(Default)]
pub(crate) struct Outside {
    /// How often each tool was called with each key.
    pub(crate) calls: Mutex<HashMap<(&'static str, String), u32>>,
}

impl Outside {
    /// How often something was done, over all keys.
    pub(crate) fn times(&self, tool: &str) -> u32 {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|((name, _), _)| *name == tool).map(|(_, times)| times).sum()
    }

    /// With how many keys a tool was called.
    pub(crate) fn keys(&self, tool: &str) -> usize {
        self.calls.lock().unwrap().keys().filter(|(name, _)| *name == tool).count()
    }
}

/// The arguments of every tool here.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Arguments {
    #[expect(dead_code, reason = "the schema is what counts")]
    pub(crate) amount: u32,
}

/// A tool that notes each call in the world outside; what it then does is up to the test.
pub(crate) struct Doing<F> {
    pub(crate) name: &'static str,
    pub(crate) effects: Effects,
    pub(crate) outside: Arc<Outside>,
    pub(crate) mount: Option<Arc<Mount>>,
    pub(crate) answer: F,
}

#[async_trait]
impl<F> Tool for Doing<F>
where
    F: Fn(u32) -> Result<Value, ToolError> + Send + Sync + 'static,
{
    fn spec(&self) -> ToolSpec {
        ToolSpec::new::<Arguments>(self.name, "does something outside").effects(self.effects)
    }

    async fn call(&self, attempt: Attempt<'_>) -> Result<Value, ToolError> {
        let key = attempt.idempotency_key.to_owned();
        if let Some(mount) = &self.mount {
            mount.alive().await;
            assert!(mount.disk.has_intent(&key), "called without an intent");
            let needs = self.effects != Effects::None;
            assert!(!needs || mount.disk.is_intended(&key), "called before it was durable");
        }
        let times = {
            let mut calls = self.outside.calls.lock().unwrap();
            let times = calls.entry((self.name, key)).or_default();
            *times += 1;
            *times
        };
        // The way there and back takes time, in which the process may die.
        tokio::time::sleep(Duration::from_millis(2)).await;
        (self.answer)(times)
    }
}

/// A tool that always does what it is asked.
pub(crate) fn tool(
    name: &'static str,
    effects: Effects,
    outside: &Arc<Outside>,
    mount: &Arc<Mount>,
) -> Arc<dyn Tool> {
    let (outside, mount) = (outside.clone(), Some(mount.clone()));
    Arc::new(Doing { name, effects, outside, mount, answer: |_| Ok(json!("done")) })
}

/// The moment at which the first life begins.
pub(crate) static BEGIN: std::sync::LazyLock<Timestamp> =
    std::sync::LazyLock::new(|| Timestamp::from_micros(1_700_000_000_000_000));

/// What a process over a disk is made of; each life is an hour after the one before.
pub(crate) fn over(mount: &Arc<Mount>, life: u64, agents: &[&'static dyn Agent]) -> Options {
    let now = BEGIN.plus(Duration::from_hours(life));
    Options {
        journal: mount.clone(),
        runs: mount.clone(),
        approvals: mount.clone(),
        blobs: mount.clone(),
        clock: Arc::new(SteadyClock::starting_at(now)),
        ids: Arc::new(SeededIds::new(7 + life)),
        ..options(agents)
    }
}

/// How one life went.
pub(crate) enum Life<T> {
    Died,
    Lived(T),
}

impl<T> Life<T> {
    pub(crate) fn lived(self) -> T {
        match self {
            Self::Died => panic!("the process died"),
            Self::Lived(done) => done,
        }
    }
}

/// Lives once: until `body` is done or the process dies. Whatever the process had in memory is gone
/// afterwards.
pub(crate) fn live<T>(
    disk: &Arc<Disk>,
    fault: Fault,
    body: impl AsyncFnOnce(Arc<Mount>) -> T,
) -> Life<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mount = Mount::of(disk, fault, Duration::from_millis(3));
        tokio::select! {
            biased;
            () = mount.died() => Life::Died,
            done = body(mount.clone()) => Life::Lived(done),
        }
    })
}

/// Starts a kernel.
pub(crate) async fn start(options: Options) -> Desk {
    let (kernel, authority) = Kernel::start(options).await.unwrap();
    let principal = authority.admit(identity("acme"));
    Desk { kernel, authority, principal }
}

impl Desk {
    /// Someone who may approve.
    pub(crate) fn approver(&self, subject: &str) -> Principal {
        let mut identity = identity("acme");
        subject.clone_into(&mut identity.subject);
        identity.roles.insert("approver".to_owned());
        self.authority.admit(identity)
    }

    /// The approvals that wait for a decision.
    pub(crate) async fn pending(&self) -> Vec<Approval> {
        let filter = Filter { status: Some("pending".to_owned()), limit: 100, ..Filter::default() };
        self.kernel.approvals(self.principal.tenant(), &filter).await.unwrap()
    }

    /// Waits until something is asked.
    pub(crate) async fn asked(&self) -> Approval {
        loop {
            if let Some(approval) = self.pending().await.into_iter().next() {
                return approval;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Decides in the name of an approver.
    pub(crate) async fn decides(
        &self,
        subject: &str,
        approval: &Approval,
        choice: Choice,
    ) -> Result<Approval, genie_core::approval::DecideError> {
        let by = self.approver(subject);
        self.kernel.decide(&by, approval.id, Some(approval.digest), (choice, "so it is")).await
    }

    /// Waits until every run on the disk has ended; what is asked meanwhile is decided by `decide`.
    pub(crate) async fn all_ended(&self, disk: &Disk, decide: impl Fn(&Approval) -> Choice) {
        self.ended(disk, async || {
            for approval in self.pending().await {
                // Someone may have been quicker, or the store fails.
                let _ = self.decides("bea", &approval, decide(&approval)).await;
            }
        })
        .await;
    }

    /// Waits until every run on the disk has ended, with nobody there to decide anything.
    pub(crate) async fn ended_alone(&self, disk: &Disk) {
        self.ended(disk, async || {}).await;
    }

    async fn ended(&self, disk: &Disk, meanwhile: impl AsyncFn()) {
        let give_up = tokio::time::Instant::now() + Duration::from_hours(24 * 60);
        let mut wait = Duration::from_millis(20);
        while !disk.all_ended() {
            assert!(tokio::time::Instant::now() < give_up, "a run hangs:\n{}", disk.unended());
            meanwhile().await;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_hours(1));
        }
    }
}

/// The choice that resolves an effect in doubt.
pub(crate) fn resolved(resolution: Resolution, result: Value) -> Choice {
    Choice::Resolve { resolution, result }
}

/// The disk holds a chain that verifies, with every run ended once and whole.
pub(crate) fn verified(disk: &Disk) {
    let mut file = Vec::new();
    let mut numbers: HashMap<RunId, u64> = HashMap::new();
    let mut outcomes: HashMap<RunId, u32> = HashMap::new();
    for record in disk.records() {
        lines::write(&record, &mut file).unwrap();
        let number = numbers.entry(record.entry.run_id()).or_default();
        *number += 1;
        assert_eq!(record.number, *number, "a record of a run is missing or there twice");
        if matches!(record.entry, Entry::Outcome { .. }) {
            *outcomes.entry(record.entry.run_id()).or_default() += 1;
        }
    }
    if file.is_empty() {
        return;
    }
    let report = verify::verify(file.as_slice(), Some(disk.head())).unwrap();
    assert_eq!(report.head, disk.head());
    assert_eq!(outcomes.len(), numbers.len(), "a run has not ended");
    assert!(outcomes.values().all(|times| *times == 1), "a run has ended twice");
}

/// What a run ended with, in a word or with its answer.
pub(crate) fn ending(disk: &Disk, run: RunId) -> String {
    match &*disk.outcome(run).unwrap() {
        Outcome::Completed { answer_sha256, .. } => {
            let answers = disk.records().into_iter().filter_map(|record| match &record.entry {
                Entry::Message { message, .. } if message.run_id() == run => Some(message.clone()),
                _ => None,
            });
            let answer = answers.filter(|message| message.to() == "user").last().unwrap();
            assert_eq!(Hash::of(answer.payload().text().as_bytes()), *answer_sha256);
            format!("completed {}", answer.payload().text())
        }
        Outcome::Failed { cause } => format!("failed {}: {cause}", cause.code()),
        other => other.name().to_owned(),
    }
}
