//! `genie agents`: who is registered, who takes what from whom, as table, graph or JSON.
//!
//! Everything is derived from the registry that the kernel itself starts with, or from what a
//! server says of its own, so it cannot be out of date.

mod topology;

use std::collections::BTreeMap;
use std::process::ExitCode;

use genie_client::{Agent as Told, Agents, Needs};
use genie_core::registry::Registry;
use genie_core::spec::KindSpec;
use genie_core::{Agent, AgentSpec};
use serde_json::{Value, json};
use topology::Topology;

use super::{remote, stdout, stored};
use crate::config::Config;

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

pub(crate) fn main(
    args: &Args,
    config: &Config,
    agents: &[&'static dyn Agent],
) -> anyhow::Result<ExitCode> {
    let agents = match remote::server(config)? {
        Some(server) => stored::block_on(async {
            Ok(server.client.agents().await.map_err(remote::complaint)?)
        })?,
        None => registered(&Registry::new(agents)?),
    };
    let topology = Topology::of(&agents.agents);
    if args.json {
        stdout::write_json(&json(&agents, &topology))?;
    } else if args.dot {
        stdout::write(topology.dot().as_bytes())?;
    } else if args.mermaid {
        stdout::write(topology.mermaid().as_bytes())?;
    } else {
        write_table(&agents.agents)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the registry says, as a server would.
pub(super) fn registered(registry: &Registry) -> Agents {
    let mut kinds = BTreeMap::new();
    for spec in registry.specs() {
        for kind in spec.accepts.iter().chain(&spec.emits).chain(&spec.collects) {
            kinds.entry(kind.name().to_owned()).or_insert_with(|| kind.schema());
        }
    }
    Agents { agents: registry.specs().map(told).collect(), kinds }
}

fn told(spec: &AgentSpec) -> Told {
    let names = |kinds: &[KindSpec]| kinds.iter().map(|kind| kind.name().to_owned()).collect();
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Told {
        id: spec.id.to_owned(),
        description: spec.description.to_owned(),
        capabilities: owned(&spec.capabilities),
        accepts: names(&spec.accepts),
        emits: names(&spec.emits),
        collects: names(&spec.collects),
        risk: json!(spec.risk),
        fallback: spec.fallback.map(str::to_owned),
        clearance: spec.clearance.clone(),
        requires: Needs {
            roles_any: owned(&spec.roles_any),
            scopes_all: owned(&spec.scopes_all),
            consent: spec.consent.map(str::to_owned),
        },
        reentrant: spec.reentrant,
        handler_deadline_ms: u64::try_from(spec.handler_deadline.as_millis()).unwrap_or(u64::MAX),
        concurrency_max: spec.concurrency_max as u64,
        restarts_max: u64::from(spec.restarts_max),
        health: None,
    }
}

fn write_table(agents: &[Told]) -> anyhow::Result<()> {
    let header = ["agent", "accepts", "emits", "collects", "risk", "fallback", "clearance"];
    let mut table = stdout::table(header);
    for agent in agents {
        table.add_row([
            agent.id.clone(),
            agent.accepts.join("\n"),
            agent.emits.join("\n"),
            agent.collects.join("\n"),
            agent.risk.as_str().unwrap_or_default().to_owned(),
            agent.fallback.clone().unwrap_or_default(),
            clearance(agent),
        ]);
    }
    stdout::write_table(&table)
}

/// The ceiling, then the categories beyond it, e.g. `confidential +personal`.
fn clearance(agent: &Told) -> String {
    let mut text = agent.clearance.ceiling.as_str().to_owned();
    for category in &agent.clearance.categories {
        text.push_str(" +");
        text.push_str(category);
    }
    text
}

/// Everything that the specs say, the graph, and the schema of every kind.
fn json(agents: &Agents, topology: &Topology<'_>) -> Value {
    json!({
        "agents": agents.agents.iter().map(agent_json).collect::<Vec<_>>(),
        "edges": topology.edges(),
        "kinds": agents.kinds,
    })
}

fn agent_json(agent: &Told) -> Value {
    json!({
        "id": agent.id,
        "description": agent.description,
        "capabilities": agent.capabilities,
        "accepts": agent.accepts,
        "emits": agent.emits,
        "collects": agent.collects,
        "risk": agent.risk,
        "fallback": agent.fallback,
        "clearance": agent.clearance,
        "roles_any": agent.requires.roles_any,
        "scopes_all": agent.requires.scopes_all,
        "consent": agent.requires.consent,
        "reentrant": agent.reentrant,
        "handler_deadline_ms": agent.handler_deadline_ms,
        "concurrency_max": agent.concurrency_max,
        "restarts_max": agent.restarts_max,
    })
}
