//! Events as JSON lines: `{"event": name, "id": seq, "data": …}`, with the names that the event
//! stream of the HTTP edge has. Only journaled events have an id.

use genie_core::outcome::Outcome;
use genie_core::tap::{Event, shown};
use serde_json::json;

/// The event as one line without its end; `None` for a record that only completes another.
pub(crate) fn line(event: &Event) -> Option<String> {
    line_with(event, None)
}

/// As [`line`], with the outcome that a record read back has only the hash of.
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
