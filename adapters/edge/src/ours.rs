//! Which runs somebody may see, remembered for as long as they look.

use std::collections::HashMap;

use genie_core::Kernel;
use genie_core::ids::RunId;
use genie_core::journal::{Entry, Record};
use genie_core::principal::Identity;
use genie_core::runs;

use crate::rights;

/// Most runs of which is known whose they are; more are looked up again.
const RUNS_MAX: usize = 4_096;

/// The runs that somebody may see.
pub(crate) struct Ours {
    kernel: Kernel,
    identity: Identity,
    known: HashMap<RunId, bool>,
}

impl Ours {
    pub(crate) fn of(kernel: &Kernel, identity: &Identity) -> Self {
        Self { kernel: kernel.clone(), identity: identity.clone(), known: HashMap::new() }
    }

    /// Learns from a record whose run it is.
    pub(crate) fn learn(&mut self, record: &Record) {
        if let Entry::RunStarted { run_id, tenant, subject, .. } = &record.entry {
            let same = **tenant == *self.identity.tenant;
            self.note(*run_id, same && rights::sees(&self.identity, subject));
        }
    }

    /// Whether the run may be seen.
    ///
    /// # Errors
    /// A store that does not answer.
    pub(crate) async fn has(&mut self, run: RunId) -> Result<bool, runs::Error> {
        if let Some(may) = self.known.get(&run) {
            return Ok(*may);
        }
        let found = self.kernel.runs().get(&self.identity.tenant, run).await?;
        let may = found.is_some_and(|found| rights::sees(&self.identity, &found.subject));
        self.note(run, may);
        Ok(may)
    }

    fn note(&mut self, run: RunId, may: bool) {
        if self.known.len() >= RUNS_MAX {
            self.known.clear();
        }
        self.known.insert(run, may);
    }
}
