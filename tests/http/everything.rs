//! `GET /v1/events`: everything that a caller may see, across runs, without gap or repetition.

use serde_json::json;

use super::serving::{Event, Events, Place, Request, Serving, call, question};

pub(super) fn watch(server: &Serving, key: &str, last: Option<u64>) -> Events {
    let last = last.map(|last| last.to_string());
    let headers: Vec<(&str, &str)> = last.iter().map(|last| ("last-event-id", &**last)).collect();
    server.events(&Request { line: "GET /v1/events", key, headers: &headers, ..Request::default() })
}

/// The events on record up to the end of `runs` runs.
fn until(events: &mut Events, runs: usize) -> Vec<Event> {
    let (mut seen, mut ended) = (Vec::new(), 0);
    while ended < runs {
        let event = events.next().unwrap();
        ended += usize::from(event.name == "run.completed");
        if event.id.is_some() {
            seen.push(event);
        }
    }
    seen
}

fn add(server: &Serving, key: &str) {
    let sum = call("calculator", &json!({ "expression": "1 + 1" }));
    assert_eq!(server.post("/v1/tools/execute", key, sum).status, 200);
}

#[test]
fn everybody_sees_what_is_theirs_and_nothing_else() {
    let place = Place::new();
    let server = place.start();
    let asha = server.make_key(server.key(), "asha", &["user"]);
    let ravi = server.make_key(server.key(), "ravi", &["user"]);
    let mut all = watch(&server, server.key(), None);
    let mut own = watch(&server, &asha, None);
    add(&server, &ravi);
    add(&server, &asha);
    let (all, own) = (until(&mut all, 2), until(&mut own, 1));
    let subjects = |events: &[Event]| -> Vec<String> {
        let started = events.iter().filter(|event| event.name == "run.started");
        started.map(|event| event.data["subject"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(subjects(&all), ["ravi", "asha"]);
    assert_eq!(subjects(&own), ["asha"]);
    let run = &own[0].data["run_id"];
    assert!(own.iter().all(|event| all.contains(event) || event.name == "message.published"));
    let of_own =
        |event: &&Event| event.data["run_id"] == *run || event.data["message"]["run_id"] == *run;
    assert_eq!(all.iter().filter(of_own).count(), own.len());
    // Who sees only their own runs does not read what agents say to each other in them.
    let payloads = |events: &[Event]| {
        events.iter().filter(|event| event.data["message"]["payload"].is_object()).count()
    };
    assert!(payloads(&own) < all.iter().filter(of_own).count());
}

#[test]
fn a_broken_stream_goes_on_behind_its_last_event_also_after_a_kill() {
    let place = Place::new();
    let server = place.start();
    let key = server.key().to_owned();
    let mut live = watch(&server, &key, None);
    for _ in 0..2 {
        add(&server, &key);
    }
    assert_eq!(server.post("/v1/ask", &key, question()).status, 200);
    let seen = until(&mut live, 3);
    let ids: Vec<u64> = seen.iter().filter_map(|event| event.id).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    server.kill();
    let server = place.start();
    for cut in [0, 5, seen.len() / 2] {
        let left = seen[..=cut].iter().filter(|event| event.name == "run.completed").count();
        let rest = until(&mut watch(&server, &key, seen[cut].id), 3 - left);
        assert_eq!(rest, seen[cut + 1..], "behind event {cut}");
    }
}

#[test]
fn a_place_that_is_not_kept_is_gone_and_said_so() {
    let place = Place::new();
    let server = place.start_in_memory("journal_records_max = 5\n");
    let key = server.key().to_owned();
    add(&server, &key);
    let ask = |last: &str| {
        let headers = [("last-event-id", last)];
        server.ask(&Request {
            line: "GET /v1/events",
            key: &key,
            headers: &headers,
            ..Request::default()
        })
    };
    for last in ["1", "999999", "7-1"] {
        let reply = ask(last);
        assert_eq!((reply.status, &*reply.code()), (410, "gone"), "{last}");
    }
    assert_eq!(ask("x").code(), "malformed");
}
