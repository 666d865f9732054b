//! The one writer of a chain: seals entries in order, stores them, shows them to observers.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::chain::{Hash, Head, seal};
use super::record::{Entry, Record};
use super::store::Journal;
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
    sealed: AtomicBool,
}

pub(crate) struct Writer {
    head: Mutex<Head>,
    store: Arc<dyn Journal>,
    taps: Taps,
}

impl Writer {
    pub(crate) fn new(store: Arc<dyn Journal>, taps: Taps) -> Self {
        Self { head: Mutex::new(Head::EMPTY), store, taps }
    }

    pub(crate) fn store(&self) -> &Arc<dyn Journal> {
        &self.store
    }

    pub(crate) fn head(&self) -> Head {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut bodies = [Hash::ZERO; N];
        for (body, entry) in bodies.iter_mut().zip(&entries) {
            *body = body_hash(entry)?;
        }
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        if tally.sealed.load(Ordering::Relaxed) {
            return Err(Failure::RunEnded);
        }
        let mut next = *head;
        let mut bodies = bodies.iter();
        let records = entries.map(|entry| {
            let body = bodies.next().copied().unwrap_or(Hash::ZERO);
            Arc::new(advance(&mut next, body, entry))
        });
        self.commit(&mut head, next, &records)?;
        tally.records.fetch_add(N as u64, Ordering::Relaxed);
        Ok(next.seq)
    }

    /// Appends the outcome and the end record of a run, the last two it will ever have.
    pub(crate) fn close(&self, tally: &Tally, close: Close) -> Result<u64, Failure> {
        let outcome = Entry::Outcome { run_id: close.run_id, at: close.at, outcome: close.outcome };
        let outcome_body = body_hash(&outcome)?;
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        if tally.sealed.load(Ordering::Relaxed) {
            return Err(Failure::RunEnded);
        }
        let end = Entry::RunEnd {
            run_id: close.run_id,
            at: close.at,
            records: tally.records.load(Ordering::Relaxed) + 2,
            messages: close.messages,
            duration_us: close.duration_us,
        };
        let end_body = body_hash(&end)?;
        let mut next = *head;
        let records = [
            Arc::new(advance(&mut next, outcome_body, outcome)),
            Arc::new(advance(&mut next, end_body, end)),
        ];
        self.commit(&mut head, next, &records)?;
        tally.records.fetch_add(2, Ordering::Relaxed);
        tally.sealed.store(true, Ordering::Relaxed);
        Ok(next.seq)
    }

    fn commit(&self, head: &mut Head, next: Head, records: &[Arc<Record>]) -> Result<(), Failure> {
        self.store
            .append(records)
            .map_err(|error| Failure::Journal { reason: error.to_string() })?;
        *head = next;
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
    pub(crate) messages: u64,
    pub(crate) duration_us: u64,
}

fn advance(head: &mut Head, body: Hash, entry: Entry) -> Record {
    let (seq, prev_hash) = (head.seq + 1, head.hash);
    let hash = seal(seq, prev_hash, body);
    *head = Head { seq, hash };
    Record { seq, prev_hash, hash, entry }
}

fn body_hash(entry: &Entry) -> Result<Hash, Failure> {
    BODY.with_borrow_mut(|buffer| {
        buffer.clear();
        serde_json::to_writer(&mut *buffer, entry).map_err(|error| Failure::Journal {
            reason: format!("an entry has no JSON form: {error}"),
        })?;
        let hash = Hash::of(buffer);
        if buffer.capacity() > BODY_KEPT_BYTES {
            *buffer = Vec::new();
        }
        Ok(hash)
    })
}
