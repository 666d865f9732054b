//! A running `genie serve` and a client that can be as rude as a test wants.
//!
//! The client speaks HTTP/1.0, so that a response ends with its connection.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{Files, command_in};

/// How long a test waits before it says that something did not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server over a data directory.
pub(crate) struct Serving {
    child: Child,
    address: String,
    /// The administrator's key, if this start has made one.
    key: Option<String>,
    log: PathBuf,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_at(data, "127.0.0.1:0", more)
    }

    fn start_at(data: &Path, address: &str, more: &[&str]) -> Self {
        let arguments = [&["serve", "--listen", address], more].concat();
        let mut command = command_in(data, &arguments);
        // A file, since nobody reads a pipe while the test goes on.
        let log = data.with_extension("log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        command.stdout(Stdio::piped()).stderr(file).env("GENIE_LOG", "debug");
        let mut child = command.spawn().unwrap();
        let (mut key, mut address) = (None, None);
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some((_, text)) = line.split_once("shown only now: ") {
                key = Some(text.to_owned());
            }
            if let Some(text) = line.strip_prefix("listening on http://") {
                address = Some(text.to_owned());
                break;
            }
        }
        Self { child, address: address.unwrap(), key, log }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn key(&self) -> &str {
        self.key.as_deref().unwrap()
    }

    /// Kills the process at once.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its resident memory; nothing where the system does not tell.
    pub(crate) fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
    }

    /// Waits until a figure of `/metrics` is this.
    pub(crate) fn comes_to(&self, figure: &str, wanted: usize) {
        let patience = Instant::now() + PATIENCE;
        loop {
            let figures = self.get("/metrics", self.key()).body;
            let line = figures.lines().find_map(|line| line.strip_prefix(figure));
            let is = line.unwrap().trim().parse::<usize>().unwrap();
            if is == wanted {
                return;
            }
            assert!(Instant::now() < patience, "{figure} is {is}, not {wanted}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits for the end; gives whether it was in order, and what was logged.
    pub(crate) fn ended(mut self) -> (bool, String) {
        let in_order = self.child.wait().unwrap().success();
        (in_order, std::fs::read_to_string(&self.log).unwrap())
    }

    /// Sends bytes as they are and gives what comes back.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // A server that has read enough may close before it has read all.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn send(&self, request: &Request<'_>) -> BufReader<TcpStream> {
        let Request { line, key, headers, body } = request;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut lines = vec![format!("{line} HTTP/1.0"), format!("content-length: {}", body.len())];
        if !key.is_empty() {
            lines.push(format!("authorization: Bearer {key}"));
        }
        if !body.is_empty() {
            lines.push("content-type: application/json".to_owned());
        }
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        let head = format!("{}\r\n\r\n{body}", lines.join("\r\n"));
        let mut stream = self.connect();
        stream.write_all(head.as_bytes()).unwrap();
        BufReader::new(stream)
    }

    pub(crate) fn get(&self, path: &str, key: &str) -> Reply {
        self.ask(&Request { line: &format!("GET {path}"), key, ..Request::default() })
    }

    pub(crate) fn post(&self, path: &str, key: &str, body: Value) -> Reply {
        self.ask(&Request { line: &format!("POST {path}"), key, body, ..Request::default() })
    }

    pub(crate) fn ask(&self, request: &Request<'_>) -> Reply {
        let mut stream = self.send(request);
        let (status, headers) = head(&mut stream);
        let mut body = String::new();
        stream.read_to_string(&mut body).unwrap();
        Reply { status, headers, body }
    }

    /// Opens a stream of events.
    pub(crate) fn events(&self, request: &Request<'_>) -> Events {
        let mut stream = self.send(request);
        let (status, headers) = head(&mut stream);
        assert_eq!(status, 200, "{headers:?}");
        for line in
            ["content-type: text/event-stream", "cache-control: no-cache", "x-accel-buffering: no"]
        {
            assert!(headers.iter().any(|header| header == line), "no `{line}` in {headers:?}");
        }
        Events { stream, headers }
    }

    /// Makes a key for a subject.
    pub(crate) fn make_key(&self, admin: &str, subject: &str, roles: &[&str]) -> String {
        let wanted = json!({ "name": "test", "subject": subject, "roles": roles });
        let made = self.post("/v1/auth/tokens", admin, wanted);
        assert_eq!(made.status, 201, "{}", made.body);
        made.json()["key"].as_str().unwrap().to_owned()
    }

    /// Reads a run until it has this status.
    pub(crate) fn until(&self, key: &str, run: &str, status: &str) -> Value {
        let patience = Instant::now() + PATIENCE;
        loop {
            let shown = self.get(&format!("/v1/runs/{run}"), key).json();
            if shown["status"] == status {
                return shown;
            }
            assert!(Instant::now() < patience, "not {status}: {shown:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn head(stream: &mut impl BufRead) -> (u16, Vec<String>) {
    let mut lines = stream.lines().map(|line| line.unwrap().to_ascii_lowercase());
    let first = lines.next().unwrap();
    let status = first.split(' ').nth(1).unwrap().parse().unwrap();
    (status, lines.take_while(|line| !line.is_empty()).collect())
}

/// A request.
#[derive(Default)]
pub(crate) struct Request<'a> {
    pub(crate) line: &'a str,
    pub(crate) key: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: Value,
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        let read = serde_json::from_str(&self.body);
        assert!(read.is_ok(), "{self:?}");
        read.unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.headers.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        assert!(line.is_some(), "no {name} in {:?}", self.headers);
        line.unwrap()
    }

    /// The code of a problem.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

/// An event as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<u64>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// A stream of events.
pub(crate) struct Events {
    stream: BufReader<TcpStream>,
    pub(crate) headers: Vec<String>,
}

impl Events {
    /// Ends this side of the connection.
    pub(crate) fn end(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let mut event = Event { id: None, name: String::new(), data: Value::Null };
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).ok()?;
            // The end, or a line that was cut off by it.
            if !line.ends_with('\n') {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => event.id = id.parse().ok(),
                Some(("event", name)) => event.name.push_str(name),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                Some(_) => {}
                None if event.name.is_empty() => {}
                None => return Some(event),
            }
        }
    }
}

/// A statement of three rows.
pub(crate) const STATEMENT: &str = "Date,Description,Debit,Credit\n2026-08-01,Salary,,1000.00\n\
                                    2026-08-03,Swiggy,450.00,\n2026-09-03,Swiggy,950.00,\n";

/// A made-up statement over so many months.
pub(crate) fn bundled(place: &Place, months: &str) -> String {
    let made = crate::program::genie_in(&place.data(), &["data", "statement", "--months", months]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    made.stdout
}

/// The body of a question.
pub(crate) fn question() -> Value {
    json!({ "question": "How much did I spend?", "statement": STATEMENT })
}

/// The body of a tool call.
pub(crate) fn call(tool: &str, arguments: &Value) -> Value {
    let function = json!({ "name": tool, "arguments": arguments.to_string() });
    json!({ "id": "call_1", "type": "function", "function": function })
}

/// The body of a payment that a human must approve.
pub(crate) fn payment() -> Value {
    let order = json!({ "payee": "Asha Traders", "amount_minor": 2_500_000, "reason": "r" });
    call("payment.transfer", &order)
}

/// Where a test's server keeps its runs.
pub(crate) struct Place(Files);

impl Place {
    pub(crate) fn new() -> Self {
        Self(Files::new())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.0.path("data")
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        self.0.write(name, content)
    }

    pub(crate) fn start(&self) -> Serving {
        Serving::start(&self.data(), &[])
    }

    /// Starts a server at the address of one that has ended.
    pub(crate) fn start_at(&self, address: &str) -> Serving {
        Serving::start_at(&self.data(), address, &[])
    }

    /// Starts a server under these settings.
    pub(crate) fn start_with(&self, settings: &str) -> Serving {
        Serving::start(&self.data(), &["--config", &self.write("genie.toml", settings)])
    }

    /// Starts a server under these settings that keeps nothing.
    pub(crate) fn start_in_memory(&self, settings: &str) -> Serving {
        let config = self.write("genie.toml", settings);
        Serving::start(&self.data(), &["--memory", "--config", &config])
    }

    /// How many payments the bank has booked.
    pub(crate) fn booked(&self) -> usize {
        let text = std::fs::read_to_string(self.data().join("payments.jsonl"));
        text.unwrap_or_default().lines().count()
    }
}
