//! Settings by file and environment: laid over the built-in ones, strict about every one of them.

use crate::program::{Files, genie, genie_with};

#[test]
fn a_setting_takes_effect() {
    let files = Files::new();
    let path = files.write("genie.toml", "[limits]\nmessages_per_run_max = 2\n");
    let ended = genie(&["--config", &path, "run"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert!(ended.complaint().contains("`messages_per_run_max` of 2"), "{}", ended.stderr);
}

#[test]
fn a_wrong_setting_is_named_with_file_and_line() {
    let files = Files::new();
    for (text, said) in [
        ("[limits]\nhops = 3\n", "genie.toml:2: unknown field `hops`"),
        ("[limits]\n\nrun_deadline = \"soon\"\n", "genie.toml:3: `soon` is not a duration"),
        ("home_region = [\n", "genie.toml:"),
    ] {
        let path = files.write("genie.toml", text);
        for command in [vec!["--config", &path, "run"], vec!["run", "--config", &path]] {
            let ended = genie(&command);
            assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
            assert!(ended.complaint().contains(said), "{}", ended.stderr);
        }
    }
    let missing = genie(&["--config", &files.argument("none.toml"), "run"]);
    assert_eq!(missing.code, 2);
    assert!(missing.complaint().contains("none.toml"), "{}", missing.stderr);
}

#[test]
fn a_journal_that_keeps_too_little_says_which_setting_to_raise() {
    let files = Files::new();
    // Whoever follows the run misses events at once, and has to read them back.
    let settings = "journal_records_max = 1\n[limits]\ntap_events_max = 1\n";
    let path = files.write("genie.toml", settings);
    let ended = genie(&["--config", &path, "--memory", "run", "--quiet"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.complaint().contains("raise `journal_records_max`"), "{}", ended.stderr);
}

#[test]
fn rules_that_are_not_there_are_named() {
    let files = Files::new();
    let path = files.write("genie.toml", "policies = \"nowhere\"\n");
    let ended = genie(&["--config", &path, "run"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(ended.complaint().contains("nowhere"), "{}", ended.stderr);
}

#[test]
fn every_setting_is_shown_with_where_it_comes_from() {
    let files = Files::new();
    let path = files.write("genie.toml", "home_region = \"de\"\n[limits]\nhops_max = 3\n");
    let variables = [("GENIE_LIMITS_HOPS_MAX", "7"), ("GENIE_USER_CLEARANCE_CATEGORIES", "a, b")];
    let shown = genie_with(&variables, &["--config", &path, "--memory", "config", "print"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    let line = |key: &str| {
        let line = shown.stdout.lines().find(|line| line.starts_with(&format!("{key} = ")));
        line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("home_region"), format!("home_region = \"de\" # {path}:1"));
    assert_eq!(line("hops_max"), "hops_max = 7 # GENIE_LIMITS_HOPS_MAX");
    assert_eq!(line("categories"), "categories = [\"a\", \"b\"] # GENIE_USER_CLEARANCE_CATEGORIES");
    assert_eq!(line("storage"), "storage = \"memory\" # --memory");
    assert_eq!(line("lease"), "lease = \"10s\" # default");

    // What is printed is itself a settings file with the same meaning.
    let printed = files.write("printed.toml", &shown.stdout);
    let again = genie(&["--config", &printed, "config", "print", "--json"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let again: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    let settings = again["settings"].as_array().unwrap();
    let hops = settings.iter().find(|setting| setting["key"] == "limits.hops_max").unwrap();
    assert_eq!(hops["value"], 7);
    assert_eq!(hops["source"]["kind"], "file");
    assert_eq!(hops["variable"], "GENIE_LIMITS_HOPS_MAX");
}

#[test]
fn a_password_is_not_shown_among_the_settings() {
    let url = "postgres://genie:hunter2@db/genie";
    for arguments in [vec!["config", "print"], vec!["config", "print", "--json"]] {
        let by_variable = genie_with(&[("GENIE_STORAGE", url), ("GENIE_DATA", "")], &arguments);
        let by_option = genie(&[&["--database", url], &arguments[..]].concat());
        for shown in [by_variable, by_option] {
            assert!(shown.stdout.contains("postgres://db/genie"), "{}", shown.stdout);
            assert!(!shown.stdout.contains("hunter2"), "{}", shown.stdout);
        }
    }
}

#[test]
fn a_variable_takes_effect_and_a_wrong_one_is_named() {
    let ended = genie_with(&[("GENIE_LIMITS_MESSAGES_PER_RUN_MAX", "2")], &["--memory", "run"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert!(ended.complaint().contains("`messages_per_run_max` of 2"), "{}", ended.stderr);
    for (variable, text, said) in [
        ("GENIE_LIMITS_HOPS_MAX", "many", "expected a whole number from 1 to 65535"),
        ("GENIE_LEASE", "soon", "`soon` is not a duration"),
    ] {
        let ended = genie_with(&[(variable, text)], &["config", "check"]);
        assert_eq!(ended.code, 2, "{}", ended.stdout);
        assert!(ended.complaint().contains(&format!("{variable}: ")), "{}", ended.stderr);
        assert!(ended.complaint().contains(said), "{}", ended.stderr);
    }
}

#[test]
fn a_variable_that_is_no_setting_is_found_by_check() {
    let sound = genie_with(&[("GENIE_LEASE", "20s")], &["config", "check"]);
    assert_eq!(sound.code, 0, "{}{}", sound.stdout, sound.stderr);
    let unknown = genie_with(&[("GENIE_LIMIT_HOPS_MAX", "3")], &["config", "check"]);
    assert_eq!(unknown.code, 1);
    let said = "`GENIE_LIMIT_HOPS_MAX` is no setting; did you mean `GENIE_LIMITS_HOPS_MAX`?";
    assert!(unknown.stdout.contains(said), "{}", unknown.stdout);
}

#[test]
fn a_variable_that_is_no_setting_is_warned_of_and_stops_nothing() {
    let variables = [("GENIE_PORT", "tcp://10.0.0.1:8080"), ("GENIE_LIMIT_HOPS_MAX", "3")];
    let near = "`GENIE_LIMIT_HOPS_MAX` is no setting; did you mean `GENIE_LIMITS_HOPS_MAX`?";
    for arguments in [&["runs", "list"][..], &["config", "print"], &["agents", "--json"]] {
        let ended = genie_with(&variables, arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        for said in [near, "`GENIE_PORT` is no setting"] {
            assert_eq!(ended.stderr.matches(said).count(), 1, "{arguments:?}: {}", ended.stderr);
        }
    }
    assert_eq!(genie(&["runs", "list"]).stderr, "there are no such runs\n");
    // A server logs it; this one then ends for want of an address.
    let ended = genie_with(&variables, &["serve", "--memory", "--listen", "192.0.2.1:1"]);
    assert!(ended.code == 2 && ended.stderr.contains(near), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn a_key_or_rule_that_cannot_be_used_is_told_with_its_setting_by_check_and_by_the_server() {
    use std::os::unix::fs::PermissionsExt;
    let files = Files::new();
    let secret = "05132a41586f8694abc2d9f0071e354c637a91a8bfd6ed041b324960778ea5bc";
    let (weak, tokens) = ("00".repeat(32), format!("genie-tokens-ed25519:{secret}\n"));
    let file = |name: &str, text: &str, mode: u32| {
        let path = files.write(name, text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    file("good", secret, 0o600);
    file("open", &tokens, 0o644);
    file("tokens", &tokens, 0o600);
    file("torn", &tokens[..40], 0o600);
    file("short", &secret[..32], 0o600);
    file("weak", &weak, 0o600);
    file("zeros", &format!("genie-tokens-ed25519:{weak}\n"), 0o600);
    let check = |key: &str, value: &str, said: &str| {
        let (table, name) = key.split_once('.').unwrap_or(("", key));
        let head = if table.is_empty() { String::new() } else { format!("[{table}]") };
        let settings = files.write("genie.toml", format!("{head}\n{name} = \"{value}\"\n"));
        let variable = format!("GENIE_{}", key.replace('.', "_").to_uppercase());
        let absolute = files.argument(value);
        for arguments in [&["config", "check"][..], &["serve", "--listen", "192.0.2.1:1"]] {
            let by_file = genie(&[&["--config", &settings], arguments].concat());
            let by_variable = genie_with(&[(&variable, &absolute)], arguments);
            for (ended, place) in [
                (by_file, format!("genie.toml:2: `{key}`: ")),
                (by_variable, format!("{variable}: `{key}`: ")),
            ] {
                assert_eq!((ended.code, &*ended.stdout), (2, ""), "{arguments:?}");
                let told = ended.complaint();
                assert!(told.contains(&place) && told.contains(said), "{}", ended.stderr);
                assert!(!ended.stderr.contains(&secret[..16]), "{}", ended.stderr);
            }
        }
    };
    check("sign_in.key", "open", "others can read the secret key");
    check("sign_in.key", "torn", "holds no key that signs tokens");
    check("sign_in.key", "good", "holds no key that signs tokens");
    check("sign_in.key", "zeros", "is not random");
    check("sealing_key", "open", "others can read the sealing key");
    check("sealing_key", "short", "is 32 random bytes");
    check("sealing_key", "weak", "is not random");
    check("checkpoint_key", "open", "others can read the secret key");
    check("checkpoint_key", "tokens", "a signer key reads");
    check("policies", "nowhere", "nowhere");

    let sound = [("GENIE_SIGN_IN_KEY", "tokens"), ("GENIE_SEALING_KEY", "good")];
    let sound = sound.map(|(variable, name)| (variable, files.argument(name)));
    let sound = sound.each_ref().map(|(variable, path)| (*variable, path.as_str()));
    let ended = genie_with(&sound, &["config", "check"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let given = genie_with(&[("GENIE_SEALING_SECRET", &*weak)], &["config", "check"]);
    assert_eq!(given.code, 2);
    assert!(given.complaint().contains("`GENIE_SEALING_SECRET`, line 1"), "{}", given.stderr);
}
