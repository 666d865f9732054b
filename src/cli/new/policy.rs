//! `genie new policy`: a check in Rust or a rule without code, its cases, and the lines that put it
//! in force.

use std::path::Path;

use anyhow::{Context, bail};

use super::listing;
use super::name::Name;
use super::plan::Plan;

/// Where the chain of checks stands, and how its list begins.
const LIB: &str = "policies/lib.rs";
const CHAIN: &str = "    vec![";

/// Where checks are declared.
const CHECKS: &str = "policies/checks/mod.rs";

/// Where rules and cases are compiled in, and how their lists begin.
const SOURCE: &str = "policies/source.rs";
const RULES: &str = "const RULES: &[(&str, &str)] = &[";
const CASES: &str = "const CASES: &[(&str, &str)] = &[";

/// What to write for a check in Rust, and what to run afterwards.
pub(super) fn plan_check(name: &str, root: &Path) -> anyhow::Result<(Plan, Vec<String>)> {
    let (name, mut plan) = begin(name, root)?;
    let check = name.fill(include_str!("templates/check.txt"));
    plan.create(format!("policies/checks/{}.rs", name.snake()), check)?;
    let cases = name.fill(include_str!("templates/cases.txt"));
    plan.create(format!("policies/cases/{}.toml", name.snake()), cases)?;
    let declared = listing::with_module(&plan.read(CHECKS)?, &name.fill("pub mod {{name}};"))?;
    plan.change(CHECKS, declared, &name.fill("`pub mod {{name}};`"))?;
    let item = name.fill("Arc::new(checks::{{name}}::{{Type}})");
    let chain = listing::with_item(&plan.read(LIB)?, CHAIN, &item)
        .with_context(|| format!("cannot register it in `{LIB}`"))?;
    plan.change(LIB, chain, &format!("`{item},`"))?;
    compile_in(&mut plan, &name, &[("cases", CASES)])?;
    Ok((plan, next()))
}

/// What to write for a rule without code, and what to run afterwards.
pub(super) fn plan_rule(name: &str, root: &Path) -> anyhow::Result<(Plan, Vec<String>)> {
    let (name, mut plan) = begin(name, root)?;
    let rule = name.fill(include_str!("templates/rule.txt"));
    plan.create(format!("policies/rules/{}.toml", name.snake()), rule)?;
    let cases = name.fill(include_str!("templates/cases.txt"));
    plan.create(format!("policies/cases/{}.toml", name.snake()), cases)?;
    compile_in(&mut plan, &name, &[("rules", RULES), ("cases", CASES)])?;
    Ok((plan, next()))
}

fn begin(name: &str, root: &Path) -> anyhow::Result<(Name, Plan)> {
    let name = Name::parse(&name.replace('-', "_"))?;
    let plan = Plan::in_checkout(root, LIB)?;
    for taken in ["checks/{{name}}.rs", "rules/{{name}}.toml", "rules/{{name}}.rs"] {
        let path = name.fill(&format!("policies/{taken}"));
        if plan.has(&path) {
            bail!("`{path}` exists; the ids of policies are unique, so choose another name");
        }
    }
    Ok((name, plan))
}

/// Adds the texts of these folders to what is compiled in.
fn compile_in(plan: &mut Plan, name: &Name, lists: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut text = plan.read(SOURCE)?;
    for (folder, list) in lists {
        let file = format!("{folder}/{}.toml", name.snake());
        let item = format!("(\"policies/{file}\", include_str!(\"{file}\"))");
        text = listing::with_item(&text, list, &item)
            .with_context(|| format!("cannot register it in `{SOURCE}`"))?;
    }
    let folders: Vec<&str> = lists.iter().map(|(folder, _)| *folder).collect();
    plan.change(SOURCE, text, &format!("the text of its {}", folders.join(" and ")))
}

/// The cases of what is compiled in, and then everything else that must still hold.
fn next() -> Vec<String> {
    vec!["cargo run -- policy test".to_owned(), "cargo test -p genie-policies".to_owned()]
}
