//! Streams of events and their clients: slow ones that come back, and text that looks like events.

use serde_json::json;

use super::everything::watch;
use super::serving::{Event, Events, Place, STATEMENT, Serving, call};

/// Every event on record up to the end of so many runs, for a client that comes back whenever its
/// stream ends; and how often it did.
fn follow(server: &Serving, mut events: Events, runs: usize) -> (Vec<Event>, usize) {
    let (mut seen, mut ended, mut returns) = (Vec::<Event>::new(), 0, 0);
    while ended < runs {
        let Some(event) = events.next() else {
            let last = seen.last().map_or(Some(0), |event| event.id);
            events = watch(server, server.key(), last);
            returns += 1;
            continue;
        };
        ended += usize::from(event.name == "run.failed");
        seen.extend(event.id.is_some().then_some(event));
    }
    (seen, returns)
}

#[test]
fn a_slow_client_that_is_let_go_comes_back_and_misses_nothing() {
    // Together more than the system holds for a client that reads nothing.
    const RUNS: usize = 40;
    let place = Place::new();
    let server = place.start_with("[http]\nstall = \"300ms\"\n");
    let slow = watch(&server, server.key(), None);
    // A call that fails for being too long is on record with all of it.
    let large = call("calculator", &json!({ "expression": "1 + 1 ".repeat(30_000) }));
    for _ in 0..RUNS {
        let failed = server.post("/v1/tools/execute", server.key(), large.clone());
        assert_eq!(failed.code(), "bad_arguments");
    }
    server.comes_to("genie_http_streams", 0);
    let (seen, returns) = follow(&server, slow, RUNS);
    assert!(returns > 0, "it was never let go");
    let (recorded, _) = follow(&server, watch(&server, server.key(), Some(0)), RUNS);
    let ids = |events: &[Event]| events.iter().map(|event| event.id).collect::<Vec<_>>();
    assert_eq!(ids(&seen), ids(&recorded));
    assert!(seen == recorded);
}

#[test]
fn text_with_lines_of_its_own_does_not_break_a_stream() {
    let place = Place::new();
    let server = place.start();
    let lines =
        "\none\r\ntwo\rthree\u{2028}four\n\nid: 1\nevent: run.failed\ndata: {}\n\n: five\n\n";
    let asked = format!("How much did I spend?{lines}");
    let body = json!({ "question": asked, "statement": STATEMENT }).to_string();
    let head = format!(
        "POST /v1/ask/stream HTTP/1.0\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        server.key(),
        body.len()
    );
    let answer = server.raw(format!("{head}{body}").as_bytes());
    let (_, stream) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!stream.contains('\r'), "{stream}");
    let mut said = Vec::new();
    for event in stream.split_terminator("\n\n") {
        let fields: Vec<&str> =
            event.lines().map(|line| line.split_once(": ").unwrap().0).collect();
        let is_whole = [&["id", "event", "data"][..], &["event", "data"], &[""]];
        assert!(is_whole.contains(&&*fields), "{event}");
        let data = event.lines().find_map(|line| line.strip_prefix("data: "));
        said.extend(data.map(|data| serde_json::from_str::<serde_json::Value>(data).unwrap()));
    }
    assert!(said.iter().any(|data| data["message"]["payload"]["question"] == *asked), "{said:#?}");
    assert!(stream.contains("\nevent: run.completed\n") && !stream.contains("\nevent: run.failed"));
}
