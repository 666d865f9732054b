//! Streams through a real nginx with its usual settings: it holds nothing back, and a client that
//! it cuts off goes on where it was.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::serving::{Place, Serving, payment};

/// How long a test waits before it says that something did not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A proxy before a server.
struct Nginx {
    child: Child,
    address: String,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Buffering and compression are on, as they come.
fn settings(home: &Path, listen: &str, server: &str) -> String {
    let home = home.display();
    format!(
        "daemon off; master_process off; pid {home}/pid; error_log {home}/error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n  access_log off; gzip on; gzip_types application/json; gzip_proxied any;\n  \
         client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;\n  \
         fastcgi_temp_path {home}/fastcgi; uwsgi_temp_path {home}/uwsgi;\n  \
         scgi_temp_path {home}/scgi;\n  \
         server {{ listen {listen}; location / {{ proxy_pass http://{server}; }} }}\n}}\n"
    )
}

#[expect(clippy::disallowed_methods, reason = "scripts/with-nginx says which one it is")]
fn binary() -> String {
    std::env::var("GENIE_TEST_NGINX").unwrap()
}

impl Nginx {
    fn before(server: &Serving, home: &Path) -> Self {
        fs::create_dir_all(home).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let file = home.join("nginx.conf");
        fs::write(&file, settings(home, &address, server.address())).unwrap();
        let mut command = Command::new(binary());
        command.arg("-p").arg(home).arg("-c").arg(&file).stderr(Stdio::inherit());
        let nginx = Self { child: command.spawn().unwrap(), address };
        let patience = Instant::now() + PATIENCE;
        while TcpStream::connect(&nginx.address).is_err() {
            assert!(Instant::now() < patience, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        nginx
    }

    /// Opens a stream of events as a browser would; gives its lines, those of the head first.
    fn stream(
        &self,
        path: &str,
        key: &str,
        after: Option<u64>,
    ) -> impl Iterator<Item = String> + use<> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let after = after.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: genie\r\nauthorization: Bearer {key}\r\n\
             connection: close\r\naccept: text/event-stream\r\naccept-encoding: gzip\r\n\
             {after}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        BufReader::new(stream).lines().map_while(Result::ok)
    }
}

fn id_of(line: &str) -> Option<u64> {
    line.strip_prefix("id: ")?.parse().ok()
}

#[test]
#[ignore = "needs nginx: scripts/test has it"]
fn a_stream_through_nginx_is_live_and_goes_on_after_the_proxy_is_gone() {
    let place = Place::new();
    let server = place.start();
    let nginx = Nginx::before(&server, &place.data().with_extension("nginx"));
    let asked = server.post("/v1/tools/execute", server.key(), payment()).json();
    let (run, approval) = (asked["run_id"].as_str().unwrap(), &asked["approval_id"]);
    let path = format!("/v1/runs/{run}/events");

    // The run goes on for days, and yet its first events are here.
    let mut lines = nginx.stream(&path, server.key(), None);
    let mut head: Vec<String> = Vec::new();
    head.extend(lines.by_ref().take_while(|line| !line.is_empty()));
    assert!(head[0].contains(" 200 "), "{head:?}");
    let plain = !head.iter().any(|line| line.to_ascii_lowercase().starts_with("content-encoding"));
    assert!(plain, "a stream that is compressed is held back: {head:?}");
    let mut seen: Vec<u64> = Vec::new();
    for line in lines.by_ref() {
        seen.extend(id_of(&line));
        if line == "event: run.waiting" {
            break;
        }
    }
    assert!(seen.len() > 2, "{seen:?}");
    drop(nginx);
    assert!(lines.all(|line| id_of(&line).is_none()), "an event came from a proxy that is gone");

    let nginx = Nginx::before(&server, &place.data().with_extension("other"));
    let boss = server.make_key(server.key(), "boss", &["approver"]);
    let decide = format!("/v1/approvals/{}/decision", approval.as_str().unwrap());
    let mut rest = nginx.stream(&path, server.key(), seen.last().copied());
    assert!(rest.next().unwrap().contains(" 200 "));
    let decided = server.post(&decide, &boss, json!({ "decision": "approve" }));
    assert_eq!(decided.status, 200, "{}", decided.body);
    let rest: Vec<String> = rest.collect();
    assert!(rest.iter().any(|line| line == "event: run.completed"), "{rest:?}");
    seen.extend(rest.iter().filter_map(|line| id_of(line)));

    // What came in two parts is what a reader gets who was never cut off.
    let whole = server.get(&path, server.key()).body;
    let whole: Vec<u64> = whole.lines().filter_map(id_of).collect();
    assert_eq!(seen, whole);
}
