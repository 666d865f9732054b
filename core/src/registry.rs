//! Who is registered: agents by id, capability and kind, checked as a whole before any starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::HashMap;
use tokio::sync::Semaphore;

use crate::agent::Agent;
use crate::message::USER;
use crate::policy::Recipient;
use crate::spec::{AgentSpec, KindSpec};
use crate::tool::{ToolCall, ToolResult, Tools};

/// Why a set of agents cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There are no agents.
    #[error("no agent is registered; pass at least one, e.g. `.agents(genie_agents::ALL)`")]
    Empty,
    /// Two agents have the same id, or one has a reserved id.
    #[error("the agent id `{0}` is taken; ids are unique and `user` is reserved")]
    Taken(String),
    /// An id is not written as an id.
    #[error("`{0}` is not an agent id: use lower-case letters, digits and `_`, e.g. `forecaster`")]
    BadId(String),
    /// A name is not written as a tool's name.
    #[error(
        "`{0}` is not a tool name: use lower-case letters, digits, `_` and `.`, e.g. \
         `payment.transfer`"
    )]
    BadTool(String),
    /// Two tools have the same name.
    #[error("the tool name `{0}` is taken; names are unique")]
    TakenTool(String),
    /// An agent wants to use a tool that is not registered.
    #[error("agent `{agent}` uses the tool `{tool}`, which is not registered")]
    NoTool {
        /// The agent.
        agent: String,
        /// The tool.
        tool: String,
    },
    /// Two agents declare one kind with different payload types.
    #[error("the kind `{kind}` has two payload types: in `{first}` and in `{second}`")]
    KindConflict {
        /// The kind.
        kind: String,
        /// The agent that declared it first.
        first: String,
        /// The agent that declares it differently.
        second: String,
    },
    /// A fallback does not exist, does not accept what it would get, or leads back.
    #[error("agent `{agent}` cannot fall back to `{fallback}`: {reason}")]
    Fallback {
        /// The agent.
        agent: String,
        /// Its fallback.
        fallback: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Counters of one agent since the kernel started.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) handled: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) restarts: AtomicU64,
    pub(crate) queued: AtomicUsize,
    pub(crate) busy_us: AtomicU64,
}

/// One registered agent.
pub(crate) struct Entry {
    pub(crate) agent: &'static dyn Agent,
    pub(crate) spec: AgentSpec,
    pub(crate) id: Arc<str>,
    pub(crate) recipient: Recipient,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) counters: Counters,
    pub(crate) fallback: Option<usize>,
}

impl Entry {
    pub(crate) fn collects(&self, kind: &str) -> bool {
        self.spec.collects.iter().any(|declared| declared.name() == kind)
    }

    pub(crate) fn accepts(&self, kind: &str) -> bool {
        self.spec.accepts.iter().any(|declared| declared.name() == kind)
    }
}

/// The registered agents.
pub struct Registry {
    entries: Vec<Entry>,
    by_id: HashMap<&'static str, usize>,
    by_capability: HashMap<&'static str, usize>,
    receivers: HashMap<&'static str, Vec<usize>>,
    kinds: HashMap<&'static str, KindSpec>,
}

/// How one agent is doing.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Health {
    /// The agent.
    pub agent: Arc<str>,
    /// Messages handled to the end, well or not.
    pub handled: u64,
    /// Of these, how many failed.
    pub failed: u64,
    /// Restarts after panics.
    pub restarts: u64,
    /// Messages that wait.
    pub queued: usize,
    /// Time spent in handlers, waiting included, in microseconds.
    pub busy_us: u64,
}

impl Registry {
    /// Registers these agents.
    ///
    /// # Errors
    /// The first [`Error`] in the order of the agents.
    pub fn new(agents: &[&'static dyn Agent]) -> Result<Self, Error> {
        if agents.is_empty() {
            return Err(Error::Empty);
        }
        let mut registry = Self {
            entries: Vec::with_capacity(agents.len()),
            by_id: HashMap::default(),
            by_capability: HashMap::default(),
            receivers: HashMap::default(),
            kinds: HashMap::default(),
        };
        for agent in agents {
            registry.add(*agent)?;
        }
        registry.link_fallbacks()?;
        Ok(registry)
    }

    /// Adds the kinds of tool calls and checks that every tool that an agent uses is there.
    pub(crate) fn link_tools(&mut self, tools: &Tools) -> Result<(), Error> {
        for kind in [KindSpec::of::<ToolCall>(), KindSpec::of::<ToolResult>()] {
            self.declare(&kind, "a tool")?;
        }
        for entry in &self.entries {
            if let Some(tool) = entry.spec.tools.iter().find(|tool| tools.resolve(tool).is_none()) {
                let (agent, tool) = (entry.id.to_string(), (*tool).to_owned());
                return Err(Error::NoTool { agent, tool });
            }
        }
        Ok(())
    }

    fn add(&mut self, agent: &'static dyn Agent) -> Result<(), Error> {
        let spec = agent.spec();
        let index = self.entries.len();
        let well_formed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if spec.id.is_empty() || !spec.id.bytes().all(well_formed) {
            return Err(Error::BadId(spec.id.to_owned()));
        }
        if spec.id == USER || self.by_id.insert(spec.id, index).is_some() {
            return Err(Error::Taken(spec.id.to_owned()));
        }
        for capability in &spec.capabilities {
            self.by_capability.entry(capability).or_insert(index);
        }
        for kind in spec.accepts.iter().chain(&spec.collects).chain(&spec.emits) {
            self.declare(kind, spec.id)?;
        }
        for kind in spec.accepts.iter().chain(&spec.collects) {
            let receivers = self.receivers.entry(kind.name()).or_default();
            if receivers.last() != Some(&index) {
                receivers.push(index);
            }
        }
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        self.entries.push(Entry {
            agent,
            id: spec.id.into(),
            recipient: Recipient {
                clearance: spec.clearance.clone(),
                roles_any: owned(&spec.roles_any),
                scopes_all: owned(&spec.scopes_all),
                consent: spec.consent.map(str::to_owned),
            },
            slots: Arc::new(Semaphore::new(spec.concurrency_max)),
            counters: Counters::default(),
            fallback: None,
            spec,
        });
        Ok(())
    }

    fn declare(&mut self, kind: &KindSpec, agent: &str) -> Result<(), Error> {
        let known = self.kinds.entry(kind.name()).or_insert_with(|| kind.clone());
        if known.writer() == kind.writer() {
            return Ok(());
        }
        let declares = |entry: &&Entry| {
            let spec = &entry.spec;
            let mut declared = spec.accepts.iter().chain(&spec.collects).chain(&spec.emits);
            declared.any(|declared| declared.name() == kind.name())
        };
        let first = self.entries.iter().find(declares);
        Err(Error::KindConflict {
            kind: kind.name().to_owned(),
            first: first.map_or(agent, |entry| &entry.id).to_owned(),
            second: agent.to_owned(),
        })
    }

    fn link_fallbacks(&mut self) -> Result<(), Error> {
        for index in 0..self.entries.len() {
            let Some(name) = self.entries[index].spec.fallback else {
                continue;
            };
            let wrong = |reason: String| Error::Fallback {
                agent: self.entries[index].id.to_string(),
                fallback: name.to_owned(),
                reason,
            };
            let Some(fallback) = self.by_id.get(name).copied() else {
                return Err(wrong("it is not registered".to_owned()));
            };
            for kind in &self.entries[index].spec.accepts {
                if !self.entries[fallback].accepts(kind.name()) {
                    return Err(wrong(format!("it does not accept `{}`", kind.name())));
                }
            }
            self.entries[index].fallback = Some(fallback);
        }
        for start in 0..self.entries.len() {
            let mut at = start;
            for _ in 0..self.entries.len() {
                let Some(next) = self.entries[at].fallback else {
                    break;
                };
                at = next;
                if at == start {
                    return Err(Error::Fallback {
                        agent: self.entries[start].id.to_string(),
                        fallback: self.entries[start].spec.fallback.unwrap_or("").to_owned(),
                        reason: "the fallbacks lead back to it".to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    /// The agent with this id, or else the first with this capability.
    pub(crate) fn resolve(&self, name: &str) -> Option<usize> {
        self.by_id.get(name).or_else(|| self.by_capability.get(name)).copied()
    }

    /// Whether a message of the kind may come of what this agent sends, over any number of hops.
    pub(crate) fn leads_to(&self, agent: &str, kind: &str) -> bool {
        let mut ahead: Vec<usize> = self.by_id.get(agent).copied().into_iter().collect();
        let mut seen = vec![false; self.entries.len()];
        while let Some(index) = ahead.pop() {
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            for emitted in &self.entries[index].spec.emits {
                if emitted.name() == kind {
                    return true;
                }
                let receivers = self.receivers(emitted.name()).iter();
                ahead.extend(receivers.filter(|next| self.entries[**next].accepts(emitted.name())));
            }
        }
        false
    }

    /// Everyone who accepts or collects the kind.
    pub(crate) fn receivers(&self, kind: &str) -> &[usize] {
        self.receivers.get(kind).map_or(&[], Vec::as_slice)
    }

    /// The specs of all agents, in the order of registration.
    pub fn specs(&self) -> impl Iterator<Item = &AgentSpec> {
        self.entries.iter().map(|entry| &entry.spec)
    }

    /// A declared kind.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<&KindSpec> {
        self.kinds.get(name)
    }

    /// What the policies know of an agent as a recipient; `None` if there is no such agent.
    #[must_use]
    pub fn recipient(&self, agent: &str) -> Option<&Recipient> {
        self.by_id.get(agent).map(|index| &self.entries[*index].recipient)
    }

    /// How each agent is doing.
    #[must_use]
    pub fn health(&self) -> Vec<Health> {
        let health = |entry: &Entry| Health {
            agent: entry.id.clone(),
            handled: entry.counters.handled.load(Ordering::Relaxed),
            failed: entry.counters.failed.load(Ordering::Relaxed),
            restarts: entry.counters.restarts.load(Ordering::Relaxed),
            queued: entry.counters.queued.load(Ordering::Relaxed),
            busy_us: entry.counters.busy_us.load(Ordering::Relaxed),
        };
        self.entries.iter().map(health).collect()
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::context::Context;
    use crate::governed::Governed;
    use crate::payload::Payload;

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct One;

    impl Payload for One {
        const KIND: &'static str = "one";
    }

    /// Takes the name of the other kind.
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Impostor;

    impl Payload for Impostor {
        const KIND: &'static str = "one";
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Two;

    impl Payload for Two {
        const KIND: &'static str = "two";
    }

    struct Idle(AgentSpec);

    #[crate::async_trait]
    impl Agent for Idle {
        fn spec(&self) -> AgentSpec {
            self.0.clone()
        }

        async fn handle(&self, _: Governed, _: &mut Context) -> Result<(), crate::AgentError> {
            Ok(())
        }
    }

    fn spec(id: &'static str) -> AgentSpec {
        AgentSpec::new(id, "idle")
    }

    fn registry(specs: Vec<AgentSpec>) -> Result<Registry, Error> {
        let agent = |spec| &*Box::leak(Box::new(Idle(spec))) as &'static dyn Agent;
        Registry::new(&specs.into_iter().map(agent).collect::<Vec<_>>())
    }

    #[test]
    fn agents_that_do_not_fit_together_are_refused_with_what_to_do() {
        let check = |specs, expected: &str| {
            let error = registry(specs).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(expected), "`{error}` instead of `{expected}`");
        };
        check(vec![], "no agent is registered");
        check(vec![spec("a"), spec("a")], "the agent id `a` is taken");
        check(vec![spec("user")], "the agent id `user` is taken");
        check(vec![spec("")], "`` is not an agent id");
        check(vec![spec("Upper")], "`Upper` is not an agent id");
        check(vec![spec("a-b")], "`a-b` is not an agent id");
        check(
            vec![spec("a").accepts::<One>(), spec("b").emits::<Impostor>()],
            "the kind `one` has two payload types: in `a` and in `b`",
        );
        check(vec![spec("a").fallback("b")], "agent `a` cannot fall back to `b`: it is not");
        check(
            vec![spec("a").accepts::<One>().fallback("b"), spec("b").accepts::<Two>()],
            "agent `a` cannot fall back to `b`: it does not accept `one`",
        );
        check(vec![spec("a").fallback("a")], "agent `a` cannot fall back to `a`: the fallbacks");
        check(
            vec![spec("a").fallback("b"), spec("b").fallback("c"), spec("c").fallback("b")],
            "agent `b` cannot fall back to `c`: the fallbacks lead back",
        );
    }

    #[test]
    fn a_name_is_an_id_first_and_a_capability_second() {
        let registry =
            registry(vec![spec("a").capability("b").capability("c"), spec("b"), spec("c2")]);
        let registry = registry.unwrap();
        assert_eq!(registry.resolve("b"), Some(1));
        assert_eq!(registry.resolve("c"), Some(0));
        assert_eq!(registry.resolve("d"), None);
    }

    #[test]
    fn a_failure_is_blamed_only_on_agents_from_which_the_kind_can_come() {
        let registry = registry(vec![
            spec("source").emits::<One>(),
            spec("middle").accepts::<One>().emits::<Two>(),
            spec("sink").collects::<Two>(),
        ]);
        let registry = registry.unwrap();
        assert!(registry.leads_to("source", "two") && registry.leads_to("middle", "two"));
        assert!(!registry.leads_to("sink", "two") && !registry.leads_to("middle", "one"));
        assert!(!registry.leads_to("nobody", "one"));
    }

    #[test]
    fn whoever_declares_a_kind_twice_receives_it_once() {
        let registry =
            registry(vec![spec("a").accepts::<One>().accepts::<One>().collects::<One>()]);
        assert_eq!(registry.unwrap().receivers("one"), [0]);
    }
}
