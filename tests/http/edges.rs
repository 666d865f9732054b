//! What a server does with requests that are wrong: it says so, and goes on.

use super::serving::Place;

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
