//! What an auditor needs of the database: chains, raw records, the tiles of the Merkle trees and
//! the signed checkpoints. It keeps them; what they mean is the kernel's business.

use std::sync::Arc;

use genie_core::clock::Timestamp;
use genie_core::ids::RunId;
use genie_core::journal::chain::{Hash, Head};
use genie_core::journal::restore::Row;

use crate::pack::{self, Index, Packed};
use crate::pool::{Pools, on};
use crate::rows;
use crate::sealing::{self, Sealing};

/// Why the database could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It refused.
    #[error("the audit store failed: {0}")]
    Database(#[from] sqlx::Error),
    /// What is sealed could not be opened.
    #[error(transparent)]
    Sealed(#[from] sealing::Error),
}

/// One chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainInfo {
    /// Its number.
    pub chain: i64,
    /// The process that wrote it last, as it calls itself.
    pub node: String,
    /// How often it changed hands.
    pub epoch: i64,
    /// Its end.
    pub head: Head,
}

/// Part of a Merkle tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// The level, 0 for the hashes of records.
    pub level: u64,
    /// The position within the level.
    pub index: u64,
    /// Up to 256 hashes of 32 bytes each.
    pub hashes: Vec<u8>,
}

/// A signed statement about a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many records it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// When it was made.
    pub at: Timestamp,
}

/// The rows with the records of a chain behind the first number, up to the second. Those of one
/// transaction overlap: all of the last one that has any are read.
macro_rules! range {
    ($self:expr, $columns:expr, ($chain:expr, $after:expr, $until:expr)) => {{
        let sql = concat!(
            "SELECT ",
            $columns,
            " FROM packs WHERE chain = $1 AND seq > $2 AND seq <= COALESCE((SELECT \
             CASE WHEN until > $3 THEN until ELSE $3 END \
             FROM packs WHERE chain = $1 AND seq >= $3 ORDER BY seq LIMIT 1), $3) ORDER BY seq"
        );
        on!(&$self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind($chain).bind(rows::number($after));
            query.bind(rows::number($until)).fetch_all(pool).await
        })?
    }};
}

/// The audit part of a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    pub(crate) pools: Pools,
    pub(crate) own: Option<i64>,
    pub(crate) sealing: Arc<Sealing>,
}

impl Checkpoints {
    /// The chain that this process writes; `None` if it only looks.
    #[must_use]
    pub fn own_chain(&self) -> Option<i64> {
        self.own
    }

    /// Every chain, the oldest first.
    pub async fn chains(&self) -> Result<Vec<ChainInfo>, Error> {
        let sql = "SELECT id, node, epoch, head_seq, head_hash FROM chains ORDER BY id";
        let found: Vec<(i64, String, i64, i64, Vec<u8>)> =
            on!(&self.pools.read, pool => sqlx::query_as(sql).fetch_all(pool).await)?;
        let chain = |(chain, node, epoch, seq, hash): (_, _, _, _, Vec<u8>)| {
            Ok(ChainInfo { chain, node, epoch, head: rows::head(seq, &hash)? })
        };
        found.into_iter().map(chain).collect()
    }

    /// The hashes of up to `limit` records of a chain after number `after`, in order.
    pub async fn hashes(&self, chain: i64, after: u64, limit: u64) -> Result<Vec<Hash>, Error> {
        let until = after.saturating_add(limit);
        let found: Vec<Index> = range!(self, pack::index!(), (chain, after, until));
        let mut hashes = Vec::new();
        for row in &found {
            // What cannot be read is missing.
            let parts = row.parts().unwrap_or_default();
            hashes.extend(parts.iter().map(|part| (part.seq, part.hash)));
        }
        hashes.retain(|(seq, _)| *seq > after && *seq <= until);
        hashes.sort_unstable_by_key(|(seq, _)| *seq);
        Ok(hashes.into_iter().map(|(_, hash)| hash).collect())
    }

    /// The rows that hold the records of a chain after number `after`, up to number `until`, and
    /// some more of the same transactions.
    pub(crate) async fn packs(
        &self,
        chain: i64,
        after: u64,
        until: u64,
    ) -> Result<Vec<Packed>, sqlx::Error> {
        Ok(range!(self, pack::packed!(), (chain, after, until)))
    }

    /// Up to `limit` records of a chain after number `after`, in order, exactly as they are kept:
    /// nothing is checked, and a gap stays one. `prev_hash` is that of the row before, zeros if the
    /// record before is not there.
    pub async fn rows(&self, chain: i64, after: u64, limit: u64) -> Result<Vec<Row>, Error> {
        // The hash of the record before is read with that record.
        let first = after.saturating_sub(1);
        let mut until = after.saturating_add(limit);
        let mut rows = loop {
            let found = self.packs(chain, first, until).await?;
            let rows = rows::opened(&self.sealing, &found, |seq| seq > first && seq <= until);
            let rows = rows.await?;
            if rows.iter().any(|row| row.seq > after) {
                break rows;
            }
            // Behind a gap there may be more.
            let sql = "SELECT MIN(seq) FROM packs WHERE chain = $1 AND seq > $2";
            let (next,): (Option<i64>,) = on!(&self.pools.read, pool => {
                sqlx::query_as(sql).bind(chain).bind(rows::number(until)).fetch_one(pool).await
            })?;
            let Some(next) = next else { return Ok(Vec::new()) };
            until = next.cast_unsigned();
        };
        rows.sort_by_key(|row| row.seq);
        rows::link(&mut rows, |_| Hash::ZERO);
        rows.retain(|row| row.seq > after);
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(rows)
    }

    /// Where the records of a run are: chain and number, in the order of the run.
    pub async fn places(&self, run: RunId) -> Result<Vec<(i64, u64)>, Error> {
        let sql =
            concat!("SELECT ", pack::index!(), " FROM packs WHERE run_id = $1 ORDER BY number");
        let found: Vec<Index> = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).bind(&run.0.as_bytes()[..]).fetch_all(pool).await
        })?;
        let mut places = Vec::new();
        for row in &found {
            match row.parts() {
                Ok(parts) => places.extend(parts.iter().map(|part| (row.chain, part.seq))),
                Err(_) => places.push((row.chain, row.seq.cast_unsigned())),
            }
        }
        Ok(places)
    }

    /// Keeps tiles; a fuller one takes the place of the one before.
    pub async fn put_tiles(&self, chain: i64, tiles: &[Tile]) -> Result<(), Error> {
        let sql = "INSERT INTO tiles (chain, level, idx, hashes) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (chain, level, idx) DO UPDATE SET hashes = excluded.hashes";
        on!(&self.pools.write, pool => {
            let mut transaction = pool.begin_with(self.pools.begin()).await?;
            for Tile { level, index, hashes } in tiles {
                let query = sqlx::query(sql).bind(chain).bind(rows::number(*level));
                let query = query.bind(rows::number(*index)).bind(&hashes[..]);
                query.execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        });
        Ok(())
    }

    /// The hashes of one tile.
    pub async fn tile(&self, chain: i64, level: u64, index: u64) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT hashes FROM tiles WHERE chain = $1 AND level = $2 AND idx = $3";
        let found: Option<(Vec<u8>,)> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(chain).bind(rows::number(level));
            query.bind(rows::number(index)).fetch_optional(pool).await
        })?;
        Ok(found.map(|(hashes,)| hashes))
    }

    /// Keeps a checkpoint; the first one of a size stays.
    pub async fn put_checkpoint(&self, chain: i64, checkpoint: &Checkpoint) -> Result<(), Error> {
        let sql = "INSERT INTO checkpoints (chain, size, note, at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT DO NOTHING";
        let Checkpoint { size, note, at } = checkpoint;
        on!(&self.pools.write, pool => {
            let query = sqlx::query(sql).bind(chain).bind(rows::number(*size));
            query.bind(&note[..]).bind(at.as_micros()).execute(pool).await.map(drop)
        })?;
        Ok(())
    }

    /// The checkpoint that covers most of the chain.
    pub async fn latest_checkpoint(&self, chain: i64) -> Result<Option<Checkpoint>, Error> {
        Ok(self.checkpoints(chain, 1).await?.pop())
    }

    /// Up to `limit` checkpoints of a chain, the latest first.
    pub async fn checkpoints(&self, chain: i64, limit: u64) -> Result<Vec<Checkpoint>, Error> {
        let sql = "SELECT size, note, at FROM checkpoints WHERE chain = $1 \
                   ORDER BY size DESC LIMIT $2";
        let found: Vec<(i64, String, i64)> = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).bind(chain).bind(rows::number(limit)).fetch_all(pool).await
        })?;
        let checkpoint = |(size, note, at): (i64, _, _)| Checkpoint {
            size: size.cast_unsigned(),
            note,
            at: Timestamp::from_micros(at),
        };
        Ok(found.into_iter().map(checkpoint).collect())
    }
}
