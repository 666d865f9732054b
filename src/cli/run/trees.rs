//! The trees of several runs, one below the other.

use std::collections::HashMap;
use std::sync::Arc;

use genie_core::ids::RunId;
use genie_core::journal::{Entry, Record};
use genie_core::tap::Event;

use super::tree::{Tree, heading};

/// The trees of several runs, as far as anything is shown of them.
#[derive(Default)]
pub(crate) struct Trees {
    trees: HashMap<RunId, Tree>,
    shown: Option<RunId>,
}

impl Trees {
    /// The lines that an event adds; where the run changes, the first says to which.
    pub(crate) fn grow(&mut self, event: &Event) -> String {
        let run = event.run_id();
        let text = self.trees.entry(run).or_default().grow(event);
        let named = matches!(event, Event::Recorded(record)
            if matches!(record.entry, Entry::RunStarted { .. } | Entry::RunResumed { .. }));
        if text.is_empty() || self.shown == Some(run) || named {
            self.shown = if text.is_empty() { self.shown } else { Some(run) };
            return text;
        }
        self.shown = Some(run);
        heading(&format!("run {run}")) + &text
    }

    /// Takes note of what happened before anybody looked.
    pub(crate) fn recall<'r>(&mut self, records: impl IntoIterator<Item = &'r Arc<Record>>) {
        for record in records {
            let tree = self.trees.entry(record.entry.run_id()).or_default();
            let _ = tree.grow(&Event::Recorded(record.clone()));
        }
    }

    /// Whether anything is known of the run.
    pub(crate) fn knows(&self, run: RunId) -> bool {
        self.trees.contains_key(&run)
    }
}
