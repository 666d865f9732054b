//! The journal port over either database.

use std::sync::Arc;

use genie_core::async_trait;
use genie_core::ids::RunId;
use genie_core::journal::chain::Head;
use genie_core::journal::restore::restore;
use genie_core::journal::{Error, Journal, Record, Text};

use crate::checkpoints::Checkpoints;
use crate::pack::{self, Packed};
use crate::pool::{Pools, on};
use crate::queue::Queue;
use crate::rows;
use crate::sealing::Sealing;

/// The chain that this process writes; without one, it only looks.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) id: i64,
    pub(crate) head: Head,
    pub(crate) queue: Arc<Queue>,
}

/// Records in a database.
#[derive(Debug)]
pub(crate) struct StoredJournal {
    pub(crate) pools: Pools,
    pub(crate) chain: Option<Chain>,
    pub(crate) sealing: Arc<Sealing>,
}

/// Why a process that only looks cannot write.
pub(crate) const LOOKING: &str = "this process only looks at the database and owns no runs";

impl StoredJournal {
    fn chain(&self) -> Result<&Chain, Error> {
        self.chain.as_ref().ok_or_else(|| Error::Unwritable(LOOKING.to_owned()))
    }
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Unreadable(error.to_string())
}

#[async_trait]
impl Journal for StoredJournal {
    fn head(&self) -> Head {
        self.chain.as_ref().map_or(Head::EMPTY, |chain| chain.head)
    }

    fn append(&self, records: &[Arc<Record>], texts: &[Text<'_>]) -> Result<(), Error> {
        self.chain()?.queue.append(records, texts)
    }

    async fn durable(&self, seq: u64) -> Result<(), Error> {
        self.chain()?.queue.durable(seq).await
    }

    fn has_room(&self) -> bool {
        self.chain.as_ref().is_none_or(|chain| chain.queue.has_room())
    }

    async fn room(&self) {
        if let Some(chain) = &self.chain {
            chain.queue.room().await;
        }
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Record>>, Error> {
        let chain = self.chain.as_ref().ok_or_else(|| unreadable(LOOKING))?;
        self.read_chain(chain.id, after, limit).await
    }

    async fn read_chain(
        &self,
        chain: i64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Record>>, Error> {
        let own = self.chain.as_ref().map(|chain| chain.id);
        if let Some(own) = self.chain.as_ref().filter(|own| own.id == chain) {
            own.queue.settled().await?;
        }
        // A verdict is read with the message before it.
        let (first, count) = (after.saturating_sub(1), (limit as u64).saturating_add(1));
        let (pools, sealing) = (self.pools.clone(), self.sealing.clone());
        let audit = Checkpoints { pools, own, sealing };
        let found = audit.rows(chain, first, count).await;
        let found = found.map_err(|error| Error::Unreadable(error.to_string()))?;
        let mut records = restore(found)?;
        records.retain(|record| record.seq > after);
        records.truncate(limit);
        Ok(records)
    }

    async fn next_chain(&self, chain: i64) -> Result<Option<i64>, Error> {
        let sql = "SELECT id FROM chains WHERE id > $1 ORDER BY id LIMIT 1";
        let found: Option<(i64,)> = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).bind(chain).fetch_optional(pool).await
        })
        .map_err(unreadable)?;
        Ok(found.map(|(id,)| id))
    }

    async fn read_run(&self, run: RunId) -> Result<Vec<Arc<Record>>, Error> {
        if let Some(chain) = &self.chain {
            chain.queue.settled().await?;
        }
        let sql =
            concat!("SELECT ", pack::packed!(), " FROM packs WHERE run_id = $1 ORDER BY number");
        let found: Vec<Packed> = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).bind(&run.0.as_bytes()[..]).fetch_all(pool).await
        })
        .map_err(unreadable)?;
        let rows = rows::opened(&self.sealing, &found, |_| true).await;
        let mut rows = rows.map_err(unreadable)?;
        rows::link(&mut rows, |row| row.prev_hash);
        Ok(restore(rows)?)
    }

    fn chain(&self) -> i64 {
        self.chain.as_ref().map_or(1, |chain| chain.id)
    }

    fn is_durable(&self) -> bool {
        true
    }
}
