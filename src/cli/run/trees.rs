//! The trees of several runs, one below the other.

use std::collections::HashMap;

use genie_core::ids::RunId;
use genie_core::journal::Entry;

use super::event::Told;
use super::tree::{Tree, heading};

/// The trees of several runs, as far as anything is shown of them.
#[derive(Default)]
pub(crate) struct Trees {
    trees: HashMap<RunId, Tree>,
    shown: Option<RunId>,
}

impl Trees {
    /// The lines that an event adds; where the run changes, the first says to which.
    pub(crate) fn grow(&mut self, told: Told<'_>) -> String {
        let run = told.run_id();
        let text = self.trees.entry(run).or_default().grow(told);
        let named =
            matches!(told.entry(), Some(Entry::RunStarted { .. } | Entry::RunResumed { .. }));
        if text.is_empty() || self.shown == Some(run) || named {
            self.shown = if text.is_empty() { self.shown } else { Some(run) };
            return text;
        }
        self.shown = Some(run);
        heading(&format!("run {run}")) + &text
    }

    /// Takes note of what happened before anybody looked.
    pub(crate) fn recall<'e>(&mut self, entries: impl IntoIterator<Item = &'e Entry>) {
        for entry in entries {
            let tree = self.trees.entry(entry.run_id()).or_default();
            let _ = tree.grow(Told::Entry(entry));
        }
    }

    /// Whether anything is known of the run.
    pub(crate) fn knows(&self, run: RunId) -> bool {
        self.trees.contains_key(&run)
    }
}
