//! Who sends which kinds to whom, derived from the specs, and the two graph languages for it.

use std::collections::{BTreeMap, BTreeSet};

use genie_core::AgentSpec;
use genie_core::message::USER;
use genie_core::registry::Registry;
use genie_core::spec::KindSpec;
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
    pub(super) fn of(registry: &'r Registry) -> Self {
        let specs: Vec<&AgentSpec> = registry.specs().collect();
        let mut kinds: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        let mut add = |from, to, kind| {
            kinds.entry((from, to)).or_default().insert(kind);
        };
        for spec in &specs {
            let senders = senders(spec, &specs);
            for kind in &spec.accepts {
                if !others(spec, &specs).any(|other| has(&other.emits, kind)) {
                    add(USER, spec.id, kind.name());
                }
            }
            for kind in &spec.emits {
                let takers: Vec<&str> =
                    others(spec, &specs).filter(|one| takes(one, kind)).map(|one| one.id).collect();
                let to = if takers.is_empty() { &senders } else { &takers };
                for to in to {
                    add(spec.id, to, kind.name());
                }
            }
        }
        let fallback = |spec: &&'r AgentSpec| spec.fallback.map(|to| (spec.id, to));
        Self {
            ids: specs.iter().map(|spec| spec.id).collect(),
            kinds,
            fallbacks: specs.iter().filter_map(fallback).collect(),
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

fn others<'s, 'r>(
    spec: &'s AgentSpec,
    specs: &'s [&'r AgentSpec],
) -> impl Iterator<Item = &'r AgentSpec> + 's {
    specs.iter().copied().filter(|other| other.id != spec.id)
}

/// Everyone who sends what an agent accepts, those outside included.
fn senders<'r>(spec: &AgentSpec, specs: &[&'r AgentSpec]) -> Vec<&'r str> {
    let mut senders = Vec::new();
    for kind in &spec.accepts {
        let before = senders.len();
        let emitters = others(spec, specs).filter(|other| has(&other.emits, kind));
        senders.extend(emitters.map(|other| other.id));
        if senders.len() == before {
            senders.push(USER);
        }
    }
    senders
}

fn takes(agent: &AgentSpec, kind: &KindSpec) -> bool {
    has(&agent.accepts, kind) || has(&agent.collects, kind)
}

fn has(kinds: &[KindSpec], kind: &KindSpec) -> bool {
    kinds.iter().any(|one| one.name() == kind.name())
}

#[cfg(test)]
mod tests {
    use genie_core::{Agent, AgentError, Context, Governed, Payload, async_trait};
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
    impl Agent for Described {
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

    fn registry() -> Registry {
        Registry::new(&[&FRONT, &ORACLE, &END, &CHECKER]).unwrap()
    }

    #[test]
    fn a_kind_goes_to_all_that_take_it_and_a_reply_to_whoever_asked() {
        let registry = registry();
        let edges = Topology::of(&registry).edges();
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
        let registry = registry();
        let topology = Topology::of(&registry);
        let dashed = "\"oracle\" -> \"end\" [label=\"fallback\", style=dashed];";
        assert!(topology.dot().contains(dashed), "{}", topology.dot());
        let dashed = "agent_oracle -.->|\"fallback\"| agent_end";
        assert!(topology.mermaid().contains(dashed), "{}", topology.mermaid());
    }
}
