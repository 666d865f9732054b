//! The house rules that the compiler and clippy do not know, checked over the whole source.
//!
//! Each test gathers everything that breaks its rule, so that one run shows all there is to do.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a file above its tests.
const FILE_LINES_MAX: usize = 500;
/// Most columns of a line.
const COLUMNS_MAX: usize = 100;
/// Most lines of the core, tests not counted: a kernel that one person can read in a day.
const CORE_LINES_MAX: usize = 16_900;
/// Names that say nothing about what is inside.
const VAGUE: [&str; 5] = ["util", "utils", "helpers", "common", "misc"];
/// What the core is built on. A new one is a decision: change this line in the same commit.
const CORE_DEPENDENCIES: [&str; 20] = [
    "async-trait",
    "base64",
    "dashmap",
    "ed25519-dalek",
    "foldhash",
    "futures",
    "jsonschema",
    "ractor",
    "schemars",
    "serde",
    "serde_json",
    "serde_json_canonicalizer",
    "sha2",
    "thiserror",
    "time",
    "tokio",
    "tokio-util",
    "tracing",
    "uuid",
    "zeroize",
];
/// Ways to the outside that the lower crates do not take, with the files that are there for it.
const OUTSIDE: [&str; 5] = ["std::fs", "std::net", "std::process", "std::env", "SystemTime"];
const OUTSIDE_EXCEPT: [(&str, &str); 1] = [("policies/source.rs", "std::fs")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let text = fs::read_to_string(root().join(path));
    text.map_err(|error| format!("{path}: {error}")).unwrap()
}

/// Every file under a folder with this extension, relative to the root; none without the folder.
fn files(folder: &str, extension: &str) -> Vec<String> {
    let (mut found, mut ahead) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = ahead.pop().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                ahead.push(path);
            } else if path.extension().is_some_and(|kind| kind == extension) {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<String> {
    let folders = [
        "adapters", "agents", "benches", "client", "core", "examples", "fuzz", "policies", "src",
        "tests",
    ];
    folders.iter().flat_map(|folder| files(folder, "rs")).collect()
}

fn stem(path: &str) -> &str {
    Path::new(path).file_stem().unwrap().to_str().unwrap()
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/")
        || path.contains("/tests/")
        || stem(path) == "tests"
        || stem(path).ends_with("_tests")
}

/// The part of a source above its inline tests.
fn above_tests(text: &str) -> &str {
    let mut end = 0;
    for (at, _) in text.match_indices("#[cfg(test)]\n") {
        let inline = text[at..].lines().nth(1).is_some_and(|line| line.ends_with(" {"));
        if inline && (at == 0 || text[..at].ends_with('\n')) {
            end = at;
            break;
        }
    }
    if end == 0 { text } else { &text[..end] }
}

fn assert_none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

#[test]
fn a_file_says_first_what_it_owns() {
    let mut broken = sources();
    broken.retain(|path| !read(path).starts_with("//! "));
    assert_none(&broken, "open with `//!`");
}

#[test]
fn a_file_holds_one_idea() {
    let lines = |path: &String| above_tests(&read(path)).lines().count();
    let long = sources().into_iter().filter(|path| !is_test(path));
    let long = long.map(|path| (lines(&path), path)).filter(|(lines, _)| *lines > FILE_LINES_MAX);
    let broken: Vec<String> = long.map(|(lines, path)| format!("{path}: {lines} lines")).collect();
    assert_none(&broken, "split files longer than 500 lines above their tests");
}

#[test]
fn a_line_fits_the_screen() {
    let mut broken = Vec::new();
    for path in sources() {
        for (number, line) in (1..).zip(read(&path).lines()) {
            if line.chars().count() > COLUMNS_MAX {
                broken.push(format!("{path}:{number}"));
            }
        }
    }
    assert_none(&broken, "break lines longer than 100 columns");
}

#[test]
fn nothing_is_left_for_later() {
    let later = [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X:")];
    let mut broken = sources();
    broken.retain(|path| {
        let text = read(path);
        later.iter().any(|word| text.contains(word))
    });
    assert_none(&broken, "do it now, or leave the remark out");
}

#[test]
fn a_file_is_named_for_what_it_owns() {
    let mut broken = sources();
    broken.retain(|path| VAGUE.contains(&stem(path)));
    assert_none(&broken, "name the one thing that is inside");
}

/// The files that a crate's root file declares, directly or not.
fn reachable(lib: &str) -> HashSet<String> {
    let (mut found, mut ahead) = (HashSet::new(), vec![PathBuf::from(lib)]);
    while let Some(file) = ahead.pop() {
        let text = read(file.to_str().unwrap());
        let folder = file.parent().unwrap().to_owned();
        let owns_folder = ["lib", "main", "mod"].contains(&stem(file.to_str().unwrap()))
            || file.to_str() == Some(lib);
        let children = if owns_folder { folder.clone() } else { file.with_extension("") };
        let mut named = None;
        for line in text.lines().map(str::trim) {
            if let Some(path) = line.strip_prefix("#[path = \"") {
                named = path.strip_suffix("\"]").map(|path| folder.join(path));
            } else if let Some(name) = declared(line) {
                let flat = children.join(format!("{name}.rs"));
                let nested = children.join(name).join("mod.rs");
                let flat = if root().join(&flat).exists() { flat } else { nested };
                ahead.push(named.take().unwrap_or(flat));
            }
        }
        found.insert(file.to_str().unwrap().to_owned());
    }
    found
}

/// The name in a declaration such as `pub(crate) mod bus;`.
fn declared(line: &str) -> Option<&str> {
    let (before, name) = line.strip_suffix(';')?.rsplit_once("mod ")?;
    let visible = before.is_empty() || (before.starts_with("pub") && before.ends_with(' '));
    visible.then_some(name)
}

#[test]
fn every_file_is_part_of_its_crate() {
    let crates = [
        ("adapters/edge/src", "adapters/edge/src/lib.rs"),
        ("adapters/profile/src", "adapters/profile/src/lib.rs"),
        ("adapters/redis/src", "adapters/redis/src/lib.rs"),
        ("adapters/redis/tests/paces", "adapters/redis/tests/paces/main.rs"),
        ("adapters/sheets/src", "adapters/sheets/src/lib.rs"),
        ("adapters/store/src", "adapters/store/src/lib.rs"),
        ("adapters/store/disk/src", "adapters/store/disk/src/lib.rs"),
        ("adapters/store/tests/power", "adapters/store/tests/power/main.rs"),
        ("adapters/store/tests/store", "adapters/store/tests/store/main.rs"),
        ("adapters/telemetry/src", "adapters/telemetry/src/lib.rs"),
        ("adapters/tools/src", "adapters/tools/src/lib.rs"),
        ("agents", "agents/lib.rs"),
        ("client/src", "client/src/lib.rs"),
        ("policies", "policies/lib.rs"),
        ("core/src", "core/src/lib.rs"),
        ("core/tests/kernel", "core/tests/kernel/main.rs"),
        ("src", "src/lib.rs"),
        ("tests", "tests/main.rs"),
        ("tests/kill", "tests/kill/main.rs"),
    ];
    let mut broken = Vec::new();
    for (folder, lib) in crates {
        let reachable = reachable(lib);
        let mut inside = files(folder, "rs");
        inside.retain(|path| folder != "tests" || !path.starts_with("tests/kill/"));
        broken.extend(inside.into_iter().filter(|path| !reachable.contains(path)));
    }
    broken.retain(|path| path != "src/main.rs");
    assert_none(&broken, "declare these files, or remove them");
}

#[test]
fn an_agent_is_listed_under_the_name_of_its_file() {
    let of_files: BTreeSet<String> = files("agents", "rs")
        .into_iter()
        .filter(|path| above_tests(&read(path)).contains("\nimpl Agent for "))
        .map(|path| stem(&path).to_owned())
        .collect();
    let listed = genie_agents::ALL.iter().chain(genie_agents::DEMO);
    let ids: Vec<&str> = listed.map(|agent| agent.spec().id).collect();
    let unique: BTreeSet<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    assert_eq!(unique.len(), ids.len(), "an id is there twice: {ids:?}");
    assert_eq!(unique, of_files, "the ids in `ALL` and `DEMO` and the files with agents");
}

#[test]
fn a_check_is_in_the_chain_under_the_name_of_its_file() {
    let of_files: BTreeSet<String> = files("policies/checks", "rs")
        .into_iter()
        .filter(|path| above_tests(&read(path)).contains("\nimpl Policy for "))
        .map(|path| stem(&path).replace('_', "-"))
        .collect();
    let chain = genie_policies::baseline();
    let ids: BTreeSet<String> = chain.iter().map(|policy| policy.id().to_owned()).collect();
    assert_eq!(ids.len(), chain.len(), "an id is there twice");
    assert_eq!(ids, of_files, "the ids in the chain and the files with checks");
}

#[test]
fn every_file_of_rules_has_cases_and_is_compiled_in() {
    let source = read("policies/source.rs");
    let mut broken = Vec::new();
    for path in files("policies/rules", "toml") {
        let cases = format!("policies/cases/{}.toml", stem(&path));
        if !root().join(&cases).exists() {
            broken.push(format!("{path} has no {cases}"));
        }
    }
    for path in files("policies", "toml").iter().filter(|path| !path.ends_with("Cargo.toml")) {
        let inside = path.strip_prefix("policies/").unwrap();
        if !source.contains(&format!("include_str!(\"{inside}\")")) {
            broken.push(format!("{path} is not compiled in by policies/source.rs"));
        }
    }
    assert_none(&broken, "write the cases, or name the file");
}

#[test]
fn the_core_stays_small_and_on_its_own_feet() {
    let manifest: toml::Table = read("core/Cargo.toml").parse().unwrap();
    let dependencies = manifest["dependencies"].as_table().unwrap();
    let names: Vec<&str> = dependencies.keys().map(String::as_str).collect();
    let (mut names, mut pinned) = (names, CORE_DEPENDENCIES.to_vec());
    names.sort_unstable();
    pinned.sort_unstable();
    assert_eq!(names, pinned, "what the core is built on");
    let source = files("core/src", "rs").into_iter().filter(|path| !is_test(path));
    let lines: usize = source.map(|path| above_tests(&read(&path)).lines().count()).sum();
    assert!(lines <= CORE_LINES_MAX, "the core has {lines} lines, more than {CORE_LINES_MAX}");
}

/// What each crate may see of the others, tests aside: imports point down only.
const LAYERS: [(&str, &[&str]); 13] = [
    ("core", &[]),
    ("policies", &["genie-core"]),
    ("agents", &["genie-core"]),
    ("client", &["genie-core"]),
    ("adapters/edge", &["genie-core"]),
    ("adapters/profile", &[]),
    ("adapters/redis", &["genie-core"]),
    ("adapters/sheets", &[]),
    ("adapters/store", &["genie-core"]),
    ("adapters/store/disk", &[]),
    ("adapters/telemetry", &["genie-core"]),
    ("adapters/tools", &["genie-core"]),
    (
        ".",
        &[
            "genie-agents",
            "genie-client",
            "genie-core",
            "genie-edge",
            "genie-policies",
            "genie-profile",
            "genie-redis",
            "genie-sheets",
            "genie-store",
            "genie-telemetry",
            "genie-tools",
        ],
    ),
];

#[test]
fn a_crate_sees_only_the_layers_below_it() {
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let mut broken = Vec::new();
    for member in members.iter().map(|member| member.as_str().unwrap()) {
        let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == member) else {
            broken.push(format!("`{member}` has no layer"));
            continue;
        };
        let manifest: toml::Table = read(&format!("{member}/Cargo.toml")).parse().unwrap();
        let seen = manifest["dependencies"].as_table().unwrap().keys();
        let ours = seen.filter(|name| name.starts_with("genie"));
        let above = ours.filter(|name| !below.contains(&name.as_str()));
        broken.extend(above.map(|name| format!("`{member}` sees `{name}`")));
    }
    assert_none(&broken, "import downwards only, or give the crate a layer");
}

#[test]
fn the_lower_crates_do_not_reach_outside() {
    let mut broken = Vec::new();
    for path in ["core/src", "agents", "policies"].iter().flat_map(|folder| files(folder, "rs")) {
        if is_test(&path) {
            continue;
        }
        let text = read(&path);
        for way in OUTSIDE {
            let excepted = OUTSIDE_EXCEPT.contains(&(path.as_str(), way));
            if above_tests(&text).contains(way) && !excepted {
                broken.push(format!("{path}: {way}"));
            }
        }
    }
    assert_none(&broken, "take it through a port of the kernel");
}

/// What goes across tenants; in the edge, the entrance alone has some of it.
const ACROSS: [&str; 8] = [
    "of_operator",
    "::System",
    "dyn Runs",
    "dyn Approvals",
    "dyn Journal",
    "dyn Budgets",
    "dyn KeyRing",
    "dyn Accounts",
];

#[test]
fn the_handlers_of_the_edge_hold_nothing_that_goes_across_tenants() {
    let mut broken = Vec::new();
    for path in files("adapters/edge/src", "rs") {
        let is_entrance = path.contains("src/entrance");
        if is_test(&path) || is_entrance || path.ends_with("/desk.rs") {
            continue;
        }
        let text = read(&path);
        let found = ACROSS.into_iter().filter(|way| above_tests(&text).contains(way));
        broken.extend(found.map(|way| format!("{path}: {way}")));
    }
    assert_none(&broken, "ask the kernel with the tenant of the caller");
}

/// The names of the public fields of a struct.
fn fields(path: &str, of: &str) -> Vec<String> {
    let text = read(path);
    let start = text.find(&format!("pub struct {of} {{")).unwrap();
    let body = &text[start..start + text[start..].find("\n}").unwrap()];
    let names = body.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_setting_is_in_the_reference_with_its_meaning() {
    let text = read("config/genie.toml");
    let reference: toml::Table = text.parse().unwrap();
    let limits = reference["limits"].as_table().unwrap();
    let mut broken = Vec::new();
    for setting in fields("src/config.rs", "Config") {
        if !reference.contains_key(&setting) {
            broken.push(format!("`{setting}` is not there"));
        }
    }
    for limit in fields("core/src/limits.rs", "Limits") {
        if !limits.contains_key(&limit) {
            broken.push(format!("`limits.{limit}` is not there"));
        }
    }
    let mut before = "";
    for line in text.lines() {
        let is_setting = line.contains(" = ") && !line.starts_with('#');
        if is_setting && !before.starts_with("# ") {
            broken.push(format!("`{line}` has no comment above it"));
        }
        before = line;
    }
    assert_none(&broken, "write it into config/genie.toml with default, unit and meaning");
}

#[test]
fn every_route_is_in_the_document_of_the_http_interface() {
    let (router, document) = (read("adapters/edge/src/router.rs"), read("docs/http.md"));
    let rows = router.lines().filter_map(|line| line.trim().strip_prefix("route(Method::"));
    let routes = rows.filter_map(|row| {
        let (method, rest) = row.split_once(", \"")?;
        Some(format!("`{method} {}`", rest.split_once('"')?.0))
    });
    let routes: Vec<String> = routes.collect();
    assert!(routes.len() > 10, "{routes:?}");
    let missing: Vec<String> =
        routes.into_iter().filter(|route| !document.contains(route)).collect();
    assert_none(&missing, "say in docs/http.md what these do");
}
