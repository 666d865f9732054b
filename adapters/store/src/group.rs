//! What one transaction writes: records, what follows from them for the runs, and content.

use std::collections::HashMap;
use std::sync::Arc;

use genie_core::approval::ApprovalId;
use genie_core::blob::Stored;
use genie_core::ids::RunId;
use genie_core::journal::chain::{Hash, Head};
use genie_core::journal::{Entry, Record};

/// One thing to write.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are records; a box would cost each one")]
pub(crate) enum Item {
    Record(Row, Option<Change>),
    Content(Content),
    Link(Link),
}

impl Item {
    /// What it costs to keep it, about.
    pub(crate) fn bytes(&self) -> usize {
        /// The row, its place in the queue and what the allocator adds.
        const OVERHEAD: usize = 256;
        OVERHEAD
            + match self {
                Self::Record(row, _) => row.body.len(),
                Self::Content(content) => content.stored.content.len(),
                Self::Link(link) => link.label.len(),
            }
    }
}

/// A record as it is stored.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) run: RunId,
    pub(crate) number: u64,
    pub(crate) hash: Hash,
    pub(crate) body: Arc<str>,
    /// SHA-256 of the body.
    pub(crate) sha256: Hash,
    /// The type of the entry, and whether that is structure, which stays in the clear.
    pub(crate) kind: Arc<str>,
    pub(crate) is_structure: bool,
}

/// Content of a blob, for one subject.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) tenant: Arc<str>,
    pub(crate) subject: Arc<str>,
    pub(crate) sha256: Hash,
    pub(crate) stored: Arc<Stored>,
}

/// That a run may load content, and under which label.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) run: RunId,
    pub(crate) sha256: Hash,
    pub(crate) label: String,
}

/// What a run is known by from its first record on.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    pub(crate) tenant: Arc<str>,
    pub(crate) subject: Arc<str>,
    pub(crate) agent: Arc<str>,
    pub(crate) at: i64,
}

/// What a record changes for its run.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) run: RunId,
    pub(crate) started: Option<Started>,
    pub(crate) status: &'static str,
    pub(crate) wake_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    /// Whether this process works on it from here on.
    pub(crate) owned: bool,
    /// The approvals that a parked run waits for.
    pub(crate) awaits: Vec<ApprovalId>,
}

impl Change {
    /// What follows from the record, if anything does.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let change = |run: &RunId, status| Self {
            run: *run,
            started: None,
            status,
            wake_at: None,
            ended_at: None,
            owned: true,
            awaits: Vec::new(),
        };
        match &record.entry {
            Entry::RunStarted { run_id, at, tenant, subject, agent, .. } => {
                let (tenant, subject) = (tenant.clone(), subject.clone());
                let at = at.as_micros();
                let started = Some(Started { tenant, subject, agent: agent.clone(), at });
                Some(Self { started, ..change(run_id, "running") })
            }
            Entry::RunWaiting { run_id, wake_at, approvals, .. } => Some(Self {
                wake_at: Some(wake_at.as_micros()),
                owned: false,
                awaits: approvals.clone(),
                ..change(run_id, "waiting")
            }),
            Entry::RunResumed { run_id, .. } => Some(change(run_id, "running")),
            Entry::Outcome { run_id, at, outcome } => Some(Self {
                ended_at: Some(at.as_micros()),
                owned: false,
                ..change(run_id, outcome.name())
            }),
            _ => None,
        }
    }
}

/// What is written at once.
#[derive(Debug)]
pub(crate) struct Group {
    /// The end of the chain before the group, and with it.
    pub(crate) before: Head,
    pub(crate) after: Head,
    pub(crate) rows: Vec<Row>,
    /// One for each run that the group changes.
    pub(crate) changes: Vec<Change>,
    pub(crate) contents: Vec<Content>,
    pub(crate) links: Vec<Link>,
    /// Number of things in it and what they cost to keep.
    pub(crate) items: u64,
    pub(crate) bytes: usize,
}

impl Group {
    /// The group of these things, which follows `before` on the chain.
    pub(crate) fn of(before: Head, items: Vec<Item>) -> Self {
        let mut group = Self {
            before,
            after: before,
            rows: Vec::with_capacity(items.len()),
            changes: Vec::new(),
            contents: Vec::new(),
            links: Vec::new(),
            items: items.len() as u64,
            bytes: items.iter().map(Item::bytes).sum(),
        };
        let mut places = HashMap::new();
        for item in items {
            match item {
                Item::Record(row, change) => {
                    group.after = Head { seq: row.seq, hash: row.hash };
                    group.rows.push(row);
                    if let Some(change) = change {
                        group.change(&mut places, change);
                    }
                }
                Item::Content(content) => group.contents.push(content),
                Item::Link(link) => group.links.push(link),
            }
        }
        group
    }

    fn change(&mut self, places: &mut HashMap<RunId, usize>, next: Change) {
        let place = *places.entry(next.run).or_insert(self.changes.len());
        match self.changes.get_mut(place) {
            Some(change) => *change = Change { started: change.started.take(), ..next },
            None => self.changes.push(next),
        }
    }
}
