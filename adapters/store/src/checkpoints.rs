//! What an auditor needs of the database: chains, raw records, the tiles of the Merkle trees and
//! the signed checkpoints. It keeps them; what they mean is the kernel's business.

use std::sync::Arc;

use genie_core::clock::Timestamp;
use genie_core::ids::RunId;
use genie_core::journal::chain::{Hash, Head};
use genie_core::journal::restore::Row;

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
        let sql = "SELECT hash FROM records WHERE chain = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        let found: Vec<(Vec<u8>,)> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(chain).bind(rows::number(after));
            query.bind(rows::number(limit)).fetch_all(pool).await
        })?;
        Ok(found.iter().map(|(hash,)| rows::hash(hash)).collect::<Result<_, _>>()?)
    }

    /// Up to `limit` records of a chain after number `after`, in order, exactly as they are kept:
    /// nothing is checked, and a gap stays one. `prev_hash` is that of the row before, zeros if the
    /// record before is not there.
    pub async fn rows(&self, chain: i64, after: u64, limit: u64) -> Result<Vec<Row>, Error> {
        let sql = concat!(
            "SELECT ",
            rows::found!(),
            " FROM records r WHERE r.chain = $1 AND r.seq > $2 ORDER BY r.seq LIMIT $3"
        );
        let found: Vec<rows::Found> = on!(&self.pools.read, pool => {
            let query = sqlx::query_as(sql).bind(chain).bind(rows::number(after));
            query.bind(rows::number(limit)).fetch_all(pool).await
        })?;
        Ok(rows::opened(&self.sealing, found).await?)
    }

    /// Where the records of a run are: chain and number, in the order of the run.
    pub async fn places(&self, run: RunId) -> Result<Vec<(i64, u64)>, Error> {
        let sql = "SELECT chain, seq FROM records WHERE run_id = $1 ORDER BY number";
        let found: Vec<(i64, i64)> = on!(&self.pools.read, pool => {
            sqlx::query_as(sql).bind(&run.0.as_bytes()[..]).fetch_all(pool).await
        })?;
        Ok(found.into_iter().map(|(chain, seq)| (chain, seq.cast_unsigned())).collect())
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
