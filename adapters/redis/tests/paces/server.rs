//! A Redis server that a test starts and kills, and the one that all tests share.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a test waits before it says that something did not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[expect(clippy::disallowed_methods, reason = "scripts/with-redis says where they are")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// The URL of the server that all tests share.
pub(crate) fn url() -> String {
    variable("GENIE_TEST_REDIS_URL")
}

/// A server that keeps nothing.
pub(crate) struct Server {
    child: Child,
    port: u16,
    more: Vec<String>,
    home: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, home: &TempDir, more: &[String]) -> Child {
    let mut command = Command::new(variable("GENIE_TEST_REDIS_SERVER"));
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
    command.arg(port.to_string()).arg("--dir").arg(home.path()).args(more);
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let patience = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < patience, "redis-server does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

impl Server {
    /// Starts one on a free port, with more options.
    pub(crate) fn start(more: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let more: Vec<String> = more.iter().map(|&option| option.to_owned()).collect();
        let home = tempfile::tempdir().unwrap();
        Self { child: spawn(port, &home, &more), port, more, home }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills it at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again where it was; it has forgotten everything.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.port, &self.home, &self.more);
    }

    /// Has it answer nobody, or everybody again: its connections stay.
    pub(crate) fn stop(&self, stopped: bool) {
        let signal = if stopped { "-STOP" } else { "-CONT" };
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}
