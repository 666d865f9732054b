//! What an operator sees: log lines and figures.

use serde_json::{Value, json};

use super::serving::{Place, Request, call, question};
use crate::program::genie_in;

#[test]
fn a_line_of_the_log_leads_to_the_request_the_run_and_the_trace() {
    let place = Place::new();
    let server = place.start_with("log_format = \"json\"\nlog = \"info\"\n");
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traceparent = format!("00-{trace}-b7ad6b7169203331-01");
    let headers = [("x-request-id", "mine-1"), ("traceparent", &traceparent)];
    let line = "POST /v1/ask";
    let asked = Request { line, key: server.key(), headers: &headers, body: question() };
    let run = server.ask(&asked).json()["run_id"].as_str().unwrap().to_owned();
    server.signal("-TERM");
    let key = server.key().to_owned();
    let (in_order, log) = server.ended();
    assert!(in_order, "{log}");
    assert!(!log.contains(&key) && !log.contains("Swiggy"), "{log}");

    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered: Vec<&Value> = lines.iter().filter(|line| line["message"] == "answered").collect();
    let [answered] = answered[..] else { panic!("{log}") };
    let of = |key: &str| &answered[key];
    assert_eq!((of("method"), of("route")), (&json!("POST"), &json!("/v1/ask")));
    assert_eq!((of("status"), of("run_id")), (&json!(200), &json!(run)));
    assert_eq!(answered["span"]["request_id"], "mine-1");
    assert_eq!(answered["span"]["trace_id"], trace);
    assert!(answered["timestamp"].as_str().unwrap().ends_with('Z'), "{answered}");

    // From the run, the journal leads back to the request.
    let shown = genie_in(&place.data(), &["runs", "events", &run]);
    let started = shown.stdout.lines().find(|line| line.contains("run_started"));
    assert!(started.unwrap().contains(r#""request_id":"mine-1""#), "{}", shown.stdout);
}

#[test]
fn the_figures_count_runs_verdicts_and_waits_for_the_disk() {
    let place = Place::new();
    let server = place.start();
    assert_eq!(server.post("/v1/ask", server.key(), question()).status, 200);
    let sum = call("calculator", &json!({ "expression": "1 + 1" }));
    assert_eq!(server.post("/v1/tools/execute", server.key(), sum).status, 200);
    let figures = server.get("/metrics", server.key()).body;
    let figure = |name: &str| {
        let line = figures.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in\n{figures}")).parse::<f64>().unwrap()
    };
    assert!((figure("genie_runs_started_total") - 2.0).abs() < f64::EPSILON);
    assert!((figure(r#"genie_runs_ended_total{outcome="completed"}"#) - 2.0).abs() < f64::EPSILON);
    assert!(figure(r#"genie_verdicts_total{decision="allow"}"#) > 20.0);
    assert!(figure(r#"genie_verdicts_total{decision="deny"}"#) < 1.0);
    assert!(figure(r#"genie_policy_hits_total{policy="message-size"}"#) < 1.0);
    assert!(figure(r#"genie_agent_queued{agent="supervisor"}"#) < 1.0);
    assert!((figure(r#"genie_journal_wait_seconds_bucket{le="+Inf"}"#) - 2.0).abs() < f64::EPSILON);
    assert!((figure("genie_journal_wait_seconds_count") - 2.0).abs() < f64::EPSILON);
    assert!(figure("genie_journal_wait_seconds_sum") > 0.0);
}
