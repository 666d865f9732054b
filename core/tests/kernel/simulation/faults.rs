//! A journal that refuses to write for a while, or takes its time to be durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use genie_core::async_trait;
use genie_core::ids::RunId;
use genie_core::journal::chain::Head;
use genie_core::journal::memory::MemoryJournal;
use genie_core::journal::{Error, Journal, Record, Text};

use super::Dice;
use crate::millis;

/// Keeps records in memory, with faults.
pub(crate) struct Faulty {
    kept: MemoryJournal,
    appends: AtomicU64,
    /// The numbers of the appends that are refused.
    refused: std::ops::Range<u64>,
    sync: Duration,
    mended: AtomicBool,
}

impl Faulty {
    pub(crate) fn of(dice: &Dice) -> Self {
        let first = dice.below(150);
        let refused = if dice.chance(30) { first..first + dice.below(60) } else { 0..0 };
        Self {
            kept: MemoryJournal::keeping(1_000_000),
            appends: AtomicU64::new(0),
            refused,
            sync: if dice.chance(40) { millis(dice.below(30)) } else { Duration::ZERO },
            mended: AtomicBool::new(false),
        }
    }

    /// From now on it works.
    pub(crate) fn mend(&self) {
        self.mended.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Journal for Faulty {
    fn head(&self) -> Head {
        self.kept.head()
    }

    fn append(&self, records: &[Arc<Record>], texts: &[Text<'_>]) -> Result<(), Error> {
        let number = self.appends.fetch_add(1, Ordering::Relaxed);
        if self.refused.contains(&number) && !self.mended.load(Ordering::Relaxed) {
            return Err(Error::Unwritable("the dice said so".into()));
        }
        self.kept.append(records, texts)
    }

    async fn durable(&self, _seq: u64) -> Result<(), Error> {
        if !self.sync.is_zero() {
            tokio::time::sleep(self.sync).await;
        }
        Ok(())
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Record>>, Error> {
        self.kept.read(after, limit).await
    }

    async fn read_run(&self, run: RunId) -> Result<Vec<Arc<Record>>, Error> {
        self.kept.read_run(run).await
    }

    fn is_durable(&self) -> bool {
        false
    }
}
