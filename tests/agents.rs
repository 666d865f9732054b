//! `genie agents`: the topology as table, graph and JSON.

use crate::program::genie;

#[test]
fn the_table_has_a_row_for_every_agent() {
    let table = genie(&["agents"]);
    assert_eq!((table.code, table.stderr.as_str()), (0, ""));
    let header: Vec<&str> = table.stdout.lines().next().unwrap().split_whitespace().collect();
    let columns = ["AGENT", "ACCEPTS", "EMITS", "COLLECTS", "RISK", "FALLBACK", "CLEARANCE"];
    assert_eq!(header, columns);
    let ids: Vec<&str> = table
        .stdout
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let registered: Vec<&str> = genie_agents::ALL.iter().map(|agent| agent.spec().id).collect();
    assert_eq!(ids, registered);
}

#[test]
fn the_json_has_specs_edges_and_the_schema_of_every_kind() {
    let topology = genie(&["agents", "--json"]).json();
    assert_eq!(topology["agents"].as_array().unwrap().len(), genie_agents::ALL.len());
    let edges = topology["edges"].as_array().unwrap();
    let entry = edges.iter().find(|edge| edge["from"] == "user").unwrap();
    assert_eq!(entry["to"], "supervisor");
    let kinds = topology["kinds"].as_object().unwrap();
    for kind in edges.iter().flat_map(|edge| edge["kinds"].as_array().unwrap()) {
        assert!(kinds[kind.as_str().unwrap()].is_object(), "{kind} has no schema");
    }
}

#[test]
fn both_graphs_name_every_agent_and_dash_the_fallbacks() {
    let dot = genie(&["agents", "--dot"]).stdout;
    let mermaid = genie(&["agents", "--mermaid"]).stdout;
    assert!(dot.starts_with("digraph genie {\n") && dot.ends_with("}\n"), "{dot}");
    assert!(mermaid.starts_with("flowchart LR\n"), "{mermaid}");
    for spec in genie_agents::ALL.iter().map(|agent| agent.spec()) {
        assert!(dot.contains(&format!("  \"{}\";\n", spec.id)), "{}", spec.id);
        assert!(mermaid.contains(&format!("  agent_{0}[\"{0}\"]\n", spec.id)), "{}", spec.id);
        if let Some(fallback) = spec.fallback {
            let dashed = format!("  agent_{} -.->|\"fallback\"| agent_{fallback}\n", spec.id);
            assert!(mermaid.contains(&dashed), "{dashed}");
        }
    }
}

#[test]
fn one_form_at_a_time() {
    assert_eq!(genie(&["agents", "--dot", "--json"]).code, 2);
}
