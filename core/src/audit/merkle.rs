//! The Merkle tree of RFC 6962 over the records of a chain: hashes, growth, and checking of proofs.
//!
//! The data of leaf `n` are the 32 bytes of the hash of record `n + 1`. Proofs are made in
//! [`super::tiles`] and checked here, by independent algorithms.

use sha2::{Digest, Sha256};

use super::tiles::{TILE_HEIGHT, TILE_WIDTH, Tile, TileId};
use crate::journal::chain::Hash;

/// Prefix of the data of a leaf, so that no leaf can pass for a node.
const LEAF: u8 = 0;
/// Prefix of the two hashes below a node.
const NODE: u8 = 1;

/// Why a proof does not hold, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The leaf lies beyond the tree.
    #[error("leaf {index} is not in a tree of {size} leaves; take a later checkpoint")]
    OutOfRange {
        /// The leaf, counted from 0.
        index: u64,
        /// How many leaves the tree has.
        size: u64,
    },
    /// A tree does not become smaller.
    #[error("a tree of {old} leaves cannot have become one of {new}; the log was cut off")]
    Shrunk {
        /// How many leaves it had.
        old: u64,
        /// How many it is said to have.
        new: u64,
    },
    /// A stored tile is missing or too short.
    #[error(
        "tile {} of level {} has {found} of {needed} hashes; rebuild it from the journal",
        .tile.index, .tile.level
    )]
    Tile {
        /// The tile.
        tile: TileId,
        /// How many hashes were read.
        found: usize,
        /// How many the proof needs.
        needed: usize,
    },
    /// The proof has a hash too few or too many.
    #[error("the proof has a wrong number of hashes")]
    Length,
    /// The proof leads to another root.
    #[error("the proof does not lead to the root of the tree")]
    Root,
    /// The proof starts from another root than that of the older tree.
    #[error("the proof does not start from the root of the older tree; the log was rewritten")]
    OldRoot,
}

/// The size of a tree and its root.
///
/// A proof does not bind the size to the root; the signature on a checkpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// How many leaves.
    pub size: u64,
    /// The Merkle tree hash over them.
    pub root: Hash,
}

impl TreeHead {
    /// The head of a tree without leaves.
    #[must_use]
    pub fn empty() -> Self {
        Self { size: 0, root: perfect(&[]) }
    }
}

/// The leaf hash of `data`: for a record, of the 32 bytes of its hash.
#[must_use]
pub fn leaf(data: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([LEAF]);
    hasher.update(data);
    Hash(hasher.finalize().into())
}

/// The hash of the node over these two.
pub(super) fn node(left: Hash, right: Hash) -> Hash {
    let mut bytes = [NODE; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash::of(&bytes)
}

/// The root over hashes whose number is a power of two; without any, that of the empty tree.
pub(super) fn perfect(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Hash::of(&[]),
        [only] => *only,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node(perfect(left), perfect(right))
        }
    }
}

/// A tree that grows: it keeps the incomplete tile of each level and hands out the complete ones.
///
/// Holds at most 255 hashes a level, which is 24 KiB for 16 million leaves.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    size: u64,
    edge: Vec<Vec<Hash>>,
}

impl Tree {
    /// A tree of `size` leaves whose incomplete tiles, those of [`TileId::edge_of`], `read` gives.
    ///
    /// Compare its head with the last checkpoint before it grows.
    ///
    /// # Errors
    /// [`Error::Tile`] if one is missing or too short; a longer one is cut to what it was.
    pub fn resume(size: u64, read: impl Fn(TileId) -> Option<Vec<Hash>>) -> Result<Self, Error> {
        let mut edge = Vec::new();
        for tile in TileId::edge_of(size) {
            let needed = tile.width(size);
            let mut hashes = if needed == 0 { None } else { read(tile) }.unwrap_or_default();
            if hashes.len() < needed {
                return Err(Error::Tile { tile, found: hashes.len(), needed });
            }
            hashes.truncate(needed);
            edge.push(hashes);
        }
        Ok(Self { size, edge })
    }

    /// Appends a leaf by its hash and returns the tiles that it completes, lowest first.
    pub fn append(&mut self, leaf: Hash) -> Vec<Tile> {
        let mut complete = Vec::new();
        let mut hash = leaf;
        for level in 0_u8.. {
            let at = usize::from(level);
            if at == self.edge.len() {
                self.edge.push(Vec::new());
            }
            self.edge[at].push(hash);
            if self.edge[at].len() < TILE_WIDTH {
                break;
            }
            let hashes = std::mem::take(&mut self.edge[at]);
            hash = perfect(&hashes);
            let index = self.size >> (TILE_HEIGHT * (u32::from(level) + 1));
            complete.push(Tile { id: TileId { level, index }, hashes });
        }
        self.size += 1;
        complete
    }

    /// How many leaves and the root over them.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        let mut root = None;
        // From the right edge inwards: each level's perfect subtrees, smallest first.
        for hashes in &self.edge {
            let mut end = hashes.len();
            while end > 0 {
                let start = end - (1 << end.trailing_zeros());
                let left = perfect(&hashes[start..end]);
                root = Some(root.map_or(left, |right| node(left, right)));
                end = start;
            }
        }
        TreeHead { size: self.size, root: root.unwrap_or_else(|| perfect(&[])) }
    }

    /// The incomplete tiles at this size: what a store writes with a checkpoint beside the complete
    /// ones, so that proofs against it can be made and the tree can be resumed.
    pub fn incomplete(&self) -> impl Iterator<Item = Tile> {
        let tiles = TileId::edge_of(self.size).zip(&self.edge);
        let tiles = tiles.map(|(id, hashes)| Tile { id, hashes: hashes.clone() });
        tiles.filter(|tile| !tile.hashes.is_empty())
    }
}

/// Checks that the leaf `index` of the tree has this hash (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// [`Error::OutOfRange`], [`Error::Length`] or [`Error::Root`].
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    proof: &[Hash],
    tree: TreeHead,
) -> Result<(), Error> {
    if index >= tree.size {
        return Err(Error::OutOfRange { index, size: tree.size });
    }
    let mut walk = Walk { node: index, last: tree.size - 1 };
    let mut hash = leaf;
    for sibling in proof {
        hash = match walk.up()? {
            Side::Left => node(*sibling, hash),
            Side::Right => node(hash, *sibling),
        };
    }
    walk.end()?;
    if hash == tree.root { Ok(()) } else { Err(Error::Root) }
}

/// Checks that the new tree is the old one with leaves added (RFC 9162, section 2.1.4.2).
///
/// # Errors
/// [`Error::Shrunk`], [`Error::Length`], [`Error::OldRoot`] or [`Error::Root`].
pub fn verify_consistency(old: TreeHead, new: TreeHead, proof: &[Hash]) -> Result<(), Error> {
    if old.size > new.size {
        return Err(Error::Shrunk { old: old.size, new: new.size });
    }
    if old.size == 0 || old.size == new.size {
        // Nothing to prove: all trees follow the empty one, and a tree follows itself.
        let sound = old.size > 0 || old == TreeHead::empty();
        let same = old.size < new.size || old.root == new.root;
        return match (proof, sound && same) {
            ([], true) => Ok(()),
            ([], false) => Err(Error::OldRoot),
            _ => Err(Error::Length),
        };
    }
    let mut walk = Walk { node: old.size - 1, last: new.size - 1 };
    walk.skip(u64::trailing_ones(walk.node));
    let (start, rest) = if walk.node == 0 {
        // The old tree is perfect, so its root is itself a node of the new one.
        (old.root, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(Error::Length)?;
        (*first, rest)
    };
    let (mut old_root, mut new_root) = (start, start);
    for sibling in rest {
        match walk.up()? {
            Side::Left => {
                old_root = node(*sibling, old_root);
                new_root = node(*sibling, new_root);
            }
            Side::Right => new_root = node(new_root, *sibling),
        }
    }
    walk.end()?;
    match (old_root == old.root, new_root == new.root) {
        (false, _) => Err(Error::OldRoot),
        (true, false) => Err(Error::Root),
        (true, true) => Ok(()),
    }
}

/// On which side of the path the next hash of a proof belongs.
enum Side {
    Left,
    Right,
}

/// The way from a node to the root: its number in its row, and that of the last node there.
struct Walk {
    node: u64,
    last: u64,
}

impl Walk {
    /// Where the sibling of this node belongs; then goes up to their parent.
    fn up(&mut self) -> Result<Side, Error> {
        if self.last == 0 {
            return Err(Error::Length);
        }
        let side = if self.node & 1 == 1 || self.node == self.last {
            // The last node of its row has no sibling until it is a right child.
            self.skip(self.node.trailing_zeros());
            Side::Left
        } else {
            Side::Right
        };
        self.skip(1);
        Ok(side)
    }

    fn skip(&mut self, rows: u32) {
        self.node >>= rows;
        self.last >>= rows;
    }

    fn end(&self) -> Result<(), Error> {
        if self.last == 0 { Ok(()) } else { Err(Error::Length) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tiles::{consistency_proof, inclusion_proof};
    use super::*;

    /// The reference tree of Certificate Transparency (google/certificate-transparency,
    /// `merkle_tree_test.cc`).
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];

    /// Its roots from 0 leaves to 8; a transcription of RFC 6962, section 2.1, into Python with
    /// hashlib gives the same.
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn hashes(hex: &[&str]) -> Vec<Hash> {
        hex.iter().map(|hex| Hash::from_hex(hex).unwrap()).collect()
    }

    fn head(size: u64) -> TreeHead {
        let root = hashes(&ROOTS)[usize::try_from(size).unwrap()];
        TreeHead { size, root }
    }

    /// All eight leaves are in one tile.
    fn tile() -> Vec<Hash> {
        LEAVES.iter().map(|data| leaf(data)).collect()
    }

    #[test]
    fn the_reference_tree_has_its_known_roots() {
        let mut tree = Tree::default();
        assert_eq!(tree.head(), head(0));
        assert_eq!(TreeHead::empty(), head(0));
        for (size, data) in (1..).zip(LEAVES) {
            assert!(tree.append(leaf(data)).is_empty());
            assert_eq!(tree.head(), head(size));
        }
    }

    /// Proofs computed in Python from the definitions of RFC 6962, sections 2.1.1 and 2.1.2; the
    /// reference implementation's tests list the same.
    #[test]
    fn the_reference_tree_has_its_known_inclusion_proofs() {
        let check = |index: u64, size: u64, expected: &[&str]| {
            let proof = inclusion_proof(index, size, |_| Some(tile())).unwrap();
            assert_eq!(proof, hashes(expected), "of {index} in {size}");
            let leaf = leaf(LEAVES[usize::try_from(index).unwrap()]);
            assert_eq!(verify_inclusion(leaf, index, &proof, head(size)), Ok(()));
        };
        check(0, 1, &[]);
        check(
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        );
        check(
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        );
        check(2, 3, &[ROOTS[2]]);
        check(
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        );
    }

    #[test]
    fn the_reference_tree_has_its_known_consistency_proofs() {
        let check = |old: u64, new: u64, expected: &[&str]| {
            let proof = consistency_proof(old, new, |_| Some(tile())).unwrap();
            assert_eq!(proof, hashes(expected), "from {old} to {new}");
            assert_eq!(verify_consistency(head(old), head(new), &proof), Ok(()));
        };
        check(1, 1, &[]);
        check(
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        );
        check(
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        );
        check(
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        );
    }

    #[test]
    fn a_refusal_says_what_is_wrong() {
        let proof = inclusion_proof(5, 8, |_| Some(tile())).unwrap();
        let included = |index, proof: &[Hash]| {
            verify_inclusion(leaf(LEAVES[5]), index, proof, head(8)).unwrap_err()
        };
        assert_eq!(included(8, &proof), Error::OutOfRange { index: 8, size: 8 });
        assert_eq!(included(4, &proof), Error::Root);
        assert_eq!(included(5, &proof[1..]), Error::Length);
        assert_eq!(included(5, &[&proof[..], &proof[..1]].concat()), Error::Length);
        assert!(inclusion_proof(0, 0, |_| Some(tile())).is_err());

        let proof = consistency_proof(3, 7, |_| Some(tile())).unwrap();
        let follows = |old, new, proof: &[Hash]| verify_consistency(old, new, proof).unwrap_err();
        assert_eq!(follows(head(7), head(3), &proof), Error::Shrunk { old: 7, new: 3 });
        assert_eq!(follows(head(3), head(7), &[]), Error::Length);
        let other = TreeHead { size: 3, root: head(4).root };
        assert_eq!(follows(other, head(7), &proof), Error::OldRoot);
        let other = TreeHead { size: 7, root: head(6).root };
        assert_eq!(follows(head(3), other, &proof), Error::Root);
        let other = TreeHead { size: 7, root: head(6).root };
        assert_eq!(follows(other, head(7), &[]), Error::OldRoot);
        assert_eq!(follows(head(7), head(7), &proof), Error::Length);
        assert_eq!(follows(head(0), head(7), &proof), Error::Length);
        assert_eq!(verify_consistency(head(0), head(7), &[]), Ok(()));
        let other = TreeHead { size: 0, root: head(1).root };
        assert_eq!(follows(other, head(7), &[]), Error::OldRoot);
        assert_eq!(follows(head(0), other, &[]), Error::OldRoot);
        assert_eq!(follows(other, other, &[]), Error::OldRoot);
        assert_eq!(verify_consistency(head(0), head(0), &[]), Ok(()));
        assert!(consistency_proof(7, 3, |_| Some(tile())).is_err());
    }
}
