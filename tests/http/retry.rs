//! `Idempotency-Key`: what is sent again is done once.

use serde_json::{Value, json};

use super::serving::{Place, Reply, Request, Serving, call, payment, question};

fn send(server: &Serving, key: &str, path: &str, (retry, body): (&str, Value)) -> Reply {
    let headers = [("idempotency-key", retry)];
    server.ask(&Request { line: &format!("POST {path}"), key, headers: &headers, body })
}

#[test]
fn a_retry_gets_the_run_that_there_is() {
    let place = Place::new();
    let server = place.start();
    let key = server.key().to_owned();
    let first = send(&server, &key, "/v1/ask", ("k1", question()));
    let again = send(&server, &key, "/v1/ask", ("k1", question()));
    assert_eq!((first.status, again.status), (200, 200), "{}", again.body);
    assert_eq!(first.json(), again.json());
    // As a stream, too; under another key, or by another subject, it is another run.
    let stream = Request {
        line: "POST /v1/ask",
        key: &key,
        headers: &[("idempotency-key", "k1"), ("accept", "text/event-stream")],
        body: question(),
    };
    let events: Vec<_> = server.events(&stream).collect();
    assert_eq!(events[0].data["run_id"], first.json()["run_id"]);
    assert_eq!(events.last().unwrap().name, "run.completed");
    let other = send(&server, &key, "/v1/ask", ("k2", question())).json();
    assert_ne!(other["run_id"], first.json()["run_id"]);
    let asha = server.make_key(&key, "asha", &["user"]);
    let other = send(&server, &asha, "/v1/ask", ("k1", question()));
    assert_eq!(other.status, 200, "{}", other.body);
    assert_ne!(other.json()["run_id"], first.json()["run_id"]);

    let mut changed = question();
    changed["question"] = json!("Summary");
    assert_eq!(send(&server, &key, "/v1/ask", ("k1", changed)).code(), "invalid");
    assert_eq!(send(&server, &key, "/v1/ask", ("k 1", question())).code(), "invalid");
}

#[test]
fn a_payment_that_is_sent_again_and_again_is_made_once() {
    let place = Place::new();
    let server = place.start();
    let key = server.key().to_owned();
    let boss = server.make_key(&key, "boss", &["approver"]);
    let pay = |server: &Serving| send(server, &key, "/v1/tools/execute", ("pay-1", payment()));
    let waiting = pay(&server).json();
    server.kill();
    let server = place.start();
    assert_eq!(pay(&server).json(), waiting);
    let path = format!("/v1/approvals/{}/decision", waiting["approval_id"].as_str().unwrap());
    assert_eq!(server.post(&path, &boss, json!({ "decision": "approve" })).status, 200);
    server.until(&key, waiting["run_id"].as_str().unwrap(), "completed");
    let replies: Vec<Value> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..8).map(|_| scope.spawn(|| pay(&server).json())).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    for reply in &replies {
        assert_eq!(reply["run_id"], waiting["run_id"], "{reply:#}");
        assert!(reply["output"]["reference"].is_string(), "{reply:#}");
    }
    assert_eq!(place.booked(), 1);
}

#[test]
fn what_failed_may_be_tried_again_and_twins_begin_one_run() {
    let place = Place::new();
    let server = place.start();
    let key = server.key().to_owned();
    let broken = || call("calculator", &json!({ "expression": "1/0" }));
    let first = send(&server, &key, "/v1/tools/execute", ("k", broken()));
    let again = send(&server, &key, "/v1/tools/execute", ("k", broken()));
    assert_eq!((first.code(), again.code()), ("tool".to_owned(), "tool".to_owned()));
    assert_ne!(first.json()["run_id"], again.json()["run_id"]);

    let twin = || send(&server, &key, "/v1/ask", ("twins", question()));
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..8).map(|_| scope.spawn(twin)).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let mut runs: Vec<String> = Vec::new();
    for reply in replies {
        match reply.status {
            200 => runs.push(reply.json()["run_id"].to_string()),
            _ => assert_eq!((reply.status, &*reply.code()), (409, "in_progress")),
        }
    }
    runs.dedup();
    assert_eq!(runs.len(), 1, "{runs:?}");
}
