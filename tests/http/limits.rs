//! Limits that several servers count together in a real Redis, and what they do without it.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::serving::{Place, Reply, Serving};
use crate::program::{Files, genie, genie_with};

/// How long a test waits before it says that something did not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Redis that keeps nothing.
struct Redis {
    child: Child,
    port: u16,
    password: &'static str,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "scripts/with-redis says which one it is")]
fn spawn(port: u16, password: &str) -> Child {
    let mut command = Command::new(std::env::var("GENIE_TEST_REDIS_SERVER").unwrap());
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--port", &port.to_string(), "--requirepass", password]);
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let patience = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < patience, "redis-server does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

impl Redis {
    fn start(password: &'static str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        Self { child: spawn(port, password), port, password }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = spawn(self.port, self.password);
    }

    /// The settings of a server that counts there; patient, since a machine that runs tests is.
    fn settings(&self, more: &str) -> String {
        let Self { port, password, .. } = self;
        let url = format!("redis://:{password}@127.0.0.1:{port}");
        format!("[redis]\nurl = \"{url}\"\nanswer_max = \"20s\"\n{more}")
    }
}

fn ready(server: &Serving) -> (u16, Value) {
    let reply = server.get("/ready", "");
    (reply.status, reply.json())
}

/// Waits until the check of limits says so.
fn until(server: &Serving, limits: &str) {
    let patience = Instant::now() + PATIENCE;
    while ready(server).1["checks"]["limits"] != limits {
        assert!(Instant::now() < patience, "limits are not {limits}: {}", ready(server).1);
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn me(server: &Serving) -> Reply {
    server.get("/v1/auth/me", server.key())
}

fn login(server: &Serving) -> Reply {
    let who = json!({ "email": "asha@example.com", "password": "not the right one" });
    server.post("/v1/auth/login", "", who)
}

fn missed(server: &Serving, outage: &str) -> String {
    let figures = server.get("/metrics", server.key()).body;
    let name = format!("genie_limits_missed_total{{outage=\"{outage}\"}} ");
    figures.lines().find_map(|line| line.strip_prefix(&name)).unwrap().to_owned()
}

#[test]
#[ignore = "needs Redis: scripts/test has it"]
fn two_servers_over_one_redis_share_a_quota() {
    const QUOTA: u64 = 20;
    let redis = Redis::start("right");
    let settings = redis.settings("[http]\ntenant_requests_per_minute_max = 20\n");
    let (here, there) = (Place::new(), Place::new());
    let servers = [here.start_with(&settings), there.start_with(&settings)];
    let began = Instant::now();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = |number: usize| {
            let server = &servers[number % 2];
            scope.spawn(move || me(server).status)
        };
        let asked: Vec<_> = (0..60).map(ask).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let passed = statuses.iter().filter(|status| **status == 200).count() as u64;
    // What came back bit by bit while it was used.
    let more = began.elapsed().as_secs() * QUOTA / 60 + 1;
    assert!((QUOTA..=QUOTA + more).contains(&passed), "{passed} of {statuses:?}");
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    assert_eq!(ready(&servers[0]).1["checks"]["limits"], "ok");
}

#[test]
#[ignore = "needs Redis: scripts/test has it"]
fn without_redis_requests_are_counted_here_and_nobody_signs_in_until_it_is_back() {
    let mut redis = Redis::start("hush");
    let place = Place::new();
    let server = place.start_with(&redis.settings(""));
    assert_eq!(login(&server).code(), "invalid_login");
    let system = server.get("/v1/system", server.key()).json();
    assert_eq!(system["limits"], "redis", "{system:#}");
    redis.kill();
    until(&server, "degraded");
    let (status, told) = ready(&server);
    assert_eq!((status, &told["status"]), (200, &json!("degraded")));
    let here = me(&server);
    assert_eq!(here.status, 200, "{}", here.body);
    assert!(here.header("ratelimit").contains("\"tenant\";r="), "{here:?}");
    let refused = login(&server);
    assert_eq!((refused.status, &*refused.code()), (503, "uncounted"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!((&*missed(&server, "closed"), &*missed(&server, "open")), ("1", "0"));
    assert_ne!(missed(&server, "local"), "0");
    redis.start_again();
    until(&server, "ok");
    assert_eq!(login(&server).code(), "invalid_login");
    assert_eq!(ready(&server).1["status"], "ready");
    server.signal("-TERM");
    let (in_order, log) = server.ended();
    assert!(in_order, "{log}");
    assert_eq!(log.matches("its outage has begun").count(), 1, "{log}");
    assert_eq!(log.matches("Redis counts requests again").count(), 1, "{log}");
    assert!(!log.contains("hush"), "{log}");
}

#[test]
#[ignore = "needs Redis: scripts/test has it"]
fn a_rule_is_closed_or_open_if_the_settings_say_so() {
    let mut redis = Redis::start("right");
    let all = |outage: &str| {
        let rules = ["key", "key_day", "user", "tenant", "login", "address"];
        rules.map(|rule| format!("outage_{rule} = \"{outage}\"\n")).concat()
    };
    let (closed, open) = (Place::new(), Place::new());
    let closed = closed.start_with(&redis.settings(&all("closed")));
    let few = "[http]\nuser_requests_per_minute_max = 2\n";
    let open = open.start_with(&redis.settings(&(all("open") + few)));
    assert_eq!(me(&closed).status, 200);
    redis.kill();
    until(&closed, "unavailable");
    until(&open, "degraded");
    assert_eq!(ready(&closed).0, 503);
    let refused = me(&closed);
    assert_eq!((refused.status, &*refused.code()), (503, "uncounted"));
    for _ in 0..5 {
        let passed = me(&open);
        let told = passed.headers.iter().any(|line| line.starts_with("ratelimit"));
        assert!(passed.status == 200 && !told, "{passed:?}");
    }
    assert_eq!(login(&open).code(), "invalid_login");
    redis.start_again();
    until(&closed, "ok");
    until(&open, "ok");
    assert_eq!(me(&closed).status, 200);
    assert_eq!(me(&open).header("ratelimit").matches(";r=").count(), 3);
}

#[test]
#[ignore = "needs Redis: scripts/test has it"]
fn a_redis_that_refuses_the_password_stops_the_start() {
    let redis = Redis::start("right");
    let url = format!("redis://:hush@127.0.0.1:{}", redis.port);
    let ended = genie_with(&[("GENIE_REDIS_URL", &url)], &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!((ended.code, &*ended.stdout), (2, ""));
    assert!(ended.complaint().contains("refuses"), "{}", ended.stderr);
    assert!(ended.stderr.contains("correct user and password in `redis.url`"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
}

#[test]
fn the_password_of_redis_is_shown_nowhere() {
    let url = "redis://genie:hush@127.0.0.1:1/2";
    for arguments in [&["config", "print"][..], &["config", "print", "--json"]] {
        let shown = genie_with(&[("GENIE_REDIS_URL", url)], arguments);
        assert_eq!(shown.code, 0, "{}", shown.stderr);
        assert!(shown.stdout.contains("redis://127.0.0.1:1/2"), "{}", shown.stdout);
        assert!(!shown.stdout.contains("hush"), "{}", shown.stdout);
    }
    let files = Files::new();
    let path = files.write("genie.toml", "[redis]\nurl = \"http://:hush@127.0.0.1\"\n");
    let wrong = genie(&["--config", &path, "config", "check"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("genie.toml:2: the URL does not begin with"), "{}", wrong.stderr);
    assert!(!wrong.stderr.contains("hush"), "{}", wrong.stderr);
}
