//! Budgets over a real server: reserved before, settled after, never exceeded, also after a kill.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::serving::{Place, Reply, Serving, call, payment};
use crate::program::genie_in;

const SETTINGS: &str = "[prices]\nrun_minor = 100\ntools = [\"calculator=50\"]\n";

/// Makes a key that may spend so much.
fn key(server: &Serving, maker: &str, amount: &str) -> String {
    let budget = json!({ "amount": amount, "currency": "INR" });
    let scopes = json!(["payment:request"]);
    let wanted = json!({ "name": "spender", "scopes": scopes, "budget": budget });
    let made = server.post("/v1/auth/tokens", maker, wanted);
    assert_eq!(made.status, 201, "{}", made.body);
    made.json()["key"].as_str().unwrap().to_owned()
}

/// Limit, spent, reserved and left.
fn stands(server: &Serving, key: &str) -> [String; 4] {
    let me = server.get("/v1/auth/me", key).json();
    ["limit", "spent", "reserved", "left"]
        .map(|part| me["budget"][part]["amount"].as_str().unwrap().to_owned())
}

fn sum(server: &Serving, key: &str) -> Reply {
    let arguments: Value = json!({ "expression": "6 * 7" });
    server.post("/v1/tools/execute", key, call("calculator", &arguments))
}

/// What the run of a reply has cost, in the installation's currency.
fn cost(server: &Serving, reply: &Reply) -> Value {
    let shown = server.get(&format!("/v1/runs/{}", reply.header("genie-run-id")), server.key());
    let cost = shown.json()["cost"].clone();
    assert!(cost.is_null() || cost["currency"] == "INR", "{cost}");
    cost["amount"].clone()
}

#[test]
fn a_budget_is_spent_to_its_end_and_no_further() {
    let place = Place::new();
    let server = place.start_with(SETTINGS);
    let spender = key(&server, server.key(), "5.00");
    let below = key(&server, &spender, "100.00");
    for spent in ["1.50", "3.00", "4.50"] {
        let done = sum(&server, &spender);
        assert_eq!((done.status, cost(&server, &done)), (200, json!("1.50")));
        assert_eq!(stands(&server, &spender)[1], spent);
    }
    let refused = sum(&server, &spender);
    assert_eq!((refused.status, &*refused.code()), (402, "budget_exhausted"));
    assert_eq!(stands(&server, &spender), ["5.00", "4.50", "0.00", "0.50"]);
    // The keys that it has made spend it, too.
    assert_eq!(sum(&server, &below).code(), "budget_exhausted");
    let unbounded = sum(&server, server.key());
    assert_eq!(unbounded.status, 200, "who has no budget has no bound");
    assert_eq!(cost(&server, &unbounded), Value::Null, "and nothing is charged");

    // A call that does not fit is not made, and only the run is paid.
    let small = key(&server, server.key(), "1.20");
    let refused = sum(&server, &small);
    assert_eq!((refused.status, &*refused.code()), (402, "budget_exhausted"));
    let told = refused.json();
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("`calculator` costs 50") && detail.contains("20 left"), "{detail}");
    assert_eq!(told["outcome"], "failed");
    assert_eq!(cost(&server, &refused), "1.00");
    let run = told["run_id"].as_str().unwrap();
    let shown = server.get(&format!("/v1/runs/{run}"), &small).json();
    assert_eq!(shown["problem"]["code"], "budget_exhausted", "{shown:#}");
    // What is on record of it is how it went.
    let replayed = genie_in(&place.data(), &["replay", run]);
    assert_eq!(replayed.code, 0, "{} {}", replayed.stdout, replayed.stderr);
    let story = genie_in(&place.data(), &["runs", "show", run]).stdout;
    assert!(story.contains("calculator: not called: it costs 50"), "{story}");
    assert_eq!(stands(&server, &small), ["1.20", "1.00", "0.00", "0.20"]);

    for (amount, currency) in [("1.005", "INR"), ("-1", "INR"), ("1.00", "USD")] {
        let budget = json!({ "amount": amount, "currency": currency });
        let wanted = json!({ "name": "wrong", "budget": budget });
        let wrong = server.post("/v1/auth/tokens", server.key(), wanted);
        assert_eq!((wrong.status, &*wrong.code()), (422, "invalid"), "{amount} {currency}");
    }
}

#[test]
fn many_at_once_do_not_spend_more_than_there_is() {
    let place = Place::new();
    let server = place.start_with(SETTINGS);
    let spender = key(&server, server.key(), "7.50");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asked: Vec<_> =
            (0..20).map(|_| scope.spawn(|| sum(&server, &spender).status)).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let answered = statuses.iter().filter(|status| **status == 200).count();
    assert!((1..=5).contains(&answered), "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 402].contains(status)), "{statuses:?}");
    let [limit, spent, reserved, _] = stands(&server, &spender);
    let spent: f64 = spent.parse().unwrap();
    assert_eq!((&*limit, &*reserved), ("7.50", "0.00"));
    assert!((1.5..=7.5).contains(&spent), "{spent}");
}

#[test]
fn what_is_reserved_outlives_a_kill_and_is_settled_when_its_run_ends() {
    let place = Place::new();
    let server = place.start_with(SETTINGS);
    let (admin, spender) = (server.key().to_owned(), key(&server, server.key(), "5.00"));
    let parked = server.post("/v1/tools/execute", &spender, payment());
    assert_eq!(parked.status, 202, "{}", parked.body);
    assert_eq!(stands(&server, &spender), ["5.00", "0.00", "1.00", "4.00"]);
    server.kill();
    let server = place.start_with(SETTINGS);
    assert_eq!(stands(&server, &spender), ["5.00", "0.00", "1.00", "4.00"]);
    let approver = server.make_key(&admin, "meera", &["approver"]);
    let parked = parked.json();
    let path = format!("/v1/approvals/{}/decision", parked["approval_id"].as_str().unwrap());
    let decided = json!({ "decision": "reject", "reason": "no" });
    assert_eq!(server.post(&path, &approver, decided).status, 200);
    server.until(&spender, parked["run_id"].as_str().unwrap(), "failed");
    // The end is on record before what it cost is settled.
    let patience = Instant::now() + Duration::from_secs(30);
    while stands(&server, &spender) != ["5.00", "1.00", "0.00", "4.00"] {
        assert!(Instant::now() < patience, "{:?}", stands(&server, &spender));
        std::thread::sleep(Duration::from_millis(20));
    }
}
