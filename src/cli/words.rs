//! Words for what runs and approvals say, the same wherever a command says them.

use genie_core::approval::{Choice, Resolution, Status};
use genie_core::clock::Timestamp;
use genie_core::ids::RunId;
use genie_core::outcome::Outcome;
use genie_core::policy::Requirement;
use uuid::Uuid;

use super::run::tree::duration;
use crate::config::Config;

/// The beginning of an id that is enough to name it, if it is a hash.
pub(crate) fn short(id: Uuid) -> String {
    id.simple().to_string().chars().take(8).collect()
}

/// A moment to the second, in UTC: `2026-11-21 07:01:38`.
pub(crate) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} {}", &text[..10], &text[11..19])
}

/// Until when something waits.
pub(crate) fn until(at: Timestamp) -> String {
    if at == Timestamp::NEVER {
        return "for as long as it takes".to_owned();
    }
    format!("until {} UTC", moment(at))
}

/// Who must decide: `1 approver`, `2 of the role treasurer`.
pub(crate) fn people(requirement: &Requirement) -> String {
    let Requirement { role, quorum, .. } = requirement;
    let plural = if *quorum == 1 { "" } else { "s" };
    format!("{quorum} {role}{plural}")
}

/// What became of an approval.
pub(crate) fn settled(status: &Status) -> &'static str {
    match status {
        Status::Resolved { resolution: Resolution::Happened, .. } => "it happened, found out",
        Status::Resolved { resolution: Resolution::DidNotHappen, .. } => {
            "it did not happen, found out"
        }
        Status::Resolved { resolution: Resolution::Retry, .. } => "to be done again, decided",
        Status::Expired => "expired without a decision",
        Status::Approved => "approved",
        Status::Rejected => "rejected",
        Status::Pending => "pending",
        Status::Withdrawn => "withdrawn",
    }
}

/// `1 record`, `2 records`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// How a run ended, in a clause.
pub(crate) fn ended(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Completed { .. } => "completed".to_owned(),
        Outcome::Denied { denied } => format!("denied by {}: {}", denied.policy, denied.reason),
        Outcome::Failed { cause } => format!("failed: {cause}"),
        Outcome::Cancelled { reason } => format!("cancelled: {reason}"),
        Outcome::Expired { deadline_ms } => {
            format!("expired after {}", duration(deadline_ms.saturating_mul(1_000)))
        }
    }
}

/// What one person said.
pub(crate) fn choice(choice: &Choice) -> &'static str {
    match choice {
        Choice::Approve => "approved",
        Choice::Reject => "rejected",
        Choice::Resolve { resolution: Resolution::Happened, .. } => "found to have happened",
        Choice::Resolve { resolution: Resolution::DidNotHappen, .. } => {
            "found not to have happened"
        }
        Choice::Resolve { resolution: Resolution::Retry, .. } => "to be done again",
    }
}

/// How to see what becomes of a run.
pub(crate) fn command_hint(config: &Config, run: RunId) -> String {
    if config.server.is_some() {
        return "the server goes on with the run".to_owned();
    }
    let resume = super::waits::command(config, "resume");
    let show = super::waits::command(config, &format!("runs show {run}"));
    format!("`{show}` tells how the run goes on; if no process is at work, `{resume}` does it")
}
