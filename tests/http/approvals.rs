//! What waits for a human: who sees it, who decides, once, and what becomes of the run.

use serde_json::{Value, json};

use super::serving::{Place, Request, Serving, payment};
use crate::program::genie_in;

/// Asks for a payment; gives the run and the approval.
fn asked(server: &Serving, key: &str) -> (String, String) {
    let reply = server.post("/v1/tools/execute", key, payment());
    assert_eq!(reply.status, 202, "{}", reply.body);
    let waiting = reply.json();
    assert_eq!(waiting["outcome"], "waiting");
    let text = |field: &str| waiting[field].as_str().unwrap().to_owned();
    assert_eq!(reply.header("location"), format!("/v1/runs/{}", text("run_id")));
    (text("run_id"), text("approval_id"))
}

#[test]
fn what_one_asks_for_another_approves_once() {
    let place = Place::new();
    let server = place.start();
    // Both roles: what keeps asha from deciding is that she asked.
    let asha = server.make_key(server.key(), "asha", &["user", "approver"]);
    let boss = server.make_key(server.key(), "boss", &["approver"]);
    let user = server.make_key(server.key(), "ravi", &["user"]);
    let (run, approval) = asked(&server, &asha);
    let path = format!("/v1/approvals/{approval}");
    let listed = server.get("/v1/approvals?status=pending", &boss).json();
    assert_eq!(listed["data"][0]["id"], json!(approval));
    let shown = server.get(&path, &boss).json();
    assert_eq!(shown["arguments"]["arguments"]["payee"], "Asha Traders");
    assert_eq!(
        (&shown["requester"], &shown["to"]),
        (&json!("asha"), &json!("tool:payment.transfer"))
    );
    assert_eq!(server.get(&path, &user).code(), "not_found");
    assert_eq!(server.get("/v1/approvals", &user).json()["data"], json!([]));

    let decide = |key: &str, body: Value| server.post(&format!("{path}/decision"), key, body);
    let approve = || json!({ "decision": "approve", "reason": "invoice 2041 is right" });
    let own = decide(&asha, approve());
    assert_eq!((own.status, &*own.code()), (403, "requester"));
    assert_eq!(decide(&user, approve()).code(), "forbidden");
    assert_eq!(decide(server.key(), approve()).code(), "forbidden");
    let stale = json!({ "decision": "approve", "digest": "0".repeat(64) });
    assert_eq!(decide(&boss, stale).code(), "digest");
    assert_eq!(decide(&boss, json!({ "decision": "perhaps" })).code(), "invalid");
    assert_eq!(decide(&boss, json!({})).code(), "invalid");
    assert_eq!(decide(&boss, json!({ "resolution": "happened" })).code(), "invalid");
    assert_eq!(place.booked(), 0);

    let decided = decide(&boss, json!({ "decision": "approve", "digest": shown["digest"] }));
    assert_eq!((decided.status, &decided.json()["status"]), (200, &json!("approved")));
    let again = decide(&boss, json!({ "decision": "reject" }));
    assert_eq!((again.status, &*again.code()), (409, "decided"));
    let ended = server.until(&asha, &run, "completed");
    assert!(ended["answer"]["output"]["reference"].is_string(), "{ended:#}");
    assert_eq!(ended["approvals"][0]["decisions"][0]["by"], "boss");
    assert_eq!(place.booked(), 1);
}

#[test]
fn a_rejection_ends_the_run_and_nothing_is_paid() {
    let place = Place::new();
    let server = place.start();
    let boss = server.make_key(server.key(), "boss", &["approver"]);
    let (run, approval) = asked(&server, server.key());
    let said = json!({ "decision": "reject", "reason": "never heard of them" });
    let reply = server.post(&format!("/v1/approvals/{approval}/decision"), &boss, said);
    assert_eq!(reply.json()["status"], "rejected");
    let ended = server.until(server.key(), &run, "failed");
    assert_eq!(
        (&ended["problem"]["code"], &ended["problem"]["status"]),
        (&json!("rejected"), &json!(403))
    );
    assert_eq!(place.booked(), 0);
}

#[test]
fn a_cancelled_run_tells_whoever_watches_and_cannot_be_cancelled_again() {
    let place = Place::new();
    let server = place.start();
    let (run, approval) = asked(&server, server.key());
    let line = format!("GET /v1/runs/{run}/events");
    let mut events =
        server.events(&Request { line: &line, key: server.key(), ..Request::default() });
    assert!(events.any(|event| event.name == "run.waiting"));
    let cancel = format!("/v1/runs/{run}/cancel");
    assert_eq!(server.post(&cancel, server.key(), Value::Null).status, 202);
    assert_eq!(events.last().unwrap().name, "run.cancelled");
    server.until(server.key(), &run, "cancelled");
    let again = server.post(&cancel, server.key(), Value::Null);
    assert_eq!((again.status, &*again.code()), (409, "run_ended"));
    let boss = server.make_key(server.key(), "boss", &["approver"]);
    let path = format!("/v1/approvals/{approval}/decision");
    let late = server.post(&path, &boss, json!({ "decision": "approve" }));
    assert_eq!(late.code(), "decided");
    assert_eq!(place.booked(), 0);
}

/// Rules under which every call waits, but not for long.
const HASTE: &str = "[[rule]]\nid = \"haste\"\ndescription = \"Everything waits a second.\"\n\
                     kinds = [\"tool.call\"]\nwhen = \"true\"\n\
                     decision = \"require_approval\"\nexpires = \"1s\"\nreason = \"as a test\"\n";

#[test]
fn an_approval_that_nobody_decides_in_time_is_gone() {
    let place = Place::new();
    let rules = place.data().with_file_name("rules");
    std::fs::create_dir(&rules).unwrap();
    std::fs::write(rules.join("haste.toml"), HASTE).unwrap();
    let server = place.start_with("policies = \"rules\"\n[limits]\npark_after = \"1ms\"\n");
    let boss = server.make_key(server.key(), "boss", &["approver"]);
    let (run, approval) = asked(&server, server.key());
    let ended = server.until(server.key(), &run, "failed");
    let problem = &ended["problem"];
    assert_eq!((&problem["code"], &problem["status"]), (&json!("approval_expired"), &json!(410)));
    let path = format!("/v1/approvals/{approval}");
    assert_eq!(server.get(&path, &boss).json()["status"], "expired");
    let decision = format!("{path}/decision");
    let late = server.post(&decision, &boss, json!({ "decision": "approve" }));
    assert_eq!((late.status, &*late.code()), (410, "expired"));
    assert_eq!(place.booked(), 0);
}

#[test]
fn what_became_of_an_effect_that_nobody_knows_of_is_said_by_a_human() {
    for (resolution, status, booked) in
        [("happened", "completed", 1), ("did_not_happen", "failed", 1), ("retry", "completed", 2)]
    {
        let place = Place::new();
        let crashed = genie_in(&place.data(), &["run", "--demo", "crash", "--quiet"]);
        assert_eq!(crashed.code, 3, "{}", crashed.stderr);
        let server = place.start();
        let boss = server.make_key(server.key(), "boss", &["approver"]);
        let listed = server.get("/v1/approvals?status=pending", &boss).json();
        let [approval] = &listed["data"].as_array().unwrap()[..] else { panic!("{listed:#}") };
        assert_eq!(approval["subject"], "unknown_effect");
        let path = format!("/v1/approvals/{}/decision", approval["id"].as_str().unwrap());
        let decide = |body: Value| server.post(&path, &boss, body);
        assert_eq!(decide(json!({ "decision": "approve" })).code(), "invalid");
        assert_eq!(decide(json!({ "resolution": "perhaps" })).code(), "invalid");
        let mut said = json!({ "resolution": resolution, "reason": "seen at the bank" });
        if resolution == "happened" {
            said["result"] = json!({ "reference": "7" });
        }
        let decided = decide(said);
        assert_eq!(decided.status, 200, "{}", decided.body);
        let told = decided.json();
        assert_eq!(
            (&told["status"], &told["resolution"]),
            (&json!("resolved"), &json!(resolution))
        );
        let run = approval["run_id"].as_str().unwrap();
        server.until(server.key(), run, status);
        assert_eq!(place.booked(), booked, "{resolution}");
    }
}
