//! The JSON text of an entry, as it is hashed and stored.
//!
//! Messages, verdicts, steps and the ends of handlers are nearly all that a run records, and most
//! of what serde does for them is to look for something to escape in names and ids that never need
//! it. So they are put together here, and everything else goes through serde. Both give the same
//! bytes; a test compares them.

use serde::Serialize;
use serde_json::Error;
use uuid::Uuid;

use super::chain::Hash;
use super::record::Entry;
use super::steps::{Call, Pattern, Route};
use crate::clock::Timestamp;
use crate::ids::{MessageId, RunId};
use crate::label::Label;
use crate::message::Message;
use crate::policy::Verdict;

/// Writes the text of `entry` after what is in `out`.
///
/// # Errors
/// An entry that has no JSON form.
pub(super) fn write(entry: &Entry, out: &mut Vec<u8>) -> Result<(), Error> {
    match entry {
        Entry::Message { route, message } => write_message(*route, message, out),
        Entry::Verdict { run_id, message_id, verdict, original_sha256: None, .. }
            if verdict.redactions.is_empty() && verdict.requirement.is_none() =>
        {
            write_verdict((*run_id, *message_id), verdict, out)
        }
        Entry::Handled {
            run_id,
            message_id,
            agent,
            at,
            duration_us,
            failure: None,
            stateful: false,
        } => {
            open("handled", *run_id, out);
            uuid(r#","message_id":""#, message_id.0, out);
            text(r#"","agent":"#, agent, out)?;
            time(r#","at":""#, *at, out);
            value(r#"","duration_us":"#, duration_us, out)?;
            out.push(b'}');
            Ok(())
        }
        Entry::Step { run_id, cause, number, agent, call } => {
            let start = out.len();
            open("step", *run_id, out);
            uuid(r#","cause":""#, cause.0, out);
            value(r#"","number":"#, number, out)?;
            text(r#","agent":"#, agent, out)?;
            if write_call(call, out)? {
                return Ok(());
            }
            out.truncate(start);
            serde_json::to_writer(out, entry)
        }
        other => serde_json::to_writer(out, other),
    }
}

/// The rest of a step, if it is one of those that agents take at every turn.
fn write_call(call: &Call, out: &mut Vec<u8>) -> Result<bool, Error> {
    match call {
        Call::Ask { request, reply: Some(reply), failure: None } => {
            uuid(r#","call":"ask","request":""#, request.0, out);
            uuid(r#"","reply":""#, reply.0, out);
            raw(r#""}"#, out);
        }
        Call::Gather { arrived, missing } if missing.is_empty() && !arrived.is_empty() => {
            let mut before = r#","call":"gather","arrived":[""#;
            for message in arrived {
                uuid(before, message.0, out);
                before = r#"",""#;
            }
            raw(r#""]}"#, out);
        }
        Call::Store { blob: Hash(sha256), bytes, label } => {
            raw(r#","call":"store","blob":""#, out);
            hex(sha256, out);
            value(r#"","bytes":"#, bytes, out)?;
            raw(r#","label":"#, out);
            write_label(label, out)?;
            out.push(b'}');
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn write_verdict(
    (run, message): (RunId, MessageId),
    verdict: &Verdict,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    open("verdict", run, out);
    uuid(r#","message_id":""#, message.0, out);
    value(r#"","decision":"#, &verdict.decision, out)?;
    text(r#","policy":"#, &verdict.policy, out)?;
    text(r#","policy_version":"#, &verdict.policy_version, out)?;
    text(r#","reason":"#, &verdict.reason, out)?;
    out.push(b'}');
    Ok(())
}

fn write_message(route: Route, message: &Message, out: &mut Vec<u8>) -> Result<(), Error> {
    let pattern = match route.pattern {
        Pattern::Root => "root",
        Pattern::Ask => "ask",
        Pattern::Publish => "publish",
        Pattern::Collect => "collect",
        Pattern::Reply => "reply",
        Pattern::Fallback => "fallback",
        Pattern::Tool => "tool",
        Pattern::ToolResult => "tool_result",
    };
    raw(r#"{"type":"message","pattern":""#, out);
    raw(pattern, out);
    value(r#"","step":"#, &route.step, out)?;
    value(r#","leg":"#, &route.leg, out)?;
    uuid(r#","message":{"id":""#, message.id.0, out);
    uuid(r#"","run_id":""#, message.run_id.0, out);
    match message.causation_id {
        Some(cause) => {
            uuid(r#"","causation_id":""#, cause.0, out);
            out.push(b'"');
        }
        None => raw(r#"","causation_id":null"#, out),
    }
    text(r#","from":"#, &message.from, out)?;
    text(r#","to":"#, &message.to, out)?;
    text(r#","kind":"#, &message.kind, out)?;
    raw(r#","payload":"#, out);
    raw(message.payload.text(), out);
    value(r#","principal":"#, &message.principal, out)?;
    raw(r#","label":"#, out);
    write_label(&message.label, out)?;
    time(r#","deadline":""#, message.deadline, out);
    time(r#"","created_at":""#, message.created_at, out);
    // The trace context's fields are hexadecimal without hyphens.
    raw(r#"","traceparent":"00-"#, out);
    hex(&message.trace_id.to_be_bytes(), out);
    out.push(b'-');
    hex(&message.id.0.as_bytes()[8..], out);
    value(r#"-01","hops":"#, &message.hops, out)?;
    raw("}}", out);
    Ok(())
}

fn write_label(label: &Label, out: &mut Vec<u8>) -> Result<(), Error> {
    text(r#"{"classification":"#, label.classification.as_str(), out)?;
    for (name, items) in
        [(r#","categories":"#, &label.categories), (r#","regions":"#, &label.regions)]
    {
        if items.is_empty() {
            continue;
        }
        raw(name, out);
        let mut before = "[";
        for item in items {
            text(before, item, out)?;
            before = ",";
        }
        out.push(b']');
    }
    out.push(b'}');
    Ok(())
}

/// The beginning of an entry of this type.
fn open(name: &str, run: RunId, out: &mut Vec<u8>) {
    raw(r#"{"type":""#, out);
    raw(name, out);
    uuid(r#"","run_id":""#, run.0, out);
    out.push(b'"');
}

fn raw(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
}

/// `before`, and any value after it.
fn value<T: Serialize>(before: &str, value: &T, out: &mut Vec<u8>) -> Result<(), Error> {
    raw(before, out);
    serde_json::to_writer(out, value)
}

/// `before`, and a text after it.
fn text(before: &str, text: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    raw(before, out);
    // Without a way out of the loop, so that it runs over many bytes at a time.
    let special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if text.bytes().fold(false, |found, byte| found | special(byte)) {
        return serde_json::to_writer(out, text);
    }
    out.push(b'"');
    raw(text, out);
    out.push(b'"');
    Ok(())
}

fn uuid(before: &str, uuid: Uuid, out: &mut Vec<u8>) {
    raw(before, out);
    raw(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()), out);
}

fn time(before: &str, time: Timestamp, out: &mut Vec<u8>) {
    raw(before, out);
    let mut buffer = [0; Timestamp::TEXT_BYTES];
    time.write(&mut buffer);
    out.extend_from_slice(&buffer);
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::failure::Failure;
    use crate::policy::{Decision, Redaction};
    use crate::specimen::Specimen;

    /// Everything that JSON escapes, and neighbours that it does not.
    const TEXTS: [&str; 7] =
        ["", "plain.name", "a \"quote\"", "back\\slash", "line\nbreak\u{1}\u{1f}", "ü \u{7f}", "/"];

    fn same(entry: &Entry) {
        let mut text = b"before".to_vec();
        write(entry, &mut text).unwrap();
        let serde = serde_json::to_string(entry).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), format!("before{serde}"));
    }

    fn message(text: &str) -> Message {
        let mut specimen = Specimen::new(text, text, json!({ "of": text, "list": [1, 2.5, null] }));
        specimen.from = text.to_owned();
        specimen.principal.subject = text.to_owned();
        specimen.label.regions.extend(["in".to_owned(), text.to_owned()]);
        specimen.label.categories.insert(text.to_owned());
        specimen.hops = 65_535;
        let mut message = specimen.message().unwrap();
        message.id = MessageId(Uuid::from_u128(0x0123_4567_89ab_8def_8123_4567_89ab_cdef));
        message.run_id = RunId(Uuid::from_u128(7));
        message.created_at = Timestamp::from_micros(1_790_000_000_123_456);
        message.trace_id = 0xfedc_ba98_7654_3210_0000_0000_0000_0001;
        message
    }

    #[test]
    fn a_message_has_the_text_that_serde_gives_it() {
        let patterns = [
            Pattern::Root,
            Pattern::Ask,
            Pattern::Publish,
            Pattern::Collect,
            Pattern::Reply,
            Pattern::Fallback,
            Pattern::Tool,
            Pattern::ToolResult,
        ];
        for (text, pattern) in TEXTS.iter().cycle().zip(patterns) {
            let route = Route { pattern, step: u32::MAX, leg: 3 };
            let mut message = message(text);
            same(&Entry::Message { route, message: Arc::new(message.clone()) });
            message.causation_id = Some(MessageId(Uuid::from_u128(9)));
            message.label = Arc::default();
            same(&Entry::Message { route, message: Arc::new(message) });
        }
    }

    #[test]
    fn a_verdict_has_the_text_that_serde_gives_it() {
        for text in TEXTS {
            for decision in
                [Decision::Allow, Decision::Redact, Decision::RequireApproval, Decision::Deny]
            {
                let mut verdict = Verdict {
                    decision,
                    policy: text.into(),
                    policy_version: text.into(),
                    reason: text.into(),
                    redactions: Vec::new(),
                    requirement: None,
                };
                let entry = |verdict: &Verdict, original_sha256| Entry::Verdict {
                    run_id: RunId(Uuid::from_u128(1)),
                    message_id: MessageId(Uuid::from_u128(2)),
                    verdict: Arc::new(verdict.clone()),
                    original_sha256,
                    message: None,
                };
                same(&entry(&verdict, None));
                same(&entry(&verdict, Some(Hash::ZERO)));
                let (pointer, what) = (text.to_owned(), text.to_owned());
                verdict.redactions.push(Redaction { pointer, range: None, what });
                same(&entry(&verdict, None));
            }
        }
    }

    #[test]
    fn a_step_has_the_text_that_serde_gives_it() {
        let id = |id| MessageId(Uuid::from_u128(id));
        let mut missing = crate::gather::Missing {
            leg: "a \"leg\"".to_owned(),
            reason: "late".to_owned(),
            failure: Some(Failure::RunEnded),
        };
        let gathers = [0, 1, 3].map(|legs| (0..legs).map(id).collect::<Vec<_>>());
        let mut calls = vec![
            Call::Ask { request: id(1), reply: Some(id(2)), failure: None },
            Call::Ask { request: id(1), reply: None, failure: Some(Failure::RunEnded) },
            Call::Now { value: Timestamp::from_micros(1) },
            Call::Random { value: "0123456789abcdef".to_owned() },
            Call::Sleep { until: Timestamp::from_micros(2) },
            Call::Refused { failure: Failure::RunEnded },
        ];
        for arrived in gathers {
            missing.leg.push('!');
            let missing = vec![missing.clone()];
            calls.push(Call::Gather { arrived: arrived.clone(), missing: Vec::new() });
            calls.push(Call::Gather { arrived, missing });
        }
        for text in TEXTS {
            let label = Label::default().with_category(text).with_region("in");
            let (blob, label) = (Hash::of(text.as_bytes()), Arc::new(label));
            calls.push(Call::Store { blob, bytes: u64::MAX, label });
            for call in &calls {
                let (run_id, call) = (RunId(Uuid::from_u128(3)), call.clone());
                same(&Entry::Step { run_id, cause: id(4), number: 5, agent: text.into(), call });
            }
        }
    }

    #[test]
    fn the_end_of_a_handler_has_the_text_that_serde_gives_it() {
        for text in TEXTS {
            for (failure, stateful) in
                [(None, false), (None, true), (Some(Failure::RunEnded), false)]
            {
                same(&Entry::Handled {
                    run_id: RunId(Uuid::from_u128(1)),
                    message_id: MessageId(Uuid::from_u128(2)),
                    agent: text.into(),
                    at: Timestamp::from_micros(-1),
                    duration_us: u64::MAX,
                    failure,
                    stateful,
                });
            }
        }
    }
}
