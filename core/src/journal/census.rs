//! What the records of each run must count up to, whatever chains the run has been on.
//!
//! Owns the counting; whether a record is as it was written is decided elsewhere. A run begins with
//! its start on one chain; on any other its counting begins with a resumption, which says how many
//! records and messages there were before.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub use super::facts::{Asked, Facts, Mark};
use crate::clock::Timestamp;
use crate::ids::RunId;

/// Stands for the status of a run whose outcome was erased.
pub const ERASED: &str = "erased";

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The chain.
    pub chain: i64,
    /// The number of the record on it.
    pub seq: u64,
}

/// Consecutive records of a run on one chain.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// Where it begins.
    place: Place,
    /// The numbers within the run: of the first record, and of the one that would come next.
    first: u64,
    next: u64,
    messages_before: u64,
    messages: u64,
    outcomes: u64,
    status: &'static str,
    ended_at: Option<Timestamp>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Counted {
    asked: Option<Asked>,
    /// At least one; more only if the run has moved to another chain.
    parts: Vec<Part>,
}

/// How a run stands after all of its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Who asked; absent if the start is not among the records.
    pub asked: Option<&'a Asked>,
    /// `running`, `waiting`, how it ended, or [`ERASED`] if how it ended was erased.
    pub status: &'static str,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether its end record is there.
    pub complete: bool,
    /// How many records it has.
    pub records: u64,
}

/// A run of which something is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("run {run_id} {problem}")]
pub struct Incomplete {
    /// The run.
    pub run_id: RunId,
    /// The first record after what is missing.
    pub place: Option<Place>,
    /// What is missing, in a clause.
    pub problem: String,
}

/// Counts records, run by run.
#[derive(Debug, Default)]
pub struct Census {
    runs: HashMap<RunId, Counted>,
    /// Names that many runs share.
    names: HashSet<Arc<str>>,
    /// Runs may have begun before the first record that is counted.
    pub(crate) begins_later: bool,
}

impl Census {
    /// Counts the next record of a chain and gives its number within its run.
    ///
    /// # Errors
    /// What is wrong with the record here, in a clause.
    pub fn count(&mut self, place: Place, facts: Facts) -> Result<u64, String> {
        let Facts { run_id, mark } = facts;
        if let Mark::Started(asked) = mark {
            return self.start(place, run_id, *asked);
        }
        let known = self.runs.contains_key(&run_id);
        let resumed = matches!(mark, Mark::Resumed { .. });
        if !known && !resumed && !self.begins_later {
            return Err("comes before its run started".to_owned());
        }
        let counted = self.runs.entry(run_id).or_default();
        let part = counted.part(place, &mark)?;
        if part.ended {
            return Err(format!("follows the end record of run {run_id}"));
        }
        let number = part.next;
        part.next += 1;
        part.mark(&mark);
        let begun = counted.asked.is_some() || !self.begins_later;
        if let Mark::End { records, messages, .. } = mark {
            counted.end(run_id, place.chain, (records, messages), begun)?;
        }
        Ok(number)
    }

    fn start(&mut self, place: Place, run_id: RunId, asked: Asked) -> Result<u64, String> {
        let asked = Asked {
            tenant: self.shared(asked.tenant),
            subject: self.shared(asked.subject),
            agent: self.shared(asked.agent),
            at: asked.at,
        };
        let counted = self.runs.entry(run_id).or_default();
        let here = counted.parts.iter().any(|part| part.place.chain == place.chain);
        if counted.asked.is_some() || here {
            return Err("starts a run twice".to_owned());
        }
        counted.asked = Some(asked);
        counted.parts.push(Part::new(place, 0, 0));
        if let Some(part) = counted.parts.last_mut() {
            part.next += 1;
        }
        Ok(1)
    }

    fn shared(&mut self, name: Arc<str>) -> Arc<str> {
        if let Some(known) = self.names.get(&name) {
            return known.clone();
        }
        self.names.insert(name.clone());
        name
    }

    /// How many runs there are.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs.len() as u64
    }

    /// Every run with how it stands.
    pub fn standings(&self) -> impl Iterator<Item = (RunId, Standing<'_>)> {
        self.runs.iter().filter_map(|(run_id, counted)| Some((*run_id, counted.standing()?)))
    }

    /// How a run stands.
    #[must_use]
    pub fn standing(&self, run_id: RunId) -> Option<Standing<'_>> {
        self.runs.get(&run_id)?.standing()
    }

    /// Runs that have not ended, in order, with the word for how they stand and their records.
    #[must_use]
    pub fn open(&self) -> Vec<(RunId, &'static str, u64)> {
        let open = self.standings().filter(|(_, standing)| !standing.complete);
        let mut open: Vec<_> =
            open.map(|(run, standing)| (run, standing.status, standing.records)).collect();
        open.sort_unstable();
        open
    }

    /// Whether a run started before the first record that was counted.
    #[must_use]
    pub fn began_earlier(&self, run_id: RunId) -> bool {
        self.runs.get(&run_id).is_some_and(|counted| counted.asked.is_none())
    }

    /// Checks that the parts of each run, on whatever chains, make a whole.
    ///
    /// # Errors
    /// The first run, by id, of which something is missing.
    pub fn whole(&self) -> Result<(), Incomplete> {
        let mut broken: Option<Incomplete> = None;
        for (run_id, counted) in &self.runs {
            if broken.as_ref().is_some_and(|broken| broken.run_id < *run_id) {
                continue;
            }
            if let Some((place, problem)) = counted.gap(self.begins_later) {
                broken = Some(Incomplete { run_id: *run_id, place, problem });
            }
        }
        broken.map_or(Ok(()), Err)
    }
}

impl Counted {
    fn standing(&self) -> Option<Standing<'_>> {
        let last = self.parts.iter().max_by_key(|part| part.first)?;
        Some(Standing {
            asked: self.asked.as_ref(),
            status: last.status,
            ended_at: last.ended_at,
            complete: last.ended,
            records: last.next - 1,
        })
    }

    /// The part that a record on this chain belongs to; a resumption may begin a new one.
    fn part(&mut self, place: Place, mark: &Mark) -> Result<&mut Part, String> {
        let here = self.parts.iter().rposition(|part| part.place.chain == place.chain);
        let (index, begun) = match (here, mark) {
            (Some(index), Mark::Resumed { records, messages }) => {
                let part = self.parts[index];
                let now = (part.next - 1, part.messages_before + part.messages);
                if now == (*records, *messages) || part.ended {
                    (index, None)
                } else {
                    (self.parts.len(), Some((*records, *messages)))
                }
            }
            (Some(index), _) => (index, None),
            (None, Mark::Resumed { records, messages }) => {
                (self.parts.len(), Some((*records, *messages)))
            }
            (None, _) if self.parts.is_empty() => (0, Some((0, 0))),
            (None, _) => return Err("comes before its run was resumed on this chain".to_owned()),
        };
        if let Some((records, messages)) = begun {
            self.parts.push(Part::new(place, records, messages));
        }
        self.parts.get_mut(index).ok_or_else(|| "belongs to no run".to_owned())
    }

    /// Compares what the end record says with what was counted.
    fn end(
        &self,
        run_id: RunId,
        chain: i64,
        (records, messages): (u64, u64),
        begun: bool,
    ) -> Result<(), String> {
        let Some(part) = self.parts.iter().rfind(|part| part.place.chain == chain) else {
            return Ok(());
        };
        let outcomes = part.outcomes;
        if outcomes != 1 {
            return Err(format!("run {run_id} has {outcomes} outcomes instead of one"));
        }
        if !begun && part.first == 1 {
            // What came before is not here to be counted.
            return Ok(());
        }
        let (here, sent) = (part.next - 1, part.messages_before + part.messages);
        if records != here {
            return Err(format!("run {run_id} ends with {records} records, {here} are here"));
        }
        if messages != sent {
            return Err(format!("run {run_id} ends with {messages} messages, {sent} are here"));
        }
        Ok(())
    }

    fn gap(&self, begins_later: bool) -> Option<(Option<Place>, String)> {
        let mut parts = self.parts.clone();
        parts.sort_unstable_by_key(|part| part.first);
        let (mut next, mut messages) = (1, 0);
        if begins_later && self.asked.is_none() {
            let first = parts.first()?;
            (next, messages) = (first.first, first.messages_before);
        }
        let mut ended = false;
        for part in &parts {
            let before = part.first - 1;
            let problem = if ended {
                "goes on after its end record".to_owned()
            } else if part.first > next {
                format!("lacks its records {next} to {before}: they are on no chain")
            } else if part.first < next {
                let again = part.first;
                format!("went on twice after its record {before}, so that {again} is there twice")
            } else if part.messages_before != messages {
                format!("resumes after {} messages, {messages} are here", part.messages_before)
            } else {
                next = part.next;
                messages += part.messages;
                ended = part.ended;
                continue;
            };
            return Some((Some(part.place), problem));
        }
        None
    }
}

impl Part {
    fn new(place: Place, records: u64, messages: u64) -> Self {
        Self {
            place,
            first: records + 1,
            next: records + 1,
            messages_before: messages,
            messages: 0,
            outcomes: 0,
            status: "running",
            ended_at: None,
            ended: false,
        }
    }

    fn mark(&mut self, mark: &Mark) {
        match mark {
            Mark::Message | Mark::Root(_) => self.messages += 1,
            Mark::Waiting => self.status = "waiting",
            Mark::Resumed { .. } => self.status = "running",
            Mark::Outcome { status, at } => {
                self.outcomes += 1;
                self.status = status;
                self.ended_at = Some(*at);
            }
            Mark::ErasedOutcome => {
                self.outcomes += 1;
                self.status = ERASED;
            }
            Mark::End { at, .. } => {
                self.ended = true;
                self.ended_at.get_or_insert(*at);
            }
            Mark::Started(_)
            | Mark::Stored(_)
            | Mark::Requested(_)
            | Mark::Decided(_)
            | Mark::Other => {}
        }
    }
}
