//! What the tests of the tools share.

use std::sync::Arc;

use genie_core::Tenant;
use genie_core::journal::memory::MemoryJournal;
use genie_core::runs::MemoryRuns;

/// Whose call it is.
pub(crate) fn acme() -> Tenant {
    Tenant::of_operator(&MemoryRuns::over(Arc::new(MemoryJournal::keeping(1))), "acme")
}
