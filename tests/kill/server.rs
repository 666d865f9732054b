//! A PostgreSQL server of a test's own, which it may restart, kill and promote.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The user of the packages, since the server refuses to run as root.
const USER: &str = "postgres";

pub(crate) struct Server {
    data: PathBuf,
    pub(crate) port: u16,
}

fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap();
    let folders = versions.map(|version| version.unwrap().path().join("bin"));
    folders.filter(|folder| folder.join("initdb").exists()).max().unwrap()
}

/// What `id` says of a user.
fn id(arguments: &[&str]) -> u32 {
    let output = Command::new("id").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn is_root() -> bool {
    id(&["-u"]) == 0
}

/// Gives a directory to the user of the server.
pub(crate) fn hand_over(directory: &Path) {
    if is_root() {
        chown(directory, Some(id(&["-u", USER])), Some(id(&["-g", USER]))).unwrap();
    }
}

/// A port that was free just now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs a program of the server to its end.
fn run(program: &str, arguments: &[&str]) {
    let mut command = Command::new(binaries().join(program));
    command.args(arguments).current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
    if is_root() {
        command.uid(id(&["-u", USER])).gid(id(&["-g", USER]));
    }
    let status = command.status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

impl Server {
    /// Makes a cluster below a directory and starts it.
    pub(crate) fn start(below: &Path) -> Self {
        let server = Self { data: below.join("primary"), port: free_port() };
        let data = server.data.to_str().unwrap();
        run("initdb", &["--pgdata", data, "--username", "genie", "--auth", "trust", "--no-sync"]);
        server.begin();
        server
    }

    /// A standby of this server, which streams from it.
    pub(crate) fn standby(&self, below: &Path) -> Self {
        let standby = Self { data: below.join("standby"), port: free_port() };
        let (data, port) = (standby.data.to_str().unwrap(), self.port.to_string());
        let from = ["--host", "127.0.0.1", "--port", &port, "--username", "genie"];
        let to = ["--pgdata", data, "--write-recovery-conf", "--wal-method", "stream"];
        run("pg_basebackup", &[&from[..], &to, &["--checkpoint", "fast", "--no-sync"]].concat());
        standby.begin();
        standby
    }

    fn begin(&self) {
        let sockets = self.data.parent().unwrap().display();
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={sockets}",
            self.port
        );
        let log = self.data.with_extension("log");
        let (data, log) = (self.data.to_str().unwrap(), log.to_str().unwrap());
        run("pg_ctl", &["start", "--wait", "--pgdata", data, "--log", log, "--options", &options]);
    }

    /// Restarts it as after a crash, in the middle of whatever it is doing.
    pub(crate) fn crash_and_restart(&self) {
        let data = self.data.to_str().unwrap();
        run("pg_ctl", &["stop", "--wait", "--pgdata", data, "--mode", "immediate"]);
        self.begin();
    }

    /// Kills the server and each of its processes, none of which is told.
    pub(crate) fn kill(&self) {
        let file = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap();
        let leader = file.lines().next().unwrap().to_owned();
        let mut pids = vec![leader.clone()];
        for entry in std::fs::read_dir("/proc").unwrap() {
            let path = entry.unwrap().path();
            let Ok(stat) = std::fs::read_to_string(path.join("stat")) else { continue };
            let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split(' ').nth(2));
            if parent == Some(&leader) {
                pids.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
        // A child may have ended by itself.
        let _ = Command::new("kill").arg("-9").args(pids).stderr(Stdio::null()).status().unwrap();
    }

    /// Makes a standby the server that is written to.
    pub(crate) fn promote(&self) {
        run("pg_ctl", &["promote", "--wait", "--pgdata", self.data.to_str().unwrap()]);
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://genie@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.data.join("postmaster.pid").exists() {
            self.kill();
        }
    }
}
