//! The run as a tree that grows line by line: what went from whom to whom, with which verdict.
//!
//! Pure text from events; where it is printed, and whether in colour, is decided elsewhere.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use clap::builder::styling::{AnsiColor, Style};
use genie_core::approval::{Decision as Said, Status};
use genie_core::clock::Timestamp;
use genie_core::failure::Failure;
use genie_core::ids::MessageId;
use genie_core::journal::Entry;
use genie_core::journal::steps::{Call, Effect};
use genie_core::message::Message;
use genie_core::policy::{Decision, Verdict};

use super::draw::{Page, visible, wrap};
use super::event::Told;
use crate::cli::words::{people, settled, short, until};

/// Columns for the indented route and for the kind, so that verdicts stand below each other within
/// 80 columns.
const ROUTE_LEN: usize = 37;
const KIND_LEN: usize = 23;
/// Deepest indentation, in levels; what lies deeper is shown at this depth.
const DEPTH_MAX: usize = 5;
/// Width of the column of times.
const TIME_LEN: usize = 8;
/// Columns for the sign that a note begins with.
const SIGN_LEN: usize = 2;

const DIM: Style = Style::new().dimmed();
const GOOD: Style = Style::new().fg_color(Some(colour(AnsiColor::Green)));
const CAUTION: Style = Style::new().fg_color(Some(colour(AnsiColor::Yellow)));
const BAD: Style = Style::new().bold().fg_color(Some(colour(AnsiColor::Red)));

const fn colour(colour: AnsiColor) -> clap::builder::styling::Color {
    clap::builder::styling::Color::Ansi(colour)
}

/// What later lines need to know of a message.
struct Seen {
    depth: usize,
    from: String,
    to: String,
    at: Timestamp,
    answered: bool,
}

/// The tree of one run so far.
#[derive(Default)]
pub(crate) struct Tree {
    started: Option<Timestamp>,
    now: Option<Timestamp>,
    seen: HashMap<MessageId, Seen>,
    outcome: Option<&'static str>,
    /// What has failed already: a failure travels up through everyone who waits for it.
    failures: HashSet<String>,
}

impl Tree {
    /// The lines that an event adds, each with its end; empty if it adds none.
    pub(crate) fn grow(&mut self, told: Told<'_>) -> String {
        if let Some(entry) = told.entry() {
            return self.record(entry);
        }
        told.progress()
            .map_or_else(String::new, |(agent, text)| note(DIM, 1, &format!("· {agent}: {text}")))
    }

    fn record(&mut self, entry: &Entry) -> String {
        match entry {
            Entry::RunStarted { run_id, at, .. } => {
                self.started = Some(*at);
                self.now = Some(*at);
                heading(&format!("run {run_id}"))
            }
            Entry::Verdict { verdict, message: Some(message), .. } => {
                self.message(message, verdict)
            }
            Entry::Step { call: Call::Gather { missing, .. }, .. } => {
                missing.iter().map(|leg| self.missing(&leg.leg, &leg.reason)).collect()
            }
            Entry::Handled { message_id, agent, at, duration_us, failure, .. } => {
                self.now = Some(*at);
                self.handled(*message_id, agent, *duration_us, failure.as_ref())
            }
            Entry::Restarted { message_id, agent, restart, reason, .. } => {
                let text = format!("↻ {agent} crashed, restart {restart}: {reason}");
                note(CAUTION, self.depth_of(*message_id) + 1, &text)
            }
            Entry::DeadLetter { message_id, agent, reason, .. } => {
                let text = format!("✗ dead letter for {agent}: {reason}");
                note(BAD, self.depth_of(*message_id) + 1, &text)
            }
            Entry::Incident { message_id, failure, .. } => {
                if !self.failures.insert(failure.to_string()) {
                    return String::new();
                }
                note(BAD, self.depth_of(*message_id) + 1, &format!("! {failure}"))
            }
            Entry::RunResumed { run_id, at, .. } => {
                // Times count from here: the run may have waited for days.
                self.started = Some(*at);
                self.now = Some(*at);
                heading(&format!("run {run_id} goes on"))
            }
            Entry::ApprovalRequested { message_id, approval_id, requirement, .. } => {
                let (who, id) = (people(requirement), short(approval_id.0));
                let text = format!("⏸ waits for {who}: approval {id}");
                note(CAUTION, self.depth_of(*message_id) + 1, &text)
            }
            Entry::ApprovalDecided { message_id, status, decisions, .. } => {
                self.decided(*message_id, status, decisions)
            }
            Entry::Effect { message_id, tool, effect, .. } => {
                self.effect(*message_id, tool, effect)
            }
            Entry::RunWaiting { at, wake_at, approvals, .. } => {
                self.now = Some(*at);
                let (time, bold) = (self.time(), CAUTION.bold());
                let what = if approvals.is_empty() { "for a time" } else { "for a human" };
                let until = until(*wake_at);
                format!("{time} {bold}waiting{bold:#} {DIM}{what}, {until}{DIM:#}\n")
            }
            Entry::Outcome { outcome, at, .. } => {
                self.now = Some(*at);
                self.outcome = Some(outcome.name());
                String::new()
            }
            Entry::RunEnd { records, messages, duration_us, .. } => {
                self.end(*records, *messages, *duration_us)
            }
            _ => String::new(),
        }
    }

    fn message(&mut self, message: &Message, verdict: &Verdict) -> String {
        let cause = message.causation_id().and_then(|cause| self.seen.get_mut(&cause));
        let (depth, took) = match cause {
            None => (0, None),
            Some(cause) if cause.from == message.to() && cause.to == message.from() => {
                cause.answered = true;
                (cause.depth, Some(message.created_at().micros_since(cause.at)))
            }
            Some(cause) => (cause.depth + 1, None),
        };
        self.now = Some(message.created_at());
        let seen = Seen {
            depth,
            from: message.from().to_owned(),
            to: message.to().to_owned(),
            at: message.created_at(),
            answered: false,
        };
        self.seen.insert(message.id(), seen);

        let indent = " ".repeat(depth.min(DEPTH_MAX));
        let route = format!("{indent}{} → {}", message.from(), message.to());
        let (style, word) = match verdict.decision {
            Decision::Allow => (GOOD, "allow"),
            Decision::Redact => (CAUTION, "redact"),
            Decision::RequireApproval => (CAUTION, "hold"),
            Decision::Deny => (BAD, "DENY"),
        };
        let kind = message.kind();
        let took = took.map_or_else(String::new, |took| format!(" {}", duration(took)));
        let gap = " ".repeat(KIND_LEN.saturating_sub(kind.chars().count() + took.chars().count()));
        let mut text = format!(
            "{} {route:ROUTE_LEN$} {kind}{DIM}{took}{DIM:#}{gap} {style}{word}{style:#}\n",
            self.time(),
        );
        if verdict.decision != Decision::Allow {
            let why = format!("{} {}: {}", verdict.policy, verdict.policy_version, verdict.reason);
            text.push_str(&note(style, depth + 1, &why));
        }
        text
    }

    fn handled(
        &mut self,
        message: MessageId,
        agent: &str,
        duration_us: u64,
        failure: Option<&Failure>,
    ) -> String {
        let depth = self.depth_of(message) + 1;
        let answered = self.seen.get(&message).is_some_and(|seen| seen.answered);
        match failure {
            Some(failure) if self.failures.insert(failure.to_string()) => {
                note(BAD, depth, &format!("✗ {failure}"))
            }
            Some(_) => note(BAD, depth, &format!("✗ {agent} cannot go on")),
            None if answered => String::new(),
            None => note(DIM, depth, &format!("✓ {agent} {}", duration(duration_us))),
        }
    }

    fn decided(&self, message: MessageId, status: &Status, decisions: &[Said]) -> String {
        let (style, sign) = match status {
            Status::Approved | Status::Resolved { .. } => (GOOD, "✓"),
            Status::Rejected | Status::Expired => (BAD, "✗"),
            Status::Pending | Status::Withdrawn => (CAUTION, "·"),
        };
        let mut text = format!("{sign} {}", settled(status));
        for said in decisions {
            let why = if said.reason.is_empty() { "" } else { ": " };
            // Writing to a string cannot fail.
            let _ = write!(text, " by {}{why}{}", said.by, said.reason);
        }
        note(style, self.depth_of(message) + 1, &text)
    }

    fn effect(&self, message: MessageId, tool: &str, effect: &Effect) -> String {
        let (style, text) = match effect {
            Effect::Intent { attempt, .. } => {
                (DIM, format!("· {tool} is called, attempt {attempt}"))
            }
            Effect::Unpaid { price_minor, left_minor } => {
                (BAD, format!("✗ {tool} costs {price_minor}, and the budget has {left_minor} left"))
            }
            Effect::Failed { reason } => (BAD, format!("✗ {tool} did not do it: {reason}")),
            Effect::Unknown { reason } => {
                (CAUTION, format!("? nobody knows whether {tool} did it: {reason}"))
            }
            Effect::Resolved { happened: true, .. } => (GOOD, format!("✓ {tool} did it")),
            Effect::Resolved { happened: false, .. } => (BAD, format!("✗ {tool} did not do it")),
            // The result is a message of its own.
            _ => return String::new(),
        };
        note(style, self.depth_of(message) + 1, &text)
    }

    fn missing(&mut self, leg: &str, reason: &str) -> String {
        let known = !self.failures.insert(reason.to_owned());
        let why = if known { String::new() } else { format!(": {reason}") };
        note(CAUTION, 1, &format!("without `{leg}`{why}"))
    }

    fn end(&self, records: u64, messages: u64, duration_us: u64) -> String {
        let outcome = self.outcome.unwrap_or("ended");
        let style = if outcome == "completed" { GOOD } else { BAD };
        let took = duration(duration_us);
        let time = self.time();
        let bold = style.bold();
        format!(
            "{time} {bold}{outcome}{bold:#} {DIM}in {took}, messages: {messages}, records: \
             {records}{DIM:#}\n"
        )
    }

    fn depth_of(&self, message: MessageId) -> usize {
        self.seen.get(&message).map_or(0, |seen| seen.depth)
    }

    fn time(&self) -> String {
        let since =
            self.started.zip(self.now).map_or(0, |(started, now)| now.micros_since(started));
        format!("{DIM}{:>TIME_LEN$}{DIM:#}", duration(since))
    }
}

/// A line above a run.
pub(crate) fn heading(text: &str) -> String {
    format!("{DIM}{:>TIME_LEN$}  {text}{DIM:#}\n", "")
}

/// A line without a time, at this depth, or several where it would be too long; those after the
/// first stand under its text.
fn note(style: Style, depth: usize, text: &str) -> String {
    let indent = depth.min(DEPTH_MAX);
    let room = Page::of_stdout().columns().saturating_sub(TIME_LEN + 1 + indent + SIGN_LEN);
    let mut lines = String::new();
    let mut hanging = 0;
    for line in wrap(&visible(text), room) {
        let margin = " ".repeat(indent + hanging);
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{:TIME_LEN$} {margin}{style}{line}{style:#}", "");
        hanging = SIGN_LEN;
    }
    lines
}

/// A duration with three or four digits: `0.4 ms`, `12.0 ms`, `1.25 s`, `12 min`, `71 h`.
pub(crate) fn duration(micros: u64) -> String {
    match micros / 1_000_000 {
        0 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        seconds @ 1..600 => format!("{seconds}.{:02} s", micros % 1_000_000 / 10_000),
        seconds @ 600..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (micros, text) in [
            (0, "0.0 ms"),
            (450, "0.4 ms"),
            (12_345, "12.3 ms"),
            (999_999, "999.9 ms"),
            (1_250_000, "1.25 s"),
            (61_005_000, "61.00 s"),
            (600_000_000, "10 min"),
            (259_199_000_000, "71 h"),
        ] {
            assert_eq!(duration(micros), text);
        }
    }
}
