//! Who sends which kinds to whom, derived from the specs, and the two graph languages for it.

use std::collections::{BTreeMap, BTreeSet};

use genie_client::Agent;
use genie_core::message::USER;
use serde::Serialize;

/// What stands for everyone outside in a graph.
const OUTSIDE: &str = "whoever asks";

/// Agents, what goes from one to another, and who stands in for whom.
pub(super) struct Topology<'r> {
    ids: Vec<&'r str>,
    /// The kinds from one agent to another; [`USER`] stands for everyone outside.
    kinds: BTreeMap<(&'r str, &'r str), BTreeSet<&'r str>>,
    fallbacks: Vec<(&'r str, &'r str)>,
}

/// The kinds that go from one agent to another.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Edge<'r> {
    from: &'r str,
    to: &'r str,
    kinds: Vec<&'r str>,
}

impl<'r> Topology<'r> {
    /// A kind goes from everyone who emits it to everyone else who accepts or collects it.
    ///
    /// A kind that nobody else emits comes from outside. One that nobody else takes is a reply: it
    /// goes back to those who send what its sender accepts.
    pub(super) fn of(agents: &'r [Agent]) -> Self {
        let mut kinds: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        let mut add = |from, to, kind| {
            kinds.entry((from, to)).or_default().insert(kind);
        };
        for agent in agents {
            let senders = senders(agent, agents);
            for kind in &agent.accepts {
                if !others(agent, agents).any(|other| other.emits.contains(kind)) {
                    add(USER, &*agent.id, &**kind);
                }
            }
            for kind in &agent.emits {
                let takers = others(agent, agents).filter(|one| takes(one, kind));
                let takers: Vec<&str> = takers.map(|one| &*one.id).collect();
                let to = if takers.is_empty() { &senders } else { &takers };
                for to in to {
                    add(&*agent.id, to, &**kind);
                }
            }
        }
        let fallback = |agent: &'r Agent| agent.fallback.as_deref().map(|to| (&*agent.id, to));
        Self {
            ids: agents.iter().map(|agent| &*agent.id).collect(),
            kinds,
            fallbacks: agents.iter().filter_map(fallback).collect(),
        }
    }

    /// Every edge, in order of the names at its ends.
    pub(super) fn edges(&self) -> Vec<Edge<'r>> {
        let edge = |(&(from, to), kinds): (&(&'r str, &'r str), &BTreeSet<&'r str>)| Edge {
            from,
            to,
            kinds: kinds.iter().copied().collect(),
        };
        self.kinds.iter().map(edge).collect()
    }

    /// The graph for Graphviz; fallbacks are dashed.
    pub(super) fn dot(&self) -> String {
        let mut lines = vec![
            "rankdir=LR;".to_owned(),
            "node [shape=box];".to_owned(),
            format!("\"{USER}\" [label=\"{OUTSIDE}\", shape=ellipse];"),
        ];
        lines.extend(self.ids.iter().map(|id| format!("\"{id}\";")));
        for edge in self.edges() {
            let label = edge.kinds.join("\\n");
            lines.push(format!("\"{}\" -> \"{}\" [label=\"{label}\"];", edge.from, edge.to));
        }
        for (from, to) in &self.fallbacks {
            lines.push(format!("\"{from}\" -> \"{to}\" [label=\"fallback\", style=dashed];"));
        }
        format!("digraph genie {{\n  {}\n}}\n", lines.join("\n  "))
    }

    /// The graph for Mermaid; fallbacks are dashed.
    ///
    /// The nodes have a prefix, since words such as `end` mean something in Mermaid.
    pub(super) fn mermaid(&self) -> String {
        let mut lines = vec![format!("agent_{USER}([\"{OUTSIDE}\"])")];
        lines.extend(self.ids.iter().map(|id| format!("agent_{id}[\"{id}\"]")));
        for edge in self.edges() {
            let label = edge.kinds.join("<br/>");
            lines.push(format!("agent_{} -->|\"{label}\"| agent_{}", edge.from, edge.to));
        }
        for (from, to) in &self.fallbacks {
            lines.push(format!("agent_{from} -.->|\"fallback\"| agent_{to}"));
        }
        format!("flowchart LR\n  {}\n", lines.join("\n  "))
    }
}

fn others<'r>(agent: &'r Agent, agents: &'r [Agent]) -> impl Iterator<Item = &'r Agent> {
    agents.iter().filter(|other| other.id != agent.id)
}

/// Everyone who sends what an agent accepts, those outside included.
fn senders<'r>(agent: &'r Agent, agents: &'r [Agent]) -> Vec<&'r str> {
    let mut senders = Vec::new();
    for kind in &agent.accepts {
        let before = senders.len();
        let emitters = others(agent, agents).filter(|other| other.emits.contains(kind));
        senders.extend(emitters.map(|other| &*other.id));
        if senders.len() == before {
            senders.push(USER);
        }
    }
    senders
}

fn takes(agent: &Agent, kind: &String) -> bool {
    agent.accepts.contains(kind) || agent.collects.contains(kind)
}

#[cfg(test)]
mod tests {
    use genie_core::registry::Registry;
    use genie_core::{AgentError, AgentSpec, Context, Governed, Payload, async_trait};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;

    macro_rules! kinds {
        ($($name:ident = $kind:literal),*) => {$(
            #[derive(Serialize, Deserialize, JsonSchema)]
            struct $name;

            impl Payload for $name {
                const KIND: &'static str = $kind;
            }
        )*};
    }

    kinds!(
        Question = "question",
        Figures = "figures",
        Forecast = "forecast",
        Check = "check",
        Answer = "answer"
    );

    struct Described(fn() -> AgentSpec);

    #[async_trait]
    impl genie_core::Agent for Described {
        fn spec(&self) -> AgentSpec {
            self.0()
        }

        async fn handle(&self, _: Governed, _: &mut Context) -> Result<(), AgentError> {
            Ok(())
        }
    }

    static FRONT: Described = Described(|| {
        AgentSpec::new("front", "asks")
            .accepts::<Question>()
            .emits::<Figures>()
            .emits::<Check>()
            .emits::<Answer>()
            .collects::<Forecast>()
    });
    static ORACLE: Described = Described(|| {
        let spec = AgentSpec::new("oracle", "forecasts").accepts::<Figures>();
        spec.emits::<Forecast>().fallback("end")
    });
    static END: Described = Described(|| {
        let spec = AgentSpec::new("end", "forecasts simply").accepts::<Figures>();
        spec.emits::<Forecast>()
    });

    static CHECKER: Described =
        Described(|| AgentSpec::new("checker", "checks").accepts::<Check>().emits::<Answer>());

    fn agents() -> Vec<Agent> {
        let registry = Registry::new(&[&FRONT, &ORACLE, &END, &CHECKER]).unwrap();
        super::super::registered(&registry).agents
    }

    #[test]
    fn a_kind_goes_to_all_that_take_it_and_a_reply_to_whoever_asked() {
        let agents = agents();
        let edges = Topology::of(&agents).edges();
        let shown: Vec<String> = edges
            .iter()
            .map(|edge| format!("{} > {}: {}", edge.from, edge.to, edge.kinds.join(" ")))
            .collect();
        assert_eq!(
            shown,
            [
                "checker > front: answer",
                "end > front: forecast",
                "front > checker: check",
                "front > end: figures",
                "front > oracle: figures",
                "front > user: answer",
                "oracle > front: forecast",
                "user > front: question",
            ]
        );
    }

    #[test]
    fn fallbacks_are_dashed_in_both_languages() {
        let agents = agents();
        let topology = Topology::of(&agents);
        let dashed = "\"oracle\" -> \"end\" [label=\"fallback\", style=dashed];";
        assert!(topology.dot().contains(dashed), "{}", topology.dot());
        let dashed = "agent_oracle -.->|\"fallback\"| agent_end";
        assert!(topology.mermaid().contains(dashed), "{}", topology.mermaid());
    }
}
