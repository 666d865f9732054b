//! Profiles of a running server, read as pprof reads them.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use super::serving::{Place, Serving, call};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

fn ask(server: &Serving, key: &str, path: &str) -> TcpStream {
    let mut stream = server.connect();
    let head = format!("GET {path} HTTP/1.0\r\nauthorization: Bearer {key}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_read_timeout(None).unwrap();
    stream
}

/// The status of an answer, and its body.
fn answer(mut stream: TcpStream) -> (u16, Vec<u8>) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, bytes.split_off(end + 4))
}

fn get(server: &Serving, key: &str, path: &str) -> (u16, Vec<u8>) {
    answer(ask(server, key, path))
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            break;
        }
    }
    value
}

/// The fields of a message of protocol buffers: their numbers, values and bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (tag, value) = (varint(&mut bytes), varint(&mut bytes));
        let mut inner = &[][..];
        if tag & 7 == 2 {
            (inner, bytes) = bytes.split_at(usize::try_from(value).unwrap());
        }
        found.push((tag >> 3, value, inner));
    }
    found
}

fn field(message: &[u8], number: u64) -> u64 {
    let found = fields(message).into_iter().find(|(it, ..)| *it == number);
    found.map_or(0, |(_, value, _)| value)
}

fn packed(mut bytes: &[u8]) -> Vec<u64> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        found.push(varint(&mut bytes));
    }
    found
}

/// A profile: what is counted, and for each stack its functions with the figures.
struct Profile {
    types: Vec<String>,
    stacks: Vec<(Vec<String>, Vec<u64>)>,
    build_ids: Vec<String>,
}

impl Profile {
    /// After `profile.proto` of <https://github.com/google/pprof>.
    fn read(compressed: &[u8]) -> Self {
        let mut whole = Vec::new();
        flate2::read::GzDecoder::new(compressed).read_to_end(&mut whole).unwrap();
        let whole = fields(&whole);
        let all = |number: u64| whole.iter().filter(move |it| it.0 == number).map(|it| it.2);
        let texts: Vec<String> =
            all(6).map(|text| String::from_utf8(text.to_vec()).unwrap()).collect();
        let text = |message: &[u8], number: u64| {
            texts[usize::try_from(field(message, number)).unwrap()].clone()
        };
        let functions: HashMap<u64, String> =
            all(5).map(|function| (field(function, 1), text(function, 2))).collect();
        let name = |location: &[u8]| {
            let lines = fields(location).into_iter().find(|(number, ..)| *number == 4);
            lines.map_or(String::new(), |(.., line)| functions[&field(line, 1)].clone())
        };
        let names: HashMap<u64, String> =
            all(4).map(|location| (field(location, 1), name(location))).collect();
        let stack = |sample: &[u8]| {
            let of = |wanted: u64| {
                let found = fields(sample).into_iter().find(|(number, ..)| *number == wanted);
                packed(found.unwrap().2)
            };
            (of(1).iter().map(|location| names[location].clone()).collect(), of(2))
        };
        Self {
            types: all(1).map(|it| text(it, 1)).collect(),
            stacks: all(2).map(stack).collect(),
            build_ids: all(3).map(|it| text(it, 6)).collect(),
        }
    }

    /// The sum of a figure over the stacks with a function that is named so.
    fn sum(&self, figure: &str, of: impl Fn(&str) -> bool) -> u64 {
        let figure = self.types.iter().position(|it| it == figure).unwrap();
        let has = |names: &[String]| names.iter().any(|name| of(name));
        self.stacks.iter().filter(|(names, _)| has(names)).map(|(_, values)| values[figure]).sum()
    }
}

/// The profile that the server gives while this is done to it again and again.
fn profile(server: &Serving, path: &str, mut load: impl FnMut()) -> Profile {
    let stream = ask(server, server.key(), path);
    let asked = std::thread::spawn(move || answer(stream));
    while !asked.is_finished() {
        load();
    }
    let (status, body) = asked.join().unwrap();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    Profile::read(&body)
}

#[test]
fn a_profile_names_what_a_busy_server_executes() {
    let place = Place::new();
    let server = place.start();
    let sum = call("calculator", &json!({ "expression": "1 + 1" }));
    let profile = profile(&server, "/debug/pprof/profile?seconds=4", || {
        assert_eq!(server.post("/v1/tools/execute", server.key(), sum.clone()).status, 200);
    });
    assert_eq!(profile.types, ["samples", "cpu"]);
    let (all, ours) =
        (profile.sum("samples", |_| true), profile.sum("samples", |it| it.contains("genie_")));
    // A debug build has the names of all functions.
    assert!(all >= 10 && 3 * ours > all, "{ours} of {all}: {:#?}", profile.stacks);
    let id = &profile.build_ids[0];
    assert!(id.len() >= 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
}

#[test]
fn a_profile_of_the_heap_shows_what_is_kept() {
    let place = Place::new();
    let server = place.start_in_memory("");
    // What a server in memory keeps of a document is what was sent, in one piece.
    let row = format!("2026-08-03,{},450.00,\n", "Swiggy ".repeat(7_000));
    let statement = format!("Date,Description,Debit,Credit\n{}", row.repeat(20));
    let mut kept = 0;
    let profile = profile(&server, "/debug/pprof/heap?seconds=6", || {
        let (key, length) = (server.key(), statement.len());
        let head = format!(
            "POST /v1/documents HTTP/1.0\r\nauthorization: Bearer {key}\r\n\
             content-length: {length}\r\n\r\n{statement}"
        );
        assert!(server.raw(head.as_bytes()).starts_with("HTTP/1.0 201 "));
        kept += length as u64;
    });
    let types = ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"];
    assert_eq!(profile.types, types);
    let documents = |name: &str| name.contains("MemoryDocuments");
    let (in_use, allocated) =
        (profile.sum("inuse_space", documents), profile.sum("alloc_space", documents));
    // Estimates, and what was sent before the profile began and after it ended is not in them.
    assert!(in_use > 500_000 && in_use < 3 * kept, "{in_use} of {kept}: {:#?}", profile.stacks);
    assert!(allocated >= in_use && profile.sum("alloc_space", |_| true) > 2 * in_use);
}

/// A profile that is being taken, and would be for a minute.
fn long(server: &Serving) -> TcpStream {
    loop {
        let long = ask(server, server.key(), "/debug/pprof/profile?seconds=60");
        // If this one came first, the other was refused.
        if get(server, server.key(), "/debug/pprof/heap?seconds=1").0 == 409 {
            return long;
        }
    }
}

#[test]
fn one_profile_is_taken_at_a_time_and_ends_with_whoever_wanted_it() {
    let place = Place::new();
    let server = place.start();
    let long = long(&server);
    let refused = server.get("/debug/pprof/profile", server.key());
    assert_eq!((refused.status, &*refused.code()), (409, "profiling"), "{refused:?}");
    // Far from its end.
    drop(long);
    let began = Instant::now();
    for path in ["/debug/pprof/heap?seconds=1", "/debug/pprof/profile?seconds=1"] {
        while get(&server, server.key(), path).0 != 200 {
            assert!(began.elapsed() < PATIENCE, "{path}");
        }
    }
}

#[test]
fn a_server_that_stops_does_not_wait_for_a_profile() {
    let place = Place::new();
    let server = place.start();
    let long = long(&server);
    let began = Instant::now();
    server.signal("-TERM");
    assert_eq!(answer(long).0, 503);
    assert!(server.ended().0 && began.elapsed() < PATIENCE);
}

#[test]
fn profiles_are_for_administrators_who_say_for_how_long() {
    let place = Place::new();
    let server = place.start();
    let auditor = server.make_key(server.key(), "vera", &["auditor", "user", "approver"]);
    for path in ["/debug/pprof/", "/debug/pprof/profile", "/debug/pprof/heap"] {
        assert_eq!(server.get(path, "").status, 401, "{path}");
        assert_eq!(server.get(path, &auditor).code(), "forbidden", "{path}");
    }
    for path in ["/debug/pprof/profile?seconds=0", "/debug/pprof/heap?seconds=61"] {
        let refused = server.get(path, server.key());
        assert_eq!((refused.status, &*refused.code()), (422, "invalid"), "{path}");
        assert!(refused.body.contains("from 1 to 60"), "{}", refused.body);
    }
    let index = server.get("/debug/pprof/", server.key());
    assert_eq!(index.status, 200);
    assert!(index.body.contains("/debug/pprof/heap?seconds="), "{}", index.body);
}
