//! What Genie may do: the built-in checks, the no-code rules, and the reports about both.
//!
//! Policies are pure functions of a message and the facts around it. Only `source` reads files, and
//! only when it is told to. How verdicts are combined and enforced is core's business.
//!
//! A 256-byte result costs the whole chain about 1 µs on two shared cores in a release build, most
//! of it in the two text detectors; a message of a kind that a rule names, about 3 µs more for its
//! conversion and 1 µs for each rule (`PolicySet::evaluate` in a loop, best of 7 times 20,000).

use std::path::Path;
use std::sync::Arc;

use genie_core::policy::Policy;

pub mod cases;
pub mod checks;
pub mod detect;
mod payload;
pub mod report;
pub mod rules;
pub mod source;
pub mod surroundings;

pub use report::{check, explain, test};
pub use rules::{Problem, nearest};
pub use source::{Error as LoadError, Source};
pub use surroundings::Surroundings;

/// The built-in checks, in the order of the chain: cheap and formal first, then who may, then what
/// is inside. Rules follow behind them.
///
/// The strictest decision wins wherever it stands; the order says who is named for it.
pub fn baseline() -> Vec<Arc<dyn Policy>> {
    vec![
        Arc::new(checks::message_size::MessageSize),
        Arc::new(checks::required_attributes::RequiredAttributes),
        Arc::new(checks::hop_loop::HopLoop),
        Arc::new(checks::tenant_isolation::TenantIsolation),
        Arc::new(checks::role_scope::RoleScope),
        Arc::new(checks::allow_lists::AllowLists),
        Arc::new(checks::consent::Consent),
        Arc::new(checks::classification_ceiling::ClassificationCeiling),
        Arc::new(checks::data_residency::DataResidency),
        Arc::new(checks::payload_schema::PayloadSchema),
        Arc::new(checks::prompt_injection::PromptInjection),
        Arc::new(checks::pii::Pii),
        Arc::new(checks::explainability::Explainability),
    ]
}

/// The rules of a directory, or those that are compiled in, each as a policy of its own.
///
/// # Errors
/// If the directory cannot be read or a rule is not sound; then none is in force.
pub fn rules(dir: Option<&Path>) -> Result<Vec<Arc<dyn Policy>>, LoadError> {
    let source = match dir {
        Some(dir) => Source::load_dir(dir)?,
        None => Source::embedded(),
    };
    source.rule_policies()
}
