//! What waits to be written, in the order of the chain, and who waits until it is.
//!
//! What was taken in is never let go of before it is written, as long as the process lives. While
//! the database refuses, nothing more is taken in and whoever waits is told so.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use genie_core::ids::RunId;
use genie_core::journal::chain::Head;
use genie_core::journal::{Error, Record, Text};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::group::{Change, Group, Item, Row};

/// Most things and bytes in one transaction: enough that its fixed cost does not count, few enough
/// that other writers of the database are not held up.
const GROUP_ITEMS_MAX: usize = 4_096;
const GROUP_BYTES_MAX: usize = 8 << 20;

/// So many bytes are written although nobody waits for them.
const GATHER_BYTES_MAX: usize = 1 << 20;

/// So long does what nobody waits for gather before it is written: most of it has somebody by then.
const GATHER: Duration = Duration::from_millis(2);

/// Whether the queue takes anything in.
#[derive(Debug)]
enum Standing {
    Open,
    /// The last attempt to write failed; it will be made again.
    Failing(String),
    /// Nothing will ever be written again.
    Shut(String),
}

#[derive(Debug)]
struct State {
    standing: Standing,
    items: VecDeque<Item>,
    /// What is kept, that which is being written included.
    bytes: usize,
    /// The last record taken in, and the end of the chain as the writer was given it and in the
    /// database.
    tail: u64,
    given: Head,
    durable: Head,
    /// The runs at work that began here: what the database has of them is what passed here.
    born: HashSet<RunId>,
    /// How many things were ever taken in, and written.
    taken: u64,
    written: u64,
    /// Who waits for a record, and for a number of things.
    of_seq: Line,
    of_count: Line,
}

/// Who waits until what is reached.
type Line = BTreeMap<u64, Vec<oneshot::Sender<Result<(), Error>>>>;

impl State {
    /// Whether what is there is to be written at once: someone waits for it, or it is much.
    fn is_wanted(&self) -> bool {
        let waits = !self.of_seq.is_empty() || !self.of_count.is_empty();
        waits || self.bytes >= GATHER_BYTES_MAX || matches!(self.standing, Standing::Failing(_))
    }

    /// Why nothing is taken in, if that is so.
    fn refusal(&self) -> Result<(), Error> {
        match &self.standing {
            Standing::Open => Ok(()),
            Standing::Failing(reason) | Standing::Shut(reason) => Err(refused(reason)),
        }
    }
}

/// The queue in front of one chain.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    bytes_max: usize,
    work: Notify,
    room: Notify,
}

impl Queue {
    /// A queue behind `head`, the end of the chain in the database.
    pub(crate) fn new(head: Head, bytes_max: usize) -> Self {
        let state = State {
            standing: Standing::Open,
            items: VecDeque::new(),
            bytes: 0,
            tail: head.seq,
            given: head,
            durable: head,
            born: HashSet::new(),
            taken: 0,
            written: 0,
            of_seq: Line::new(),
            of_count: Line::new(),
        };
        let (work, room) = (Notify::new(), Notify::new());
        Self { state: Mutex::new(state), bytes_max, work, room }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the next records of the chain.
    pub(crate) fn append(&self, records: &[Arc<Record>], texts: &[Text<'_>]) -> Result<(), Error> {
        let mut items = Vec::with_capacity(records.len());
        for (record, text) in records.iter().zip(texts) {
            let body =
                str::from_utf8(text.json).map_err(|error| refused(&error.to_string()))?.into();
            let Record { seq, hash, number, .. } = **record;
            let (run, kind) = (record.entry.run_id(), record.entry.kind().into());
            let (sha256, is_structure) = (text.sha256, record.entry.is_structure());
            let row = Row { seq, run, number, hash, body, sha256, kind, is_structure };
            items.push(Item::Record(row, Change::of(record)));
        }
        let mut state = self.state();
        let in_order = (state.tail + 1..).zip(records).all(|(seq, record)| record.seq == seq);
        if !in_order || items.len() != records.len() {
            return Err(refused("the records do not follow the end of the chain"));
        }
        let changed = |item: &Item| match item {
            Item::Record(_, Some(change)) => Some((change.run, change.started.is_some())),
            _ => None,
        };
        let changed: Vec<(RunId, bool)> = items.iter().filter_map(changed).collect();
        let wake = self.take_in(&mut state, items)?;
        for (run, born) in changed {
            if born {
                state.born.insert(run);
            } else {
                state.born.remove(&run);
            }
        }
        state.tail += records.len() as u64;
        drop(state);
        if wake {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Takes in content and links; they are written before any record that comes after. Gives the
    /// number of the last of them.
    pub(crate) fn put(&self, items: Vec<Item>) -> Result<u64, Error> {
        let mut state = self.state();
        let wake = self.take_in(&mut state, items)?;
        let taken = state.taken;
        drop(state);
        if wake {
            self.work.notify_one();
        }
        Ok(taken)
    }

    /// Takes things in; `true` if the writer is to look.
    fn take_in(&self, state: &mut State, items: Vec<Item>) -> Result<bool, Error> {
        state.refusal()?;
        let bytes = items.iter().map(Item::bytes).sum::<usize>();
        if state.bytes + bytes > self.bytes_max {
            return Err(refused(&format!(
                "{} bytes wait to be written and {} is the most; the database is too slow for \
                 this load",
                state.bytes, self.bytes_max
            )));
        }
        state.bytes += bytes;
        state.taken += items.len() as u64;
        let is_first = state.items.is_empty();
        state.items.extend(items);
        Ok(is_first || state.bytes >= GATHER_BYTES_MAX)
    }

    /// Whether the run began here, so that only what passed here can be in the database.
    pub(crate) fn was_born(&self, run: RunId) -> bool {
        self.state().born.contains(&run)
    }

    /// Takes note that what passed here of a run is no longer all known.
    pub(crate) fn forget(&self, runs: impl IntoIterator<Item = RunId>) {
        let mut state = self.state();
        for run in runs {
            state.born.remove(&run);
        }
    }

    /// The number of the last thing that is in the database.
    pub(crate) fn written(&self) -> u64 {
        self.state().written
    }

    /// Whether less than half of what may wait does.
    pub(crate) fn has_room(&self) -> bool {
        self.state().bytes <= self.bytes_max / 2
    }

    /// Returns once there is room, or nothing is taken in: whoever asks is told then.
    pub(crate) async fn room(&self) {
        loop {
            let room = self.room.notified();
            if self.is_open_and_full() {
                room.await;
            } else {
                return;
            }
        }
    }

    fn is_open_and_full(&self) -> bool {
        let state = self.state();
        matches!(state.standing, Standing::Open) && state.bytes > self.bytes_max / 2
    }

    /// Returns once the record is in the database, or an attempt to write it has failed.
    pub(crate) async fn durable(&self, seq: u64) -> Result<(), Error> {
        self.reached(|state| (state.durable.seq, seq, &mut state.of_seq)).await
    }

    /// Returns once everything taken in before is in the database, or an attempt has failed.
    pub(crate) async fn settled(&self) -> Result<(), Error> {
        self.reached(|state| (state.written, state.taken, &mut state.of_count)).await
    }

    /// Waits in a line, of which `of` gives how far it is and how far is wanted.
    async fn reached(
        &self,
        of: impl FnOnce(&mut State) -> (u64, u64, &mut Line),
    ) -> Result<(), Error> {
        let told = {
            let mut state = self.state();
            let refusal = state.refusal();
            let (is, wanted, line) = of(&mut state);
            if wanted <= is {
                return Ok(());
            }
            refusal?;
            let (tell, told) = oneshot::channel();
            line.entry(wanted).or_default().push(tell);
            told
        };
        self.work.notify_one();
        told.await.unwrap_or_else(|_| Err(refused("the store is closed")))
    }

    /// What is to be written next: what is there once someone waits for it, or it has gathered for
    /// a while. A run that nobody waits for yet is better written once than often.
    pub(crate) async fn next(&self) -> Group {
        let mut since = None;
        loop {
            let (waiting, wanted) = {
                let state = self.state();
                (state.items.len(), state.is_wanted())
            };
            if waiting == 0 {
                self.work.notified().await;
                continue;
            }
            let until = *since.get_or_insert_with(Instant::now) + GATHER;
            let has_gathered =
                !wanted && tokio::time::timeout_at(until, self.work.notified()).await.is_err();
            if (wanted || has_gathered)
                && let Some(group) = self.take()
            {
                return group;
            }
        }
    }

    fn take(&self) -> Option<Group> {
        let mut state = self.state();
        let (mut count, mut bytes) = (0, 0);
        for item in state.items.iter().take(GROUP_ITEMS_MAX) {
            bytes += item.bytes();
            if count > 0 && bytes > GROUP_BYTES_MAX {
                break;
            }
            count += 1;
        }
        let items: Vec<Item> = state.items.drain(..count).collect();
        let before = state.given;
        let group = (!items.is_empty()).then(|| Group::of(before, items));
        if let Some(group) = &group {
            state.given = group.after;
        }
        group
    }

    /// Takes note that the group is in the database.
    pub(crate) fn wrote(&self, group: &Group) {
        let mut state = self.state();
        state.durable = group.after;
        state.written += group.items;
        state.bytes -= group.bytes;
        if let Standing::Failing(_) = state.standing {
            state.standing = Standing::Open;
        }
        let later = state.of_seq.split_off(&(group.after.seq + 1));
        let of_seq = std::mem::replace(&mut state.of_seq, later);
        let next = state.written + 1;
        let later = state.of_count.split_off(&next);
        let of_count = std::mem::replace(&mut state.of_count, later);
        drop(state);
        for tell in of_seq.into_values().chain(of_count.into_values()).flatten() {
            // Whoever waited may have given up.
            let _ = tell.send(Ok(()));
        }
        self.room.notify_waiters();
    }

    /// Refuses everything until the next group is written.
    pub(crate) fn fail(&self, reason: String) {
        self.refuse(Standing::Failing(reason));
    }

    /// Refuses everything from now on.
    pub(crate) fn shut(&self, reason: String) {
        self.refuse(Standing::Shut(reason));
    }

    fn refuse(&self, standing: Standing) {
        let mut state = self.state();
        if let Standing::Shut(_) = state.standing {
            return;
        }
        let (Standing::Failing(reason) | Standing::Shut(reason)) = &standing else { return };
        let error = refused(reason);
        state.standing = standing;
        let (of_seq, of_count) =
            (std::mem::take(&mut state.of_seq), std::mem::take(&mut state.of_count));
        drop(state);
        for tell in of_seq.into_values().chain(of_count.into_values()).flatten() {
            let _ = tell.send(Err(error.clone()));
        }
        // So that whoever waits for room comes and is refused.
        self.room.notify_waiters();
    }

    /// Whether nothing will ever be written again.
    pub(crate) fn is_shut(&self) -> bool {
        matches!(self.state().standing, Standing::Shut(_))
    }
}

fn refused(reason: &str) -> Error {
    Error::Unwritable(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::group::Link;

    fn put(queue: &Queue, count: usize) {
        let link = || {
            let (run, sha256) = (RunId(Uuid::from_u128(1)), Head::EMPTY.hash);
            Item::Link(Link { run, sha256, label: String::new() })
        };
        queue.put((0..count).map(|_| link()).collect()).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_waits_for_is_written_at_once_and_the_rest_after_a_while() {
        let queue = Queue::new(Head::EMPTY, 1 << 20);
        let began = Instant::now();
        put(&queue, 3);
        let waited_for = tokio::select! {
            biased;
            // It stands in line from its first poll on, and is told by nobody here.
            _ = queue.settled() => None,
            group = queue.next() => Some(group.items),
        };
        assert_eq!((waited_for, began.elapsed()), (Some(3), Duration::ZERO));
        queue.of_nobody();
        put(&queue, 2);
        assert_eq!((queue.next().await.items, began.elapsed()), (2, GATHER));
    }

    #[tokio::test(start_paused = true)]
    async fn much_is_written_although_nobody_waits_for_it() {
        let queue = Queue::new(Head::EMPTY, 1 << 30);
        let began = Instant::now();
        put(&queue, GATHER_BYTES_MAX / 256);
        assert!(queue.next().await.items > 1_000);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    impl Queue {
        /// Everybody gives up.
        fn of_nobody(&self) {
            let mut state = self.state();
            state.of_seq.clear();
            state.of_count.clear();
        }
    }
}
