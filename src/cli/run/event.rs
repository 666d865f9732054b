//! Events, from the kernel here or from a server, for whatever shows them; and as JSON lines:
//! `{"event": name, "id": seq, "data": …}`, with the names that the event stream of the HTTP edge
//! has. Only journaled events have an id.

use genie_core::ids::RunId;
use genie_core::journal::Entry;
use genie_core::outcome::Outcome;
use genie_core::tap::{Event, shown};
use serde_json::json;

/// An event, wherever it comes from.
#[derive(Clone, Copy)]
pub(crate) enum Told<'a> {
    /// Of the kernel here, or a database.
    Here(&'a Event),
    /// Of a server, about a run.
    There(RunId, &'a genie_client::Event),
    /// What is on record.
    Entry(&'a Entry),
}

impl<'a> Told<'a> {
    /// The run that it is about.
    pub(crate) fn run_id(self) -> RunId {
        match self {
            Self::Here(event) => event.run_id(),
            Self::There(run, _) => run,
            Self::Entry(entry) => entry.run_id(),
        }
    }

    /// What is on record.
    pub(crate) fn entry(self) -> Option<&'a Entry> {
        match self {
            Self::Here(Event::Recorded(record)) => Some(&record.entry),
            Self::There(_, event) => event.entry.as_deref(),
            Self::Entry(entry) => Some(entry),
            Self::Here(Event::Ephemeral(_)) => None,
        }
    }

    /// What an agent says of its progress: the agent, and its words.
    pub(crate) fn progress(self) -> Option<(&'a str, &'a str)> {
        let (name, data) = match self {
            Self::Here(Event::Ephemeral(event)) => (event.name, &event.data),
            Self::There(_, event) if event.id.is_none() => (&*event.name, &event.data),
            _ => return None,
        };
        let said = data["agent"].as_str().zip(data["text"].as_str());
        said.filter(|_| name == "progress")
    }

    /// The event as one line without its end; `None` for a record that only completes another.
    pub(crate) fn line(self) -> Option<String> {
        match self {
            Self::Here(event) => line_with(event, None),
            Self::There(_, event) => Some(line_of(event)),
            Self::Entry(_) => None,
        }
    }
}

/// An event of a server as one line without its end.
pub(crate) fn line_of(event: &genie_client::Event) -> String {
    let mut line = json!({ "event": event.name, "data": event.data });
    if let Some(id) = event.id {
        line["id"] = json!(id);
    }
    line.to_string()
}

/// The event as one line without its end, with the outcome that a record read back has only the
/// hash of.
pub(crate) fn line_with(event: &Event, outcome: Option<&Outcome>) -> Option<String> {
    let name = event.name()?;
    let line = match event {
        Event::Recorded(record) => {
            json!({ "event": name, "id": record.seq, "data": shown(&record.entry, outcome) })
        }
        Event::Ephemeral(ephemeral) => {
            let mut data = ephemeral.data.clone();
            if let Some(fields) = data.as_object_mut() {
                fields.insert("run_id".to_owned(), json!(ephemeral.run_id));
            }
            json!({ "event": name, "data": data })
        }
    };
    Some(line.to_string())
}
