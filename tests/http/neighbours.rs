//! Two servers over one PostgreSQL: each writes a chain of its own, and either shows the log.
//!
//! Needs `GENIE_TEST_POSTGRES_URL`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::audit::pages;
use super::serving::{Events, Place, Request, Serving, call, payment, question};
use crate::postgres::Desk;

fn add(server: &Serving, key: &str) {
    let sum = call("calculator", &json!({ "expression": "1 + 1" }));
    assert_eq!(server.post("/v1/tools/execute", key, sum).status, 200);
}

/// The numbers of the records on each chain, which is one of hashes.
fn chains(records: &[Value]) -> BTreeMap<i64, Vec<u64>> {
    let mut chains: BTreeMap<i64, (Vec<u64>, Value)> = BTreeMap::new();
    for record in records {
        let chain = chains.entry(record["chain"].as_i64().unwrap());
        let (numbers, head) = chain.or_insert_with(|| (Vec::new(), json!("0".repeat(64))));
        assert_eq!(record["prev_hash"], *head, "{record}");
        head.clone_from(&record["hash"]);
        numbers.push(record["seq"].as_u64().unwrap());
    }
    chains.into_iter().map(|(chain, (numbers, _))| (chain, numbers)).collect()
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test starts one"]
fn either_server_shows_the_records_of_both_page_by_page() {
    let (desk, place) = (Desk::new(), Place::new());
    let database = ["--database", desk.url()];
    let first = Serving::start(&place.data(), &database);
    let second = Serving::start(&place.data(), &database);
    let key = first.key();
    for server in [&first, &second, &second, &first] {
        add(server, key);
    }
    assert_eq!(second.post("/v1/ask", key, question()).status, 200);

    let all = pages(&first, key, 500);
    for (server, limit) in [(&first, 7), (&second, 7), (&second, 1), (&second, 500)] {
        assert_eq!(pages(server, key, limit), all, "{limit} at a time");
    }
    let written = chains(&all);
    assert_eq!(written.len(), 2, "{written:?}");
    for numbers in written.values() {
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
    }
    // A user of neither sees none of it, and another tenant nothing at all.
    let asha = first.make_key(key, "asha", &["user"]);
    assert_eq!(second.get("/v1/audit", &asha).code(), "forbidden");
    let made = desk.admin(&place.data(), "globex");
    assert_eq!(pages(&second, &made, 500), Vec::<Value>::new());

    // Whoever has read to an end reads on behind it, also once its writer was killed.
    add(&second, key);
    let last = written.iter().map(|(chain, numbers)| format!("{chain}-{}", numbers.len()));
    let last: Vec<String> = last.collect();
    second.kill();
    let behind = first.get(&format!("/v1/audit?limit=500&after={}", last[1]), key).json();
    let behind = behind["data"].as_array().unwrap();
    let place_of = |record: &Value| format!("{}-{}", record["chain"], record["seq"]);
    assert!(!behind.is_empty() && behind.iter().all(|record| record["chain"] == 2));
    assert_eq!(pages(&first, key, 500).len(), all.len() + behind.len());
    let rest = first.get(&format!("/v1/audit?limit=500&after={}", last[0]), key).json();
    assert_eq!(place_of(&rest["data"][0]), "2-1", "nothing new on the first");
    for wrong in ["x", "1-", "-1", "1-2-3", ""] {
        let refused = first.get(&format!("/v1/audit?after={wrong}"), key);
        assert_eq!(refused.code(), "invalid", "{wrong}");
    }
    assert_eq!(first.get("/v1/audit?after=99-1", key).json()["data"], json!([]));
    // Events are of one process, and a place among those of another is none here.
    let headers = [("last-event-id", "2-1")];
    let line = "GET /v1/events";
    let refused = first.ask(&Request { line, key, headers: &headers, ..Request::default() });
    assert_eq!((refused.status, &*refused.code()), (410, "gone"));
    drop(first);
    desk.remove();
}

/// The names of what is on record of a stream, to its end.
fn to_the_end(events: Events) -> Vec<String> {
    events.filter(|event| event.id.is_some()).map(|event| event.name).collect()
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test starts one"]
fn who_follows_a_run_sees_its_end_whichever_server_goes_on_with_it() {
    let (desk, place) = (Desk::new(), Place::new());
    let database = ["--database", desk.url()];
    let first = Serving::start(&place.data(), &database);
    let second = Serving::start(&place.data(), &database);
    let key = first.key();
    let asha = first.make_key(key, "asha", &["user"]);
    let boss = first.make_key(key, "boss", &["approver"]);
    let asked = first.post("/v1/tools/execute", &asha, payment()).json();
    let run = asked["run_id"].as_str().unwrap();
    let line = format!("GET /v1/runs/{run}/events");
    let follow = |server: &Serving| {
        let mut events = server.events(&Request { line: &line, key: &asha, ..Request::default() });
        assert!(events.any(|event| event.name == "run.waiting"));
        events
    };
    let streams = [follow(&first), follow(&first), follow(&second)];
    let found = second.get("/v1/approvals?status=pending", &boss).json();
    let approval = found["data"][0]["id"].as_str().unwrap();
    let line = format!("/v1/approvals/{approval}/decision");
    let decided = second.post(&line, &boss, json!({ "decision": "approve" }));
    assert_eq!((decided.status, &decided.json()["status"]), (200, &json!("approved")));
    let seen = streams.map(to_the_end);
    assert_eq!(seen[0].first().map(String::as_str), Some("run.resumed"), "{seen:?}");
    assert_eq!(seen[0].last().map(String::as_str), Some("run.completed"), "{seen:?}");
    assert!(seen.iter().all(|names| *names == seen[0]), "{seen:?}");
    drop((first, second));
    desk.remove();
}
