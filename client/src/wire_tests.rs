//! The client against a server that does what a test says: refuses, hangs up, goes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use genie_core::ids::{RunId, SeededIds};
use serde_json::json;

use crate::{Client, Error, Halt, Question, Token, ToolCall, Upload, Wanted};

const RUN: &str = "01a1fc80-4db8-792d-8843-7f61e5d9b35c";

/// Answers one request after the other, each on a connection of its own; gives what was asked.
/// An empty answer is a connection that breaks.
fn serve(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    length = text.trim().parse().unwrap();
                }
                head.push_str(&line);
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            asked.push(head + &String::from_utf8(body).unwrap());
        }
        asked
    });
    (address, served)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

fn client(address: &str) -> Client {
    Client::new(address, &Token::new("gk_test"), Arc::new(SeededIds::new(7))).unwrap()
}

fn header<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    request.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
}

fn sum() -> ToolCall {
    let arguments = json!({ "expression": "1 + 1" });
    ToolCall { id: "call_1".into(), tool: "calculator".into(), arguments }
}

fn done() -> String {
    let body = json!({ "tool_call_id": "call_1", "output": { "result": "2" }, "duration_ms": 1,
                       "run_id": RUN });
    answer("200 OK", "", &body.to_string())
}

#[tokio::test]
async fn what_is_refused_for_now_is_sent_again_under_the_same_key() {
    let busy = answer("503 Busy", "retry-after: 0\r\n", r#"{"code":"overloaded","detail":"d"}"#);
    let twin = answer("409 Conflict", "retry-after: 0\r\n", r#"{"code":"in_progress"}"#);
    let (address, served) = serve(vec![busy, String::new(), twin, done()]);
    let halt = client(&address).execute(&sum()).await.unwrap();
    let Halt::Answered(answered) = halt else { panic!("{halt:?}") };
    assert_eq!(answered.output["result"], "2");
    let asked = served.join().unwrap();
    let keys: Vec<_> =
        asked.iter().map(|request| header(request, "idempotency-key").unwrap()).collect();
    assert!(keys[0].len() == 32 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert!(asked.iter().all(|request| header(request, "authorization") == Some("Bearer gk_test")));
}

#[tokio::test]
async fn what_may_have_been_done_is_not_sent_again_unless_that_changes_nothing() {
    let (address, served) = serve(vec![String::new()]);
    let wanted = Wanted { name: "n".into(), ..Wanted::default() };
    let error = client(&address).make_key(&wanted).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { attempts: 1, .. }), "{error}");
    assert_eq!(served.join().unwrap().len(), 1);
}

#[tokio::test]
async fn a_denial_and_a_redirection_are_told_and_not_repeated() {
    let denied = answer("403 No", "", r#"{"code":"denied","policy":"p","detail":"d"}"#);
    let (address, served) = serve(vec![denied]);
    let error = client(&address).ask(&Question::new("q", "s")).await.unwrap_err();
    assert_eq!((error.code(), error.to_string()), (Some("denied"), "d".to_owned()));
    assert_eq!(served.join().unwrap().len(), 1);
    // The token is for this server only.
    let moved = answer("302 Found", "location: http://127.0.0.1:1/\r\n", "");
    let (address, served) = serve(vec![moved]);
    let error = client(&address).me().await.unwrap_err();
    assert_eq!(error.problem().unwrap().status, 302);
    assert_eq!(served.join().unwrap().len(), 1);
}

#[tokio::test]
async fn a_stream_that_breaks_goes_on_behind_its_last_event() {
    let event = |id: u64, name: &str| {
        format!("id: {id}\nevent: {name}\ndata: {{\"run_id\":\"{RUN}\"}}\n\n")
    };
    let began = format!(
        "HTTP/1.1 200 OK\r\ngenie-run-id: {RUN}\r\ncontent-type: text/event-stream\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    // The second event is cut off in its middle, and a comment comes before the rest.
    let first = format!("{began}{}{}", chunk(&event(7, "run.started")), chunk("id: 9\nevent: ag"));
    let closing = "retry: 1\nevent: stream.closing\ndata: {}\n\n";
    let second = format!(
        "{began}{}{}{}0\r\n\r\n",
        chunk(": heartbeat\n\n"),
        chunk(&event(9, "agent.completed")),
        chunk(closing)
    );
    let third = format!("{began}{}0\r\n\r\n", chunk(&event(11, "run.completed")));
    let (address, served) = serve(vec![first, second, String::new(), third]);
    let mut events = client(&address).ask_events(&Question::new("q", "s")).await.unwrap();
    let mut ids = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        ids.push(event.id.unwrap());
    }
    assert_eq!(ids, [7, 9, 11]);
    assert_eq!(events.run(), RunId(RUN.parse::<uuid::Uuid>().unwrap()));
    let asked = served.join().unwrap();
    let behind: Vec<_> = asked.iter().map(|request| header(request, "last-event-id")).collect();
    assert_eq!(behind, [None, Some("7"), Some("9"), Some("9")]);
    assert!(asked[1].starts_with(&format!("GET /v1/runs/{RUN}/events ")), "{}", asked[1]);
}

fn document(status: &str) -> String {
    let body = json!({ "id": RUN, "subject": "asha", "sha256": "0".repeat(64), "bytes": 3,
                       "created_at": "2026-08-03T00:00:00Z",
                       "statement": { "layout": "plain", "currency": "INR", "rows": 1,
                                      "rejected": 0, "rejects": [] } });
    answer(status, "", &body.to_string())
}

#[tokio::test]
async fn a_file_is_sent_again_if_it_was_refused_for_now_and_a_reader_is_not() {
    let busy = || answer("503 Busy", "retry-after: 0\r\n", r#"{"code":"busy","detail":"d"}"#);
    let home = std::env::temp_dir().join(format!("genie-upload-{}", std::process::id()));
    std::fs::write(&home, "a,b").unwrap();
    let (address, served) = serve(vec![busy(), document("201 Created")]);
    let upload = || Upload::of_file(&home).with_content_type("text/csv");
    let sent = client(&address).send_document(upload()).await.unwrap();
    assert_eq!((&*sent.subject, sent.statement.rows), ("asha", 1));
    for asked in served.join().unwrap() {
        assert_eq!(header(&asked, "content-type"), Some("text/csv"), "{asked}");
        assert!(asked.starts_with("POST /v1/documents ") && asked.ends_with("\r\n\r\na,b"));
    }
    // It may have been taken, and is sent under the same key, so that it is not there twice.
    let (address, served) = serve(vec![String::new(), document("201 Created")]);
    client(&address).send_document(upload()).await.unwrap();
    let asked = served.join().unwrap();
    let keys: Vec<_> = asked.iter().map(|one| header(one, "idempotency-key").unwrap()).collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
    std::fs::remove_file(&home).unwrap();

    let (address, served) = serve(vec![busy()]);
    let upload = Upload::of_reader(&b"a,b"[..]).with_bytes(3);
    let error = client(&address).send_document(upload).await.unwrap_err();
    assert_eq!(error.code(), Some("busy"));
    assert_eq!(served.join().unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_makes_it_a_form_and_cannot_end_its_own_line() {
    let (address, served) = serve(vec![document("201 Created")]);
    let upload = Upload::of_reader(&b"a,b"[..]).with_bytes(3).with_name("a\"b\r\nc.csv");
    client(&address).send_document(upload.with_content_type("text/csv")).await.unwrap();
    let asked = served.join().unwrap().pop().unwrap();
    let kind = header(&asked, "content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
         filename=\"a%22b%0D%0Ac.csv\"\r\nContent-Type: text/csv\r\n\r\na,b\r\n--{boundary}--\r\n"
    );
    assert_eq!(asked.split_once("\r\n\r\n").unwrap().1, expected);
}

#[tokio::test]
async fn what_cannot_be_read_or_is_not_as_long_as_was_said_is_the_callers_to_mend() {
    let short = || Upload::of_reader(&b"a,b"[..]);
    for (upload, problem) in [
        (Upload::of_file("/nowhere/at/all"), "No such file"),
        (short().with_content_type("text/csv\r\nx: y"), "content type"),
        (short().with_bytes(4), "ends before"),
        (short().with_bytes(2), "more of it"),
    ] {
        // It may come to a connection, and to no request.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let error = client(&address).send_document(upload).await.unwrap_err();
        let is_told = matches!(error, Error::Upload(_)) && error.to_string().contains(problem);
        assert!(is_told, "{problem}: {error:?}");
    }
}
