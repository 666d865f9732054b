//! What the records say of labels and approvals, and what the tables beside them say.
//!
//! A decision stands in the table of approvals before the run takes note of it. Until then, the
//! table is all there is: it must agree with itself.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use genie_core::approval::{Approval, ApprovalId, Choice, Decision, Status, Subject};
use genie_core::ids::RunId;
use genie_core::journal::census::{Census, Mark, Standing};
use genie_core::journal::chain::Hash;
use genie_core::journal::restore::restore;
use genie_core::journal::steps::{Effect, Pattern};
use genie_core::journal::{Entry, Record};
use genie_core::label::Label;
use genie_core::message::Message;
use genie_store::{Checkpoints, RawApproval, RawContent, RawLink};
use uuid::Uuid;

use super::blame::{Deed, Fault};
use super::inspect::Error;
use super::proofs::neighbours;

/// Rows that are read at once.
const PAGE: u64 = 1_024;

/// What was asked of a human.
#[derive(Debug, Clone, Copy)]
struct Asked {
    run: RunId,
    /// Whether the run took note of the decision.
    decided: bool,
}

/// What the records claim, collected as they pass.
#[derive(Debug, Default)]
pub(super) struct Claims {
    approvals: HashMap<ApprovalId, Asked>,
    /// The label under which a run stored content, of all the times that it did.
    stored: HashMap<(RunId, Hash), Arc<Label>>,
    /// The label of the request that a run began with.
    requests: HashMap<RunId, Arc<Label>>,
    /// Labels that many have.
    labels: HashMap<Label, Arc<Label>>,
}

impl Claims {
    /// Takes note of what a record says.
    pub(super) fn note(&mut self, run: RunId, mark: &Mark) {
        match mark {
            Mark::Root(label) => {
                let label = self.shared(label);
                self.requests.insert(run, label);
            }
            Mark::Stored(stored) => {
                let (blob, label) = &**stored;
                let before = self.stored.get(&(run, *blob)).map(|before| before.join(label));
                let label = self.shared(before.as_ref().unwrap_or(label));
                self.stored.insert((run, *blob), label);
            }
            Mark::Requested(approval) => {
                self.approvals.insert(*approval, Asked { run, decided: false });
            }
            Mark::Decided(approval) => {
                self.approvals.insert(*approval, Asked { run, decided: true });
            }
            Mark::Started(_)
            | Mark::Message
            | Mark::Waiting
            | Mark::Resumed { .. }
            | Mark::Outcome { .. }
            | Mark::ErasedOutcome
            | Mark::End { .. }
            | Mark::Other => {}
        }
    }

    fn shared(&mut self, label: &Label) -> Arc<Label> {
        if let Some(known) = self.labels.get(label) {
            return known.clone();
        }
        let shared = Arc::new(label.clone());
        self.labels.insert(label.clone(), shared.clone());
        shared
    }

    /// Compares the tables with what was collected.
    pub(super) async fn check(
        &self,
        store: &Checkpoints,
        census: &Census,
    ) -> Result<Option<Fault>, Error> {
        if let Some(fault) = self.check_labels(store).await? {
            return Ok(Some(fault));
        }
        self.check_approvals(store, census).await
    }

    /// No label may be lower than the one on record. It may be higher: a run may end between
    /// storing something and recording that it did.
    async fn check_labels(&self, store: &Checkpoints) -> Result<Option<Fault>, Error> {
        let mut after: Option<RawLink> = None;
        let mut of_run: Vec<RawLink> = Vec::new();
        loop {
            let page = store.raw_links(after.as_ref(), PAGE).await?;
            let end = page.is_empty();
            after = page.last().cloned().or(after);
            for link in page {
                if of_run.last().is_some_and(|last| last.run_id != link.run_id)
                    && let Some(fault) = self.check_run(store, &std::mem::take(&mut of_run)).await?
                {
                    return Ok(Some(fault));
                }
                of_run.push(link);
            }
            if end {
                return self.check_run(store, &of_run).await;
            }
        }
    }

    /// Checks all labels of one run.
    async fn check_run(
        &self,
        store: &Checkpoints,
        links: &[RawLink],
    ) -> Result<Option<Fault>, Error> {
        let Some(run) = links.first().map(|link| run_id(&link.run_id)) else { return Ok(None) };
        let fault = |problem| Ok(Some(Fault::of_run(run, Deed::Unfounded, problem)));
        let mut came = Vec::new();
        for link in links {
            let (blob, label) = match read(link) {
                Ok(read) => read,
                Err(problem) => return fault(problem),
            };
            match self.stored.get(&(run, blob)) {
                Some(stored) if label.covers(stored) => {}
                Some(stored) => return fault(lowered(run, link, stored)),
                None => came.push((link, label)),
            }
        }
        // It came with the request, whose label is that of all its content together.
        let Some(((first, _), request)) = came.first().zip(self.requests.get(&run)) else {
            return Ok(None);
        };
        let apart = Label { categories: BTreeSet::new(), ..Label::clone(request) };
        if let Some((link, _)) = came.iter().find(|(_, label)| !label.covers(&apart)) {
            return fault(lowered(run, link, request));
        }
        let all = came.iter().fold(Label::default(), |all, (_, label)| all.join(label));
        if all.covers(request) || self.came_and_stored(store, (run, all), links).await? {
            return Ok(None);
        }
        fault(lowered(run, first, request))
    }

    /// Whether the labels cover the request with those of content that came with it and was stored
    /// by the run once more.
    async fn came_and_stored(
        &self,
        store: &Checkpoints,
        (run, mut all): (RunId, Label),
        links: &[RawLink],
    ) -> Result<bool, Error> {
        let records = records(store, run).await?;
        let root = records.iter().find_map(|record| match &record.entry {
            Entry::Message { route, message } if route.pattern == Pattern::Root => Some(message),
            _ => None,
        });
        let Some(root) = root else { return Ok(false) };
        let named = |blob: Hash| root.payload().text().contains(&blob.to_string());
        for (blob, label) in links.iter().filter_map(|link| read(link).ok()) {
            if named(blob) {
                all = all.join(&label);
            }
        }
        Ok(all.covers(root.label()))
    }

    async fn check_approvals(
        &self,
        store: &Checkpoints,
        census: &Census,
    ) -> Result<Option<Fault>, Error> {
        let (mut after, mut seen) = (Vec::new(), HashSet::new());
        loop {
            let page = store.raw_approvals(&after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.id);
            for row in page {
                let id = ApprovalId(Uuid::from_slice(&row.id).unwrap_or_default());
                let run = run_id(&row.run_id);
                if row.document == RawContent::Erased {
                    seen.insert(id);
                    continue;
                }
                let asked = self.approvals.get(&id).filter(|asked| asked.run == run);
                let problem = match (asked, census.standing(run)) {
                    (Some(_), Some(standing)) => {
                        unfounded(&row, id, &records(store, run).await?, &standing)
                    }
                    _ => Some(format!("no record of run {run} asks for approval {id}")),
                };
                if let Some(problem) = problem {
                    return Ok(Some(Fault::of_run(run, Deed::Unfounded, problem)));
                }
                seen.insert(id);
            }
        }
        // A request is on record before anyone can see it; only a run at work may be in between.
        let gone = |(id, asked): &(&ApprovalId, &Asked)| {
            let status = census.standing(asked.run).map(|standing| standing.status);
            !seen.contains(*id) && (asked.decided || status == Some("waiting"))
        };
        Ok(self.approvals.iter().filter(gone).min_by_key(|(id, _)| **id).map(|(id, asked)| {
            let problem = format!("approval {id} of run {} is gone", asked.run);
            Fault::of_run(asked.run, Deed::Unfounded, problem)
        }))
    }
}

/// What a link is to and under which label.
fn read(link: &RawLink) -> Result<(Hash, Label), String> {
    let run = run_id(&link.run_id);
    let blob = <[u8; 32]>::try_from(&link.sha256[..]).map(Hash);
    let blob = blob.map_err(|_| format!("run {run} has a link to content without a hash"))?;
    let label = serde_json::from_str(&link.label);
    Ok((blob, label.map_err(|_| format!("the label of content `{blob}` of run {run} is none"))?))
}

fn lowered(run: RunId, link: &RawLink, recorded: &Label) -> String {
    let blob = <[u8; 32]>::try_from(&link.sha256[..]).map_or(Hash::ZERO, Hash);
    let recorded = serde_json::to_string(recorded).unwrap_or_default();
    let label = &link.label;
    format!("content `{blob}` of run {run} is labelled `{label}`, the records say `{recorded}`")
}

fn run_id(bytes: &[u8]) -> RunId {
    RunId(Uuid::from_slice(bytes).unwrap_or_default())
}

async fn records(store: &Checkpoints, run: RunId) -> Result<Vec<Arc<Record>>, Error> {
    let mut rows = Vec::new();
    for ((chain, first), last) in neighbours(&store.places(run).await?) {
        rows.extend(store.rows(chain, first - 1, last - first + 1).await?);
    }
    // What is no record was found before.
    Ok(restore(rows).unwrap_or_default())
}

/// What the records of its run say of an approval.
#[derive(Default)]
struct Account<'a> {
    message: Option<&'a Message>,
    request: Option<&'a Entry>,
    reasons: Vec<&'a str>,
    in_doubt: bool,
    decision: Option<(&'a Status, &'a [Decision])>,
}

impl<'a> Account<'a> {
    fn of(approval: &Approval, records: &'a [Arc<Record>]) -> Self {
        let mut account = Self::default();
        for record in records {
            match &record.entry {
                Entry::Message { message, .. } if message.id() == approval.message_id => {
                    account.message = Some(message);
                }
                Entry::Verdict { message_id, verdict, .. }
                    if *message_id == approval.message_id =>
                {
                    account.reasons.push(&verdict.reason);
                }
                Entry::Effect { message_id, effect: Effect::Unknown { reason }, .. }
                    if *message_id == approval.message_id && account.request.is_none() =>
                {
                    account.in_doubt = true;
                    account.reasons.push(reason);
                }
                request @ Entry::ApprovalRequested { approval_id, .. }
                    if *approval_id == approval.id =>
                {
                    account.request = Some(request);
                }
                Entry::ApprovalDecided { approval_id, status, decisions, .. }
                    if *approval_id == approval.id =>
                {
                    account.decision = Some((status, decisions));
                }
                _ => {}
            }
        }
        account
    }
}

/// What a row says of an approval that the records do not.
fn unfounded(
    row: &RawApproval,
    id: ApprovalId,
    records: &[Arc<Record>],
    standing: &Standing<'_>,
) -> Option<String> {
    let approval = match &row.document {
        RawContent::Bytes(text) => serde_json::from_slice::<Approval>(text).ok(),
        RawContent::Erased | RawContent::Broken(_) => None,
    };
    let Some(approval) = approval else {
        return Some(format!("approval {id} cannot be read"));
    };
    let account = Account::of(&approval, records);
    let what = if !is_of(row, &approval) {
        "differs from the columns beside it"
    } else if !as_requested(&approval, &account, standing) {
        "is not what the records ask for"
    } else if let Some((status, decisions)) = account.decision {
        if *status == approval.status && *decisions == *approval.decisions {
            return None;
        }
        "was decided otherwise by its records"
    } else if !adds_up(&approval, standing) {
        "does not stand as its decisions say"
    } else {
        return None;
    };
    Some(format!("approval {id} of run {} {what}", approval.run_id))
}

fn is_of(row: &RawApproval, approval: &Approval) -> bool {
    row.id == approval.id.0.as_bytes()
        && row.run_id == approval.run_id.0.as_bytes()
        && row.tenant == *approval.tenant
        && row.status == approval.status.name()
        && row.requested_at == approval.requested_at.as_micros()
        && row.revision.cast_unsigned() == approval.revision
}

/// Whether a human sees what is on record.
fn as_requested(approval: &Approval, account: &Account<'_>, standing: &Standing<'_>) -> bool {
    let (Some(message), Some(asked)) = (account.message, standing.asked) else { return false };
    let Some(Entry::ApprovalRequested {
        message_id,
        at,
        digest,
        policy,
        policy_version,
        policy_set,
        requirement,
        expires_at,
        ..
    }) = account.request
    else {
        return false;
    };
    // As numbers come out of the text of the row.
    let arguments = serde_json::to_string(&message.payload().value()).unwrap_or_default();
    let arguments: Option<serde_json::Value> = serde_json::from_str(&arguments).ok();
    let subject = if account.in_doubt { Subject::UnknownEffect } else { Subject::Message };
    *message_id == approval.message_id
        && *at == approval.requested_at
        && *digest == approval.digest
        && *policy == approval.policy
        && *policy_version == approval.policy_version
        && *policy_set == approval.policy_set
        && *requirement == approval.requirement
        && *expires_at == approval.expires_at
        && arguments.as_ref() == Some(&approval.arguments)
        && message.from() == &*approval.from
        && message.to() == &*approval.to
        && message.kind() == &*approval.kind
        && account.reasons.contains(&&*approval.reason)
        && subject == approval.subject
        && (&asked.tenant, &asked.subject) == (&approval.tenant, &approval.requester)
}

/// Whether the status follows from what people have said, as long as nothing else says how it is.
fn adds_up(approval: &Approval, standing: &Standing<'_>) -> bool {
    let Approval { decisions, requirement, status, .. } = approval;
    let who: HashSet<&str> = decisions.iter().map(|decision| &*decision.by).collect();
    let may = requirement.requester_may || !who.contains(&*approval.requester);
    let approved = decisions.iter().filter(|decision| decision.choice == Choice::Approve).count();
    let enough = approved >= requirement.quorum.max(1) as usize;
    let all = approved == decisions.len();
    let last = decisions.last().map(|decision| &decision.choice);
    let ended = matches!(status, Status::Expired | Status::Withdrawn);
    let follows = match status {
        Status::Pending | Status::Expired => all && !enough,
        Status::Withdrawn => all && !enough && standing.complete,
        Status::Approved => all && enough,
        Status::Rejected => last == Some(&Choice::Reject),
        Status::Resolved { resolution, result } => {
            last == Some(&Choice::Resolve { resolution: *resolution, result: result.clone() })
        }
    };
    let changes = decisions.len() as u64 + u64::from(ended);
    follows && may && who.len() == decisions.len() && approval.revision == changes
}
