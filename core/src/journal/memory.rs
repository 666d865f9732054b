//! The journal in memory: for the command line, tests and simulations.
//!
//! Keeps the latest records up to a bound; the chain goes on over what it drops.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::async_trait;

use super::record::Record;
use super::store::{Error, Journal};

/// Records in memory, the oldest dropped beyond a bound.
#[derive(Debug)]
pub struct MemoryJournal {
    kept: Mutex<VecDeque<Arc<Record>>>,
    records_max: usize,
}

impl MemoryJournal {
    /// A journal that keeps the latest `records_max` records.
    #[must_use]
    pub fn keeping(records_max: usize) -> Self {
        Self { kept: Mutex::default(), records_max: records_max.max(1) }
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    fn append(&self, records: &[Arc<Record>]) -> Result<(), Error> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            if kept.len() == self.records_max {
                kept.pop_front();
            }
            kept.push_back(record.clone());
        }
        Ok(())
    }

    async fn durable(&self, _seq: u64) -> Result<(), Error> {
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
}
