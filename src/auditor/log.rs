//! The Merkle tree of one chain: grown from the records, kept as tiles, signed.

use std::collections::HashMap;

use genie_core::audit::checkpoint::{self, Checkpoint};
use genie_core::audit::keys::VerifierKey;
use genie_core::audit::merkle::{self, Tree, TreeHead, leaf};
use genie_core::audit::tiles::{self, Plan, TileId};
use genie_core::clock::Timestamp;
use genie_core::journal::chain::{Hash, Head};
use genie_store::{AuditError, Checkpoints};

use super::keys::{self, KeyFile, Keys};

/// Records that are read at once.
const READ: u64 = 16_384;
/// Complete tiles that are kept back before they are written.
const TILES_MAX: usize = 1_024;

/// Why a log cannot be signed or proven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] AuditError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// A key's name.
    #[error(transparent)]
    Name(#[from] genie_core::audit::keys::Error),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] merkle::Error),
    /// The records do not lead to what was signed.
    #[error(
        "chain {chain} no longer leads to its signed checkpoint of {size} records; nothing more is \
         signed; run `genie audit verify`"
    )]
    Rewritten {
        /// The chain.
        chain: i64,
        /// How many records the checkpoint covers.
        size: u64,
    },
    /// There is nothing to sign.
    #[error("chain {0} has no records yet; run an agent first")]
    Empty(i64),
}

/// The tree of a chain.
#[derive(Debug)]
pub(crate) struct Log {
    store: Checkpoints,
    chain: i64,
    tree: Tree,
    last: Hash,
    /// Complete tiles that are not written yet.
    complete: Vec<tiles::Tile>,
}

impl Log {
    /// The tree as it was last signed by one of our keys, or an empty one.
    pub(crate) async fn resume(
        store: &Checkpoints,
        chain: i64,
        trusted: &[VerifierKey],
    ) -> Result<Self, Error> {
        let mut log = Self {
            store: store.clone(),
            chain,
            tree: Tree::default(),
            last: Hash::ZERO,
            complete: Vec::new(),
        };
        let Some(latest) = store.latest_checkpoint(chain).await? else { return Ok(log) };
        let signed = match Checkpoint::open(&latest.note, trusted) {
            Ok(signed) => signed,
            Err(error) => {
                tracing::warn!(chain, %error, "the tree is built anew");
                return Ok(log);
            }
        };
        let size = signed.tree.size;
        let last = store.hashes(chain, size.saturating_sub(1), 1).await?.first().copied();
        log.last = last.unwrap_or(Hash::ZERO);
        if signed.head.is_some_and(|head| Some(head.hash) != last) {
            return Err(Error::Rewritten { chain, size });
        }
        let edge = fetch(store, chain, TileId::edge_of(size)).await?;
        let resumed = Tree::resume(size, |tile| edge.get(&tile).cloned());
        match resumed {
            Ok(tree) if tree.head() == signed.tree => log.tree = tree,
            // The tiles can be made again; what counts are the records.
            _ => log.rebuild(signed.tree).await?,
        }
        Ok(log)
    }

    async fn rebuild(&mut self, signed: TreeHead) -> Result<(), Error> {
        self.grow(signed.size).await?;
        if self.tree.head() == signed {
            return Ok(());
        }
        Err(Error::Rewritten { chain: self.chain, size: signed.size })
    }

    /// Takes in every record that is written, up to number `until`.
    pub(crate) async fn grow(&mut self, until: u64) -> Result<TreeHead, Error> {
        loop {
            let size = self.tree.head().size;
            let read = READ.min(until.saturating_sub(size));
            let hashes = self.store.hashes(self.chain, size, read).await?;
            let Some(last) = hashes.last() else { return Ok(self.tree.head()) };
            self.last = *last;
            for hash in hashes {
                self.complete.extend(self.tree.append(leaf(&hash.0)));
            }
            if self.complete.len() >= TILES_MAX {
                self.keep().await?;
            }
        }
    }

    async fn keep(&mut self) -> Result<(), Error> {
        let tiles: Vec<genie_store::Tile> = self.complete.iter().map(stored).collect();
        self.store.put_tiles(self.chain, &tiles).await?;
        self.complete.clear();
        Ok(())
    }

    /// Signs the tree as it is and keeps tiles and checkpoint.
    pub(crate) async fn sign(&mut self, keys: &Keys, at: Timestamp) -> Result<String, Error> {
        let tree = self.tree.head();
        let size = tree.size;
        if size == 0 {
            return Err(Error::Empty(self.chain));
        }
        let head = Some(Head { seq: size, hash: self.last });
        let checkpoint = Checkpoint { origin: keys.origin(self.chain), tree, head };
        let signers = keys.of_chain(self.chain)?;
        let note = checkpoint.sign(&signers.iter().collect::<Vec<_>>())?;
        self.complete.extend(self.tree.incomplete());
        self.keep().await?;
        let kept = genie_store::Checkpoint { size, note: note.clone(), at };
        self.store.put_checkpoint(self.chain, &kept).await?;
        Ok(note)
    }

    pub(crate) fn size(&self) -> u64 {
        self.tree.head().size
    }
}

fn stored(tile: &tiles::Tile) -> genie_store::Tile {
    genie_store::Tile { level: tile.id.level.into(), index: tile.id.index, hashes: tile.to_bytes() }
}

/// The tiles that are there.
async fn fetch(
    store: &Checkpoints,
    chain: i64,
    wanted: impl IntoIterator<Item = TileId>,
) -> Result<HashMap<TileId, Vec<Hash>>, Error> {
    let mut found = HashMap::new();
    for id in wanted {
        let bytes = store.tile(chain, id.level.into(), id.index).await?;
        if let Some(hashes) = bytes.and_then(|bytes| tiles::Tile::hashes_in(&bytes)) {
            found.insert(id, hashes);
        }
    }
    Ok(found)
}

/// The hashes of a proof.
pub(crate) async fn prove(
    store: &Checkpoints,
    chain: i64,
    plan: &Plan,
) -> Result<Vec<Hash>, Error> {
    let tiles = fetch(store, chain, plan.tiles()).await?;
    Ok(plan.read(|id| tiles.get(&id).cloned())?)
}

/// The leaf hashes of the records from number `first` up to the end of their tile, as they were
/// when the tree grew.
pub(crate) async fn leaves(
    store: &Checkpoints,
    chain: i64,
    first: u64,
) -> Result<Vec<Hash>, Error> {
    let width = tiles::TILE_WIDTH as u64;
    let id = TileId { level: 0, index: (first - 1) / width };
    let mut hashes = fetch(store, chain, [id]).await?.remove(&id).unwrap_or_default();
    let skip = usize::try_from((first - 1) % width).unwrap_or(0);
    hashes.drain(..skip.min(hashes.len()));
    Ok(hashes)
}

/// Signs every chain that has grown since it was last signed, or just this one, and gives the
/// latest checkpoint of each.
pub(crate) async fn checkpoint(
    store: &Checkpoints,
    chain: i64,
    file: &KeyFile,
    (keys, at): (&Keys, Timestamp),
) -> Result<genie_store::Checkpoint, Error> {
    let trusted = keys::for_chain(&file.trusted()?, chain);
    let mut log = Log::resume(store, chain, &trusted).await?;
    log.grow(u64::MAX).await?;
    let latest = store.latest_checkpoint(chain).await?;
    if let Some(latest) = latest.filter(|latest| latest.size == log.size())
        && Checkpoint::open(&latest.note, &trusted).is_ok()
    {
        return Ok(latest);
    }
    let note = log.sign(keys, at).await?;
    file.retire(keys)?;
    Ok(genie_store::Checkpoint { size: log.size(), note, at })
}
