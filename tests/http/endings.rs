//! How a server ends: killed, or in order; either way nothing on record is lost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::serving::{Place, Request, payment, question};
use crate::program::genie_in;

#[test]
fn a_run_that_is_killed_in_the_middle_ends_after_the_restart() {
    let place = Place::new();
    let server = place.start();
    let key = server.key().to_owned();
    let statement = genie_in(&place.data(), &["data", "statement", "--months", "120"]);
    assert_eq!(statement.code, 0, "{}", statement.stderr);
    let mut body = question();
    body["statement"] = json!(statement.stdout);
    let line = "POST /v1/ask/stream";
    let mut events = server.events(&Request { line, key: &key, headers: &[], body });
    let seen = events.by_ref().find(|event| event.name == "step.completed").unwrap();
    let run = seen.data["run_id"].as_str().unwrap().to_owned();
    server.kill();

    let server = place.start();
    let ended = server.until(&key, &run, "completed");
    assert!(ended["answer"]["answer"].is_string(), "{ended:#}");
    // Whoever was cut off goes on where they were.
    let (line, id) = (format!("GET /v1/runs/{run}/events"), seen.id.unwrap().to_string());
    let headers = [("last-event-id", id.as_str())];
    let request = Request { line: &line, key: &key, headers: &headers, body: Value::Null };
    let rest: Vec<_> = server.events(&request).collect();
    assert!(rest.iter().all(|event| event.id > seen.id), "{rest:?}");
    assert!(rest.iter().any(|event| event.name == "run.resumed"), "{rest:?}");
    assert_eq!(rest.last().unwrap().name, "run.completed");
    server.signal("-TERM");
    let (in_order, log) = server.ended();
    assert!(in_order, "{log}");
    assert_eq!(genie_in(&place.data(), &["audit", "verify"]).code, 0);
}

#[test]
fn what_waits_survives_kill_and_is_paid_once_after_approval() {
    let place = Place::new();
    let server = place.start();
    let key = server.key().to_owned();
    let boss = server.make_key(&key, "boss", &["approver"]);
    let waiting = server.post("/v1/tools/execute", &key, payment()).json();
    let text = |field: &str| waiting[field].as_str().unwrap().to_owned();
    server.kill();
    let server = place.start();
    let decision = format!("/v1/approvals/{}/decision", text("approval_id"));
    let decided = server.post(&decision, &boss, json!({ "decision": "approve" }));
    assert_eq!(decided.status, 200, "{}", decided.body);
    server.until(&key, &text("run_id"), "completed");
    assert_eq!(place.booked(), 1);
}

#[test]
fn a_server_that_is_told_to_end_tells_its_streams_and_keeps_what_waits() {
    let place = Place::new();
    let server = place.start();
    let key = server.key().to_owned();
    let run = server.post("/v1/tools/execute", &key, payment()).json()["run_id"].clone();
    let run = run.as_str().unwrap();
    let line = format!("GET /v1/runs/{run}/events");
    let mut events = server.events(&Request { line: &line, key: &key, ..Request::default() });
    assert!(events.any(|event| event.name == "run.waiting"));
    server.signal("-TERM");
    let last = events.last().unwrap();
    assert_eq!((last.name.as_str(), last.id), ("stream.closing", None));
    let (in_order, log) = server.ended();
    assert!(in_order, "{log}");
    // Keys are in no log, however much is logged.
    assert!(log.contains("/v1/tools/execute") && !log.contains("gk_"), "{log}");
    assert!(!log.contains(&key[3..]), "{log}");
    let server = place.start();
    server.until(&key, run, "waiting");
}

#[test]
fn a_server_that_is_told_to_end_says_so_and_serves_on_for_as_long_as_it_is_set_to() {
    let place = Place::new();
    let server = place.start_with("[http]\ndrain_delay = \"1h\"\n");
    assert_eq!(server.get("/ready", "").status, 200);
    server.signal("-TERM");
    let patience = Instant::now() + Duration::from_secs(30);
    while server.get("/ready", "").status == 200 {
        assert!(Instant::now() < patience, "it does not say so");
    }
    assert_eq!(server.get("/ready", "").json()["checks"]["shutdown"], "draining");
    assert_eq!(server.get("/health", "").status, 200);
    assert_eq!(server.post("/v1/ask", server.key(), question()).status, 200);
    server.kill();
    let server = place.start_with("[http]\ndrain_delay = \"100ms\"\n");
    server.signal("-TERM");
    assert!(server.ended().0);
}

#[test]
fn an_administrator_can_be_made_beside_a_server_and_only_the_first_is_made_by_itself() {
    let place = Place::new();
    let made = genie_in(&place.data(), &["admin", "create", "--subject", "root"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let root = made.stdout.trim().to_owned();
    let server = place.start();
    assert_eq!(server.get("/v1/auth/me", &root).json()["subject"], "root");
    let made = genie_in(&place.data(), &["admin", "create", "--tenant", "acme", "--json"]).json();
    let other = made["key"].as_str().unwrap();
    assert_eq!(server.get("/v1/auth/me", other).json()["tenant"], "acme");
    assert_eq!(server.get("/v1/auth/tokens", other).json()["data"].as_array().unwrap().len(), 1);
    assert_eq!(genie_in(&place.data(), &["admin", "create", "--memory"]).code, 2);
}
