//! Answers for clients that take gzip: smaller, the same, and streams untouched.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::serving::{Place, Serving, question};

/// Sends a request whose sender takes gzip; gives the head in lower case and the body.
fn asked(server: &Serving, line: &str, accept: &str, body: &Value) -> (String, Vec<u8>) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = server.connect();
    let head = format!(
        "{line} HTTP/1.0\r\nauthorization: Bearer {}\r\naccept: {accept}\r\n\
         accept-encoding: gzip\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        server.key(),
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = answer.split_off(end);
    (String::from_utf8(answer).unwrap().to_ascii_lowercase(), body)
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip");
    let mut gzip = gzip.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(packed).unwrap();
    gzip.wait_with_output().unwrap().stdout
}

#[test]
fn what_is_large_is_compressed_for_who_takes_it_and_streams_never_are() {
    let place = Place::new();
    let server = place.start();
    let packs = "content-encoding: gzip";
    let (head, packed) = asked(&server, "GET /v1/agents", "*/*", &Value::Null);
    assert!(head.contains(packs) && head.contains("vary: accept-encoding"), "{head}");
    let plain = server.get("/v1/agents", server.key());
    let listed = |text: &[u8]| -> Vec<Value> {
        let agents: Value = serde_json::from_slice(text).unwrap();
        agents["data"].as_array().unwrap().iter().map(|agent| agent["id"].clone()).collect()
    };
    assert_eq!(listed(&unpacked(&packed)), listed(plain.body.as_bytes()));
    assert!(packed.len() * 2 < plain.body.len(), "{} of {}", packed.len(), plain.body.len());

    let (head, body) = asked(&server, "GET /health", "*/*", &Value::Null);
    assert!(!head.contains(packs), "{head}");
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({ "status": "ok" }));
    let (head, body) = asked(&server, "POST /v1/ask", "text/event-stream", &question());
    assert!(!head.contains(packs), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("event: run.completed"));
}
