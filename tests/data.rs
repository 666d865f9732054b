//! `genie data statement`: the same arguments give the same bytes, within bounds.

use crate::program::{Files, genie};

#[test]
fn the_same_arguments_give_the_same_bytes_and_another_seed_others() {
    let statement = |seed| genie(&["data", "statement", "--months", "2", "--seed", seed]).stdout;
    assert_eq!(statement("3"), statement("3"));
    assert_ne!(statement("3"), statement("4"));
    assert!(statement("3").starts_with("date,description,category,amount,type\n2025-01-0"));
}

#[test]
fn files_get_what_standard_output_would_have_had_and_what_is_true_of_it() {
    let files = Files::new();
    let (output, truth) = (files.argument("s.csv"), files.argument("t.json"));
    let arguments = ["data", "statement", "--rows", "900", "--layout", "us"];
    let printed = genie(&arguments).stdout;
    let kept = genie(&[&arguments[..], &["--output", &output, "--truth", &truth]].concat());
    assert_eq!((kept.code, kept.stdout.as_str()), (0, ""));
    assert!(kept.stderr.contains("wrote 900 rows to `"), "{}", kept.stderr);
    assert_eq!(std::fs::read_to_string(&output).unwrap(), printed);
    let truth = std::fs::read_to_string(&truth).unwrap();
    let labels: Vec<serde_json::Value> = serde_json::from_str(&truth).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    let refund = labels.iter().find(|label| label["kind"] == "refund").unwrap();
    let line = usize::try_from(refund["line"].as_u64().unwrap()).unwrap();
    assert!(lines[line - 1].to_lowercase().contains("refund"), "{}", lines[line - 1]);
}

#[test]
fn what_is_out_of_bounds_or_unknown_is_refused_with_what_would_do() {
    for (option, value, said) in [
        ("--months", "0", "0 is not in 1..=120"),
        ("--months", "121", "121 is not in 1..=120"),
        ("--rows", "1000001", "is not in 1..=1000000"),
        ("--seed", "-1", "unexpected argument"),
        ("--layout", "xlsx", "possible values: plain, debit_credit"),
    ] {
        let ended = genie(&["data", "statement", option, value]);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{option} {value}");
        assert!(ended.stderr.contains(said), "{option} {value}: {}", ended.stderr);
    }
    let files = Files::new();
    let nowhere = files.argument("absent/s.csv");
    let ended = genie(&["data", "statement", "--output", &nowhere]);
    assert_eq!(ended.code, 2);
    assert!(ended.complaint().contains("cannot write `"), "{}", ended.stderr);
}
