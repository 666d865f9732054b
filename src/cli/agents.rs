//! `genie agents`: who is registered, who takes what from whom, as table, graph or JSON.
//!
//! Everything is derived from the registry that the kernel itself starts with, so it cannot be out
//! of date.

mod topology;

use std::collections::BTreeMap;
use std::process::ExitCode;

use genie_core::registry::Registry;
use genie_core::spec::KindSpec;
use genie_core::{Agent, AgentSpec};
use serde_json::{Value, json};
use topology::Topology;

use super::stdout;

/// Arguments of `genie agents`.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct Args {
    /// Print a graph for Graphviz.
    #[arg(long)]
    dot: bool,
    /// Print a graph for Mermaid, which many Markdown viewers draw.
    #[arg(long)]
    mermaid: bool,
    /// Print everything that the specs say, with the JSON Schema of every kind.
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(args: &Args, agents: &[&'static dyn Agent]) -> anyhow::Result<ExitCode> {
    let registry = Registry::new(agents)?;
    let topology = Topology::of(&registry);
    if args.json {
        stdout::write_json(&json(&registry, &topology))?;
    } else if args.dot {
        stdout::write(topology.dot().as_bytes())?;
    } else if args.mermaid {
        stdout::write(topology.mermaid().as_bytes())?;
    } else {
        write_table(&registry)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write_table(registry: &Registry) -> anyhow::Result<()> {
    let header = ["agent", "accepts", "emits", "collects", "risk", "fallback", "clearance"];
    let mut table = stdout::table(header);
    for spec in registry.specs() {
        table.add_row([
            spec.id.to_owned(),
            lines(&spec.accepts),
            lines(&spec.emits),
            lines(&spec.collects),
            format!("{:?}", spec.risk).to_lowercase(),
            spec.fallback.unwrap_or_default().to_owned(),
            clearance(spec),
        ]);
    }
    stdout::write_table(&table)
}

fn lines(kinds: &[KindSpec]) -> String {
    let names: Vec<&str> = kinds.iter().map(KindSpec::name).collect();
    names.join("\n")
}

/// The ceiling, then the categories beyond it, e.g. `confidential +personal`.
fn clearance(spec: &AgentSpec) -> String {
    let mut text = spec.clearance.ceiling.as_str().to_owned();
    for category in &spec.clearance.categories {
        text.push_str(" +");
        text.push_str(category);
    }
    text
}

/// Everything that the specs say, the graph, and the schema of every kind.
fn json(registry: &Registry, topology: &Topology<'_>) -> Value {
    let mut kinds = BTreeMap::new();
    for spec in registry.specs() {
        for kind in spec.accepts.iter().chain(&spec.emits).chain(&spec.collects) {
            kinds.entry(kind.name()).or_insert_with(|| kind.schema());
        }
    }
    json!({
        "agents": registry.specs().map(agent_json).collect::<Vec<_>>(),
        "edges": topology.edges(),
        "kinds": kinds,
    })
}

fn agent_json(spec: &AgentSpec) -> Value {
    let names = |kinds: &[KindSpec]| kinds.iter().map(KindSpec::name).collect::<Vec<_>>();
    json!({
        "id": spec.id,
        "description": spec.description,
        "capabilities": spec.capabilities,
        "accepts": names(&spec.accepts),
        "emits": names(&spec.emits),
        "collects": names(&spec.collects),
        "risk": spec.risk,
        "fallback": spec.fallback,
        "clearance": spec.clearance,
        "roles_any": spec.roles_any,
        "scopes_all": spec.scopes_all,
        "consent": spec.consent,
        "reentrant": spec.reentrant,
        "handler_deadline_ms": spec.handler_deadline.as_millis(),
        "concurrency_max": spec.concurrency_max,
        "restarts_max": spec.restarts_max,
    })
}
