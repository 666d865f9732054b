//! The journal in memory: for the command line, tests and simulations.
//!
//! Keeps the latest records up to a bound; the chain goes on over what it drops.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::async_trait;

use super::chain::Head;
use super::record::Record;
use super::store::{Error, Journal, Text};
use crate::ids::RunId;

/// Records in memory, the oldest dropped beyond a bound.
#[derive(Debug)]
pub struct MemoryJournal {
    kept: Mutex<VecDeque<Arc<Record>>>,
    /// Records that are no longer kept but not yet freed: appending happens under the chain's
    /// lock, where every writer waits, freeing does not have to.
    dropped: Mutex<Vec<Arc<Record>>>,
    records_max: usize,
}

/// Most dropped records that wait to be freed.
const DROPPED_MAX: usize = 1_024;

impl MemoryJournal {
    /// A journal that keeps the latest `records_max` records.
    #[must_use]
    pub fn keeping(records_max: usize) -> Self {
        Self { kept: Mutex::default(), dropped: Mutex::default(), records_max: records_max.max(1) }
    }

    /// The kept records, oldest first.
    pub(crate) fn kept(&self) -> Vec<Arc<Record>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    fn head(&self) -> Head {
        Head::EMPTY
    }

    fn append(&self, records: &[Arc<Record>], _texts: &[Text<'_>]) -> Result<(), Error> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            if kept.len() == self.records_max {
                let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
                if dropped.len() == DROPPED_MAX {
                    dropped.clear();
                }
                dropped.extend(kept.pop_front());
            }
            kept.push_back(record.clone());
        }
        Ok(())
    }

    async fn durable(&self, _seq: u64) -> Result<(), Error> {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let freed = std::mem::take(&mut *dropped);
        std::mem::drop(dropped);
        std::mem::drop(freed);
        Ok(())
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Record>>, Error> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = kept.front().map(|record| record.seq) else {
            return Ok(Vec::new());
        };
        let next = after.saturating_add(1);
        if next < first {
            return Err(Error::Pruned { first });
        }
        let skip = usize::try_from(next - first).unwrap_or(usize::MAX);
        Ok(kept.iter().skip(skip).take(limit).cloned().collect())
    }

    async fn read_run(&self, run: RunId) -> Result<Vec<Arc<Record>>, Error> {
        Ok(self.kept().into_iter().filter(|record| record.entry.run_id() == run).collect())
    }

    fn is_durable(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::chain::Hash;
    use super::super::record::Entry;
    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::RunId;

    fn record(seq: u64) -> Arc<Record> {
        let (run_id, at) = (RunId(uuid::Uuid::nil()), Timestamp::from_micros(0));
        let entry = Entry::RunEnd { run_id, at, records: 0, messages: 0, duration_us: 0 };
        let (prev_hash, hash) = (Hash::ZERO, Hash::ZERO);
        Arc::new(Record { seq, prev_hash, hash, number: seq, entry, text: None })
    }

    /// Reads from a journal that keeps 5 of the records 1 to 9, so 5 to 9.
    async fn check(after: u64, limit: usize, expected: Result<Vec<u64>, u64>) {
        let journal = MemoryJournal::keeping(5);
        journal.append(&(1..=9).map(record).collect::<Vec<_>>(), &[]).unwrap();
        let read = match journal.read(after, limit).await {
            Ok(records) => Ok(records.iter().map(|record| record.seq).collect()),
            Err(Error::Pruned { first }) => Err(first),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(read, expected, "after {after}, at most {limit}");
    }

    #[tokio::test]
    async fn it_keeps_the_latest_and_says_which_are_gone() {
        check(4, 100, Ok(vec![5, 6, 7, 8, 9])).await;
        check(4, 2, Ok(vec![5, 6])).await;
        check(7, 100, Ok(vec![8, 9])).await;
        check(9, 100, Ok(vec![])).await;
        check(3, 100, Err(5)).await;
        check(0, 0, Err(5)).await;
        check(1_000, 100, Ok(vec![])).await;
        check(u64::MAX, usize::MAX, Ok(vec![])).await;
    }

    #[tokio::test]
    async fn an_empty_journal_has_nothing_to_read() {
        assert!(MemoryJournal::keeping(0).read(0, 10).await.unwrap().is_empty());
    }
}
