//! Records into spans: one for each message that somebody works on, from when it was sent until
//! its handler or tool is done, under the message that caused it.
//!
//! The ids are those of the `traceparent` that every message carries: the trace of the run, and the
//! last eight bytes of the message's id.

use std::collections::{HashMap, VecDeque};

use genie_core::clock::Timestamp;
use genie_core::ids::{MessageId, RunId};
use genie_core::journal::steps::{Effect, Pattern, Route};
use genie_core::journal::{Entry, Record};
use genie_core::message::Message;
use genie_core::outcome::Outcome;
use genie_core::policy::{Decision, Verdict};
use genie_core::tool;

use crate::wire::{Kind, Span};

/// Most messages that wait for their end, over all runs. Beyond it those of the oldest run are
/// given up: it may wait for a human for days.
const OPEN_MAX: usize = 65_536;

/// Messages of one run that are being worked on.
type Open = HashMap<MessageId, Span>;

/// Makes spans of records.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    runs: HashMap<RunId, Open>,
    /// The runs, oldest first; some may have ended.
    order: VecDeque<RunId>,
    open: usize,
}

fn id_of(message: MessageId) -> u64 {
    message.0.as_u64_pair().1
}

/// The span of a message that somebody will work on, with its end still to come.
fn begun(route: Route, message: &Message, trace_id: u128) -> Option<Span> {
    let kind = match route.pattern {
        Pattern::Root => Kind::Server,
        Pattern::Tool => Kind::Client,
        Pattern::Ask | Pattern::Publish | Pattern::Fallback => Kind::Internal,
        // Answers are the end of another span.
        Pattern::Collect | Pattern::Reply | Pattern::ToolResult => return None,
    };
    let tool = message.to().strip_prefix(tool::ADDRESS);
    let (operation, name, who) = match tool {
        Some(tool) => ("execute_tool", "gen_ai.tool.name", tool),
        None => ("invoke_agent", "gen_ai.agent.name", message.to()),
    };
    Some(Span {
        trace_id,
        id: id_of(message.id()),
        parent: message.causation_id().map(id_of),
        name: format!("{operation} {who}"),
        kind,
        start: message.created_at(),
        end: message.created_at(),
        attributes: vec![
            ("gen_ai.operation.name", operation.to_owned()),
            (name, who.to_owned()),
            ("genie.run_id", message.run_id().to_string()),
            ("genie.message_id", message.id().to_string()),
            ("genie.kind", message.kind().to_owned()),
            ("genie.from", message.from().to_owned()),
            ("genie.tenant", message.principal().tenant().to_string()),
        ],
        failure: None,
    })
}

/// The trace that a message belongs to, out of its `traceparent`.
fn trace_of(message: &Message) -> u128 {
    let text = message.traceparent();
    text.get(3..35).and_then(|hex| u128::from_str_radix(hex, 16).ok()).unwrap_or_default()
}

impl Spans {
    /// Takes note of a record; gives the spans that end with it.
    pub(crate) fn record(&mut self, record: &Record) -> Vec<Span> {
        if let Entry::Outcome { run_id, at, outcome } = &record.entry {
            return self.end_all(*run_id, *at, outcome);
        }
        self.record_one(record).into_iter().collect()
    }

    fn record_one(&mut self, record: &Record) -> Option<Span> {
        match &record.entry {
            Entry::Message { route, message } => {
                let ended = self.answered(*route, message);
                if let Some(span) = begun(*route, message, trace_of(message)) {
                    self.begin(message.run_id(), message.id(), span);
                }
                ended
            }
            Entry::Verdict { run_id, message_id, verdict, .. } => {
                self.judged(*run_id, *message_id, verdict)
            }
            Entry::Handled { run_id, message_id, at, failure, .. } => {
                let code = failure.as_ref().map(|failure| failure.code().to_owned());
                self.end(*run_id, *message_id, *at, code)
            }
            Entry::Effect { run_id, message_id, at, effect, .. } => match effect {
                Effect::Done { .. } => self.end(*run_id, *message_id, *at, None),
                Effect::Unpaid { .. } => {
                    self.end(*run_id, *message_id, *at, Some("budget_exhausted".to_owned()))
                }
                Effect::Failed { .. } => {
                    self.end(*run_id, *message_id, *at, Some("tool".to_owned()))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Ends the request with its run, and whatever is still at work: nothing more is recorded of
    /// it, not even whether it was done anyway.
    fn end_all(&mut self, run: RunId, at: Timestamp, outcome: &Outcome) -> Vec<Span> {
        let open = self.forget(run);
        let whole = matches!(outcome, Outcome::Completed { .. });
        let ended = open.into_values().map(|mut span| {
            span.end = at.max(span.start);
            span.failure = (span.parent.is_none() && !whole).then(|| outcome.name().to_owned());
            span
        });
        ended.collect()
    }

    fn begin(&mut self, run: RunId, message: MessageId, span: Span) {
        while self.open >= OPEN_MAX {
            let Some(oldest) = self.order.front().copied() else { return };
            self.forget(oldest);
        }
        let order = &mut self.order;
        let open = self.runs.entry(run).or_insert_with(|| {
            order.push_back(run);
            Open::default()
        });
        self.open += usize::from(open.insert(message, span).is_none());
    }

    /// A tool without effects leaves nothing on record but its result.
    fn answered(&mut self, route: Route, message: &Message) -> Option<Span> {
        if route.pattern != Pattern::ToolResult {
            return None;
        }
        self.end(message.run_id(), message.causation_id()?, message.created_at(), None)
    }

    fn judged(&mut self, run: RunId, message: MessageId, verdict: &Verdict) -> Option<Span> {
        let span = self.runs.get_mut(&run)?.get_mut(&message)?;
        if verdict.decision != Decision::Allow {
            span.attributes.push(("genie.policy", verdict.policy.to_string()));
        }
        if verdict.decision != Decision::Deny {
            return None;
        }
        let at = span.start;
        self.end(run, message, at, Some("denied".to_owned()))
    }

    fn end(
        &mut self,
        run: RunId,
        message: MessageId,
        at: Timestamp,
        failure: Option<String>,
    ) -> Option<Span> {
        let mut span = self.runs.get_mut(&run)?.remove(&message)?;
        self.open -= 1;
        (span.end, span.failure) = (at.max(span.start), failure);
        Some(span)
    }

    fn forget(&mut self, run: RunId) -> Open {
        let open = self.runs.remove(&run).unwrap_or_default();
        self.open -= open.len();
        if self.order.front() == Some(&run) {
            self.order.pop_front();
        }
        // Those in the middle go once they are many.
        if self.order.len() > 2 * self.runs.len() + 64 {
            self.order.retain(|run| self.runs.contains_key(run));
        }
        open
    }
}
