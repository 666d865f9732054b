//! Accounts over a real server: signing in, across kills, with rights that an operator gives.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::serving::{Place, Reply, Request, Serving, call, question};
use crate::program::{command_in, genie_in};

const EMAIL: &str = "asha@example.com";
const PASSWORD: &str = "correct horse battery staple";
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `genie admin user`, with a password on its standard input if one is given.
fn admin_user(data: &Path, arguments: &[&str], password: &str) -> (i32, String) {
    let arguments = [&["admin", "user"], arguments].concat();
    let mut command = command_in(data, &arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that wants no password may have ended by now.
    let _ = child.stdin.take().unwrap().write_all(password.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), text)
}

fn register(server: &Serving) -> Reply {
    let body = json!({ "email": EMAIL, "password": PASSWORD, "name": "Asha" });
    server.post("/v1/auth/register", "", body)
}

fn login(server: &Serving) -> Value {
    let answer = server.post("/v1/auth/login", "", json!({ "email": EMAIL, "password": PASSWORD }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

#[test]
fn who_registers_asks_and_sees_only_their_own_also_after_a_kill() {
    let place = Place::new();
    let server = place.start();
    let admin = server.key().to_owned();
    let made = register(&server);
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(register(&server).code(), "email_taken");
    let session = login(&server);
    let token = text(&session, "access_token");
    let asked = server.post("/v1/ask", token, question());
    assert_eq!(asked.status, 200, "{}", asked.body);
    let by_admin = server.post("/v1/ask", &admin, question());
    assert_eq!(by_admin.status, 200);
    let runs = server.get("/v1/runs", token).json();
    assert_eq!(runs["data"].as_array().unwrap().len(), 1, "{runs}");
    assert_eq!(server.get("/metrics", token).code(), "forbidden");

    // What was signed before a kill is good after it, and what was used up stays so.
    let renewed =
        server.post("/v1/auth/refresh", "", json!({ "refresh_token": session["refresh_token"] }));
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    server.kill();
    let server = place.start();
    assert_eq!(server.get("/v1/auth/me", token).status, 200);
    let again =
        server.post("/v1/auth/refresh", "", json!({ "refresh_token": session["refresh_token"] }));
    assert_eq!((again.status, &*again.code()), (401, "reused_token"));
    assert_eq!(server.get("/v1/auth/me", text(&renewed.json(), "access_token")).status, 401);

    // Neither password nor token nor hash is in the log or on the disk in the clear.
    server.signal("-TERM");
    let (in_order, log) = server.ended();
    assert!(in_order, "{log}");
    for secret in [PASSWORD, token, EMAIL, "argon2"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    for entry in std::fs::read_dir(place.data()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        let found = bytes.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes());
        assert!(!found, "the password is on the disk");
    }
}

#[test]
fn an_operator_gives_and_takes_rights_while_the_server_runs() {
    let place = Place::new();
    let server = place.start_with("[sign_in]\nregistration = false\n");
    let refused = register(&server);
    assert_eq!((refused.status, &*refused.code()), (403, "forbidden"));

    let data = place.data();
    let (code, said) = admin_user(&data, &[EMAIL], "");
    assert!(code == 2 && said.contains("--password-stdin"), "{said}");
    let (code, said) = admin_user(&data, &[EMAIL, "--password-stdin"], "short\n");
    assert!(code == 2 && said.contains("8 to 256 characters"), "{said}");
    let made = [EMAIL, "--name", "Asha", "--password-stdin", "--json"];
    let (code, said) = admin_user(&data, &made, &format!("{PASSWORD}\n"));
    assert_eq!(code, 0, "{said}");
    let shown: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&shown["roles"], &shown["tenant"]), (&json!(["user"]), &json!("local")));

    let session = login(&server);
    let token = text(&session, "access_token");
    assert_eq!(server.get("/metrics", token).status, 403);
    let (code, said) = admin_user(&data, &[EMAIL, "--role", "admin", "--role", "user"], "");
    assert!(code == 0 && said.contains("admin, user"), "{said}");
    assert_eq!(server.get("/metrics", token).status, 200, "at once");
    let wanted = json!({ "name": "phone" });
    let key = server.post("/v1/auth/tokens", token, wanted).json();
    let key = text(&key, "key");
    assert_eq!(server.get("/v1/auth/me", key).status, 200);

    let (code, said) = admin_user(&data, &[EMAIL, "--disable"], "");
    assert!(code == 0 && said.contains("disabled"), "{said}");
    assert_eq!(server.get("/v1/auth/me", token).code(), "ended_session");
    assert_eq!(server.get("/v1/auth/me", key).code(), "revoked_key");
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    assert_eq!(server.post("/v1/auth/login", "", body).code(), "invalid_login");
    assert_eq!(admin_user(&data, &[EMAIL, "--enable"], "").0, 0);
    assert_eq!(server.get("/v1/auth/me", token).code(), "ended_session", "it stays so");
    login(&server);
}

#[test]
fn who_is_erased_is_signed_out_and_has_no_address_on_the_disk() {
    let place = Place::new();
    let server = place.start();
    let made = register(&server).json();
    let session = login(&server);
    let token = text(&session, "access_token");
    let key = server.post("/v1/auth/tokens", token, json!({ "name": "Asha's phone" })).json();
    let key = text(&key, "key");
    assert_eq!(server.post("/v1/ask", token, question()).status, 200);

    let subject = text(&made["user"], "id");
    let erased = command_in(&place.data(), &["erase", subject, "--yes", "--json"]).output();
    let erased: Value = serde_json::from_slice(&erased.unwrap().stdout).unwrap();
    assert_eq!((&erased["accounts"], &erased["keys"]), (&json!(1), &json!(1)), "{erased}");
    assert_eq!(server.get("/v1/auth/me", token).code(), "ended_session");
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    assert_eq!(server.post("/v1/auth/login", "", body).code(), "invalid_login");
    let renewed =
        server.post("/v1/auth/refresh", "", json!({ "refresh_token": session["refresh_token"] }));
    assert_eq!(renewed.code(), "ended_session");
    assert_eq!(server.get("/v1/auth/me", key).status, 401);

    for entry in std::fs::read_dir(place.data()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        for word in [EMAIL, "Asha's phone"] {
            let found = bytes.windows(word.len()).any(|part| part == word.as_bytes());
            assert!(!found, "`{word}` is in {}", path.display());
        }
    }
    let again = register(&server);
    assert_eq!(again.status, 201, "{}", again.body);
    assert_ne!(text(&again.json()["user"], "id"), subject);
}

#[test]
fn who_has_only_a_key_is_erased_and_comes_in_no_more() {
    let place = Place::new();
    let server = place.start();
    let asha = server.make_key(server.key(), "asha", &["user"]);
    let made = server.post("/v1/auth/tokens", &asha, json!({ "name": "Asha's watch" })).json();
    let ravi = server.make_key(server.key(), "ravi", &["user"]);
    let asked = Request {
        line: "POST /v1/ask",
        key: &asha,
        headers: &[("idempotency-key", "rent-of-asha")],
        body: question(),
    };
    assert_eq!(server.ask(&asked).status, 200);

    let erased = command_in(&place.data(), &["erase", "asha", "--yes", "--json"]).output();
    let erased: Value = serde_json::from_slice(&erased.unwrap().stdout).unwrap();
    assert_eq!((&erased["accounts"], &erased["api_keys"]), (&json!(0), &json!(2)), "{erased}");
    // What this server has read of a key it believes for a second.
    let began = Instant::now();
    for key in [&*asha, text(&made, "key")] {
        while server.get("/v1/auth/me", key).status != 401 {
            assert!(began.elapsed() < PATIENCE, "a key still lets somebody in");
        }
        assert_eq!(server.post("/v1/ask", key, question()).code(), "invalid_key");
    }
    assert_eq!(server.get("/v1/auth/me", &ravi).status, 200);
    let listed = server.get("/v1/auth/tokens", server.key()).json();
    assert!(!listed.to_string().contains("asha"), "{listed}");
    for entry in std::fs::read_dir(place.data()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        for word in ["rent-of-asha", "Asha's watch"] {
            let found = bytes.windows(word.len()).any(|part| part == word.as_bytes());
            assert!(!found, "`{word}` is in {}", path.display());
        }
    }
}

#[test]
fn a_key_for_one_tool_calls_no_other_on_any_path() {
    let place = Place::new();
    let server = place.start();
    let wanted = json!({ "name": "sums", "allowed_tools": ["calculator"] });
    let key = server.post("/v1/auth/tokens", server.key(), wanted).json();
    let key = text(&key, "key");
    let tools = server.get("/v1/tools", key).json();
    let names: Vec<&Value> =
        tools["data"].as_array().unwrap().iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!(names, ["calculator"]);
    let sum = call("calculator", &json!({ "expression": "6 * 7" }));
    let answer = server.post("/v1/tools/execute", key, sum);
    assert_eq!((answer.status, &answer.json()["output"]["result"]), (200, &json!("42")));
    let clock = server.post("/v1/tools/execute", key, call("clock.now", &json!({})));
    assert_eq!((clock.status, &*clock.code()), (403, "denied"));
    assert_eq!(clock.json()["policy"], "allow-lists");
    let sum = call("calculator", &json!({ "expression": "1 + 1" }));
    let mut clock = call("clock.now", &json!({}));
    clock["id"] = json!("call_2");
    let calls = json!([sum, clock]);
    let batch = server.post("/v1/tools/batch", key, json!({ "calls": calls })).json();
    assert_eq!(batch["results"][0]["output"]["result"], "2", "{batch}");
    assert_eq!(batch["results"][1]["error"]["policy"], "allow-lists", "{batch}");

    // Neither a list nor a limit can be left by making another key.
    let wider = json!({ "name": "more", "allowed_tools": ["calculator", "clock.now"] });
    assert_eq!(server.post("/v1/auth/tokens", key, wider).code(), "forbidden");
    let child = server.post("/v1/auth/tokens", key, json!({ "name": "child" })).json();
    assert_eq!(child["allowed_tools"], json!(["calculator"]));
    let clock = call("clock.now", &json!({}));
    let denied = server.post("/v1/tools/execute", text(&child, "key"), clock);
    assert_eq!(denied.json()["policy"], "allow-lists");

    let none = json!({ "name": "none", "allowed_agents": [], "allowed_tools": [] });
    let none = server.post("/v1/auth/tokens", server.key(), none).json();
    let asked = server.post("/v1/ask", text(&none, "key"), question());
    assert_eq!((asked.status, &asked.json()["policy"]), (403, &json!("allow-lists")));
    let streamed = Request {
        line: "POST /v1/ask/stream",
        key: text(&none, "key"),
        body: question(),
        ..Request::default()
    };
    let last = server.events(&streamed).last().unwrap();
    assert_eq!(last.name, "run.denied", "{last:?}");
    let one = json!({ "name": "one", "allowed_agents": ["supervisor"] });
    let one = server.post("/v1/auth/tokens", server.key(), one).json();
    assert_eq!(server.post("/v1/ask", text(&one, "key"), question()).status, 200);
}

#[test]
fn a_key_has_so_many_requests_a_minute_and_a_day() {
    let place = Place::new();
    let server = place.start();
    let wanted = json!({ "name": "few", "rate_limit_per_minute": 100, "rate_limit_per_day": 3 });
    let made = server.post("/v1/auth/tokens", server.key(), wanted).json();
    let key = text(&made, "key");
    let first = server.post("/v1/auth/tokens", key, json!({ "name": "child" }));
    let policy = first.header("ratelimit-policy");
    assert!(
        policy.starts_with("\"key\";q=100;w=60, \"key-day\";q=3;w=86400, \"user\""),
        "{policy}"
    );
    let first = first.json();
    let child = text(&first, "key");
    assert_eq!(server.get("/v1/auth/me", child).status, 200);
    assert_eq!(server.get("/v1/auth/me", key).status, 200);
    // The keys that it has made are no way around it.
    for key in [key, child] {
        let over = server.get("/v1/auth/me", key);
        assert_eq!((over.status, &*over.code()), (429, "rate_limited"));
        let wait: u64 = over.header("retry-after").parse().unwrap();
        assert!((1..=86_400).contains(&wait), "{wait}");
    }
    assert_eq!(server.get("/v1/auth/me", server.key()).status, 200);
    let none = json!({ "name": "none", "rate_limit_per_day": 0 });
    assert_eq!(server.post("/v1/auth/tokens", server.key(), none).status, 422);
}

/// The header of an access token, which names its key.
fn header(session: &Value) -> &str {
    text(session, "access_token").split('.').next().unwrap()
}

#[test]
fn a_new_key_signs_while_tokens_of_the_former_one_are_good_unless_it_is_forgotten() {
    let place = Place::new();
    let many = "[http]\nsign_ins_per_minute_max = 1_000\naddress_sign_ins_per_minute_max = 1_000\n";
    let server = place.start_with(many);
    assert_eq!(register(&server).status, 201);
    let before = login(&server);
    let (access, refresh) = (text(&before, "access_token"), text(&before, "refresh_token"));
    let me = |token: &str| server.get("/v1/auth/me", token);
    let rotate = |more: &[&str]| {
        let ended = genie_in(&place.data(), &[&["keys", "rotate-tokens", "--json"], more].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.json()
    };
    let rotated = rotate(&[]);
    assert!(rotated["former_good_until"].is_string(), "{rotated}");
    let patience = Instant::now() + Duration::from_mins(1);
    let mut newer = login(&server);
    while header(&newer) == header(&before) {
        assert!(Instant::now() < patience, "the server signs with the former key");
        // An account has so many sessions at once, and the first ones are still needed.
        std::thread::sleep(Duration::from_millis(250));
        newer = login(&server);
    }
    assert_eq!(me(text(&newer, "access_token")).status, 200);
    assert_eq!(me(access).status, 200, "the former key reads its tokens");
    let renewed = server.post("/v1/auth/refresh", "", json!({ "refresh_token": refresh }));
    assert_eq!(header(&renewed.json()), header(&newer));

    let last = rotate(&["--forget"]);
    assert!(last["former_good_until"].is_null() && last["key"] != rotated["key"], "{last}");
    while me(text(&newer, "access_token")).status == 200 {
        assert!(Instant::now() < patience, "a forgotten key opens");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(me(access).code(), "invalid_token");
    let again = login(&server);
    assert!(header(&again) != header(&newer) && header(&again) != header(&before));
    // Another process over the same file goes on with it.
    drop(server);
    let server = place.start();
    assert_eq!(server.get("/v1/auth/me", text(&again, "access_token")).status, 200);
}

#[test]
fn who_signs_in_to_many_accounts_from_one_address_waits() {
    let place = Place::new();
    let server = place.start_with("[http]\naddress_sign_ins_per_minute_max = 3\n");
    let login = |number: u32| {
        let email = format!("asha{number}@example.com");
        let who = json!({ "email": email, "password": "not the right one" });
        server.post("/v1/auth/login", "", who)
    };
    // A few more than three pass if the machine is slow.
    let refused = (0..20).map(login).position(|reply| reply.status == 429).unwrap();
    assert!(refused >= 3, "{refused}");
    let next = login(21);
    assert_eq!((next.status, &*next.code()), (429, "rate_limited"));
    assert!(next.json()["detail"].as_str().unwrap().contains("`address`"), "{}", next.body);
    let wait: u64 = next.header("retry-after").parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert!(next.header("ratelimit-policy").contains("\"address\";q=3;w=60"), "{next:?}");
    // Whoever has a credential comes in from there all the same.
    assert_eq!(server.get("/v1/auth/me", server.key()).status, 200);
}

#[test]
fn an_access_token_lasts_as_long_as_its_setting_says() {
    let place = Place::new();
    let server = place.start_with("[sign_in]\naccess = \"2s\"\n");
    let mut who = json!({ "email": "asha@example.com", "password": "correct horse battery" });
    let mut wanted = who.clone();
    wanted["name"] = json!("Asha");
    assert_eq!(server.post("/v1/auth/register", "", wanted).status, 201);
    let tokens = server.post("/v1/auth/login", "", who.take()).json();
    assert_eq!(tokens["expires_in"], 2);
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let refused = loop {
        let me = server.get("/v1/auth/me", text(&tokens, "access_token"));
        if me.status != 200 || std::time::Instant::now() > patience {
            break me;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert_eq!((refused.status, &*refused.code()), (401, "expired_token"));
    let renewed = json!({ "refresh_token": tokens["refresh_token"] });
    assert_eq!(server.post("/v1/auth/refresh", "", renewed).json()["expires_in"], 2);
}

#[test]
fn a_key_for_some_models_makes_keys_for_no_others() {
    let place = Place::new();
    let server = place.start();
    let make = |maker: &str, models: Value| {
        let mut wanted = json!({ "name": "models" });
        if !models.is_null() {
            wanted["allowed_models"] = models;
        }
        server.post("/v1/auth/tokens", maker, wanted)
    };
    assert_eq!(make(server.key(), Value::Null).json()["allowed_models"], Value::Null);
    let two = make(server.key(), json!(["small", "large"])).json();
    let two = text(&two, "key");
    for (models, kept) in [
        (Value::Null, json!(["large", "small"])),
        (json!(["small"]), json!(["small"])),
        (json!([]), json!([])),
    ] {
        let made = make(two, models);
        assert_eq!((made.status, &made.json()["allowed_models"]), (201, &kept));
        let me = server.get("/v1/auth/me", text(&made.json(), "key")).json();
        assert_eq!(me["allowed_models"], kept);
    }
    assert_eq!(make(two, json!(["small", "huge"])).code(), "forbidden");
}
