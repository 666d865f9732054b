//! Durable runs from the command line: what waits, who decides, what a dead process leaves.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Ended, Files, command_in, genie_in};

/// A data directory and what is done over it.
struct Desk {
    files: Files,
    data: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let files = Files::new();
        let data = files.path("data");
        Self { files, data }
    }

    fn data(&self) -> &Path {
        &self.data
    }

    fn genie(&self, arguments: &[&str]) -> Ended {
        genie_in(self.data(), arguments)
    }

    /// Asks for a payment that a human must approve; gives the run and the approval.
    fn asked(&self) -> (String, String) {
        let ended = self.genie(&["run", "--demo", "approval", "--json"]);
        assert_eq!((ended.code, ended.stderr.as_str()), (3, ""));
        let waiting = ended.json();
        assert_eq!(waiting["outcome"], "waiting");
        assert!(waiting["wake_at"].is_string(), "{waiting:#}");
        let approvals = waiting["approvals"].as_array().unwrap();
        assert_eq!(approvals.len(), 1, "{waiting:#}");
        (text(&waiting["run_id"]), text(&approvals[0]["id"]))
    }

    /// A configuration under which two teachers must approve of every question.
    fn strict(&self) -> String {
        let rules = "[[rule]]\nid = \"ask-first\"\ndescription = \"D.\"\n\
                     kinds = [\"question.asked\"]\nwhen = \"true\"\n\
                     decision = \"require_approval\"\nreason = \"asked first\"\n\
                     approver_role = \"teacher\"\nquorum = 2\nexpires = \"2h\"\n";
        std::fs::create_dir(self.files.path("rules")).unwrap();
        self.files.write("rules/ask.toml", rules);
        self.files.write("genie.toml", "policies = \"rules\"")
    }

    /// The lines of the bank's ledger.
    fn booked(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.data().join("payments.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn status(&self, run: &str) -> String {
        text(&self.genie(&["runs", "show", "--json", run]).json()["status"])
    }

    /// Starts a command whose events are read as they come.
    fn start(&self, arguments: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
        let mut command = command_in(self.data(), arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        (child, stdout)
    }

    /// Waits for a state; the test's own patience is the bound.
    fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let patience = Instant::now() + Duration::from_secs(30);
        while !reached(self) {
            assert!(Instant::now() < patience, "{what} did not come about");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn kill_9(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Reads events until one has this name; gives its data.
fn event(events: &mut impl BufRead, name: &str) -> Value {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(events.read_line(&mut line).unwrap() > 0, "no `{name}` came");
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["event"] == name {
            return event["data"].clone();
        }
    }
}

#[test]
fn a_payment_above_the_limit_waits_and_another_process_approves_it_once() {
    let desk = Desk::new();
    let (run, approval) = desk.asked();
    assert_eq!(desk.booked().len(), 0);
    assert_eq!(desk.status(&run), "waiting");

    let listed = desk.genie(&["approvals", "list"]);
    assert!(listed.stdout.contains(&approval[..8]), "{}", listed.stdout);
    let shown = desk.genie(&["approvals", "show", &approval[..8]]);
    for part in [
        "tool:payment.transfer",
        "\"amount_minor\": 2500000",
        "rule/payment-above-limit-needs-approval",
        "sha256 ",
        "1 approver, but not whoever asked",
        "asked by   ravi",
    ] {
        assert!(shown.stdout.contains(part), "`{part}` is not in\n{}", shown.stdout);
    }

    let approved = desk.genie(&["approvals", "approve", &approval[..8], "--as", "asha"]);
    assert_eq!(approved.code, 0, "{}", approved.stderr);
    assert!(approved.stdout.contains("payee: Asha Traders"), "{}", approved.stdout);
    assert!(approved.stderr.contains("approved by asha"), "{}", approved.stderr);
    assert_eq!(desk.booked().len(), 1);
    assert_eq!(desk.booked()[0]["run_id"], run);
    assert_eq!(desk.status(&run), "completed");

    let again = desk.genie(&["approvals", "approve", &approval, "--as", "asha"]);
    assert_eq!(again.code, 1);
    assert!(again.complaint().contains("is approved already"), "{}", again.stderr);
    let other = desk.genie(&["approvals", "reject", &approval, "--as", "meera", "--reason", "no"]);
    assert_eq!(other.code, 1);
    assert_eq!(desk.booked().len(), 1);
    assert_eq!(desk.genie(&["resume"]).stdout, "nothing to resume\n");
}

#[test]
fn whoever_asked_may_not_approve() {
    let desk = Desk::new();
    let (run, approval) = desk.asked();
    for arguments in [vec!["approvals", "approve", &approval], {
        vec!["approvals", "approve", &approval, "--as", "ravi"]
    }] {
        let refused = desk.genie(&arguments);
        assert_eq!(refused.code, 1);
        let said = refused.complaint();
        assert!(said.contains("`ravi` asked for this and may not decide on it"), "{said}");
        assert!(said.contains("--as NAME"), "{said}");
    }
    assert_eq!((desk.status(&run).as_str(), desk.booked().len()), ("waiting", 0));
}

#[test]
fn a_rejection_fails_the_run_and_nothing_is_paid() {
    let desk = Desk::new();
    let (run, approval) = desk.asked();
    let silent = desk.genie(&["approvals", "reject", &approval, "--as", "asha"]);
    assert_eq!(silent.code, 2);
    assert!(silent.complaint().contains("no reason"), "{}", silent.stderr);
    let reject = ["approvals", "reject", &approval, "--as", "asha", "--reason", "unknown invoice"];
    let rejected = desk.genie(&reject);
    assert_eq!(rejected.code, 0, "{}", rejected.stderr);
    assert_eq!(rejected.stdout, "the run ended: failed: `asha` rejected it: unknown invoice\n");
    assert_eq!((desk.status(&run).as_str(), desk.booked().len()), ("failed", 0));
}

#[test]
fn a_decision_that_does_not_fit_or_finds_nothing_is_refused() {
    let desk = Desk::new();
    let missing = desk.genie(&["approvals", "show", "0123456789"]);
    assert_eq!(missing.code, 2);
    assert!(missing.complaint().contains("there is no database"), "{}", missing.stderr);
    let (run, approval) = desk.asked();
    for (arguments, code, said) in [
        (vec!["approvals", "show", "01"], 2, "is no id"),
        (vec!["approvals", "show", "zzzzzzzz"], 2, "is no id"),
        (vec!["approvals", "show", "0123456789abcdef"], 2, "there is no approval"),
        (vec!["runs", "show", "0123456789abcdef"], 2, "there is no run"),
        (vec!["runs", "show", "00000000-0000-0000-0000-000000000000"], 2, "`genie runs list`"),
        (vec!["runs", "list", "--status", "asleep"], 2, "invalid value"),
        (
            vec!["approvals", "resolve", &approval, "happened", "--as", "asha", "--reason", "x"],
            1,
            "only an unknown effect can be resolved",
        ),
        (
            vec!["approvals", "resolve", &approval, "happened", "--result", "{", "--reason", "x"],
            2,
            "it is not JSON",
        ),
        (vec!["approvals", "approve", &approval, "--as", " "], 2, "names nobody"),
    ] {
        let ended = desk.genie(&arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{arguments:?}");
        assert!(ended.complaint().contains(said), "{arguments:?}: {}", ended.stderr);
    }
    assert_eq!(desk.status(&run), "waiting");
}

#[test]
fn a_process_killed_while_its_bank_works_leaves_an_effect_that_a_human_resolves() {
    let desk = Desk::new();
    let ended = desk.genie(&["run", "--demo", "crash"]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    for part in ["killed (SIGKILL)", "not on record", "goes on", "nobody knows whether"] {
        assert!(ended.stderr.contains(part), "`{part}` is not in\n{}", ended.stderr);
    }
    assert!(ended.stdout.contains("happened --as NAME"), "{}", ended.stdout);
    assert_eq!(desk.booked().len(), 1);
    let approvals = desk.genie(&["approvals", "list", "--json"]).json();
    let (id, run) = (text(&approvals[0]["id"]), text(&approvals[0]["run_id"]));
    assert_eq!(approvals[0]["subject"], "unknown_effect");

    let unfit = desk.genie(&["approvals", "approve", &id, "--as", "asha"]);
    assert_eq!(unfit.code, 1);
    assert!(unfit.complaint().contains("an unknown effect is resolved"), "{}", unfit.stderr);

    let resolve = ["approvals", "resolve", &id, "happened", "--as", "asha", "--json"];
    let resolve = [&resolve[..], &["--reason", "it is there", "--result", "{\"reference\":\"7\"}"]];
    let resolved = desk.genie(&resolve.concat());
    assert_eq!((resolved.code, resolved.stderr.as_str()), (0, ""));
    assert_eq!(resolved.json()["reference"], "7");
    assert_eq!((desk.status(&run).as_str(), desk.booked().len()), ("completed", 1));
}

#[test]
fn an_effect_that_did_not_happen_fails_the_run_and_one_to_be_retried_happens_again() {
    for (resolution, code, status, booked) in
        [("did-not-happen", 0, "failed", 1), ("retry", 0, "completed", 2)]
    {
        let desk = Desk::new();
        assert_eq!(desk.genie(&["run", "--demo", "crash", "--quiet"]).code, 3);
        let approvals = desk.genie(&["approvals", "list", "--json"]).json();
        let (id, run) = (text(&approvals[0]["id"]), text(&approvals[0]["run_id"]));
        let resolve = ["approvals", "resolve", &id, resolution, "--as", "asha", "--reason", "seen"];
        let resolved = desk.genie(&resolve);
        assert_eq!(resolved.code, code, "{}", resolved.stderr);
        assert_eq!((desk.status(&run).as_str(), desk.booked().len()), (status, booked));
    }
}

#[test]
fn a_bank_that_knows_keys_is_asked_again_and_books_once() {
    let desk = Desk::new();
    let ended = desk.genie(&["run", "--demo", "crash", "--effects", "idempotent", "--json"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert_eq!(ended.json()["outcome"], "completed");
    assert_eq!(desk.booked().len(), 1);
    let run = text(&ended.json()["run_id"]);
    let shown = desk.genie(&["runs", "show", "--json", &run]).json();
    assert_eq!(shown["effects"][0]["attempts"], 2, "{shown:#}");
    assert_eq!(shown["effects"][0]["state"], "done", "{shown:#}");
}

#[test]
fn a_run_killed_while_it_runs_is_resumed_and_a_parked_one_stays_parked() {
    let desk = Desk::new();
    let (child, mut events) =
        desk.start(&["run", "--demo", "crash", "--silent-bank", "--delay", "2s", "--quiet"]);
    let mut run = String::new();
    events.read_line(&mut run).unwrap();
    let run = run.trim();
    desk.until("the sleep", |desk| {
        let shown = desk.genie(&["runs", "events", run]);
        shown.stdout.contains("\"call\":\"sleep\"")
    });
    kill_9(child);
    assert_eq!((desk.status(run).as_str(), desk.booked().len()), ("running", 0));

    let resumed = desk.genie(&["resume"]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(resumed.stdout.contains(&format!("run {run}: completed")), "{}", resumed.stdout);
    assert!(resumed.stderr.contains("goes on"), "{}", resumed.stderr);
    assert_eq!((desk.status(run).as_str(), desk.booked().len()), ("completed", 1));
}

#[test]
fn an_owner_killed_while_another_run_is_parked_loses_nothing() {
    let desk = Desk::new();
    let (run, approval) = desk.asked();
    // Another process owns the runs, and is killed at work.
    let (child, mut events) =
        desk.start(&["run", "--demo", "crash", "--silent-bank", "--quiet", "--delay", "1m"]);
    let mut other = String::new();
    events.read_line(&mut other).unwrap();
    kill_9(child);
    assert_eq!(desk.status(&run), "waiting");
    let approved = desk.genie(&["approvals", "approve", &approval, "--as", "asha", "--json"]);
    assert_eq!(approved.code, 0, "{}", approved.stderr);
    assert_eq!(approved.json()["outcome"], "completed");
    assert_eq!(desk.booked().len(), 1);
}

#[test]
fn a_decision_reaches_the_process_that_owns_the_runs() {
    let desk = Desk::new();
    let (run, approval) = desk.asked();
    let (child, mut events) =
        desk.start(&["run", "--demo", "crash", "--silent-bank", "--quiet", "--delay", "1m"]);
    let mut other = String::new();
    events.read_line(&mut other).unwrap();
    let refused = desk.genie(&["resume"]);
    assert_eq!(refused.code, 2);
    assert!(refused.complaint().contains("another genie process"), "{}", refused.stderr);

    let approved = desk.genie(&["approvals", "approve", &approval, "--as", "asha"]);
    assert_eq!(approved.code, 0, "{}", approved.stderr);
    assert!(approved.stderr.contains("the process that owns the runs"), "{}", approved.stderr);
    // The bank of that process books and never answers.
    desk.until("the payment", |desk| desk.booked().len() == 1);
    assert_eq!(desk.booked()[0]["run_id"], run);
    kill_9(child);
}

#[test]
fn a_parked_run_is_cancelled_and_nobody_can_approve_it_any_more() {
    let desk = Desk::new();
    let (run, approval) = desk.asked();
    let cancelled = desk.genie(&["runs", "cancel", &run, "--reason", "paid in cash"]);
    assert_eq!(cancelled.code, 0, "{}", cancelled.stderr);
    assert_eq!(cancelled.stdout, format!("run {run}: cancelled: paid in cash\n"));
    assert_eq!(desk.status(&run), "cancelled");
    assert_eq!(desk.genie(&["approvals", "list", "--json"]).json(), serde_json::json!([]));
    let all = desk.genie(&["approvals", "list", "--all", "--json"]).json();
    assert_eq!(all[0]["status"], "withdrawn");
    let late = desk.genie(&["approvals", "approve", &approval, "--as", "asha"]);
    assert_eq!(late.code, 1, "{}", late.stderr);
    let again = desk.genie(&["runs", "cancel", &run]);
    assert_eq!(again.code, 1);
    assert!(again.complaint().contains("has ended already: cancelled"), "{}", again.stderr);
    assert_eq!(desk.booked().len(), 0);
}

#[test]
fn a_run_that_a_dead_process_left_is_cancelled_before_it_does_anything_more() {
    let desk = Desk::new();
    let demo = ["run", "--demo", "crash", "--silent-bank", "--quiet", "--effects", "idempotent"];
    let (child, mut events) = desk.start(&demo);
    let mut run = String::new();
    events.read_line(&mut run).unwrap();
    desk.until("the booking", |desk| desk.booked().len() == 1);
    kill_9(child);
    let cancelled = desk.genie(&["runs", "cancel", run.trim()]);
    assert_eq!(cancelled.code, 0, "{}", cancelled.stderr);
    let shown = desk.genie(&["runs", "show", "--json", run.trim()]).json();
    assert_eq!(shown["status"], "cancelled");
    assert_eq!(shown["effects"][0]["attempts"], 1, "{shown:#}");
}

#[test]
fn the_process_that_owns_a_run_is_asked_to_cancel_it_at_work_or_parked() {
    let desk = Desk::new();
    let (parked, _) = desk.asked();
    let (mut child, mut events) =
        desk.start(&["run", "--demo", "crash", "--silent-bank", "--quiet", "--delay", "1m"]);
    let mut run = String::new();
    events.read_line(&mut run).unwrap();
    let parked_end = desk.genie(&["runs", "cancel", &parked]);
    assert_eq!(parked_end.code, 0, "{}", parked_end.stderr);
    let cancelled = desk.genie(&["runs", "cancel", run.trim(), "--json"]);
    assert_eq!(cancelled.code, 0, "{}", cancelled.stderr);
    assert_eq!(cancelled.json()["outcome"], "cancelled");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(desk.booked().len(), 0);
}

#[test]
fn events_are_those_of_the_run_and_can_be_followed_and_read_on() {
    let desk = Desk::new();
    let (run, approval) = desk.asked();
    let (mut follower, mut events) = desk.start(&["runs", "events", "--follow", &run]);
    event(&mut events, "run.waiting");
    let before = desk.genie(&["runs", "events", &run]).json_lines();
    assert_eq!(desk.genie(&["approvals", "approve", &approval, "--as", "asha"]).code, 0);
    let completed = event(&mut events, "run.completed");
    assert_eq!(completed["answer"]["payee"], "Asha Traders");
    assert!(follower.wait().unwrap().success());

    let all = desk.genie(&["runs", "events", &run]).json_lines();
    let last = before.last().unwrap()["id"].to_string();
    let after = desk.genie(&["runs", "events", "--after", &last, &run]).json_lines();
    assert_eq!([before, after].concat(), all);
    let ids: Vec<u64> = all.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
}

#[test]
fn runs_are_listed_newest_first_and_by_how_they_stand() {
    let desk = Desk::new();
    assert_eq!(desk.genie(&["runs", "list", "--json"]).json(), serde_json::json!([]));
    let (first, _) = desk.asked();
    let question = desk.genie(&["run", "--json", "What was my income?"]).json();
    let second = text(&question["run_id"]);
    let listed = desk.genie(&["runs", "list", "--json"]).json();
    assert_eq!([&listed[0]["run_id"], &listed[1]["run_id"]], [&second, &first]);
    let waiting = desk.genie(&["runs", "list", "--status", "waiting"]);
    assert!(waiting.stdout.contains(&first) && !waiting.stdout.contains(&second));
    let one = desk.genie(&["runs", "list", "--limit", "1"]);
    assert!(one.stdout.contains(&second) && !one.stdout.contains(&first));
    assert!(one.stderr.contains("there are more"), "{}", one.stderr);
    let shown = desk.genie(&["runs", "show", &second]);
    let answer = text(&question["answer"]);
    let begins = answer.split(' ').next().unwrap();
    for part in ["supervisor", "question.asked", "completed", "Outcome", begins] {
        assert!(shown.stdout.contains(part), "`{part}` is not in\n{}", shown.stdout);
    }
}

#[test]
fn a_question_that_a_rule_holds_waits_and_is_answered_after_all() {
    let desk = Desk::new();
    let config = desk.strict();
    let ended = desk.genie(&["--config", &config, "run", "--json"]);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let waiting = ended.json();
    assert_eq!(waiting["approvals"][0]["requirement"]["quorum"], 2);
    let id = text(&waiting["approvals"][0]["id"]);
    let approve =
        |name: &str| desk.genie(&["--config", &config, "approvals", "approve", &id, "--as", name]);
    let first = approve("asha");
    assert_eq!(first.code, 3, "{}", first.stderr);
    assert!(first.stdout.contains("1 of 2 teachers"), "{}", first.stdout);
    let same = approve("asha");
    assert_eq!(same.code, 1, "{}", same.stderr);
    let second = approve("meera");
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert!(second.stdout.contains("You overspent on"), "{}", second.stdout);
}

#[test]
fn a_run_in_memory_does_not_wait_for_a_human_and_a_demo_needs_a_place() {
    let desk = Desk::new();
    let refused = desk.genie(&["--memory", "run", "--demo", "approval"]);
    assert_eq!(refused.code, 2);
    assert!(refused.complaint().contains("--memory"), "{}", refused.stderr);
    for arguments in [vec!["--memory", "runs", "list"], vec!["--memory", "resume"]] {
        assert_eq!(desk.genie(&arguments).code, 2, "{arguments:?}");
    }
    let config = desk.strict();
    let ended = desk.genie(&["--config", &config, "--memory", "run", "--quiet"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    assert!(ended.complaint().contains("kept in memory only"), "{}", ended.stderr);
}

#[test]
fn the_exit_codes_are_in_the_help() {
    let help = Command::new(env!("CARGO_BIN_EXE_genie")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for code in ["0  done", "1  the answer is no", "2  the request", "3  the run waits"] {
        assert!(help.contains(code), "{help}");
    }
}
