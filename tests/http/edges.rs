//! What a server does with requests that are wrong: it says so, and goes on.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::serving::{Place, Reply, payment, question};

#[test]
fn garbage_is_refused_and_harms_nobody() {
    let place = Place::new();
    let server = place.start();
    let status = |bytes: &[u8]| {
        let answer = server.raw(bytes);
        let status = answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
        assert!(!(500..600).contains(&status), "{answer}");
        status
    };
    let key = format!("authorization: Bearer {}\r\n", server.key());
    let post = |rest: &str| {
        format!("POST /v1/ask HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{key}{rest}")
    };
    assert_eq!(status(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), 400);
    assert_eq!(status(b"GET / HTTP/9.9\r\n\r\n"), 400);
    assert_eq!(status(b"\0\0\0\0\r\n\r\n"), 400);
    assert_eq!(
        status(format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(100_000)).as_bytes()),
        431
    );
    let many = "x: 1\r\n".repeat(200);
    assert_eq!(status(format!("GET /health HTTP/1.1\r\n{many}\r\n").as_bytes()), 431);
    assert_eq!(status(format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000)).as_bytes()), 431);

    let json = "content-type: application/json\r\n";
    // What is announced as too large is refused before it is sent.
    let huge = post(&format!("{json}content-length: 99999999999\r\n\r\n"));
    assert_eq!(status(huge.as_bytes()), 413);
    let both =
        post(&format!("{json}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"));
    assert!(status(both.as_bytes()) >= 400);
    let text = post("content-type: text/plain\r\ncontent-length: 2\r\n\r\n{}");
    assert_eq!(status(text.as_bytes()), 415);
    let half = server.raw(post(&format!("{json}content-length: 1\r\n\r\n{{")).as_bytes());
    assert!(half.contains(" 400 ") && half.contains("application/problem+json"), "{half}");
    let invalid = post(&format!("{json}content-length: 4\r\n\r\n\"\u{fffd}"));
    assert_eq!(status(invalid.as_bytes()), 400);
    assert_eq!(
        status(b"GET /v1/runs/%00%ff HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
        401
    );
    assert_eq!(server.get("/health", "").status, 200);
}

#[test]
fn the_slow_and_the_many_wait_or_are_let_go() {
    let place = Place::new();
    let settings = "[http]\nconnections_max = 2\nheader_timeout = \"300ms\"\n\
                    body_timeout = \"300ms\"\nrequests_per_minute_max = 3\n";
    let server = place.start_with(settings);
    // Two that say nothing take both places; whoever comes next is served once they are let go.
    let silent = [server.connect(), server.connect()];
    let began = Instant::now();
    assert_eq!(server.get("/health", "").status, 200);
    assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
    drop(silent);
    let slow = format!(
        "POST /v1/ask HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        server.key()
    );
    let mut stream = server.connect();
    stream.write_all(slow.as_bytes()).unwrap();
    let mut answer = [0; 4_096];
    let read = stream.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    drop(stream);
    // The slow one was counted, too.
    let counted = server.get("/v1/auth/me", server.key());
    let policy = "\"key\";q=3;w=60, \"user\";q=12000;w=60, \"tenant\";q=60000;w=60";
    assert_eq!(counted.header("ratelimit-policy"), policy);
    let last = server.get("/v1/auth/me", server.key());
    assert!(last.header("ratelimit").starts_with("\"key\";r=0;t="), "{last:?}");
    let over = server.get("/v1/auth/me", server.key());
    assert_eq!((over.status, &*over.code()), (429, "rate_limited"));
    let wait: u64 = over.header("retry-after").parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
}

#[test]
fn health_is_open_and_figures_are_not() {
    let place = Place::new();
    let server = place.start();
    assert_eq!(server.get("/health", "").body, r#"{"status":"ok"}"#);
    let ready = server.get("/ready", "");
    assert_eq!((ready.status, &ready.json()["status"]), (200, &"ready".into()));
    assert_eq!(server.get("/metrics", "").code(), "unauthenticated");
    let metrics = server.get("/metrics", server.key()).body;
    let counted = "genie_http_requests_total{method=\"GET\",route=\"/health\",status=\"200\"} 1\n";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains("genie_agent_handled_total{agent=\"supervisor\"} 0\n"), "{metrics}");
    let agents = server.get("/v1/agents", server.key()).json();
    assert_eq!(agents["data"][0]["id"], "supervisor");
    assert_eq!(server.get("/v1/agents/supervisor", server.key()).json()["health"]["handled"], 0);
    assert_eq!(server.get("/v1/agents/nobody", server.key()).code(), "not_found");
}

#[test]
fn lists_come_in_pages() {
    let place = Place::new();
    let server = place.start();
    let sum = super::serving::call("calculator", &serde_json::json!({ "expression": "1" }));
    for _ in 0..3 {
        assert_eq!(server.post("/v1/tools/execute", server.key(), sum.clone()).status, 200);
    }
    let first = server.get("/v1/runs?limit=2", server.key()).json();
    let next = first["next"].as_str().unwrap();
    let second = server.get(&format!("/v1/runs?limit=2&after={next}"), server.key()).json();
    assert!(second["next"].is_null());
    let ids = |page: &serde_json::Value| -> Vec<String> {
        let runs = page["data"].as_array().unwrap().iter();
        runs.map(|run| run["run_id"].as_str().unwrap().to_owned()).collect()
    };
    let all = [ids(&first), ids(&second)].concat();
    assert!(all.len() == 3 && all.is_sorted_by(|newer, older| newer > older), "{all:?}");
}

/// Asks until the answer is as wanted.
fn until(ask: impl Fn() -> Reply, is_right: impl Fn(&Reply) -> bool) -> Reply {
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let reply = ask();
        if is_right(&reply) {
            return reply;
        }
        assert!(Instant::now() < patience, "{reply:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_that_is_full_refuses_the_next_run_and_says_when_to_come_back() {
    let place = Place::new();
    // What waits stays in memory, and so keeps the one place.
    let server = place.start_with("[limits]\nruns_in_flight_max = 1\npark_after = \"48h\"\n");
    let ask = || server.post("/v1/ask", server.key(), question());
    let ended = std::thread::scope(|scope| {
        let held = scope.spawn(|| server.post("/v1/tools/execute", server.key(), payment()));
        let pending = || server.get("/v1/approvals?status=pending", server.key());
        let waiting = until(pending, |listed| listed.json()["data"][0].is_object()).json();
        let refused = ask();
        assert_eq!((refused.status, &*refused.code()), (429, "overloaded"), "{}", refused.body);
        assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1, "{refused:?}");
        // What begins no run goes on.
        assert_eq!(server.get("/ready", "").status, 200);
        let path = format!("/v1/runs/{}/cancel", waiting["data"][0]["run_id"].as_str().unwrap());
        assert_eq!(server.post(&path, server.key(), serde_json::Value::Null).status, 202);
        held.join().unwrap()
    });
    assert_eq!((ended.status, &*ended.code()), (409, "cancelled"));
    let asked = until(ask, |asked| asked.status != 429);
    assert_eq!(asked.status, 200, "{}", asked.body);
}
