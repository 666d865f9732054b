//! The one writer of a chain: seals entries in order, stores them, shows them to observers.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chain::{Hash, Head, seal};
use super::record::{Entry, Record};
use super::store::{Journal, Text};
use super::text;
use crate::clock::Timestamp;
use crate::failure::Failure;
use crate::ids::RunId;
use crate::outcome::Outcome;
use crate::tap::Taps;

thread_local! {
    /// Entries are serialised here before they take their place in the chain.
    static BODY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Largest buffer that a thread keeps between entries.
const BODY_KEPT_BYTES: usize = 1 << 20;

/// What a run must count to prove at its end that nothing was left out.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    records: AtomicU64,
    messages: AtomicU64,
    sealed: AtomicBool,
    /// The run's records, kept here if the store may forget them before the run has ended.
    kept: Option<Mutex<Vec<Arc<Record>>>>,
}

impl Tally {
    /// The tally of a new run, or of one that has these records already.
    pub(crate) fn new(durable: bool, before: Vec<Arc<Record>>) -> Self {
        // Of one that was erased, the type is left.
        let message = |record: &&Arc<Record>| record.entry.kind() == "message";
        Self {
            records: (before.len() as u64).into(),
            messages: (before.iter().filter(message).count() as u64).into(),
            sealed: false.into(),
            kept: (!durable).then(|| Mutex::new(before)),
        }
    }

    /// How many records and messages the run has so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.records.load(Ordering::Relaxed), self.messages.load(Ordering::Relaxed))
    }

    /// Nothing more is recorded for the run by this process.
    pub(crate) fn leave(&self) -> Option<Vec<Arc<Record>>> {
        self.sealed.store(true, Ordering::Relaxed);
        let kept = self.kept.as_ref()?;
        Some(std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn keep(&self, records: &[Arc<Record>]) {
        if let Some(kept) = &self.kept {
            kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(records);
        }
    }
}

/// What the one writer of a chain must know.
struct Chain {
    head: Head,
    /// The ends that the store refused; at most one for each run that was in flight.
    owed: Vec<Owed>,
}

pub(crate) struct Writer {
    chain: Mutex<Chain>,
    store: Arc<dyn Journal>,
    taps: Taps,
}

impl Writer {
    pub(crate) fn new(store: Arc<dyn Journal>, taps: Taps) -> Self {
        let chain = Chain { head: store.head(), owed: Vec::new() };
        Self { chain: Mutex::new(chain), store, taps }
    }

    pub(crate) fn store(&self) -> &Arc<dyn Journal> {
        &self.store
    }

    pub(crate) fn head(&self) -> Head {
        self.chain().head
    }

    fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends entries of one run, next to each other.
    ///
    /// # Errors
    /// [`Failure::RunEnded`] after the run's end record, [`Failure::Journal`] if the store refuses.
    pub(crate) fn append<const N: usize>(
        &self,
        tally: &Tally,
        entries: [Entry; N],
    ) -> Result<u64, Failure> {
        let messages = entries.iter().filter(|entry| matches!(entry, Entry::Message { .. }));
        let messages = messages.count() as u64;
        written(entries, |entries, texts| {
            let texts = texts.map(Text::of);
            // Made before: whoever has the chain holds up every other writer.
            let mut records = entries.map(|entry| Arc::new(unplaced(entry)));
            let mut chain = self.chain();
            if tally.sealed.load(Ordering::Relaxed) {
                return Err(Failure::RunEnded);
            }
            self.settle(&mut chain)?;
            let mut next = chain.head;
            let mut number = tally.records.load(Ordering::Relaxed);
            for (record, text) in records.iter_mut().zip(&texts) {
                number += 1;
                // Nobody else has it yet, so that nothing is copied.
                place(Arc::make_mut(record), &mut next, number, text.sha256);
            }
            self.commit(&mut chain, next, &records, &texts)?;
            tally.keep(&records);
            tally.records.store(number, Ordering::Relaxed);
            tally.messages.fetch_add(messages, Ordering::Relaxed);
            Ok(next.seq)
        })
    }

    /// Appends the outcome and the end record of a run, the last two it will ever have.
    ///
    /// # Errors
    /// [`Failure::RunEnded`] if it has them, [`Failure::Journal`] if the store refuses. The run
    /// then ends as failed as soon as the store takes records again: no run stays without its end.
    pub(crate) fn close(&self, tally: &Tally, close: Close) -> Result<u64, Failure> {
        let mut chain = self.chain();
        if tally.sealed.swap(true, Ordering::Relaxed) {
            return Err(Failure::RunEnded);
        }
        let counted = tally.records.load(Ordering::Relaxed);
        if counted == 0 {
            // Not even its start was recorded.
            return Ok(chain.head.seq);
        }
        let messages = tally.messages.load(Ordering::Relaxed);
        let settled = self.settle(&mut chain);
        let owed = Owed { close, records: counted + 2, messages };
        settled.and_then(|()| self.end(&mut chain, &owed)).inspect_err(|cause| {
            let outcome = Arc::new(Outcome::Failed { cause: cause.clone() });
            chain.owed.push(Owed { close: Close { outcome, ..owed.close }, ..owed });
        })
    }

    /// Ends the runs that could not be ended while the store refused.
    pub(crate) fn pay(&self) -> Result<(), Failure> {
        self.settle(&mut self.chain())
    }

    fn settle(&self, chain: &mut Chain) -> Result<(), Failure> {
        while let Some(owed) = chain.owed.pop() {
            if let Err(cause) = self.end(chain, &owed) {
                chain.owed.push(owed);
                return Err(cause);
            }
        }
        Ok(())
    }

    fn end(&self, chain: &mut Chain, owed: &Owed) -> Result<u64, Failure> {
        let Close { run_id, at, outcome, duration_us } = &owed.close;
        let outcome = Entry::Outcome { run_id: *run_id, at: *at, outcome: outcome.clone() };
        let end = Entry::RunEnd {
            run_id: *run_id,
            at: *at,
            records: owed.records,
            messages: owed.messages,
            duration_us: *duration_us,
        };
        written([outcome, end], |[outcome, end], texts| {
            let texts = texts.map(Text::of);
            let mut next = chain.head;
            let last = owed.records;
            let mut records = [unplaced(outcome), unplaced(end)];
            place(&mut records[0], &mut next, last.saturating_sub(1), texts[0].sha256);
            place(&mut records[1], &mut next, last, texts[1].sha256);
            self.commit(chain, next, &records.map(Arc::new), &texts)?;
            Ok(next.seq)
        })
    }

    fn commit(
        &self,
        chain: &mut Chain,
        next: Head,
        records: &[Arc<Record>],
        texts: &[Text<'_>],
    ) -> Result<(), Failure> {
        self.store
            .append(records, texts)
            .map_err(|error| Failure::Journal { reason: error.to_string() })?;
        chain.head = next;
        // Under the lock, so that observers see records in journal order.
        self.taps.recorded(records);
        Ok(())
    }
}

/// What the end of a run is made of.
pub(crate) struct Close {
    pub(crate) run_id: RunId,
    pub(crate) at: Timestamp,
    pub(crate) outcome: Arc<Outcome>,
    pub(crate) duration_us: u64,
}

/// The end of a run with its counts, to be recorded.
struct Owed {
    close: Close,
    records: u64,
    messages: u64,
}

/// A record that has no place in the chain yet.
fn unplaced(entry: Entry) -> Record {
    let (prev_hash, hash) = (Hash::ZERO, Hash::ZERO);
    Record { seq: 0, prev_hash, hash, number: 0, entry, text: None }
}

/// Puts the record behind the end of the chain, which moves on.
fn place(record: &mut Record, head: &mut Head, number: u64, body: Hash) {
    (record.seq, record.prev_hash, record.number) = (head.seq + 1, head.hash, number);
    record.hash = seal(record.seq, record.prev_hash, body);
    *head = Head { seq: record.seq, hash: record.hash };
}

/// Hands over the entries with their JSON texts.
fn written<const N: usize, T>(
    entries: [Entry; N],
    then: impl FnOnce([Entry; N], [&[u8]; N]) -> Result<T, Failure>,
) -> Result<T, Failure> {
    // Taken, not borrowed: what follows may have to write the ends that are owed.
    let mut buffer = BODY.take();
    buffer.clear();
    let mut ends = [0; N];
    for (end, entry) in ends.iter_mut().zip(&entries) {
        text::write(entry, &mut buffer).map_err(|error| Failure::Journal {
            reason: format!("an entry has no JSON form: {error}"),
        })?;
        *end = buffer.len();
    }
    let mut start = 0;
    let done = then(entries, ends.map(|end| &buffer[std::mem::replace(&mut start, end)..end]));
    if buffer.capacity() <= BODY_KEPT_BYTES {
        BODY.set(buffer);
    }
    done
}
