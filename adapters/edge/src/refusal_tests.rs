//! What is told with whatever is refused: the field, the words allowed, and how the caller stands.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::desk::{Answer, Desk, Fate};

/// The one field that fails, with what is said of it.
fn failing(answer: &Answer) -> (&str, &str) {
    assert_eq!((answer.status.as_u16(), answer.code()), (422, "invalid"), "{}", answer.body);
    let [error] = &answer.body["errors"].as_array().unwrap()[..] else {
        panic!("{}", answer.body);
    };
    assert_eq!(error["detail"], answer.body["detail"]);
    (error["field"].as_str().unwrap(), error["detail"].as_str().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_fit_is_told_its_field_and_not_what_came_in_it() {
    let desk = Desk::new().await;
    let key = desk.key("acme", &["user", "admin", "approver"], Fate::Good).await;
    let check = async |path: &str, body: Value, field: &str, said: &str| {
        let answer = desk.send(&Method::POST, path, Some(&key), &body.to_string()).await;
        assert_eq!(failing(&answer), (field, said), "{body}");
    };
    let tokens = "/v1/auth/tokens";
    check(tokens, json!({}), "name", "missing field `name`").await;
    check(tokens, json!({ "name": 7 }), "name", "`name` is not a string").await;
    let wanted = json!({ "name": "a", "roles": ["user", 7] });
    check(tokens, wanted, "roles[1]", "`roles[1]` is not a string").await;
    let wanted = json!({ "name": "a", "budget": { "amount": "1" } });
    check(tokens, wanted, "budget.currency", "missing field `currency`").await;
    let wanted = json!({ "name": "a", "budget": { "amount": "1", "currency": "INR", "of": 1 } });
    let said = "unknown field `of`, expected `amount` or `currency`";
    check(tokens, wanted, "budget.of", said).await;
    let wanted = json!({ "name": "a", "rate_limit_per_day": 0 });
    let said = "`rate_limit_per_day` is not a nonzero u32";
    check(tokens, wanted, "rate_limit_per_day", said).await;
    let call = json!({ "id": "1", "type": "function", "function": { "arguments": {} } });
    let said = "missing field `name`";
    check("/v1/tools/batch", json!({ "calls": [call] }), "calls[0].function.name", said).await;
    let call = json!({ "id": "1", "type": "method",
                       "function": { "name": "sum", "arguments": {} } });
    check("/v1/tools/batch", json!({ "calls": [call] }), "calls[0].type", "`type` is `function`")
        .await;
    let path = "/v1/approvals/01a1fda4-cf33-732a-96de-282433e9be9d/decision";
    let said = "`decision` is not `approve` or `reject`";
    check(path, json!({ "decision": "perhaps" }), "decision", said).await;

    let body = json!({ "email": "asha@example.com", "password": 31_415_926, "name": "Asha" });
    let answer = desk.send(&Method::POST, "/v1/auth/register", None, &body.to_string()).await;
    assert_eq!(failing(&answer), ("password", "`password` is not a string"));
    assert!(!answer.body.to_string().contains("31415926"), "{}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn a_query_is_told_the_parameter_that_is_not_there_and_the_words_that_are() {
    let desk = Desk::new().await;
    let key = desk.key("acme", &["user", "auditor"], Fate::Good).await;
    let get = async |path: &str| desk.send(&Method::GET, path, Some(&key), "").await;
    for (path, words) in [
        ("/v1/runs?status=bogus", ["`waiting`", "`cancelled`"]),
        ("/v1/approvals?status=bogus", ["`pending`", "`withdrawn`"]),
    ] {
        let answer = get(path).await;
        let (field, said) = failing(&answer);
        assert_eq!(field, "status");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
    for (path, field) in [
        ("/v1/runs?lmit=1", "lmit"),
        ("/v1/runs?limit=x", "limit"),
        ("/v1/runs?limit=0", "limit"),
        ("/v1/runs?limit=1&limit=2", "limit"),
        ("/v1/tools?lmit=1", "lmit"),
        ("/v1/tools?limit=0", "limit"),
        ("/v1/agents?after=nobody", "after"),
        ("/v1/policies?of=mine", "of"),
        ("/v1/system?of=mine", "of"),
        ("/v1/auth/me?of=mine", "of"),
        ("/v1/audit/checkpoint?of=mine", "of"),
    ] {
        assert_eq!(failing(&get(path).await).0, field, "{path}");
    }
    for path in ["/v1/runs?status=waiting", "/v1/approvals?status=pending", "/v1/system?"] {
        assert_eq!(get(path).await.status, 200, "{path}");
    }
    for path in ["/v1/tools", "/v1/agents?limit=1", "/v1/policies?limit=500"] {
        let page = get(path).await.body;
        assert!(page["data"].is_array() && page["next"].is_null(), "{path}: {page}");
    }
    let end = get("/v1/agents?after=echo").await.body;
    assert_eq!((&end["data"], &end["next"]), (&json!([]), &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_counted_is_told_how_they_stand_whatever_the_answer_is() {
    let desk = Desk::new().await;
    let key = desk.key("acme", &["user"], Fate::Good).await;
    let told = async |method: Method, path: &str, key: Option<&str>, body: &str| {
        let Answer { status, headers, .. } = desk.send(&method, path, key, body).await;
        let told = headers.get("ratelimit").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(told.is_some(), headers.contains_key("ratelimit-policy"));
        (status.as_u16(), told)
    };
    let mut left = 10_000;
    for (method, path, body, status) in [
        (Method::GET, "/v1/runs", "", 200),
        (Method::GET, "/nowhere", "", 404),
        (Method::DELETE, "/v1/runs", "", 405),
        (Method::POST, "/health", "", 405),
        (Method::GET, "/v1/audit", "", 403),
        (Method::POST, "/v1/ask", "{", 400),
        (Method::POST, "/v1/ask", "{}", 422),
    ] {
        let (found, told) = told(method, path, Some(&key), body).await;
        left -= 1;
        let told = told.unwrap_or_else(|| panic!("{path}: {status} tells nothing"));
        assert_eq!(found, status, "{path}");
        assert!(told.starts_with(&format!("\"key\";r={left};")), "{path}: {told}");
    }
    // Who signs in is counted by address, also with what cannot be read.
    for path in ["/v1/auth/register", "/v1/auth/login", "/v1/auth/refresh"] {
        for (body, status) in [("{", 400), ("{}", 422)] {
            let (found, told) = told(Method::POST, path, None, body).await;
            assert_eq!(found, status, "{path}");
            assert!(told.unwrap().starts_with("\"address\";"), "{path}");
        }
    }
    // There is nothing to tell whoever is not counted.
    for (method, path, key) in [
        (Method::GET, "/health", None),
        (Method::GET, "/health", Some(&*key)),
        (Method::GET, "/ready", None),
        (Method::GET, "/nowhere", None),
        (Method::GET, "/v1/runs", None),
        (Method::GET, "/nowhere", Some("gk_none")),
    ] {
        assert_eq!(told(method, path, key, "").await.1, None, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_decide_any_more_is_not_listed_as_pending() {
    let desk = Desk::new().await;
    let key = desk.key("acme", &["user"], Fate::Good).await;
    let body = json!({ "question": "hold" }).to_string();
    let waiting = desk.send(&Method::POST, "/v1/ask", Some(&key), &body).await;
    assert_eq!(waiting.status, 202, "{}", waiting.body);
    let get = async |path: &str| desk.send(&Method::GET, path, Some(&key), "").await.body;
    let pending = async || get("/v1/approvals?status=pending").await["data"].clone();
    assert_eq!(pending().await[0]["id"], waiting.body["approval_id"]);
    tokio::time::advance(Duration::from_hours(73)).await;
    // Whether or not the run has noticed.
    assert_eq!(pending().await, json!([]));
    assert_eq!(get("/v1/approvals").await["data"][0]["status"], "expired");
}
