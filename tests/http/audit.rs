//! The audit log over HTTP: records that anyone can hash again, checkpoints, verification.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::serving::{Place, Request, Serving, call, question};
use crate::program::genie_in;
use crate::rows;

/// How long a test waits before it says that something did not come.
const PATIENCE: Duration = Duration::from_mins(1);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Everything on record, page by page, as texts.
pub(super) fn pages(server: &Serving, key: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), String::from("0"));
    loop {
        let page = server.get(&format!("/v1/audit?limit={limit}&after={after}"), key);
        assert_eq!(page.status, 200, "{}", page.body);
        let page = page.json();
        all.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return all,
        }
    }
}

/// Changes a database that nobody has open.
pub(super) fn change(database: &std::path::Path, statement: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(database);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        rows::apart(&mut connection).await;
        let done = sqlx::query(statement).execute(&mut connection).await.unwrap();
        rows::together(&mut connection).await;
        assert_eq!(done.rows_affected(), 1);
        connection.close().await.unwrap();
    });
}

/// Verifies; waits until the one before has rested.
fn verify(server: &Serving, key: &str, body: &Value) -> Value {
    let patience = Instant::now() + PATIENCE;
    loop {
        let reply = server.post("/v1/audit/verify", key, body.clone());
        if reply.status != 429 {
            return reply.json();
        }
        assert_eq!(reply.code(), "verifying");
        assert!(Instant::now() < patience, "it rests for ever: {reply:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn records_come_with_what_was_hashed_so_that_anyone_can_hash_it_again() {
    let place = Place::new();
    let server = place.start();
    let auditor = server.make_key(server.key(), "vera", &["auditor"]);
    let user = server.make_key(server.key(), "asha", &["user"]);
    assert_eq!(server.post("/v1/ask", server.key(), question()).status, 200);
    let all = pages(&server, &auditor, 7);
    assert_eq!(all, pages(&server, &auditor, 500));
    assert_eq!(all.len() as u64, all.last().unwrap()["seq"].as_u64().unwrap());
    // docs/audit.md: SHA-256("genie/record/v1\n", number, hash before, SHA-256(body)). The texts
    // are taken from the response as they came, since another writing has another hash.
    let raw = server.get("/v1/audit?limit=500", &auditor).body;
    let mut prev = "0".repeat(64);
    for (record, text) in all.iter().zip(raw.split("\"body\":").skip(1)) {
        let text =
            text.split("},{\"chain\":").next().unwrap().split("}],\"next\":").next().unwrap();
        let mut hasher = Sha256::new();
        hasher.update(b"genie/record/v1\n");
        hasher.update(record["seq"].as_u64().unwrap().to_be_bytes());
        hasher.update(bytes(&prev));
        hasher.update(Sha256::digest(text.as_bytes()));
        assert_eq!(record["prev_hash"], json!(prev));
        prev = hex(&hasher.finalize());
        assert_eq!(record["hash"], json!(prev), "{text}");
    }
    assert_eq!(server.get("/v1/audit", &user).code(), "forbidden");
    assert_eq!(server.get("/v1/audit?after=x", &auditor).code(), "invalid");
}

#[test]
fn a_tenant_sees_no_record_of_another() {
    let place = Place::new();
    // A key of another tenant comes from the command line.
    let made = genie_in(&place.data(), &["admin", "create", "--tenant", "globex"]).stdout;
    let globex = made.split_whitespace().find(|word| word.starts_with("gk_")).unwrap().to_owned();
    let server = place.start_with("");
    let admin = genie_in(&place.data(), &["admin", "create"]).stdout;
    let local = admin.split_whitespace().find(|word| word.starts_with("gk_")).unwrap();
    let sum = call("calculator", &json!({ "expression": "1 + 1" }));
    assert_eq!(server.post("/v1/tools/execute", local, sum).status, 200);
    assert!(!pages(&server, local, 500).is_empty());
    assert_eq!(pages(&server, &globex, 500), Vec::<Value>::new());
}

#[test]
fn what_is_signed_verifies_and_what_was_changed_does_not() {
    let place = Place::new();
    let server = place.start();
    let key = server.key().to_owned();
    assert_eq!(server.post("/v1/ask", &key, question()).status, 200);
    let signed = server.get("/v1/audit/checkpoint", &key).json();
    let kept = signed["data"][0]["checkpoint"].as_str().unwrap().to_owned();
    let accept = [("accept", "text/plain")];
    let line = "GET /v1/audit/checkpoint";
    let text = server.ask(&Request { line, key: &key, headers: &accept, ..Request::default() });
    assert_eq!(text.body, kept);
    let report = verify(&server, &key, &json!({ "checkpoint": kept }));
    assert_eq!(report["verified"], true, "{report:#}");
    let records = pages(&server, &key, 500).len();
    assert_eq!(report["report"]["records"], json!(records));
    assert_eq!(report["report"]["chains"][0]["covered"], json!(records));

    let forged = kept.replacen("genie-chain-head ", "genie-chain-head 1", 1);
    let refused = verify(&server, &key, &json!({ "checkpoint": forged }));
    assert_eq!(refused["code"], "invalid", "{refused:#}");
    server.kill();
    let database = place.data().join("genie.db");
    let statement = "UPDATE records SET hash = zeroblob(32) WHERE seq = 7";
    change(&database, statement);
    let server = place.start();
    let report = verify(&server, &key, &json!({}));
    assert_eq!((&report["verified"], &report["fault"]["record"]), (&json!(false), &json!(7)));
    assert_eq!(report["fault"]["fault"], "rehashed", "{report:#}");
}

#[test]
fn one_verifies_at_a_time_and_in_memory_there_is_nothing_to_show() {
    let place = Place::new();
    let server = place.start();
    let key = server.key().to_owned();
    assert_eq!(server.post("/v1/ask", &key, question()).status, 200);
    let codes: Vec<u16> = std::thread::scope(|scope| {
        let verify = || server.post("/v1/audit/verify", &key, json!({})).status;
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(verify)).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert!(codes.contains(&200) && codes.contains(&429), "{codes:?}");
    server.kill();
    let server = place.start_in_memory("");
    for reply in [
        server.get("/v1/audit/checkpoint", server.key()),
        server.post("/v1/audit/verify", server.key(), json!({})),
    ] {
        assert_eq!((reply.status, &*reply.code()), (409, "unsigned"));
    }
}
