//! What waits for a human: who sees it, who decides, once, and what becomes of the run.

use serde_json::{Value, json};

use super::serving::{Place, Request, Serving, payment};

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
