//! What stands around a message that no run has produced: the facts of a dry run or a case.

use genie_core::label::Clearance;
use genie_core::limits::Limits;
use genie_core::policy::{Facts, Recipient};
use genie_core::spec::{AgentSpec, KindSpec};
use genie_core::specimen::Specimen;

/// The region of a dry run that does not say otherwise.
pub const HOME_REGION: &str = "in";

/// Owned [`Facts`].
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The recipient.
    pub recipient: Recipient,
    /// The declared kind; `None` if nobody declares it.
    pub kind: Option<KindSpec>,
    /// The tenant of the run.
    pub run_tenant: String,
    /// The region of the installation.
    pub home_region: String,
    /// The limits of the installation.
    pub limits: Limits,
}

impl Surroundings {
    /// An installation with default limits, a recipient with default clearance that asks nothing of
    /// the principal, no declared kind, and a run of the specimen's own tenant.
    pub fn of(specimen: &Specimen) -> Self {
        Self {
            recipient: Recipient {
                clearance: Clearance::default(),
                roles_any: Vec::new(),
                scopes_all: Vec::new(),
                consent: None,
            },
            kind: None,
            run_tenant: specimen.principal.tenant.clone(),
            home_region: HOME_REGION.to_owned(),
            limits: Limits::default(),
        }
    }

    /// Like [`Self::of`], with the recipient and the kinds that these agents declare.
    ///
    /// A recipient that is none of them keeps the default clearance.
    pub fn among<'a>(specimen: &Specimen, agents: impl IntoIterator<Item = &'a AgentSpec>) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut surroundings = Self::of(specimen);
        for spec in agents {
            if spec.id == specimen.to {
                surroundings.recipient = Recipient {
                    clearance: spec.clearance.clone(),
                    roles_any: owned(&spec.roles_any),
                    scopes_all: owned(&spec.scopes_all),
                    consent: spec.consent.map(str::to_owned),
                };
            }
            let mut kinds = spec.accepts.iter().chain(&spec.emits).chain(&spec.collects);
            if let Some(kind) = kinds.find(|kind| kind.name() == specimen.kind) {
                surroundings.kind = Some(kind.clone());
            }
        }
        surroundings
    }

    /// The facts that a policy is given.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            recipient: &self.recipient,
            kind: self.kind.as_ref(),
            run_tenant: &self.run_tenant,
            home_region: &self.home_region,
            message_bytes_max: self.limits.message_bytes_max,
            hops_max: self.limits.hops_max,
        }
    }
}
