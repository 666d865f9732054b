//! `genie policy`: rules checked, cases run and messages explained without starting anything.

use crate::program::{Files, genie, genie_fed};

const RULE: &str = "\
[[rule]]
id = \"no-swearing\"
description = \"Words stay friendly.\"
kinds = [\"word.said\"]
when = 'message.payload.word == \"damn\"'
decision = \"deny\"
reason = \"the word is not friendly\"
";

const CASES: &str = "\
[[case]]
rule = \"no-swearing\"
name = \"a friendly word passes\"
message = { kind = \"word.said\", to = \"ear\", payload = { word = \"hello\" } }
expect = \"allow\"

[[case]]
rule = \"no-swearing\"
name = \"an unfriendly one does not\"
message = { kind = \"word.said\", to = \"ear\", payload = { word = \"damn\" } }
expect = \"deny\"
";

/// A folder with one rule and its cases.
fn folder(rule: &str, cases: &str) -> Files {
    let files = Files::new();
    for (folder, text) in [("rules", rule), ("cases", cases)] {
        std::fs::create_dir(files.path(folder)).unwrap();
        files.write(&format!("{folder}/words.toml"), text);
    }
    files
}

#[test]
fn the_built_in_rules_are_sound_and_their_cases_pass() {
    assert_eq!(genie(&["policy", "check"]).code, 0);
    let tested = genie(&["policy", "test"]);
    assert_eq!(tested.code, 0, "{}", tested.stdout);
    assert!(tested.stderr.ends_with(" passed, 0 failed\n"), "{}", tested.stderr);
}

#[test]
fn a_slip_in_a_rule_is_found_with_file_line_and_hint() {
    let files = Files::new();
    let slips = RULE.replace("payload.word", "payloud.word").replace("\"deny\"", "\"denny\"");
    let path = files.write("words.toml", slips);
    let checked = genie(&["policy", "check", &path]);
    assert_eq!(checked.code, 1);
    let expected = format!(
        "{path}:5: condition: `message` has no field `payloud`\n\
         hint: did you mean `message.payload`?\n\
         {path}:6: unknown decision `denny`\n\
         hint: did you mean `deny`?\n"
    );
    assert_eq!((checked.stdout, checked.stderr), (expected, "2 problems found\n".to_owned()));
    let json = genie(&["policy", "check", &path, "--json"]);
    assert_eq!((json.code, json.json()["problems"][0]["line"].as_u64()), (1, Some(5)));
}

#[test]
fn a_sound_rule_without_a_case_is_a_warning() {
    let files = Files::new();
    let path = files.write("words.toml", RULE);
    let checked = genie(&["policy", "check", &path]);
    assert_eq!(checked.code, 0);
    assert!(checked.stdout.contains("rule/no-swearing"), "{}", checked.stdout);
    assert_eq!(checked.stderr, "warning: no case tests the rule `no-swearing`\n");
}

#[test]
fn a_case_that_comes_out_otherwise_fails_the_test() {
    let files = folder(RULE, CASES);
    let dir = files.argument("");
    let passed = genie(&["policy", "test", &dir]);
    assert_eq!((passed.code, passed.stderr.as_str()), (0, "2 cases passed, 0 failed\n"));

    let files = folder(&RULE.replace("damn", "darn"), CASES);
    let dir = files.argument("");
    let failed = genie(&["policy", "test", &dir]);
    assert_eq!((failed.code, failed.stderr.as_str()), (1, "1 case passed, 1 failed\n"));
    let line = failed.stdout.lines().find(|line| line.starts_with("FAIL")).unwrap();
    let place = files.argument("cases/words.toml") + ":7";
    for said in ["rule/no-swearing", "an unfriendly one does not", "deny", "allow", &place] {
        assert!(line.contains(said), "{said}: {line}");
    }
    let report = genie(&["policy", "test", &dir, "--json"]).json();
    assert_eq!(report["cases"][1]["passed"], false);
}

#[test]
fn a_message_is_explained_policy_by_policy_as_the_kernel_would_judge_it() {
    let asked = |principal: &str| {
        format!(
            "{{\"kind\":\"audit.request\",\"to\":\"supervisor\",\"principal\":{{{principal}}},\
             \"label\":{{\"classification\":\"restricted\"}}}}"
        )
    };
    let arguments = ["policy", "explain", "-", "--json"];
    let nobody = genie_fed(&arguments, asked("").as_bytes());
    assert_eq!((nobody.code, nobody.json()["policy"].as_str()), (1, Some("required-attributes")));
    let asha = asked("\"tenant\":\"acme\",\"subject\":\"asha\"");
    let steps = genie_fed(&arguments, asha.as_bytes()).json()["steps"].clone();
    let decision = |policy: &str| {
        let steps = steps.as_array().unwrap();
        let step = steps.iter().find(|step| step["policy"] == policy).unwrap();
        step["decision"].as_str().unwrap().to_owned()
    };
    // The supervisor asks for a scope and is cleared for less than restricted content.
    assert_eq!(decision("required-attributes"), "allow");
    assert_eq!(decision("role-scope"), "deny");
    assert_eq!(decision("classification-ceiling"), "deny");
}

#[test]
fn rules_of_a_folder_are_asked_in_place_of_those_in_force() {
    let files = folder(RULE, CASES);
    let dir = files.argument("");
    let listed = genie(&["policy", "list", &dir]).stdout;
    assert!(listed.contains("rule/no-swearing") && listed.contains("tenant-isolation"), "{listed}");
    assert!(!listed.contains("rule/question-length"), "{listed}");
    let said = "{\"kind\":\"word.said\",\"to\":\"ear\",\"payload\":{\"word\":\"damn\"}}";
    let message = files.write("message.json", said);
    let explained = genie(&["policy", "explain", &message, "--policies", &dir]);
    assert_eq!(explained.code, 1);
    assert!(explained.stdout.contains("the word is not friendly"), "{}", explained.stdout);
    assert!(explained.stderr.starts_with("note: no agent is called `ear`"), "{}", explained.stderr);
}

#[test]
fn what_cannot_be_read_is_refused_with_its_name() {
    let files = Files::new();
    let absent = files.argument("absent");
    for arguments in [
        ["policy", "check", absent.as_str()],
        ["policy", "test", absent.as_str()],
        ["policy", "explain", absent.as_str()],
        ["policy", "list", absent.as_str()],
    ] {
        let ended = genie(&arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ended.complaint().contains(&absent), "{}", ended.stderr);
    }
    let garbled = genie_fed(&["policy", "explain", "-"], b"{\"kind\":");
    assert_eq!(garbled.code, 2);
    assert!(garbled.complaint().contains("hint: give at least the kind"), "{}", garbled.stderr);
}
