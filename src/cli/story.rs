//! What the records of a run tell of it as a whole.

use std::fmt::Write;
use std::sync::Arc;

use genie_core::clock::Timestamp;
use genie_core::ids::MessageId;
use genie_core::journal::steps::Effect;
use genie_core::journal::{Entry, Record};
use genie_core::outcome::Outcome;
use genie_core::tap::outcome_of;
use serde_json::{Value, json};

use super::run::draw::visible;

/// One call of a tool, as far as it came.
pub(crate) struct Call {
    message: MessageId,
    tool: Arc<str>,
    key: String,
    attempts: u32,
    state: Effect,
    at: Timestamp,
}

/// What is on record of a run.
pub(crate) struct Story {
    /// How it ended, with its answer.
    pub(crate) outcome: Option<Outcome>,
    calls: Vec<Call>,
}

impl Story {
    pub(crate) fn of_records(records: &[Arc<Record>]) -> Self {
        Self::of(records.iter().map(|record| &record.entry), outcome_of(records))
    }

    /// What these entries say, and how the run ended if it has.
    pub(crate) fn of<'e>(
        entries: impl IntoIterator<Item = &'e Entry>,
        outcome: Option<Outcome>,
    ) -> Self {
        let mut story = Self { outcome, calls: Vec::new() };
        for entry in entries {
            if let Entry::Effect { message_id, tool, at, effect, .. } = entry {
                story.effect(*message_id, tool, *at, effect);
            }
        }
        story
    }

    fn effect(&mut self, message: MessageId, tool: &Arc<str>, at: Timestamp, effect: &Effect) {
        let known = self.calls.iter_mut().find(|call| call.message == message);
        if let Some(call) = known {
            call.state = effect.clone();
            call.at = at;
            if let Effect::Intent { attempt, .. } = effect {
                call.attempts = *attempt;
            }
            return;
        }
        let (key, attempts) = match effect {
            Effect::Intent { key, attempt } => (key.clone(), *attempt),
            Effect::Unpaid { .. } => (message.to_string(), 0),
            _ => return,
        };
        let (tool, state) = (tool.clone(), effect.clone());
        self.calls.push(Call { message, tool, key, attempts, state, at });
    }

    /// The effects as JSON.
    pub(crate) fn effects_json(&self) -> Value {
        let call = |call: &Call| {
            let mut object = json!(call.state);
            object["tool"] = json!(call.tool);
            object["message_id"] = json!(call.message);
            object["key"] = json!(call.key);
            object["attempts"] = json!(call.attempts);
            object["at"] = json!(call.at);
            object
        };
        self.calls.iter().map(call).collect()
    }

    /// The effects for people, a line each.
    pub(crate) fn effects_text(&self) -> String {
        let mut text = String::new();
        for Call { tool, attempts, state, key, .. } in &self.calls {
            let state = match state {
                Effect::Unpaid { price_minor, left_minor } => format!(
                    "not called: it costs {price_minor}, and the budget has {left_minor} left"
                ),
                Effect::Intent { .. } => "called; what came of it is not on record".to_owned(),
                Effect::Done { .. } => "done".to_owned(),
                Effect::Failed { reason } => format!("did not happen: {reason}"),
                Effect::Unknown { reason } => format!("unknown: {reason}"),
                Effect::Resolved { happened: true, .. } => "happened, a human says".to_owned(),
                Effect::Resolved { happened: false, .. } => {
                    "did not happen, a human says".to_owned()
                }
                _ => "unknown".to_owned(),
            };
            let attempts = if *attempts <= 1 { String::new() } else { format!(" ×{attempts}") };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{tool}{attempts}: {}", visible(&state));
            let _ = writeln!(text, "  key {key}");
        }
        text
    }
}
