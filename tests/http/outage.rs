//! A database that goes away and comes back, beneath a server that stays.
//!
//! Needs `GENIE_TEST_POSTGRES_URL`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::serving::{Place, Reply, Serving, question};
use crate::postgres::Desk;

/// How long a test waits before it says that something did not come.
const PATIENCE: Duration = Duration::from_mins(1);

/// What stands between a server and its database, and can be cut.
struct Line {
    port: u16,
    /// The connections, of which there are none while it is cut.
    open: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

/// Copies until either end closes.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 8_192];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

impl Line {
    /// A line to the database at this address.
    fn to(database: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(Mutex::new(Some(Vec::new())));
        let kept = open.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut open = kept.lock().unwrap();
                let Some(open) = open.as_mut() else { continue };
                let server = TcpStream::connect(&database).unwrap();
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || copy(from, to));
                }
                open.extend([client, server]);
            }
        });
        Self { port, open }
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().take().unwrap() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        *self.open.lock().unwrap() = Some(Vec::new());
    }
}

/// Asks until the answer has this status.
fn until(status: u16, ask: impl Fn() -> Reply) -> Reply {
    let patience = Instant::now() + PATIENCE;
    loop {
        let reply = ask();
        if reply.status == status {
            return reply;
        }
        assert!(Instant::now() < patience, "not {status}: {reply:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "needs PostgreSQL: scripts/test starts one"]
fn without_its_database_a_server_says_so_and_no_more_and_goes_on_when_it_is_back() {
    let (desk, place) = (Desk::new(), Place::new());
    let (before, rest) = desk.url().split_once("://").unwrap();
    let at = rest.find('/').unwrap();
    let (host, path) = rest.split_at(at);
    let (user, address) = host.rsplit_once('@').unwrap();
    let line = Line::to(address.to_owned());
    let url = format!("{before}://{user}@127.0.0.1:{}{path}", line.port);
    let server = Serving::start(&place.data(), &["--database", &url]);
    let key = server.key();
    let ask = || server.post("/v1/ask", key, question());
    assert_eq!(ask().status, 200);
    assert_eq!(server.get("/ready", "").status, 200);

    line.cut();
    let ready = until(503, || server.get("/ready", ""));
    assert_eq!(ready.json()["checks"]["database"], "unavailable", "{}", ready.body);
    for reply in [
        until(503, || server.get("/v1/auth/me", key)),
        server.get("/v1/runs", key),
        ask(),
        server.post(
            "/v1/auth/login",
            "",
            serde_json::json!({ "email": "a@b.cd", "password": "x" }),
        ),
    ] {
        assert_eq!((reply.status, &*reply.code()), (503, "unavailable"), "{}", reply.body);
        assert_eq!(reply.json()["detail"], "the database does not answer");
        assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1, "{reply:?}");
        assert!(!reply.body.contains(&line.port.to_string()), "{}", reply.body);
    }
    assert_eq!(server.get("/health", "").status, 200);

    line.mend();
    until(200, || server.get("/ready", ""));
    assert_eq!(until(200, ask).json()["outcome"], "completed");
    drop(server);
    desk.remove();
}
