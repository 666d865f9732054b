//! Accounts, sessions and the keys that are made in them, on paused time.

use std::time::Duration;

use axum::http::Method;
use genie_core::identity::accounts::{Account, Accounts};
use serde_json::{Value, json};

use crate::desk::{Answer, Desk, Fate};

const EMAIL: &str = "asha@example.com";
const PASSWORD: &str = "correct horse battery staple";

async fn post(desk: &Desk, path: &str, token: Option<&str>, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    desk.send(&Method::POST, path, token, &body).await
}

async fn register(desk: &Desk) -> Value {
    let body = json!({ "email": EMAIL, "password": PASSWORD, "name": "Asha" });
    let made = post(desk, "/v1/auth/register", None, &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.body["user"].clone()
}

async fn login(desk: &Desk) -> Value {
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    let answer = post(desk, "/v1/auth/login", None, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.body
}

async fn refresh(desk: &Desk, token: &Value) -> Answer {
    post(desk, "/v1/auth/refresh", None, &json!({ "refresh_token": token })).await
}

async fn me(desk: &Desk, token: &Value) -> Answer {
    desk.send(&Method::GET, "/v1/auth/me", token.as_str(), "").await
}

/// Changes the account as an operator would.
async fn change(desk: &Desk, how: impl FnOnce(&mut Account)) {
    let mut account = desk.accounts.claimed(EMAIL).await.unwrap().unwrap();
    how(&mut account);
    assert!(desk.accounts.change(&desk.tenant("acme"), &account).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn who_registers_signs_in_and_is_told_who_they_are() {
    let desk = Desk::new().await;
    let user = register(&desk).await;
    assert_eq!((&user["email"], &user["tenant"]), (&json!(EMAIL), &json!("acme")));
    let signed_in = login(&desk).await;
    assert_eq!((&signed_in["token_type"], &signed_in["user"]), (&json!("Bearer"), &user));
    assert_eq!(signed_in["expires_in"], 900);
    let me = me(&desk, &signed_in["access_token"]).await;
    assert_eq!((me.status.as_u16(), &me.body["kind"]), (200, &json!("session")));
    assert_eq!((&me.body["user"], &me.body["subject"]), (&user, &user["id"]));
    for shown in [&user, &signed_in, &me.body] {
        assert!(!shown.to_string().contains("argon2"), "{shown}");
    }
    // Addresses differ in more than their case.
    let again = json!({ "email": " ASHA@Example.com", "password": PASSWORD, "name": "Twin" });
    let taken = post(&desk, "/v1/auth/register", None, &again).await;
    assert_eq!((taken.status.as_u16(), taken.code()), (409, "email_taken"));
    for (field, value) in [("email", "asha"), ("password", "short"), ("name", " ")] {
        let mut body = json!({ "email": "b@example.com", "password": PASSWORD, "name": "B" });
        body[field] = json!(value);
        let refused = post(&desk, "/v1/auth/register", None, &body).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (422, "invalid"), "{field}");
        assert_eq!(refused.body["errors"][0]["field"], field);
    }
    let body = json!({ "email": "b@example.com", "password": PASSWORD, "name": "B",
                       "roles": ["admin"], "tenant": "globex" });
    assert_eq!(post(&desk, "/v1/auth/register", None, &body).await.status, 422);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_address_and_a_wrong_password_get_the_same_answer() {
    let desk = Desk::new().await;
    register(&desk).await;
    let mut answers = Vec::new();
    let long = "a".repeat(1_000);
    for (email, password) in [
        (EMAIL, "wrong password"),
        ("nobody@example.com", PASSWORD),
        ("x", PASSWORD),
        (EMAIL, &long),
    ] {
        let body = json!({ "email": email, "password": password });
        let mut answer = post(&desk, "/v1/auth/login", None, &body).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (401, "invalid_login"), "{email}");
        answer.body["request_id"] = Value::Null;
        answers.push(answer.body);
    }
    change(&desk, |account| account.disabled_at = Some(account.created_at)).await;
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    let mut disabled = post(&desk, "/v1/auth/login", None, &body).await;
    disabled.body["request_id"] = Value::Null;
    answers.push(disabled.body);
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_works_once_and_its_second_use_ends_the_session() {
    let desk = Desk::new().await;
    register(&desk).await;
    let (first, other) = (login(&desk).await, login(&desk).await);
    let second = refresh(&desk, &first["refresh_token"]).await;
    assert_eq!(second.status, 200, "{}", second.body);
    assert_ne!(second.body["refresh_token"], first["refresh_token"]);
    assert_eq!(me(&desk, &second.body["access_token"]).await.status, 200);
    // Neither token does for the other.
    assert_eq!(refresh(&desk, &second.body["access_token"]).await.code(), "invalid_token");
    assert_eq!(me(&desk, &second.body["refresh_token"]).await.code(), "invalid_token");

    let reused = refresh(&desk, &first["refresh_token"]).await;
    assert_eq!((reused.status.as_u16(), reused.code()), (401, "reused_token"));
    let third = refresh(&desk, &second.body["refresh_token"]).await;
    assert_eq!((third.status.as_u16(), third.code()), (401, "ended_session"));
    for token in [&first["access_token"], &second.body["access_token"]] {
        assert_eq!(me(&desk, token).await.code(), "ended_session");
    }
    assert_eq!(me(&desk, &other["access_token"]).await.status, 200, "another session goes on");
    for wrong in ["", "a.b.c", "gk_"] {
        assert_eq!(refresh(&desk, &json!(wrong)).await.code(), "invalid_token");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_when_its_holder_or_its_time_says_so() {
    let desk = Desk::new().await;
    register(&desk).await;
    let (one, other) = (login(&desk).await, login(&desk).await);
    let token = one["access_token"].as_str();
    assert_eq!(post(&desk, "/v1/auth/logout", token, &Value::Null).await.status, 204);
    assert_eq!(me(&desk, &one["access_token"]).await.code(), "ended_session");
    assert_eq!(refresh(&desk, &one["refresh_token"]).await.code(), "ended_session");
    let key = desk.key("acme", &["user"], Fate::Good).await;
    let refused = post(&desk, "/v1/auth/logout", Some(&key), &Value::Null).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "no_session"));

    tokio::time::advance(Duration::from_mins(15)).await;
    assert_eq!(me(&desk, &other["access_token"]).await.code(), "expired_token");
    let renewed = refresh(&desk, &other["refresh_token"]).await.body;
    assert_eq!(me(&desk, &renewed["access_token"]).await.status, 200);
    tokio::time::advance(Duration::from_hours(24)).await;
    assert_eq!(refresh(&desk, &renewed["refresh_token"]).await.code(), "expired_token");
}

#[tokio::test(start_paused = true)]
async fn who_tries_too_often_waits_and_a_right_password_does_not_help() {
    let desk = Desk::new().await;
    register(&desk).await;
    let wrong = json!({ "email": EMAIL, "password": "wrong password" });
    for left in [4, 3, 2, 1, 0] {
        let answer = post(&desk, "/v1/auth/login", None, &wrong).await;
        assert_eq!(answer.status, 401);
        let told = answer.headers["ratelimit"].to_str().unwrap();
        assert!(told.starts_with(&format!("\"login\";r={left};t=")), "{told}");
    }
    let right = json!({ "email": "ASHA@example.com", "password": PASSWORD });
    let answer = post(&desk, "/v1/auth/login", None, &right).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (429, "rate_limited"));
    assert_eq!(answer.headers["retry-after"], "12");
    let other = json!({ "email": "ravi@example.com", "password": PASSWORD });
    assert_eq!(post(&desk, "/v1/auth/login", None, &other).await.status, 401);
    tokio::time::advance(Duration::from_secs(12)).await;
    assert_eq!(post(&desk, "/v1/auth/login", None, &right).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_key_loses_what_its_makers_account_loses() {
    let desk = Desk::new().await;
    register(&desk).await;
    change(&desk, |account| account.identity.roles = ["admin".into(), "user".into()].into()).await;
    let token = login(&desk).await["access_token"].clone();
    let made = async |maker: &Value, body: &Value| {
        let made = post(&desk, "/v1/auth/tokens", maker.as_str(), body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["key"].clone()
    };
    let own = made(&token, &json!({ "name": "own" })).await;
    let ravis = json!({ "name": "ravi", "subject": "ravi", "roles": ["approver"] });
    let ravis = made(&token, &ravis).await;
    let below = made(&own, &json!({ "name": "below", "roles": ["user"] })).await;
    for key in [&own, &ravis, &below] {
        assert_eq!(me(&desk, key).await.status, 200);
    }

    // No administrator any more: what was made for another is nothing, the rest is less.
    change(&desk, |account| account.identity.roles = ["user".into()].into()).await;
    assert_eq!(me(&desk, &own).await.body["roles"], json!(["user"]));
    assert_eq!(me(&desk, &below).await.body["roles"], json!(["user"]));
    assert_eq!(me(&desk, &ravis).await.code(), "revoked_key");
    let metrics = desk.send(&Method::GET, "/metrics", own.as_str(), "").await;
    assert_eq!(metrics.status, 403);

    change(&desk, |account| account.disabled_at = Some(account.created_at)).await;
    for key in [&own, &ravis, &below] {
        assert_eq!(me(&desk, key).await.code(), "revoked_key");
    }
    assert_eq!(me(&desk, &token).await.code(), "ended_session");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_worth_nothing_without_the_key_that_made_it() {
    let desk = Desk::new().await;
    let root = json!(desk.key("acme", &["user"], Fate::Good).await);
    let mut chain = vec![root];
    for _ in 1..4 {
        let body = json!({ "name": "next" });
        let made = post(&desk, "/v1/auth/tokens", chain.last().unwrap().as_str(), &body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        chain.push(made.body["key"].clone());
    }
    let body = json!({ "name": "one too many" });
    let refused = post(&desk, "/v1/auth/tokens", chain[3].as_str(), &body).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "forbidden"));
    let second = me(&desk, &chain[1]).await.body["id"].clone();
    let path = format!("/v1/auth/tokens/{}", second.as_str().unwrap());
    assert_eq!(desk.send(&Method::DELETE, &path, chain[0].as_str(), "").await.status, 204);
    let mut states = Vec::new();
    for key in &chain {
        states.push(me(&desk, key).await.status.as_u16());
    }
    assert_eq!(states, [200, 401, 401, 401]);
}
