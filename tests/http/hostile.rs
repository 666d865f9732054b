//! Clients that mean harm: each is answered clearly or let go, takes no memory that is not bounded,
//! and keeps nobody else from being served.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;

use super::serving::{Place, Request, Serving, payment};

/// Most memory that the server may have, in KiB, whatever is sent: a server at rest, and some.
const RESIDENT_KIB_MAX: u64 = 160 * 1_024;

/// Bounds that a test does not wait long for.
const SHORT: &str = "[http]\nheader_timeout = \"300ms\"\nbody_timeout = \"300ms\"\n";

/// What comes back, and whether the server was there for someone else meanwhile.
fn status(server: &Serving, bytes: &[u8]) -> (u16, String) {
    let answer = server.raw(bytes);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    assert_eq!(server.get("/health", "").status, 200, "after {answer}");
    (status, answer)
}

/// That the last answer on a connection says what is wrong.
fn is_problem(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.contains("\r\nconnection: close"), "{answer}");
    assert!(head.contains("\r\ncontent-type: application/problem+json"), "{answer}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["status"], &body["code"]), (&status.into(), &code.into()), "{answer}");
    let id = body["request_id"].as_str().unwrap();
    assert!(head.contains(&format!("\r\nx-request-id: {id}")), "{answer}");
}

fn post(server: &Serving, headers: &str) -> String {
    let key = server.key();
    format!(
        "POST /v1/tools/execute HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\nauthorization: Bearer {key}\r\n{headers}\r\n"
    )
}

#[test]
fn a_client_that_drips_its_request_is_let_go_in_time() {
    let place = Place::new();
    let server = place.start_with(SHORT);
    for (head, tail) in [
        ("GET /health HTTP/1.1\r\nhost: x\r\n".to_owned(), "x-drop: 1\r\n"),
        (post(&server, "content-length: 100000\r\n"), " "),
        (post(&server, "transfer-encoding: chunked\r\n"), "1\r\n \r\n"),
    ] {
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).unwrap();
        // One drop after the other, each in time for a server that only waits for the next, until
        // it says something or hangs up.
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (mut answer, began) = (Vec::new(), Instant::now());
        loop {
            match stream.read_to_end(&mut answer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => break,
            }
            assert!(began.elapsed() < Duration::from_secs(10), "still there: {head}");
            if stream.write_all(tail.as_bytes()).is_err() {
                let _ = stream.read_to_end(&mut answer);
                break;
            }
        }
        is_problem(&String::from_utf8_lossy(&answer), 408, "timeout");
    }
    assert_eq!(server.get("/health", "").status, 200);
}

#[test]
fn a_connection_on_which_nobody_asks_is_closed_without_a_word() {
    let place = Place::new();
    let server = place.start_with(SHORT);
    let health = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
    for (said, answers) in [("", 0), (health, 1), (&*health.repeat(2), 2)] {
        let mut stream = server.connect();
        stream.write_all(said.as_bytes()).unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        assert_eq!(heard.matches("HTTP/1.1 ").count(), answers, "{heard}");
        assert_eq!(heard.matches("HTTP/1.1 200 ").count(), answers, "{heard}");
    }
    // Whoever has begun the next request is told that it is late.
    let (last, answer) = status(&server, format!("{health}GET /hea").as_bytes());
    assert_eq!(last, 200, "{answer}");
    let mut stream = server.connect();
    stream.write_all(health.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    stream.write_all(b"GET /hea").unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    is_problem(&heard[heard.find("HTTP/1.1 ").unwrap()..], 408, "timeout");
}

#[test]
fn what_is_too_large_is_refused_before_it_takes_memory() {
    let place = Place::new();
    let server = place.start();
    let long = format!("x: {}\r\n", "a".repeat(10 << 20));
    for headers in [&*long, &"x: 1\r\n".repeat(10_000), &"x: 1\r\n".repeat(65)] {
        let (_, answer) = status(&server, format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes());
        is_problem(&answer, 431, "too_large");
    }
    // More than its bound, in pieces that do not say how many will come.
    let piece = format!("{:x}\r\n{}\r\n", 1 << 20, "a".repeat(1 << 20));
    let head = post(&server, "transfer-encoding: chunked\r\n");
    let (_, answer) = status(&server, format!("{head}{}", piece.repeat(30)).as_bytes());
    is_problem(&answer, 413, "too_large");
    let head = post(&server, &format!("content-length: {}\r\n", 30 << 20));
    let (_, answer) = status(&server, format!("{head}{}", " ".repeat(30 << 20)).as_bytes());
    is_problem(&answer, 413, "too_large");
    // Nobody is listened to for ever.
    let mut stream = server.connect();
    stream.write_all(post(&server, "transfer-encoding: chunked\r\n").as_bytes()).unwrap();
    let sent = (0..128).take_while(|_| stream.write_all(piece.as_bytes()).is_ok()).count();
    assert!(sent < 128, "the server took all of it");
    assert!(server.resident_kib() < RESIDENT_KIB_MAX, "{} KiB", server.resident_kib());
    assert_eq!(server.get("/health", "").status, 200);
}

#[test]
fn what_is_no_http_is_told_so_also_behind_a_good_request() {
    let place = Place::new();
    let server = place.start();
    let health = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for wrong in ["\0\0\0\0", "hello\r\n\r\n", preface, "GET / HTTP/1.1\r\nbad header\r\n\r\n"] {
        is_problem(&status(&server, wrong.as_bytes()).1, 400, "malformed");
        let mut stream = server.connect();
        stream.write_all(health.as_bytes()).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        stream.write_all(wrong.as_bytes()).unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        is_problem(&heard[heard.find("HTTP/1.1 ").unwrap()..], 400, "malformed");
    }
}

#[test]
fn a_client_that_takes_no_answers_is_let_go() {
    let place = Place::new();
    let server = place.start_with("[http]\nstall = \"300ms\"\n");
    let mut stream = server.connect();
    stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let document = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1_000);
    // More than the system holds for a client.
    let _ = stream.write_all(document.as_bytes());
    server.comes_to("genie_http_connections", 1);
    drop(stream);
}

#[test]
fn a_compressed_body_is_not_unpacked() {
    let place = Place::new();
    let server = place.start();
    // A gzip file of 10 MiB of zeros would be about 10 KB; its first bytes are enough here, since
    // nobody looks at them.
    let bomb = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0; 10_000]].concat();
    for encoding in ["gzip", "br", "deflate", "gzip, gzip", "identity, gzip"] {
        let headers = format!("content-encoding: {encoding}\r\ncontent-length: {}\r\n", bomb.len());
        let request = [post(&server, &headers).as_bytes(), &bomb].concat();
        let (refused, answer) = status(&server, &request);
        assert_eq!(refused, 415, "{encoding}: {answer}");
        assert!(answer.contains("unsupported_media_type"), "{answer}");
    }
    assert!(server.resident_kib() < RESIDENT_KIB_MAX);
}

#[test]
fn what_is_no_text_is_refused_wherever_it_stands() {
    let place = Place::new();
    let server = place.start();
    let key = server.key();
    let auth = format!("host: x\r\nconnection: close\r\nauthorization: Bearer {key}\r\n");
    let get = |path: &[u8]| {
        let request = [b"GET ", path, b" HTTP/1.1\r\n", auth.as_bytes(), b"\r\n"].concat();
        status(&server, &request)
    };
    for path in [
        &b"/v1/runs/%ff%fe"[..],
        b"/v1/agents/%c3%28",
        b"/v1/runs/\xff\xfe",
        b"/v1/agents/%00",
        b"/v1/agents/supervisor%00",
        b"/v1/runs?status=%ff",
        b"/v1/runs?limit=%00",
        b"/v1/runs?after=\xc3\x28",
    ] {
        let (refused, answer) = get(path);
        assert!((400..500).contains(&refused), "{}: {answer}", String::from_utf8_lossy(path));
    }
    for header in [&b"x-request-id: \xff\xfe"[..], b"idempotency-key: \xc3\x28", b"accept: \xff"] {
        let body = super::serving::call("calculator", &serde_json::json!({ "expression": "1" }));
        let body = body.to_string();
        let head = post(&server, &format!("content-length: {}\r\n", body.len()));
        let head = head.trim_end().as_bytes();
        let request = [head, b"\r\n", header, b"\r\n\r\n", body.as_bytes()].concat();
        let (told, answer) = status(&server, &request);
        // Either the header counts and is refused, or it does not.
        assert!([200, 400, 422].contains(&told), "{answer}");
        assert!(!answer.contains('\u{fffd}'), "{answer}");
    }
    for body in [&b"{\"id\": \"\xff\"}"[..], b"{\"id\": \"\\ud800\"}", b"\xfe\xff\0{\0}", b"{}\0"] {
        let request = post(&server, &format!("content-length: {}\r\n", body.len()));
        let (refused, answer) = status(&server, &[request.as_bytes(), body].concat());
        assert!([400, 422].contains(&refused), "{answer}");
    }
}

#[test]
fn no_trick_with_a_path_comes_past_the_rights() {
    let place = Place::new();
    let server = place.start();
    for path in [
        "/health/../metrics",
        "/health/%2e%2e/metrics",
        "/health/..%2fmetrics",
        "//metrics",
        "/metrics/",
        "/metrics%2f",
        "/%6detrics",
        "/metrics%00",
        "/metrics;a=b",
        "/./metrics",
        "/v1//runs",
        "/v1/./runs",
        "/v1/runs/../auth/tokens",
        "/V1/RUNS",
        "http://127.0.0.1/metrics",
        "/\\metrics",
        "/health\\..\\metrics",
    ] {
        let line = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let (told, answer) = status(&server, line.as_bytes());
        // Without a key: no such route, or one that needs a key; never what is behind it.
        assert!([400, 401, 404].contains(&told), "{path}: {answer}");
        assert!(!answer.contains("genie_http_requests_total"), "{path}: {answer}");
    }
}

/// Streams at once; each is a file here and one in the server.
const STREAMS: usize = 10_000;

#[test]
fn ten_thousand_streams_that_nobody_reads_cost_little_and_end_with_their_clients() {
    // The server inherits it.
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
    let enough = files.maximum.is_none_or(|most| most > STREAMS as u64 + 1_000);
    assert!(enough, "a process may open {files:?} files here, too few for {STREAMS} streams");
    let place = Place::new();
    let server = place.start_with(
        "[http]\nconnections_max = 20_000\nrequests_per_minute_max = 1_000_000\n\
         user_requests_per_minute_max = 1_000_000\ntenant_requests_per_minute_max = 1_000_000\n",
    );
    let key = server.key().to_owned();
    let run = server.post("/v1/tools/execute", &key, payment()).json()["run_id"].clone();
    let line = format!("GET /v1/runs/{}/events", run.as_str().unwrap());
    let open = || server.events(&Request { line: &line, key: &key, ..Request::default() });
    let first = open().find(|event| event.name == "run.waiting");
    assert!(first.is_some());
    let before = server.resident_kib();
    let streams: Vec<_> = (0..STREAMS).map(|_| open()).collect();
    let each = server.resident_kib().saturating_sub(before) / STREAMS as u64;
    assert!(each < 64, "{each} KiB for each stream");
    // A stream is counted by the task that serves it, which begins and ends by itself.
    server.comes_to("genie_http_streams", STREAMS);
    drop(streams);
    server.comes_to("genie_http_streams", 0);
    let shown: Value = server.get(&format!("/v1/runs/{}", run.as_str().unwrap()), &key).json();
    assert_eq!(shown["status"], "waiting");
}
