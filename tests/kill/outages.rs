//! The database server restarts and fails over in the middle of runs: a worker goes on over it, and
//! what it acknowledged is there.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::evidence::{self, Evidence};
use crate::proxy::Proxy;
use crate::server::{Server, hand_over};
use crate::{database, spawn};

/// How many runs were acknowledged as completed.
fn completed(directory: &Path) -> usize {
    let told = std::fs::read_to_string(directory.join("acknowledged")).unwrap_or_default();
    told.lines().filter(|line| line.contains(" completed ")).count()
}

/// Waits until so many more runs were completed than now.
fn wait_for_progress(directory: &Path, more: usize) {
    let (reached, started) = (completed(directory) + more, Instant::now());
    while completed(directory) < reached {
        assert!(started.elapsed() < Duration::from_mins(2), "the worker does not go on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends what is left and looks at all of it.
fn assert_sound(directory: &Path, database: &str) {
    assert!(spawn(directory, Some(database), "finish").wait().unwrap().success());
    evidence::is_in_order(directory, Some(database));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let evidence = runtime.block_on(Evidence::gather(directory, Some(database)));
    evidence.is_sound_after_outages();
}

fn fresh(url: &str) -> String {
    tokio::runtime::Runtime::new().unwrap().block_on(database::fresh(url))
}

#[test]
#[ignore = "needs the programs of a PostgreSQL server, which scripts/test provides"]
fn a_server_that_restarts_in_the_middle_loses_nothing_that_was_acknowledged() {
    let (place, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    hand_over(place.path());
    let server = Server::start(place.path());
    let database = fresh(&server.url());
    let mut worker = spawn(directory.path(), Some(&database), "forever");
    for _ in 0..5 {
        wait_for_progress(directory.path(), 20);
        server.crash_and_restart();
    }
    wait_for_progress(directory.path(), 20);
    worker.kill().unwrap();
    assert!(worker.wait().unwrap().code().is_none(), "the worker ended before it was killed");
    assert_sound(directory.path(), &database);
}

#[test]
#[ignore = "needs the programs of a PostgreSQL server, which scripts/test provides"]
fn a_standby_that_takes_over_has_all_that_was_acknowledged() {
    let (place, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    hand_over(place.path());
    let server = Server::start(place.path());
    let standby = server.standby(place.path());
    // A commit now waits for the standby; a server that has none waits for ever.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for sql in [
        "ALTER SYSTEM SET synchronous_standby_names = '*'",
        "SELECT pg_reload_conf()",
        "CREATE TABLE synchronous AS SELECT 1",
    ] {
        runtime.block_on(database::run(&server.url(), sql.to_owned()));
    }
    let proxy = Proxy::to(server.port);
    let url = format!("postgres://genie@127.0.0.1:{}/postgres", proxy.port);
    let database = fresh(&url);
    let mut worker = spawn(directory.path(), Some(&database), "forever");
    wait_for_progress(directory.path(), 50);
    server.kill();
    standby.promote();
    proxy.lead_to(standby.port);
    wait_for_progress(directory.path(), 50);
    worker.kill().unwrap();
    assert!(worker.wait().unwrap().code().is_none(), "the worker ended before it was killed");
    assert_sound(directory.path(), &database);
}
