//! What a handle does to runs at work or parked: cancels them, decides on them, looks at them.

use super::Kernel;
use crate::approval::{self, Approval, ApprovalId, Choice, DecideError, Refusal, Status};
use crate::ids::RunId;
use crate::journal::chain::Hash;
use crate::message::{Message, USER};
use crate::payload;
use crate::policy::{Facts, Preview, Recipient};
use crate::principal::Principal;
use crate::specimen::Specimen;
use crate::tenant::Tenant;
use crate::tool::{ADDRESS, Tools};

impl Kernel {
    /// Cancels a run of the principal's tenant, at work or parked; `false` if there is none that
    /// has not ended. A run at work in another process ends there, soon.
    pub async fn cancel(&self, principal: &Principal, run: RunId, reason: &str) -> bool {
        let (shared, tenant) = (&self.shared, principal.tenant());
        if principal.realm() != shared.realm {
            return false;
        }
        if !matches!(shared.is_of(tenant, run).await, Ok(true)) {
            return false;
        }
        if shared.cancel(run, reason.to_owned()).await {
            return true;
        }
        // It is at work elsewhere, or on its way in here, or has come in just now.
        let asked = shared.run_index.ask_to_cancel(tenant, run, reason).await;
        shared.cancel(run, reason.to_owned()).await || asked.unwrap_or(false)
    }

    /// Takes down a human's decision and lets the run go on.
    ///
    /// `digest` is that of the action as the human has seen it.
    ///
    /// # Errors
    /// [`DecideError`] if the decision does not count.
    pub async fn decide(
        &self,
        principal: &Principal,
        id: ApprovalId,
        digest: Option<Hash>,
        (choice, reason): (Choice, &str),
    ) -> Result<Approval, DecideError> {
        let shared = &self.shared;
        if principal.realm() != shared.realm {
            return Err(DecideError::NotFound(id));
        }
        let (by, now) = (principal.identity(), shared.clock.now());
        let said = (choice, reason);
        let kept = (&*shared.approvals, principal.tenant());
        let decided = approval::decide(kept, by, id, digest, said, now).await;
        match &decided {
            Ok(decided) => shared.decided(decided).await,
            // Its run has ended: whoever looks it up is to see that, too.
            Err(DecideError::Refused(Refusal::Decided { status }))
                if *status == Status::Withdrawn.name() =>
            {
                if let Err(error) = shared.withdraw_what_is_left().await {
                    tracing::warn!(%error, "approvals of ended runs show as pending for now");
                }
            }
            Err(_) => {}
        }
        decided
    }

    /// What the policies would say of a message of this tenant, as a whole and one by one; nothing
    /// is recorded, counted or sent. `None` if nobody has the address of the recipient.
    ///
    /// # Errors
    /// A payload that is larger than any message may be.
    pub fn preview(
        &self,
        tenant: &Tenant,
        specimen: &Specimen,
    ) -> Result<Option<Preview>, payload::Error> {
        let Some(recipient) = self.recipient(&specimen.to) else { return Ok(None) };
        let message: Message = specimen.message()?;
        let shared = &self.shared;
        let facts = Facts {
            recipient,
            kind: shared.registry.kind(message.kind()),
            run_tenant: tenant.as_str(),
            home_region: &shared.home_region,
            message_bytes_max: shared.limits.message_bytes_max,
            hops_max: shared.limits.hops_max,
        };
        let verdict = shared.policies.preview(&message, &facts);
        let steps = shared.policies.explain(&message, &facts);
        let may_hold = shared.policies.may_hold(&message, &facts);
        Ok(Some(Preview { verdict, steps, may_hold }))
    }

    fn recipient(&self, address: &str) -> Option<&Recipient> {
        let shared = &self.shared;
        if address == USER {
            return Some(&shared.user_recipient);
        }
        match address.strip_prefix(ADDRESS) {
            Some(tool) => {
                let index = shared.tools.resolve(tool)?;
                Some(&shared.tools.entry(index).recipient)
            }
            None => shared.registry.recipient(address),
        }
    }

    /// Whether the journal keeps up.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.shared.writer.store().has_room()
    }

    /// The registered tools.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.shared.tools
    }

    /// Returns once the runs that an earlier process left unfinished are at work again.
    pub async fn caught_up(&self) {
        self.shared.caught_up.cancelled().await;
    }
}
