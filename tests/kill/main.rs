//! `kill -9` in a loop: a real process with a real store is killed at random points and started
//! again, and afterwards nothing that was acknowledged is lost and nothing has happened twice.
//!
//! The process that is killed is this same test binary, running [`a_worker_left_alone_ends_all`]
//! with a directory in its environment. `KILLS` sets how often (200 by default).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod agents;
mod evidence;
mod worker;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use evidence::Evidence;
use worker::Mission;

/// Where the worker works and how it ends, for the process that is killed.
const DIRECTORY: &str = "GENIE_KILL_DIRECTORY";
const MISSION: &str = "GENIE_KILL_MISSION";

/// Starts a worker in a process of its own.
fn spawn(directory: &Path, mission: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_worker_left_alone_ends_all", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(MISSION, mission)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
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
        return runtime.block_on(worker::work(Path::new(&directory), mission));
    }
    let directory = tempfile::tempdir().unwrap();
    runtime.block_on(worker::work(directory.path(), Mission::Some(50)));
    let evidence = runtime.block_on(Evidence::gather(directory.path()));
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
    for _ in 0..kills {
        let mut worker = spawn(directory.path(), "forever");
        std::thread::sleep(Duration::from_millis(20 + next(&mut dice) % 600));
        worker.kill().unwrap();
        assert!(worker.wait().unwrap().code().is_none(), "the worker ended before it was killed");
    }
    assert!(spawn(directory.path(), "finish").wait().unwrap().success());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let evidence = runtime.block_on(Evidence::gather(directory.path()));
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
