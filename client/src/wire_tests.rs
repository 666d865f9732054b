//! The client against a server that does what a test says: refuses, hangs up, goes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use genie_core::ids::{RunId, SeededIds};
use serde_json::json;

use crate::{Client, Error, Halt, Question, Token, ToolCall, Wanted};

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
