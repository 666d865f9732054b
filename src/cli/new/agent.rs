//! `genie new agent`: the file of the agent and its two lines in `agents/lib.rs`.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use super::listing;
use super::name::Name;
use super::plan::Plan;

/// Where agents are declared and listed.
const LIB: &str = "agents/lib.rs";

/// How the list of all agents begins there.
const LIST: &str = "pub const ALL: &[&dyn Agent] = &[";

/// Deepest folder that is searched for an agent of the same name.
const DEPTH_MAX: usize = 8;

/// What to write for an agent, and what to run afterwards.
pub(super) fn plan(name: &str, root: &Path) -> anyhow::Result<(Plan, Vec<String>)> {
    let name = Name::parse(name)?;
    let mut plan = Plan::in_checkout(root, LIB)?;
    refuse_dependency(&plan.read("agents/Cargo.toml")?, name.snake())?;
    if let Some(found) = find(&root.join("agents"), name.snake(), DEPTH_MAX)? {
        bail!("`{found}` exists; the ids of agents are unique, so choose another name");
    }
    let text = name.fill(include_str!("templates/agent.txt"));
    plan.create(format!("agents/{}.rs", name.snake()), text)?;
    let item = name.fill("&{{name}}::{{Type}}");
    let lib = listing::with_module(&plan.read(LIB)?, &name.fill("mod {{name}};"))
        .and_then(|text| listing::with_item(&text, LIST, &item))
        .with_context(|| format!("cannot register it in `{LIB}`"))?;
    plan.change(LIB, lib, &name.fill("`mod {{name}};` and `&{{name}}::{{Type}},`"))?;
    let next =
        vec![name.fill("cargo test -p genie-agents {{name}}"), "cargo run -- agents".to_owned()];
    Ok((plan, next))
}

/// A module that is called like a dependency would hide it from the whole crate.
fn refuse_dependency(manifest: &str, name: &str) -> anyhow::Result<()> {
    let manifest: toml::Table = manifest.parse().context("cannot read `agents/Cargo.toml`")?;
    let tables = ["dependencies", "dev-dependencies"];
    let mut tables = tables.iter().filter_map(|table| manifest.get(*table)?.as_table());
    if tables.any(|table| table.keys().any(|key| key.replace('-', "_") == name)) {
        bail!("`{name}` is a crate that the agents use; choose another name");
    }
    Ok(())
}

/// The file or folder under `folder` that has the name already.
fn find(folder: &Path, name: &str, depth: usize) -> anyhow::Result<Option<String>> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder `{}`", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let is_module = path.extension().is_some_and(|kind| kind == "rs") || path.is_dir();
        if is_module && path.file_stem().is_some_and(|stem| stem == name) {
            return Ok(Some(path.display().to_string()));
        }
        if depth > 0
            && path.is_dir()
            && let Some(found) = find(&path, name, depth - 1)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
