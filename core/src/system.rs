//! What goes across tenants: the journal, the runs, the approvals and every event of all of them.
//!
//! For the composition root and the operator's command line, who get it for the one
//! [`crate::principal::Authority`]. Whoever handles requests has the [`crate::Kernel`] alone, whose
//! every look at somebody's things wants a [`Tenant`].

use std::sync::Arc;

use crate::approval::Approvals;
use crate::journal::Journal;
use crate::kernel::Shared;
use crate::runs::Runs;
use crate::tap::Tap;
use crate::tenant::Tenant;

/// All of an installation, whoever's it is. Cheap to clone.
#[derive(Clone)]
pub struct System {
    shared: Arc<Shared>,
}

impl System {
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The tenant that an operator names.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Tenant {
        Tenant::of_operator(&**self.runs(), name)
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Arc<dyn Journal> {
        self.shared.writer.store()
    }

    /// The runs, also those of other processes over the same store.
    #[must_use]
    pub fn runs(&self) -> &Arc<dyn Runs> {
        &self.shared.run_index
    }

    /// The approvals.
    #[must_use]
    pub fn approvals(&self) -> &Arc<dyn Approvals> {
        &self.shared.approvals
    }

    /// Observes everything that is recorded from now on.
    #[must_use]
    pub fn tap(&self) -> Tap {
        self.shared.tap_after(self.shared.writer.head().seq)
    }

    /// Observes everything that was and is recorded after the record with this number.
    #[must_use]
    pub fn tap_after(&self, seq: u64) -> Tap {
        self.shared.tap_after(seq)
    }
}
