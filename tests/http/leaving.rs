//! Clients that end their side: whoever still listens is answered, and whoever has left is let go.

use std::io::{Read, Write};
use std::net::Shutdown;

use serde_json::{Value, json};

use super::serving::{Event, Events, Place, Request, Serving, payment, question};

/// No heartbeat comes while a test lasts.
const SILENT: &str = "[http]\nheartbeat = \"1h\"\nheader_timeout = \"1h\"\nbody_timeout = \"1h\"\n";

fn request(server: &Serving, line: &str, body: &Value) -> String {
    let (key, body) = (server.key(), body.to_string());
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         authorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// What a client hears that sends this and ends its side.
fn half_closed(server: &Serving, said: &str) -> String {
    let mut stream = server.connect();
    stream.write_all(said.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    heard
}

/// Runs that there are.
fn runs(server: &Serving) -> usize {
    let runs = server.get("/v1/runs", server.key()).json();
    runs["data"].as_array().unwrap().len()
}

/// The events of a run that waits for a human, read as far as there are any.
fn waiting(server: &Serving) -> (String, Events) {
    let run = server.post("/v1/tools/execute", server.key(), payment()).json()["run_id"].clone();
    let run = run.as_str().unwrap().to_owned();
    let events = follow(server, &run);
    (run, events)
}

fn follow(server: &Serving, run: &str) -> Events {
    let line = format!("GET /v1/runs/{run}/events");
    let mut events =
        server.events(&Request { line: &line, key: server.key(), ..Request::default() });
    assert!(events.any(|event| event.name == "run.waiting"));
    events
}

#[test]
fn whoever_ends_their_side_after_a_whole_request_is_answered() {
    let place = Place::new();
    let server = place.start_with(SILENT);
    let paid = request(&server, "POST /v1/tools/execute", &payment());
    let asked = request(&server, "POST /v1/ask", &question());
    for (said, answer) in [
        ("GET /health HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 200 "),
        (&*paid, "HTTP/1.1 202 "),
        (&*asked, "HTTP/1.1 200 "),
    ] {
        for times in [1, 3] {
            let heard = half_closed(&server, &said.repeat(times));
            assert_eq!(heard.matches(answer).count(), times, "{heard}");
        }
    }
    assert_eq!(runs(&server), 8);
}

#[test]
fn whoever_ends_their_side_within_a_request_has_begun_nothing() {
    let place = Place::new();
    let server = place.start_with(SILENT);
    let whole = request(&server, "POST /v1/tools/execute", &payment());
    let body = whole.find('{').unwrap();
    for cut in [1, 10, body - 2, body, body + 1, whole.len() - 1] {
        let heard = half_closed(&server, &whole[..cut]);
        assert!(heard.starts_with("HTTP/1.1 400 "), "{cut}: {heard}");
        assert!(heard.contains("did not come whole"), "{cut}: {heard}");
    }
    assert_eq!(half_closed(&server, ""), "");
    // And so has whoever leaves.
    for cut in 0..whole.len() {
        server.connect().write_all(&whole.as_bytes()[..cut]).unwrap();
    }
    server.comes_to("genie_http_connections", 1);
    assert_eq!(runs(&server), 0);
}

#[test]
fn whoever_ends_their_side_of_a_stream_has_its_events() {
    let place = Place::new();
    let server = place.start_with(SILENT);
    let (run, mut events) = waiting(&server);
    events.end();
    let cancelled = server.post(&format!("/v1/runs/{run}/cancel"), server.key(), json!({}));
    assert_eq!(cancelled.status, 202, "{}", cancelled.body);
    let rest: Vec<Event> = events.by_ref().collect();
    assert_eq!(rest.last().unwrap().name, "run.cancelled", "{rest:?}");
    // Also if it was never open.
    let line = format!("GET /v1/runs/{run}/events HTTP/1.1\r\nhost: x\r\n");
    let key = server.key();
    let heard = half_closed(&server, &format!("{line}authorization: Bearer {key}\r\n\r\n"));
    assert!(heard.contains("event: run.cancelled\n"), "{heard}");
}

#[test]
fn a_stream_that_its_client_has_left_is_over_before_anything_happens_in_it() {
    let place = Place::new();
    let server = place.start_with(SILENT);
    let (run, first) = waiting(&server);
    let streams = [first, follow(&server, &run), follow(&server, &run)];
    server.comes_to("genie_http_streams", 3);
    drop(streams);
    server.comes_to("genie_http_streams", 0);
    server.comes_to("genie_http_connections", 1);
}
