//! What is made or changed under an `Idempotency-Key`, and sent again.

use axum::http::Method;
use serde_json::{Value, json};

use crate::desk::{Answer, Desk, Fate, request};

/// Somebody who sends everything under keys of their own.
struct Sender<'a> {
    desk: &'a Desk,
    key: String,
}

impl Sender<'_> {
    async fn send(&self, retry: &str, (method, path): (Method, &str), body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut request = request(&method, path, Some(&self.key), &body);
        request.headers_mut().insert("idempotency-key", retry.parse().unwrap());
        self.desk.answer(request).await
    }

    async fn post(&self, retry: &str, path: &str, body: &Value) -> Answer {
        self.send(retry, (Method::POST, path), body).await
    }

    async fn get(&self, path: &str) -> Value {
        self.desk.send(&Method::GET, path, Some(&self.key), "").await.body
    }

    /// Asks for something that waits; gives the run and the approval.
    async fn held(&self) -> (String, String) {
        let body = json!({ "question": "hold", "statement": "a,b" });
        let waiting = self.post(&format!("hold-{}", self.key.len()), "/v1/ask", &body).await.body;
        let text = |field: &str| waiting[field].as_str().unwrap().to_owned();
        (text("run_id"), text("approval_id"))
    }
}

fn is(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{}", answer.body);
}

async fn sender<'a>(desk: &'a Desk, roles: &[&str]) -> Sender<'a> {
    Sender { desk, key: desk.key("acme", roles, Fate::Good).await }
}

/// A key for somebody else.
async fn other<'a>(root: &Sender<'a>, subject: &str) -> Sender<'a> {
    let wanted = json!({ "name": "other", "subject": subject, "roles": ["approver"] });
    let made = root.post(subject, "/v1/auth/tokens", &wanted).await;
    Sender { desk: root.desk, key: made.body["key"].as_str().unwrap().to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_asked_for_again_is_made_once_and_its_text_is_not_kept() {
    let desk = Desk::new().await;
    let root = sender(&desk, &["admin"]).await;
    let wanted = json!({ "name": "laptop" });
    let made = root.post("k1", "/v1/auth/tokens", &wanted).await;
    is(&made, 201, "");
    let keys = async || root.get("/v1/auth/tokens").await["data"].as_array().unwrap().len();
    let before = keys().await;
    let again = root.post("k1", "/v1/auth/tokens", &wanted).await;
    is(&again, 409, "key_made");
    assert_eq!(again.body["key_id"], made.body["id"]);
    assert!(again.body["detail"].as_str().unwrap().contains("delete that key"));
    assert!(!again.body.to_string().contains(made.body["key"].as_str().unwrap()));
    is(&root.post("k1", "/v1/auth/tokens", &json!({ "name": "phone" })).await, 422, "invalid");
    assert_eq!(keys().await, before);

    // What the answer says to do.
    let path = format!("/v1/auth/tokens/{}", made.body["id"].as_str().unwrap());
    for _ in 0..2 {
        is(&root.send("d1", (Method::DELETE, &path), &Value::Null).await, 204, "");
    }
    is(&root.send("d2", (Method::DELETE, &path), &Value::Null).await, 404, "not_found");
    is(&root.send("d2", (Method::DELETE, &path), &Value::Null).await, 404, "not_found");
    is(&root.post("k2", "/v1/auth/tokens", &wanted).await, 201, "");
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_sent_again_is_kept_once_and_deleted_once() {
    let desk = Desk::new().await;
    let asha = sender(&desk, &["user"]).await;
    let (statement, another) = (json!("a,b"), json!("c,d"));
    let made = asha.post("k1", "/v1/documents", &statement).await;
    is(&made, 201, "");
    let again = asha.post("k1", "/v1/documents", &statement).await;
    assert_eq!((again.status, &again.body), (made.status, &made.body));
    is(&asha.post("k1", "/v1/documents", &another).await, 422, "invalid");
    assert_eq!(asha.get("/v1/documents").await["data"].as_array().unwrap().len(), 1);
    is(&asha.post("k 2", "/v1/documents", &another).await, 422, "invalid");

    let path = format!("/v1/documents/{}", made.body["id"].as_str().unwrap());
    for _ in 0..2 {
        is(&asha.send("d1", (Method::DELETE, &path), &Value::Null).await, 204, "");
    }
    is(&asha.send("d2", (Method::DELETE, &path), &Value::Null).await, 404, "not_found");
    assert_eq!(asha.get("/v1/documents").await["data"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_is_sent_again_is_answered_again_to_whoever_made_it() {
    let desk = Desk::new().await;
    let root = sender(&desk, &["admin"]).await;
    let (boss, chief) = (other(&root, "boss").await, other(&root, "chief").await);
    let (_, approval) = root.held().await;
    let path = format!("/v1/approvals/{approval}/decision");
    let approve = json!({ "decision": "approve" });
    let first = boss.post("k1", &path, &approve).await;
    is(&first, 200, "");
    let again = boss.post("k1", &path, &approve).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    is(&boss.post("k1", &path, &json!({ "decision": "reject" })).await, 422, "invalid");
    is(&boss.post("k2", &path, &approve).await, 409, "decided");
    for _ in 0..2 {
        is(&chief.post("k1", &path, &approve).await, 409, "decided");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_that_is_sent_again_is_answered_again() {
    let desk = Desk::new().await;
    let root = sender(&desk, &["admin"]).await;
    let (run, _) = root.held().await;
    let path = format!("/v1/runs/{run}/cancel");
    let first = root.post("k1", &path, &Value::Null).await;
    is(&first, 202, "");
    let ended = async || root.get(&format!("/v1/runs/{run}")).await["status"] == "cancelled";
    while !ended().await {
        tokio::task::yield_now().await;
    }
    let again = root.post("k1", &path, &Value::Null).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    for _ in 0..2 {
        is(&root.post("k2", &path, &Value::Null).await, 409, "run_ended");
    }
}
