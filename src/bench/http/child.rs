//! A server in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child as Process, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::load::{self, Request};
use crate::bench::host;

/// What the measurements need beyond the defaults: room for the streams, and no quota.
const SETTINGS: &str = "[http]\nlisten = \"127.0.0.1:0\"\nconnections_max = 20_000\n\
                        requests_per_minute_max = 1_000_000\n\
                        user_requests_per_minute_max = 1_000_000\n\
                        tenant_requests_per_minute_max = 1_000_000\n";

/// A server in a process of its own, killed with its value.
pub(super) struct Child {
    process: Process,
    /// Kept, since a server that cannot print ends.
    _stdout: BufReader<ChildStdout>,
    address: SocketAddr,
    key: Option<String>,
    ready_in: Duration,
}

impl Child {
    /// `genie serve` over the database in this directory.
    pub(super) async fn genie(directory: &Path) -> anyhow::Result<Self> {
        let settings = directory.join("genie.toml");
        std::fs::write(&settings, SETTINGS)?;
        let mut command = Self::command()?;
        command.arg("serve").arg("--data").arg(directory.join("data"));
        command.arg("--config").arg(settings);
        // It logs a line for each request, as any server does: to a file, as under a supervisor.
        command.stderr(std::fs::File::create(directory.join("serve.log"))?);
        Self::start(command, "/ready").await
    }

    /// Axum by itself.
    pub(super) async fn bare() -> anyhow::Result<Self> {
        let mut command = Self::command()?;
        command.args(["bench", "--bare"]);
        Self::start(command, "/health").await
    }

    /// This program, in an environment that does not configure it.
    fn command() -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("GENIE_")) {
                command.env_remove(name);
            }
        }
        Ok(command)
    }

    async fn start(mut command: Command, ready: &str) -> anyhow::Result<Self> {
        let began = Instant::now();
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let stdout = process.stdout.take().context("the server has no output")?;
        // One that prints nothing ends in time, and its output with it.
        let (stdout, told) = tokio::task::spawn_blocking(move || told(stdout)).await?;
        let (address, key) = told?;
        let mut child =
            Self { process, _stdout: stdout, address, key, ready_in: Duration::default() };
        load::once(address, &Request::get(ready, "")).await?;
        child.ready_in = began.elapsed();
        Ok(child)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The administrator's key, if this start made one.
    pub(super) fn key(&self) -> anyhow::Result<&str> {
        self.key.as_deref().context("the server has made no key")
    }

    /// How long it took from its start until it said that it is ready.
    pub(super) fn ready_in(&self) -> Duration {
        self.ready_in
    }

    /// Its resident memory.
    pub(super) fn resident_bytes(&self) -> anyhow::Result<f64> {
        let bytes = host::resident_bytes_of(self.process.id());
        bytes.context("this system does not tell how much memory there is")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that has ended already need not be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

type Told = anyhow::Result<(SocketAddr, Option<String>)>;

/// What a server prints when it starts: its address, and the administrator's key if it made one.
fn told(stdout: ChildStdout) -> (BufReader<ChildStdout>, Told) {
    let mut stdout = BufReader::new(stdout);
    let (mut key, mut line) = (None, String::new());
    let told = loop {
        line.clear();
        match stdout.read_line(&mut line) {
            Ok(0) => break Err(anyhow::anyhow!("the server ended before it listened")),
            Ok(_) => {}
            Err(error) => break Err(error.into()),
        }
        if let Some((_, text)) = line.split_once("shown only now: ") {
            key = Some(text.trim().to_owned());
        }
        if let Some(text) = line.strip_prefix("listening on http://") {
            break text.trim().parse().map(|address| (address, key)).map_err(Into::into);
        }
    };
    (stdout, told)
}
