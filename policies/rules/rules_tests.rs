//! What a rule decides, and every slip that must not load.

use genie_core::label::{Classification, Clearance, Label};
use genie_core::policy::{Decision, Facts, Judgement, Policy, PolicyError, Recipient, Requirement};
use genie_core::specimen::Specimen;
use serde_json::json;

use super::{Problem, RuleFile};

fn one_rule(when: &str, decision: &str) -> String {
    format!(
        "[[rule]]\nid = \"r\"\ndescription = \"D.\"\nkinds = [\"k.one\"]\nwhen = '''{when}'''\n\
         decision = \"{decision}\"\nreason = \"because\"\n"
    )
}

fn load(when: &str) -> RuleFile {
    match RuleFile::parse("t.toml", &one_rule(when, "deny")) {
        Ok(file) => file,
        Err(problems) => panic!("{when}: {problems:?}"),
    }
}

fn recipient() -> Recipient {
    Recipient {
        clearance: Clearance::default(),
        roles_any: Vec::new(),
        scopes_all: Vec::new(),
        consent: None,
    }
}

fn facts(recipient: &Recipient) -> Facts<'_> {
    Facts {
        recipient,
        kind: None,
        run_tenant: "acme",
        home_region: "in",
        message_bytes_max: 1_000,
        hops_max: 8,
    }
}

fn judge(file: &RuleFile, specimen: &Specimen) -> Result<Judgement, PolicyError> {
    file.rules()[0].evaluate(&specimen.message().unwrap(), &facts(&recipient()))
}

fn specimen() -> Specimen {
    let mut specimen = Specimen::new(
        "k.one",
        "agent",
        json!({
            "amount": 1_500, "note": "hello", "nested": {"list": [1, 2, 3]}, "big": 1e20,
            "flag": true,
        }),
    );
    specimen.label = Label::new(Classification::Confidential).with_category("personal");
    specimen.principal.tenant = "acme".into();
    specimen.principal.roles.insert("user".into());
    specimen.hops = 3;
    specimen
}

#[test]
fn conditions_see_every_field_of_the_message() {
    let met = [
        r#"message.kind == "k.one" && message.from == "user" && message.to == "agent""#,
        "message.payload.amount > 1000 && message.payload.amount + 1 == 1501",
        r#"message.payload["note"].startsWith("he") && size(message.payload.note) == 5"#,
        "message.payload.nested.list.exists(n, n == 3) && message.payload.nested.list[0] == 1",
        "message.payload.nested.list.all(n, n > 0) && message.payload.nested.list.size() == 3",
        r#"message.payload.note.matches("^h.*o$")"#,
        "message.payload.big > 10.0",
        "message.payload.flag",
        r#""personal" in message.label.categories && message.label.classification != "public""#,
        r#"message.label.classification in ["confidential", "restricted"]"#,
        "size(message.label.regions) == 0",
        r#"message.principal.tenant == "acme" && "user" in message.principal.roles"#,
        r#"!("admin" in message.principal.roles) && message.principal.scopes == []"#,
        "message.hops == 3 && message.bytes > 10",
        "!has(message.payload.missing)",
        "has(message.payload.missing) ? message.payload.missing : true",
        r#"message.principal.roles.filter(r, r == "user").size() == 1"#,
        "message.payload.nested.list.map(n, n * 2)[2] == 6",
    ];
    for when in met {
        let judgement = judge(&load(when), &specimen());
        assert_eq!(judgement.unwrap().decision(), Decision::Deny, "{when}");
    }
}

#[test]
fn a_rule_that_is_not_met_or_not_concerned_allows() {
    assert_eq!(judge(&load("message.hops > 3"), &specimen()).unwrap(), Judgement::Allow);
    let mut other = specimen();
    other.kind = "k.two".into();
    assert_eq!(judge(&load("true"), &other).unwrap(), Judgement::Allow);
}

#[test]
fn a_missing_field_denies_and_names_the_rule() {
    let error = judge(&load("message.payload.absent > 5"), &specimen()).unwrap_err();
    assert!(error.to_string().contains("rule `r`"), "{error}");
    assert!(error.to_string().contains("has("), "{error}");
    assert!(judge(&load("message.payload.note > 5"), &specimen()).is_err());
    assert!(judge(&load("message.payload.note"), &specimen()).is_err());
}

#[test]
fn two_messages_in_turn_are_not_mistaken_for_one_another() {
    let file = load("message.payload.amount == 1500");
    for amount in [1_500, 7, 1_500, 8, 1_500] {
        let mut specimen = specimen();
        specimen.payload = json!({ "amount": amount });
        let denied = judge(&file, &specimen).unwrap() != Judgement::Allow;
        assert_eq!(denied, amount == 1_500, "{amount}");
    }
}

#[test]
fn a_redaction_names_the_fields_that_are_there() {
    let text = one_rule("true", "redact") + "fields = [\"/note\", \"/absent\", \"/nested/list\"]\n";
    let file = RuleFile::parse("t.toml", &text).unwrap();
    let Judgement::Redact { redactions, .. } = judge(&file, &specimen()).unwrap() else {
        panic!("not a redaction");
    };
    let pointers: Vec<&str> = redactions.iter().map(|one| one.pointer.as_str()).collect();
    assert_eq!(pointers, ["/note", "/nested/list"]);
}

#[test]
fn the_version_is_the_hash_of_the_file() {
    // printf '' | sha256sum
    assert_eq!(RuleFile::parse("t.toml", "").unwrap().version(), "e3b0c44298fc");
    let (one, two) = (load("true"), load("false"));
    assert_ne!(one.version(), two.version());
    assert_eq!(one.rules()[0].version(), one.version());
}

/// The first problem with a condition.
fn slip(when: &str) -> Problem {
    match RuleFile::parse("t.toml", &one_rule(when, "deny")) {
        Ok(_) => panic!("it loaded: {when}"),
        Err(problems) => problems[0].clone(),
    }
}

#[test]
fn a_slip_in_a_condition_does_not_load() {
    let slips = [
        (
            r#"message.label.clasification == "public""#,
            "has no field",
            "message.label.classification",
        ),
        (r#"message.metadata.x == "y""#, "has no field `metadata`", "it has kind"),
        (r#"classification == "public""#, "unknown name", "did you mean"),
        (r#"kind == "x""#, "unknown name `kind`", "message.kind"),
        (r#"message.kind = "x""#, "condition:", "=="),
        (r#"message.kind == "x" AND true"#, "condition:", "&&"),
        (r#"message.kind == "x"#, "condition:", "not closed"),
        ("message.kind", "not a boolean", "compare"),
        ("message.bytes + 1", "not a boolean", ""),
        (r#"message.bytes == "x""#, "can never equal", ""),
        (r#"message.bytes > "x""#, "cannot compare", ""),
        ("message.kind && true", "needs booleans", ""),
        ("!message.hops", "needs booleans", ""),
        (r#"message.label.classification == "Public""#, "no classification", "`public`"),
        (r#"message.label.classification in ["secret"]"#, "no classification", "it is one of"),
        (r#"message.label.classification > "internal""#, "as text", "in ["),
        (r#"message.principal.roles == "admin""#, "can never equal", ""),
        (r#""admin" in message.principal.tenant"#, "needs a list", ""),
        ("1 in message.principal.roles", "can never equal", ""),
        (r#"message.kind.startswith("x")"#, "unknown function `startswith`", "startsWith"),
        ("now() > 5", "unknown function", ""),
        (r#"message.kind.matches("(")"#, "is not a pattern", ""),
        ("message.kind.matches(message.to)", "in quotes", ""),
        ("message.kind.contains(1)", "does not take", ""),
        ("has(message.payloads)", "has no field", "message.payload"),
        ("message.principal.roles.exists(r, r == 1)", "can never equal", ""),
        (r#"message.principal.roles.exists(r, x == "a")"#, "unknown name `x`", ""),
        (r#"message.kind - "a" == "b""#, "does not go with", ""),
        ("", "condition:", ""),
        (r#"message.?kind == "a""#, "condition:", ""),
        ("Thing{a: 1} == 1", "condition:", ""),
    ];
    for (when, message, hint) in slips {
        let problem = slip(when);
        assert!(problem.message.contains(message), "{when}: {problem}");
        assert!(problem.hint.unwrap_or_default().contains(hint), "{when}: hint");
        assert_eq!(problem.line, 5, "{when}");
    }
}

#[test]
fn a_slip_in_a_long_condition_is_reported_at_its_own_line() {
    assert_eq!(slip("\ntrue\n&& message.bites > 1").line, 7);
    assert_eq!(slip("\ntrue\n&& message.bytes = 1").line, 7);
}

#[test]
fn a_slip_in_the_file_does_not_load() {
    let good = one_rule("true", "deny");
    let slips = [
        (good.replace("reason", "reson"), "unknown field `reson`", "`reason`", 7),
        (good.replace("[[rule]]", "[[rules]]"), "unknown field `rules`", "`rule`", 1),
        (good.replace("\"deny\"", "\"denie\""), "unknown decision", "`deny`", 6),
        (good.replace("\"deny\"", "\"allow\""), "unknown decision", "it is one of", 6),
        (good.replace("\"deny\"", "\"redact\""), "needs the fields", "fields", 6),
        (good.replace("\"because\"", "\" \""), "`reason` is empty", "", 7),
        (good.replace("\"because\"", "\"because"), "", "", 7),
        (good.replace("id = \"r\"", "id = \"Bad Id\""), "is not an id", "", 2),
        (good.replace("k.one", "K one"), "is not a kind", "", 4),
        (good.replace("id = \"r\"\n", ""), "missing field `id`", "", 1),
        (good.clone() + "fields = [\"/a\"]\n", "`redact` only", "", 8),
        (format!("{good}{good}"), "is taken by the rule in line 1", "", 9),
        (
            good.replace("\"deny\"", "\"redact\"") + "fields = [\"a.b\"]\n",
            "is not a JSON pointer",
            "`/a/b`",
            8,
        ),
    ];
    for (text, message, hint, line) in slips {
        let problems = RuleFile::parse("dir/t.toml", &text).map(|_| ()).unwrap_err();
        let problem = &problems[0];
        assert!(problem.message.contains(message), "{text}: {problem}");
        assert!(problem.hint.as_deref().unwrap_or_default().contains(hint), "{text}: {problem}");
        assert_eq!(problem.line, line, "{text}: {problem}");
        assert!(problem.to_string().starts_with(&format!("dir/t.toml:{line}: ")));
    }
}

#[test]
fn every_problem_of_a_file_is_reported_at_once() {
    let text = one_rule("message.x == 1", "denie") + &one_rule("message.y == 1", "deny");
    assert_eq!(RuleFile::parse("t.toml", &text).map(|_| ()).unwrap_err().len(), 3);
}

fn approval_rule(keys: &str) -> String {
    one_rule("true", "require_approval") + keys
}

#[test]
fn a_rule_says_who_approves_how_many_and_until_when() {
    let requirement = |keys: &str| {
        let file = RuleFile::parse("t.toml", &approval_rule(keys)).unwrap();
        match judge(&file, &specimen()).unwrap() {
            Judgement::RequireApproval { requirement, .. } => requirement,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(requirement(""), Requirement::default());
    let keys = "approver_role = \"treasurer\"\nquorum = 2\nexpires = \"24h\"\n\
                requester_may_approve = true\n";
    let expected = Requirement {
        role: "treasurer".into(),
        quorum: 2,
        expires_ms: 86_400_000,
        requester_may: true,
    };
    assert_eq!(requirement(keys), expected);
}

#[test]
fn a_slip_in_what_an_approval_needs_does_not_load() {
    let begins = approval_rule("").lines().count() + 1;
    for (keys, said) in [
        ("quorum = 0", "`quorum` cannot be `0`\nhint: it is a whole number from 1 to 100"),
        ("quorum = \"2\"", "`quorum` cannot be `2`\nhint: it is a whole number"),
        ("quorum = 1.5", "`quorum` cannot be `1.5`"),
        ("expires = 24", "`expires` cannot be `24`\nhint: write a whole number and s, m, h or d"),
        ("expires = \"soon\"", "`expires` cannot be `soon`"),
        ("approver_role = \"\"", "`approver_role` cannot be ``\nhint: name a role"),
        ("approver_role = \"The Boss\"", "`approver_role` cannot be `The Boss`"),
        ("requester_may_approve = \"no\"", "`requester_may_approve` cannot be `no`"),
        ("approver = \"x\"", "unknown field `approver`"),
    ] {
        let problems = RuleFile::parse("t.toml", &approval_rule(keys)).unwrap_err();
        let problem = problems[0].to_string();
        assert!(problem.starts_with(&format!("t.toml:{begins}: {said}")), "{keys}: {problem}");
    }
    let text = one_rule("true", "deny") + "quorum = 2\n";
    let problem = RuleFile::parse("t.toml", &text).unwrap_err()[0].to_string();
    assert!(problem.contains("`quorum` goes with the decision `require_approval` only"));
}

#[test]
fn what_an_approval_needs_is_part_of_the_version() {
    let version = |keys: &str| {
        RuleFile::parse("t.toml", &approval_rule(keys)).unwrap().rules()[0].version().to_owned()
    };
    assert_ne!(version(""), version("quorum = 2\n"));
}

#[test]
fn rules_that_look_at_different_parts_of_one_message_each_see_theirs() {
    let conditions = [
        "message.payload.amount == 1500",
        "message.label.classification == \"confidential\"",
        "message.principal.tenant == \"acme\" && \"personal\" in message.label.categories",
        "message.hops == 3",
    ];
    let files = conditions.map(load);
    let message = specimen();
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 0, 1]] {
        for rule in order {
            let judged = judge(&files[rule], &message);
            assert!(
                matches!(judged, Ok(Judgement::Deny { .. })),
                "{}: {judged:?}",
                conditions[rule]
            );
        }
    }
}

#[test]
fn a_rule_may_hold_a_call_unless_it_does_not_whatever_the_arguments_are() {
    let check = |when: &str, decision: &str, expected: bool| {
        let file = RuleFile::parse("t.toml", &one_rule(when, decision)).unwrap();
        let payload = json!({ "tool": "pay", "effects": "once", "arguments": null });
        let message = Specimen::new("k.one", "tool:pay", payload).message().unwrap();
        assert_eq!(file.rules()[0].may_hold(&message, &facts(&recipient())), expected, "{when}");
    };
    let large = "message.payload.arguments.amount > 5";
    let has = "has(message.payload.arguments.amount)";
    for when in [
        "true",
        r#"message.payload.tool == "pay""#,
        large,
        &format!("{has} && {large}"),
        &format!(r#"message.payload.tool == "pay" && !({has} && {large})"#),
        &format!(r#"{large} || message.payload.tool == "other""#),
    ] {
        check(when, "require_approval", true);
        check(when, "deny", false);
    }
    for when in [
        "false",
        r#"message.payload.tool == "other""#,
        &format!(r#"message.payload.tool == "other" && !({has} && {large})"#),
        &format!(r#"{large} && message.payload.effects == "none""#),
    ] {
        check(when, "require_approval", false);
    }
}
