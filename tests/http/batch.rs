//! Several tool calls at once: each behind the gate by itself, none in the way of another.

use serde_json::{Value, json};

use super::audit::pages;
use super::serving::{Place, Request, call, payment};

/// A call of a batch.
fn named(id: &str, mut call: Value) -> Value {
    call["id"] = json!(id);
    call
}

fn sum(id: &str, expression: &str) -> Value {
    named(id, call("calculator", &json!({ "expression": expression })))
}

#[test]
fn a_batch_gives_each_call_its_own_result_in_order() {
    let place = Place::new();
    let server = place.start();
    let bad = json!({ "id": "bad", "type": "function",
                      "function": { "name": "calculator", "arguments": "{" } });
    let calls = json!([
        sum("one", "1 + 1"),
        named("pay", payment()),
        bad,
        named("none", call("no.such.tool", &json!({}))),
        sum("wrong", "1 +"),
        sum("two", "2 * 21"),
    ]);
    let reply = server.post("/v1/tools/batch", server.key(), json!({ "calls": calls }));
    assert_eq!(reply.status, 200, "{}", reply.body);
    let reply = reply.json();
    let results = reply["results"].as_array().unwrap();
    let ids: Vec<&str> = results.iter().map(|one| one["tool_call_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["one", "pay", "bad", "none", "wrong", "two"]);
    // The gate of a single call stands before each of these, too.
    assert_eq!(results[1]["outcome"], "waiting");
    assert!(results[1]["approval_id"].is_string(), "{reply:#}");
    assert_eq!(place.booked(), 0);
    let code = |index: usize| {
        let error = &results[index]["error"];
        (error["code"].as_str().unwrap(), error["status"].as_u64().unwrap())
    };
    assert_eq!(code(2), ("invalid", 422));
    assert_eq!(code(3), ("not_found", 404));
    assert_eq!(code(4).1, 502, "{reply:#}");
    let values = (&results[0]["output"]["result"], &results[5]["output"]["result"]);
    assert_eq!(values, (&json!("2"), &json!("42")), "{reply:#}");
    // Each is a run of its own.
    let run = results[5]["run_id"].as_str().unwrap();
    server.until(server.key(), run, "completed");
    assert_ne!(results[0]["run_id"], results[5]["run_id"]);
}

#[test]
fn each_call_of_a_batch_counts_as_a_request() {
    let place = Place::new();
    let server = place.start();
    let wanted = json!({ "name": "few", "rate_limit_per_day": 4, "rate_limit_per_minute": 100 });
    let made = server.post("/v1/auth/tokens", server.key(), wanted).json();
    let key = made["key"].as_str().unwrap();
    let batch = |calls: Value| server.post("/v1/tools/batch", key, json!({ "calls": calls }));
    let reply = batch(json!([sum("a", "1 + 1")]));
    assert!(reply.header("ratelimit").contains("\"key-day\";r=3;"), "{reply:?}");
    let reply = batch(json!([
        sum("b", "2 + 2"),
        named("none", call("no.such.tool", &json!({}))),
        sum("c", "3 + 3"),
        sum("d", "4 + 4"),
        sum("e", "5 + 5"),
    ]));
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.header("ratelimit").contains("\"key-day\";r=0;"), "{reply:?}");
    let told = reply.json();
    let code = |index: usize| told["results"][index]["error"]["code"].clone();
    assert_eq!(
        (&told["results"][0]["output"]["result"], code(1)),
        (&json!("4"), "not_found".into())
    );
    assert_eq!(told["results"][2]["output"]["result"], "6", "{told:#}");
    for (index, id) in [(3, "d"), (4, "e")] {
        assert_eq!(
            (code(index), &told["results"][index]["tool_call_id"]),
            ("rate_limited".into(), &json!(id))
        );
        let error = &told["results"][index]["error"];
        assert!(error["status"] == 429 && error["retry_after_s"].as_u64() > Some(0), "{error:#}");
    }
    let over = batch(json!([sum("f", "6 + 6")]));
    assert_eq!((over.status, &*over.code()), (429, "rate_limited"));
    let runs = server.get("/v1/runs", server.key()).json();
    assert_eq!(runs["data"].as_array().unwrap().len(), 3, "what is refused begins no run");
}

#[test]
fn a_batch_that_is_sent_again_is_done_once_and_its_size_is_bounded() {
    let place = Place::new();
    let server = place.start();
    let send = |calls: Value| {
        server.ask(&Request {
            line: "POST /v1/tools/batch",
            key: server.key(),
            headers: &[("idempotency-key", "b1")],
            body: json!({ "calls": calls }),
        })
    };
    let calls = json!([sum("a", "1 + 1"), sum("b", "2 + 2")]);
    let first = send(calls.clone()).json();
    assert_eq!(first, send(calls).json());
    let other = send(json!([sum("a", "3 + 3")])).json();
    assert_eq!(other["results"][0]["error"]["code"], "invalid", "{other:#}");

    let mut odd = sum("a", "1");
    odd["type"] = json!("procedure");
    let bad_key = server.ask(&Request {
        line: "POST /v1/tools/batch",
        key: server.key(),
        headers: &[("idempotency-key", "b 1")],
        body: json!({ "calls": [sum("a", "1")] }),
    });
    assert_eq!((bad_key.status, &*bad_key.code()), (422, "invalid"));
    let many: Vec<Value> = (0..33).map(|index| sum(&format!("c{index}"), "1")).collect();
    for calls in
        [json!([]), json!(many), json!([sum("a", "1"), sum("a", "2")]), json!(["a"]), json!([odd])]
    {
        let reply = server.post("/v1/tools/batch", server.key(), json!({ "calls": calls }));
        assert_eq!((reply.status, &*reply.code()), (422, "invalid"), "{calls}");
    }
}

#[test]
fn the_calls_of_a_batch_are_made_beside_each_other() {
    let place = Place::new();
    let server = place.start();
    let calls: Vec<Value> = (0..32).map(|index| sum(&format!("{index}"), "6 * 7")).collect();
    let reply = server.post("/v1/tools/batch", server.key(), json!({ "calls": calls }));
    assert_eq!(reply.status, 200, "{}", reply.body);
    // One behind the other, each would have ended before the next began.
    let (mut open, mut open_max) = (0_i32, 0);
    for record in pages(&server, server.key(), 500) {
        match record["type"].as_str().unwrap_or_default() {
            "run_started" => open += 1,
            "run_end" => open -= 1,
            _ => {}
        }
        open_max = open_max.max(open);
    }
    assert!(open == 0 && open_max > 1, "{open_max} at once");
}
