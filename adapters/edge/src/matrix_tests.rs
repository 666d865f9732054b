//! Every route against every kind of caller, from the router's own list of routes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::http::{Method, StatusCode};

use crate::desk::{Desk, Fate};
use crate::rights::{self, RIGHTS, Right};
use crate::router::routes;

/// The path with an id that nothing has.
fn concrete(path: &str) -> String {
    path.replace("{id}", "01a1fda4-cf33-732a-96de-282433e9be9d")
}

#[test]
fn every_route_has_one_row_of_rights_and_every_row_a_route() {
    let of_routes: Vec<(String, &str)> =
        routes().iter().map(|route| (route.method.to_string(), route.path)).collect();
    let of_rights: Vec<(String, &str)> =
        RIGHTS.iter().map(|(method, path, _)| (method.to_string(), *path)).collect();
    let unique = |all: &[(String, &'static str)]| all.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(unique(&of_routes), unique(&of_rights));
    assert_eq!((of_routes.len(), of_rights.len()), (unique(&of_routes).len(), RIGHTS.len()));
    assert_eq!(rights::of(&Method::PATCH, "/v1/runs"), None);
}

#[tokio::test(start_paused = true)]
async fn nobody_passes_without_a_good_credential_of_the_right_role() {
    let desk = Desk::new().await;
    let expired = desk.key("acme", &["admin", "user", "approver"], Fate::Expired).await;
    let revoked = desk.key("acme", &["admin", "user", "approver"], Fate::Revoked).await;
    let none = desk.key("acme", &[], Fate::Good).await;
    let mut roles = Vec::new();
    for role in ["user", "approver", "auditor", "admin", "treasurer"] {
        roles.push((role, desk.key("acme", &[role], Fate::Good).await));
        roles.push((role, desk.token("acme", &[role], Fate::Good).await));
    }
    let bad_tokens = [
        (desk.token("acme", &["admin"], Fate::Expired).await, "expired_token"),
        (desk.token("acme", &["admin"], Fate::Revoked).await, "ended_session"),
        (desk.token("acme", &["admin"], Fate::Disabled).await, "ended_session"),
        ("e30.e30.e30".to_owned(), "invalid_token"),
    ];
    let mut changed = roles[0].1.clone();
    changed.replace_range(66.., if changed.ends_with('A') { "B" } else { "A" });

    for route in routes() {
        let (method, path) = (&route.method, concrete(route.path));
        let place = format!("{method} {path}");
        let right = rights::of(method, route.path).unwrap();
        let code = async |key: Option<&str>| {
            let answer = desk.send(method, &path, key, "").await;
            (answer.status.as_u16(), answer.code().to_owned())
        };
        if right == Right::Open {
            // What is open reads no credential, and what it wants it says.
            let expected = if *method == Method::GET { 200 } else { 415 };
            for key in [None, Some("none"), Some(&*expired)] {
                assert_eq!(code(key).await.0, expected, "{place}");
            }
            continue;
        }
        assert_eq!(code(None).await, (401, "unauthenticated".to_owned()), "{place}");
        let invalid = (401, "invalid_key".to_owned());
        for wrong in ["", "gk_", "none", &changed, "gk_ä"] {
            assert_eq!(code(Some(wrong)).await, invalid, "{place} {wrong}");
        }
        assert_eq!(code(Some(&expired)).await, (401, "expired_key".to_owned()), "{place}");
        assert_eq!(code(Some(&revoked)).await, (401, "revoked_key".to_owned()), "{place}");
        for (token, expected) in &bad_tokens {
            assert_eq!(code(Some(token)).await, (401, (*expected).to_owned()), "{place}");
        }
        if right != Right::Known {
            assert_eq!(code(Some(&none)).await, (403, "forbidden".to_owned()), "{place}");
        }
        for (role, key) in &roles {
            // A session is closed by its first request to the route that does so.
            let closes = route.path == "/v1/auth/logout" && !key.starts_with("gk_");
            let fresh = desk.token("acme", &[role], Fate::Good).await;
            let key = if closes { &fresh } else { key };
            let may = match right {
                Right::Open | Right::Known => true,
                Right::Roles(roles) | Right::Operates(roles) => roles.contains(role),
                Right::Decides => ["approver", "treasurer"].contains(role),
            };
            let (status, code) = code(Some(key)).await;
            assert_eq!(code != "forbidden" && status != 401, may, "{place} as {role}: {status}");
            assert!(status < 500, "{place} as {role}: {status}");
            if may && path != route.path && route.path != "/v1/approvals/{id}/decision" {
                assert_eq!((status, &*code), (404, "not_found"), "{place} as {role}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_about_all_tenants_is_for_the_roles_of_the_operators_tenant_alone() {
    let desk = Desk::new().await;
    for role in ["user", "approver", "auditor", "admin"] {
        let (ours, theirs) = (
            desk.key("acme", &[role], Fate::Good).await,
            desk.key("globex", &[role], Fate::Good).await,
        );
        let mut refused = BTreeSet::new();
        for route in routes() {
            let path = concrete(route.path);
            let answer = desk.send(&route.method, &path, Some(&theirs), "").await;
            let is_refused = answer.code() == "forbidden";
            match rights::of(&route.method, route.path).unwrap() {
                Right::Operates(_) => {
                    assert_eq!(answer.status, 403, "{path} as {role}");
                    refused.insert(route.path);
                }
                Right::Roles(roles) => assert_eq!(is_refused, !roles.contains(&role), "{path}"),
                Right::Open | Right::Known | Right::Decides => {}
            }
        }
        let expected = [
            "/debug/pprof/",
            "/debug/pprof/heap",
            "/debug/pprof/profile",
            "/metrics",
            "/v1/audit/checkpoint",
            "/v1/audit/verify",
        ];
        assert!(refused.iter().eq(expected.iter()), "{refused:?}");

        // What is not about all tenants is shown without what is.
        let counts = async |key: &str| {
            let get = async |path: &str| desk.send(&Method::GET, path, Some(key), "").await.body;
            let (agents, agent) = (get("/v1/agents").await, get("/v1/agents/echo").await);
            let policies = get("/v1/policies").await;
            let shown = [&agents["data"][0]["health"], &agent["health"]];
            assert_eq!(shown[0].is_null(), shown[1].is_null());
            assert_eq!(agent["id"], "echo");
            assert_eq!(policies["data"][0]["id"], "allow");
            (shown[0].is_null(), policies["data"][0]["hits"].is_null())
        };
        assert_eq!(counts(&theirs).await, (true, true), "{role}");
        let hidden = ["user", "approver"].contains(&role);
        assert_eq!(counts(&ours).await, (hidden, hidden), "{role}");
    }
}

const ASKED: &str = r#"{"question":"hello","statement":"a,b"}"#;

#[tokio::test(start_paused = true)]
async fn another_tenants_or_subjects_run_is_not_there() {
    let desk = Desk::new().await;
    let asha = desk.key("acme", &["user"], Fate::Good).await;
    let auditor = desk.key("acme", &["auditor"], Fate::Good).await;
    let answer = desk.send(&Method::POST, "/v1/ask", Some(&asha), ASKED).await;
    assert_eq!((answer.status, &answer.body["answer"]), (StatusCode::OK, &"hello".into()));
    let run = answer.body["run_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/runs/{run}");
    for (key, status) in [(&asha, 200), (&auditor, 200)] {
        assert_eq!(desk.send(&Method::GET, &path, Some(key), "").await.status, status);
    }
    for role in ["user", "auditor", "admin"] {
        let foreign = desk.key("globex", &[role], Fate::Good).await;
        for tail in ["", "/events", "/receipt"] {
            let path = format!("{path}{tail}");
            let answer = desk.send(&Method::GET, &path, Some(&foreign), "").await;
            assert_eq!(answer.status, 404, "{tail} as {role}");
        }
        let listed = desk.send(&Method::GET, "/v1/runs", Some(&foreign), "").await;
        assert_eq!(listed.body["data"], serde_json::json!([]), "as {role}");
    }
    let foreign = desk.key("globex", &["admin"], Fate::Good).await;
    let cancelled = desk.send(&Method::POST, &format!("{path}/cancel"), Some(&foreign), "").await;
    assert_eq!(cancelled.status, 404);
}

/// What a route with an id is about, with the body that it takes.
fn about(path: &str) -> Option<(&'static str, &'static str)> {
    if path == "/v1/approvals/{id}/decision" {
        return Some(("approval", r#"{"decision":"approve"}"#));
    }
    let (before, _) = path.split_once("{id}")?;
    Some(match before {
        "/v1/runs/" => ("run", ""),
        "/v1/approvals/" => ("approval", ""),
        "/v1/documents/" => ("document", ""),
        "/v1/auth/tokens/" => ("key", ""),
        // They are of no tenant.
        "/v1/agents/" => return None,
        _ => panic!("say what an id in `{path}` is of"),
    })
}

#[tokio::test(start_paused = true)]
async fn what_is_of_another_tenant_is_not_there_on_any_route() {
    const ROLES: [&str; 4] = ["user", "approver", "auditor", "admin"];
    let desk = Desk::new().await;
    let (ours, theirs) =
        (desk.key("acme", &ROLES, Fate::Good).await, desk.key("globex", &ROLES, Fate::Good).await);
    let made = async |path: &str, body: &str, field: &str| {
        let answer = desk.send(&Method::POST, path, Some(&ours), body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.body);
        let id = answer.body.pointer(field).and_then(|id| id.as_str());
        id.unwrap_or_else(|| panic!("no {field} in {}", answer.body)).to_owned()
    };
    let held = ASKED.replace("hello", "hold");
    let things = BTreeMap::from([
        ("run", made("/v1/ask", ASKED, "/run_id").await),
        ("approval", made("/v1/ask", &held, "/approval_id").await),
        ("document", made("/v1/documents", "a,b", "/id").await),
        ("key", made("/v1/auth/tokens", r#"{"name":"mine"}"#, "/id").await),
    ]);
    let mut tried = BTreeSet::new();
    for route in routes() {
        let (method, place) = (&route.method, format!("{} {}", route.method, route.path));
        let send = async |path: &str, key: &str, body: &str| {
            desk.send(method, path, Some(key), body).await
        };
        if let Some((kind, body)) = about(route.path) {
            tried.insert(kind);
            let answer = send(&route.path.replace("{id}", &things[kind]), &theirs, body).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (404, "not_found"), "{place}");
        } else if *method == Method::GET && route.path.starts_with("/v1/") {
            let shown = send(route.path, &theirs, "").await.body.to_string();
            for (kind, id) in &things {
                assert!(!shown.contains(&**id), "{place} shows a foreign {kind}: {shown}");
            }
        }
    }
    assert!(tried.iter().eq(things.keys()), "{tried:?}");
    // All of it is still there for whoever it is of.
    for (kind, list) in [("run", "/v1/runs"), ("approval", "/v1/approvals?status=pending")]
        .into_iter()
        .chain([("document", "/v1/documents"), ("key", "/v1/auth/tokens")])
    {
        let shown = desk.send(&Method::GET, list, Some(&ours), "").await.body.to_string();
        assert!(shown.contains(&things[kind]), "{list}: {shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_said_and_never_the_servers_fault() {
    let desk = Desk::new().await;
    let key = desk.key("acme", &["admin"], Fate::Good).await;
    let check = async |body: &str, status: u16, code: &str| {
        let answer = desk.send(&Method::POST, "/v1/ask", Some(&key), body).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{body}");
    };
    check("", 415, "unsupported_media_type").await;
    check("{", 400, "malformed").await;
    check("nonsense", 400, "malformed").await;
    check(&"[".repeat(1_500), 400, "malformed").await;
    check("[]", 422, "invalid").await;
    check(r#"["hello","a,b",null,false]"#, 422, "invalid").await;
    check("{}", 422, "invalid").await;
    check(r#"{"question":"a","statement":"b","role":"admin"}"#, 422, "invalid").await;
    check(r#"{"question":" ","statement":"b"}"#, 422, "invalid").await;
    check(r#"{"question":"a","statement":""}"#, 422, "invalid").await;
    check(&format!("{{\"question\":\"{}\"}}", "a".repeat(2_000)), 413, "too_large").await;
    // A handler that panics fails its run, and nothing else.
    check(r#"{"question":"panic","statement":"b"}"#, 500, "panicked").await;
    let answer = desk.send(&Method::POST, "/v1/ask", Some(&key), ASKED).await;
    assert_eq!(answer.status, 200);

    let lists =
        ["/v1/runs?limit=0", "/v1/runs?limit=x", "/v1/runs?lmit=1", "/v1/approvals?limit=501"];
    for path in lists {
        let answer = desk.send(&Method::GET, path, Some(&key), "").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (422, "invalid"), "{path}");
    }
    let answer = desk.send(&Method::GET, "/v1/runs/none", Some(&key), "").await;
    assert_eq!(answer.status, 404);
    let answer = desk.send(&Method::DELETE, "/v1/runs", Some(&key), "").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (405, "method_not_allowed"));
    let answer = desk.send(&Method::GET, "/nowhere", None, "").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (404, "no_route"));
}

#[tokio::test(start_paused = true)]
async fn a_key_never_exceeds_its_maker() {
    let desk = Desk::new().await;
    let user = desk.key("acme", &["user"], Fate::Good).await;
    let admin = desk.key("acme", &["admin"], Fate::Good).await;
    let make = async |key: &str, body: &str| {
        desk.send(&Method::POST, "/v1/auth/tokens", Some(key), body).await
    };
    let own = make(&user, r#"{"name":"phone"}"#).await;
    assert_eq!((own.status.as_u16(), &own.body["roles"]), (201, &serde_json::json!(["user"])));
    let secret = own.body["key"].as_str().unwrap();
    let me = desk.send(&Method::GET, "/v1/auth/me", Some(secret), "").await;
    assert_eq!((me.status.as_u16(), &me.body["subject"]), (200, &"asha".into()));
    for more in [
        r#"{"name":"a","roles":["admin"]}"#,
        r#"{"name":"a","scopes":["payment:request"]}"#,
        r#"{"name":"a","consents":["x"]}"#,
        r#"{"name":"a","subject":"ravi"}"#,
    ] {
        assert_eq!(make(&user, more).await.status, 403, "{more}");
    }
    let bad = make(&user, r#"{"name":"a","tenant":"globex"}"#).await;
    assert_eq!(bad.status, 422, "a body does not name a tenant");
    let boss = make(&admin, r#"{"name":"b","subject":"ravi","roles":["approver"]}"#).await;
    assert_eq!(boss.status, 201);
    let listed = desk.send(&Method::GET, "/v1/auth/tokens", Some(&admin), "").await;
    let text = listed.body.to_string();
    assert!(!text.contains("secret") && !text.contains("gk_"), "{text}");

    // What is revoked opens nothing from then on; nobody revokes what is another's.
    let path = format!("/v1/auth/tokens/{}", boss.body["id"].as_str().unwrap());
    assert_eq!(desk.send(&Method::DELETE, &path, Some(&user), "").await.status, 404);
    let ravi = boss.body["key"].as_str().unwrap();
    assert_eq!(desk.send(&Method::GET, "/v1/agents", Some(ravi), "").await.status, 200);
    assert_eq!(desk.send(&Method::DELETE, &path, Some(&admin), "").await.status, 204);
    assert_eq!(desk.send(&Method::GET, "/v1/agents", Some(ravi), "").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_asks_too_fast_waits_and_no_other_does() {
    let desk = Desk::with_quota(2).await;
    let (asha, ravi) = (
        desk.key("acme", &["user"], Fate::Good).await,
        desk.key("acme", &["user"], Fate::Good).await,
    );
    let me = async |key: &str| desk.send(&Method::GET, "/v1/auth/me", Some(key), "").await;
    assert_eq!((me(&asha).await.status.as_u16(), me(&asha).await.status.as_u16()), (200, 200));
    let third = me(&asha).await;
    assert_eq!((third.status.as_u16(), third.code()), (429, "rate_limited"));
    assert_eq!(me(&ravi).await.status, 200);
    // Nothing is counted for whoever has no key, and nothing is kept of them.
    for _ in 0..5 {
        let wrong = desk.send(&Method::GET, "/v1/auth/me", Some("gk_"), "").await;
        assert_eq!(wrong.status, 401);
    }
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(me(&asha).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_agent_says_what_it_has_done_of_late() {
    let desk = Desk::new().await;
    let key = desk.key("acme", &["admin"], Fate::Good).await;
    let ask = async || desk.send(&Method::POST, "/v1/ask", Some(&key), ASKED).await.status;
    let health = async || {
        let shown = desk.send(&Method::GET, "/v1/agents/echo", Some(&key), "").await;
        let health = shown.body["health"].clone();
        (health["handled"].as_u64().unwrap(), health["handled_last_minute"].as_u64().unwrap())
    };
    for _ in 0..3 {
        assert_eq!(ask().await, StatusCode::OK);
    }
    assert_eq!(health().await, (3, 3));
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert_eq!(ask().await, StatusCode::OK);
    assert_eq!(health().await, (4, 4));
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(health().await, (4, 1), "the first three are more than a minute ago");
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(health().await, (4, 0));
}
