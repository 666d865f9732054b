//! `kill -9` in a loop: a real process with a real store is killed at random points and started
//! again, and afterwards nothing that was acknowledged is lost and nothing has happened twice.
//!
//! The process that is killed is this same test binary, running [`a_worker_left_alone_ends_all`]
//! with a directory in its environment. `KILLS` sets how often (200 by default).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod agents;
mod database;
mod elsewhere;
mod evidence;
mod outages;
mod proxy;
mod server;
mod worker;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use evidence::Evidence;
use worker::Mission;

/// Where the worker works and how it ends, for the process that is killed.
const DIRECTORY: &str = "GENIE_KILL_DIRECTORY";
const MISSION: &str = "GENIE_KILL_MISSION";
const DATABASE: &str = "GENIE_KILL_DATABASE";

/// Starts a worker in a process of its own.
fn spawn(directory: &Path, database: Option<&str>, mission: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "a_worker_left_alone_ends_all", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(MISSION, mission)
        .env("XDG_DATA_HOME", directory)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    if let Some(url) = database {
        command.env(DATABASE, url);
    }
    command.spawn().unwrap()
}

/// Not a random number generator to rely on, but one that a failure can be repeated with.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn a_worker_left_alone_ends_all() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        #[expect(clippy::disallowed_methods, reason = "set by the test above this process")]
        let rest = std::env::var(MISSION).unwrap() == "finish";
        let mission = if rest { Mission::Finish } else { Mission::Forever };
        let database = std::env::var_os(DATABASE);
        let database = database.as_ref().map(|url| url.to_str().unwrap());
        return runtime.block_on(worker::work(Path::new(&directory), database, mission));
    }
    let directory = tempfile::tempdir().unwrap();
    runtime.block_on(worker::work(directory.path(), None, Mission::Some(50)));
    let evidence = runtime.block_on(Evidence::gather(directory.path(), None));
    evidence.is_sound();
    assert_eq!(evidence.acknowledged.len(), 50);
    assert_eq!(evidence.runs, 50);
}

#[test]
fn whenever_it_is_killed_nothing_is_lost_and_nothing_happens_twice() {
    #[expect(clippy::disallowed_methods, reason = "a setting of the test, not of the program")]
    let kills: u32 = std::env::var("KILLS").map_or(200, |kills| kills.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let mut dice = 7;
    for kill in 1..=kills {
        let mut worker = spawn(directory.path(), None, "forever");
        std::thread::sleep(Duration::from_millis(20 + next(&mut dice) % 600));
        worker.kill().unwrap();
        assert!(worker.wait().unwrap().code().is_none(), "the worker ended before it was killed");
        // Wherever a kill has hit, what is left holds together.
        if kill % 10 == 0 {
            evidence::is_in_order(directory.path(), None);
        }
    }
    assert!(spawn(directory.path(), None, "finish").wait().unwrap().success());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    evidence::is_in_order(directory.path(), None);
    let evidence = runtime.block_on(Evidence::gather(directory.path(), None));
    evidence.is_sound();
    assert!(evidence.resumed > 0, "no kill has hit a run");
    assert!(evidence.runs > kills as usize / 4, "only {} runs in {kills} lives", evidence.runs);
    let counts = (evidence.runs, evidence.resumed, evidence.once.len(), evidence.doubts);
    // Shown by `--nocapture`: how much the kills have hit.
    let (runs, resumed, once, doubts) = counts;
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("{runs} runs, taken up {resumed} times, {once} effects, {doubts} in doubt\n"),
    );
}

/// Two processes over one database: whichever dies, the other takes over its runs, and no two ever
/// write the same chain.
#[test]
#[ignore = "needs PostgreSQL at GENIE_TEST_POSTGRES_URL, which scripts/test provides"]
fn of_two_workers_over_one_database_the_living_takes_over_from_the_dead() {
    #[expect(clippy::disallowed_methods, reason = "a setting of the test, not of the program")]
    let url = std::env::var("GENIE_TEST_POSTGRES_URL").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(database::fresh(&url));
    let directory = tempfile::tempdir().unwrap();
    let start = || spawn(directory.path(), Some(&database), "forever");
    let mut workers = [start(), start()];
    let mut dice = 11;
    for _ in 0..12 {
        std::thread::sleep(Duration::from_millis(200 + next(&mut dice) % 1_500));
        let victim = usize::from(next(&mut dice).is_multiple_of(2));
        workers[victim].kill().unwrap();
        assert!(workers[victim].wait().unwrap().code().is_none(), "a worker ended by itself");
        // Long enough, now and then, for the other to find the lease at its end.
        std::thread::sleep(Duration::from_millis(next(&mut dice) % 2_000));
        workers[victim] = start();
    }
    for mut worker in workers {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    assert!(spawn(directory.path(), Some(&database), "finish").wait().unwrap().success());
    evidence::is_in_order(directory.path(), Some(&database));
    let evidence = runtime.block_on(Evidence::gather(directory.path(), Some(&database)));
    evidence.is_sound();
    assert!(evidence.resumed > 0, "no run was taken over");
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("{} runs, taken up {} times\n", evidence.runs, evidence.resumed),
    );
    runtime.block_on(database::remove(&url, &database));
}

/// What others write while it looks is no fault.
#[test]
#[ignore = "needs PostgreSQL at GENIE_TEST_POSTGRES_URL, which scripts/test provides"]
fn an_auditor_finds_nothing_wrong_while_two_workers_write() {
    #[expect(clippy::disallowed_methods, reason = "a setting of the test, not of the program")]
    let url = std::env::var("GENIE_TEST_POSTGRES_URL").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(database::fresh(&url));
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("acknowledged");
    let mut workers = [(); 2].map(|()| spawn(directory.path(), Some(&database), "forever"));
    while !told.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    for _ in 0..3 {
        evidence::is_in_order(directory.path(), Some(&database));
    }
    for worker in &mut workers {
        worker.kill().unwrap();
        assert!(worker.wait().unwrap().code().is_none(), "a worker ended by itself");
    }
    runtime.block_on(database::remove(&url, &database));
}
