//! `genie serve`: the real binary, on a free port, over a real database.

mod accounts;
mod approvals;
mod ask;
mod audit;
mod batch;
mod budgets;
mod client;
mod compression;
mod documents;
mod edges;
mod endings;
mod everything;
mod hostile;
mod leaving;
mod limits;
mod names;
mod neighbours;
mod outage;
mod policies;
mod profiles;
mod proxy;
mod remote;
mod retry;
pub(crate) mod serving;
mod streams;
mod system;
mod telemetry;
mod uploads;
mod watching;

use std::process::Command;

use serving::Place;

/// The block of the README, as it stands there but for the address.
#[test]
fn the_lines_of_the_readme_work_as_printed() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let readme = readme.unwrap();
    let block = readme.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let place = Place::new();
    let server = place.start();
    let script = block.replace("127.0.0.1:8080", server.address());
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &script]).env("KEY", server.key());
    let output = shell.current_dir(place.data()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let problem = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{printed}\n{problem}");
    for shown in [
        "You spent ₹1,400.00",
        "You spent ₹450.00",
        "\"verified\":true",
        "event: run.completed",
        "\"approved\"",
        "tool_executor",
    ] {
        assert!(printed.contains(shown), "no {shown} in\n{printed}");
    }
}
