//! The glance says what the parser says, or leaves it to the parser.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::approval::{ApprovalId, Status};
use crate::failure::Failure;
use crate::ids::MessageId;
use crate::journal::chain::Hash;
use crate::journal::steps::{Call, Effect, Route};
use crate::outcome::Outcome;
use crate::policy::{Decision, Requirement, Verdict};
use crate::specimen::Specimen;

/// Texts that say a field again, or look as if they did.
const HOSTILE: [&str; 10] = [
    r#""type":"run_end""#,
    r#"","type":"run_end","run_id":"01890000-0000-7000-8000-000000000000"#,
    r#"\"run_id\":"01890000-0000-7000-8000-000000000000""#,
    "\u{1}\u{7f}é\u{2028}",
    "type",
    "run_id",
    "message",
    "store",
    r#"","pattern":"root"#,
    "}}",
];

fn run_id() -> RunId {
    RunId(Uuid::from_u128(0x0190 << 112 | 7))
}

fn message(pattern: Pattern, payload: serde_json::Value) -> Entry {
    let mut message = Specimen::new("k", "a", payload).message().unwrap();
    message.run_id = run_id();
    let route = Route { pattern, step: 3, leg: 12 };
    Entry::Message { route, message: Arc::new(message) }
}

/// One entry of each type, with this text wherever one may say what one likes.
fn entries(text: &str) -> Vec<Entry> {
    let mut all = of_steps(text);
    all.extend(of_handlers(text));
    all.extend(of_the_run(text));
    all.extend(of_approvals(text));
    all
}

fn at() -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000)
}

fn message_id() -> MessageId {
    MessageId(Uuid::from_u128(9))
}

fn approval_id() -> ApprovalId {
    ApprovalId(Uuid::from_u128(11))
}

fn of_steps(text: &str) -> Vec<Entry> {
    let (run_id, message_id, said) = (run_id(), message_id(), Arc::<str>::from(text));
    let verdict = Arc::new(Verdict {
        decision: Decision::Deny,
        policy: said.clone(),
        policy_version: said.clone(),
        reason: said.clone(),
        redactions: Vec::new(),
        requirement: None,
    });
    let step = |call| Entry::Step { run_id, cause: message_id, number: 3, agent: "a".into(), call };
    let label = Arc::new(Label::default().with_category(text));
    let effect = Effect::Unknown { reason: text.into() };
    vec![
        message(Pattern::Root, json!({ "text": text })),
        message(Pattern::ToolResult, json!({ "text": text, text: { text: [text, null, 1.5] } })),
        Entry::Verdict { run_id, message_id, verdict, original_sha256: None, message: None },
        step(Call::Random { value: text.into() }),
        step(Call::Store { blob: Hash::ZERO, bytes: 7, label }),
        Entry::Effect { run_id, message_id, tool: said, at: at(), effect },
    ]
}

fn of_handlers(text: &str) -> Vec<Entry> {
    let (run_id, message_id, agent) = (run_id(), message_id(), Arc::<str>::from("a"));
    let (at, reason) = (at(), text.to_owned());
    let failure = Failure::Tool { tool: text.into(), reason: reason.clone() };
    vec![
        Entry::Handled {
            run_id,
            message_id,
            agent: agent.clone(),
            at,
            duration_us: 5,
            failure: Some(failure.clone()),
            stateful: true,
        },
        Entry::Restarted {
            run_id,
            message_id,
            agent: agent.clone(),
            restart: 1,
            backoff_ms: 10,
            reason: reason.clone(),
        },
        Entry::DeadLetter { run_id, message_id, agent: agent.clone(), reason },
        Entry::Incident { run_id, message_id, agent, failure },
    ]
}

fn of_the_run(text: &str) -> Vec<Entry> {
    let (run_id, at, said) = (run_id(), at(), Arc::<str>::from(text));
    let outcome = Arc::new(Outcome::Cancelled { reason: text.into() });
    let approvals = vec![approval_id()];
    vec![
        Entry::RunStarted {
            run_id,
            at,
            policy_set: said.clone(),
            deadline: at,
            tenant: said.clone(),
            subject: said.clone(),
            agent: said.clone(),
            request_id: (!text.is_empty()).then(|| said.clone()),
        },
        Entry::RunWaiting { run_id, at, wake_at: at, approvals, gathers: Vec::new() },
        Entry::RunResumed { run_id, at, policy_set: said, deadline: at, records: 4, messages: 2 },
        Entry::Outcome { run_id, at, outcome },
        Entry::RunEnd { run_id, at, records: 9, messages: 4, duration_us: 1 },
    ]
}

fn of_approvals(text: &str) -> Vec<Entry> {
    let (run_id, message_id, approval_id) = (run_id(), message_id(), approval_id());
    let (at, said) = (at(), Arc::<str>::from(text));
    vec![
        Entry::ApprovalRequested {
            run_id,
            message_id,
            approval_id,
            at,
            digest: Hash::ZERO,
            policy: said.clone(),
            policy_version: said.clone(),
            policy_set: said,
            requirement: Requirement::default(),
            expires_at: at,
        },
        Entry::ApprovalDecided {
            run_id,
            message_id,
            approval_id,
            at,
            status: Status::Withdrawn,
            decisions: Vec::new(),
        },
    ]
}

fn text(entry: &Entry) -> String {
    serde_json::to_string(entry).unwrap()
}

#[test]
fn a_plain_entry_is_read_at_a_glance_and_as_the_parser_reads_it() {
    for entry in entries("as usual") {
        let (text, mark) = (text(&entry), Mark::of(&entry));
        let facts = Facts::parsed(&text).unwrap();
        assert_eq!(facts, Facts { run_id: run_id(), mark: mark.clone() }, "{text}");
        assert_eq!(Facts::of(&text), Ok(facts.clone()), "{text}");
        let glance = matches!(mark, Mark::Other | Mark::Message).then_some(facts);
        assert_eq!(Facts::at_a_glance(&text), glance, "{text}");
    }
}

#[test]
fn nothing_that_a_text_says_changes_what_its_entry_counts_as() {
    for hostile in HOSTILE {
        for entry in entries(hostile) {
            let facts = Facts { run_id: run_id(), mark: Mark::of(&entry) };
            assert_eq!(Facts::of(&text(&entry)), Ok(facts), "{}", text(&entry));
        }
    }
}

#[test]
fn a_field_that_is_there_twice_is_refused_however_it_is_spelled() {
    let other = Uuid::from_u128(1);
    for again in [
        r#""type":"run_end""#.to_owned(),
        format!(r#""run_id":"{other}""#),
        r#""\u0074ype":"run_end""#.to_owned(),
        format!(r#""run\u005fid":"{other}""#),
        r#""message":"none""#.to_owned(),
        r#""pattern":"root""#.to_owned(),
        r#""call":"store""#.to_owned(),
    ] {
        for entry in entries("as usual") {
            let whole = text(&entry);
            let twice = format!("{},{again}}}", &whole[..whole.len() - 1]);
            assert_eq!(Facts::of(&twice), Facts::parsed(&twice), "{twice}");
        }
    }
}

#[test]
fn an_entry_in_another_form_is_left_to_the_parser() {
    for entry in entries("as usual") {
        let value: serde_json::Value = serde_json::from_str(&text(&entry)).unwrap();
        // With its fields sorted, and with room between them.
        for other in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            assert_eq!(Facts::of(&other), Facts::parsed(&other), "{other}");
            assert_eq!(Facts::of(&other).unwrap().run_id, run_id());
        }
        let unknown = text(&entry).replacen("{\"type\":\"", "{\"type\":\"un", 1);
        assert_eq!(Facts::of(&unknown), Facts::parsed(&unknown), "{unknown}");
    }
}

proptest! {
    #[test]
    fn glance_and_parser_agree_whatever_is_said(said in any::<String>(), key in any::<String>()) {
        let mut all = entries(&said);
        all.push(message(Pattern::Ask, json!({ key.as_str(): { said.as_str(): said } })));
        for entry in all {
            let text = text(&entry);
            prop_assert_eq!(Facts::of(&text), Facts::parsed(&text));
        }
    }

    #[test]
    fn glance_and_parser_agree_on_an_entry_with_a_bit_of_another_in_it(
        (one, other) in (0_usize..17, 0_usize..17),
        (at, from, length) in (0_usize..400, 0_usize..400, 0_usize..80),
    ) {
        let all = entries("as usual");
        let (mut one, other) = (text(&all[one]), text(&all[other]));
        let from = from.min(other.len());
        let bit = &other[from..(from + length).min(other.len())];
        one.insert_str(at.min(one.len()), bit);
        // What is no JSON is for whoever looks at its hash.
        if serde_json::from_str::<serde::de::IgnoredAny>(&one).is_ok() {
            prop_assert_eq!(Facts::of(&one), Facts::parsed(&one));
        }
    }
}
