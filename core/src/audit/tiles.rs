//! The stored form of the tree, and proofs read from it: tiles of 256 hashes.
//!
//! Tile `n` of level `l` holds the nodes `256 n` to `256 n + 255` of the row `8 l` rows above the
//! leaves, as in C2SP tlog-tiles (<https://c2sp.org/tlog-tiles>). A complete tile never changes.
//! At the right edge each level has at most one incomplete tile, which grows.
//!
//! A store keeps the complete tiles and, for each checkpoint, the incomplete ones; a wider version
//! may replace a narrower one, since proofs take from a tile only what their tree had.

use std::collections::{BTreeMap, BTreeSet};

use super::merkle::{Error, node, perfect};
use crate::journal::chain::Hash;

/// Rows of the tree within a tile.
pub(super) const TILE_HEIGHT: u32 = 8;

/// Hashes in a complete tile.
pub const TILE_WIDTH: usize = 1 << TILE_HEIGHT;

/// Which tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 for leaf hashes; each level above has a hash for each complete tile below.
    pub level: u8,
    /// Position within the level, from 0.
    pub index: u64,
}

/// A tile with its hashes, from 1 to 256 of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Which.
    pub id: TileId,
    /// Its hashes, left to right.
    pub hashes: Vec<Hash>,
}

impl TileId {
    /// How many hashes the tile has in a tree of `size` leaves.
    #[must_use]
    pub fn width(self, size: u64) -> usize {
        let before = self.index.saturating_mul(TILE_WIDTH as u64);
        let rest = row(size, self.level).saturating_sub(before);
        usize::try_from(rest).map_or(TILE_WIDTH, |rest| rest.min(TILE_WIDTH))
    }

    /// The tile at the right edge of each level, lowest first; its width is 0 if the one before it
    /// is complete.
    pub fn edge_of(size: u64) -> impl Iterator<Item = Self> {
        let rows = (0_u8..8).take_while(move |level| row(size, *level) > 0);
        rows.map(move |level| Self { level, index: row(size, level) >> TILE_HEIGHT })
    }
}

impl Tile {
    /// The hashes one after the other, 32 bytes each, as tlog-tiles has them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|hash| hash.0).collect()
    }

    /// The hashes in the bytes of a tile; nothing if there are none, too many or half a one.
    #[must_use]
    pub fn hashes_in(bytes: &[u8]) -> Option<Vec<Hash>> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        let sound = rest.is_empty() && (1..=TILE_WIDTH).contains(&hashes.len());
        sound.then(|| hashes.iter().copied().map(Hash).collect())
    }
}

/// How many complete nodes a tree of `size` leaves has in the bottom row of a level.
fn row(size: u64, level: u8) -> u64 {
    size.checked_shr(TILE_HEIGHT * u32::from(level)).unwrap_or(0)
}

/// The tiles that become complete when a tree of `old` leaves grows to `new`, lowest level first.
pub fn completed(old: u64, new: u64) -> impl Iterator<Item = TileId> {
    (0_u8..8).flat_map(move |level| {
        let complete = |size| row(size, level) >> TILE_HEIGHT;
        (complete(old)..complete(new)).map(move |index| TileId { level, index })
    })
}

/// The proof that the leaf `index` is in the tree of `size` leaves, from the leaf upwards.
///
/// # Errors
/// [`Error::OutOfRange`], or [`Error::Tile`] if `read` does not give what is needed.
pub fn inclusion_proof(
    index: u64,
    size: u64,
    read: impl Fn(TileId) -> Option<Vec<Hash>>,
) -> Result<Vec<Hash>, Error> {
    Plan::inclusion(index, size)?.read(read)
}

/// The proof that the tree of `new` leaves is that of `old` leaves with others added.
///
/// # Errors
/// [`Error::Shrunk`], or [`Error::Tile`] if `read` does not give what is needed.
pub fn consistency_proof(
    old: u64,
    new: u64,
    read: impl Fn(TileId) -> Option<Vec<Hash>>,
) -> Result<Vec<Hash>, Error> {
    Plan::consistency(old, new)?.read(read)
}

/// What a proof is made of, known before anything is read: a store that cannot be read on the spot
/// fetches [`Self::tiles`] first.
#[derive(Debug, Clone)]
pub struct Plan {
    /// For each hash of the proof, the leaves that it stands for.
    spans: Vec<Span>,
}

/// Consecutive leaves below one node: `start` is a multiple of the power of two from `len` up.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    len: u64,
}

impl Plan {
    /// For `PATH(index, D[0:size])` of RFC 6962, section 2.1.1.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn inclusion(index: u64, size: u64) -> Result<Self, Error> {
        if index >= size {
            return Err(Error::OutOfRange { index, size });
        }
        let mut span = Span { start: 0, len: size };
        let mut spans = Vec::new();
        while span.len > 1 {
            let (left, right) = span.halves();
            let (inside, sibling) = if index < right.start { (left, right) } else { (right, left) };
            spans.push(sibling);
            span = inside;
        }
        spans.reverse();
        Ok(Self { spans })
    }

    /// For `PROOF(old, D[0:new])` of RFC 6962, section 2.1.2; empty for an empty old tree.
    ///
    /// # Errors
    /// [`Error::Shrunk`].
    pub fn consistency(old: u64, new: u64) -> Result<Self, Error> {
        if old > new {
            return Err(Error::Shrunk { old, new });
        }
        let mut span = Span { start: 0, len: new };
        let mut spans = Vec::new();
        while old > 0 && span.start + span.len > old {
            let (left, right) = span.halves();
            let (inside, sibling) = if old <= right.start { (left, right) } else { (right, left) };
            spans.push(sibling);
            span = inside;
        }
        if old > 0 && span.start > 0 {
            // The last subtree of the old tree; where that is the whole tree, its root is known.
            spans.push(span);
        }
        spans.reverse();
        Ok(Self { spans })
    }

    /// The tiles that hold the hashes.
    #[must_use]
    pub fn tiles(&self) -> BTreeSet<TileId> {
        let subtrees = self.spans.iter().flat_map(|span| span.subtrees());
        subtrees.map(|subtree| subtree.place().0).collect()
    }

    /// The proof, with each tile read once.
    ///
    /// # Errors
    /// [`Error::Tile`] if `read` does not give what is needed.
    pub fn read(&self, read: impl Fn(TileId) -> Option<Vec<Hash>>) -> Result<Vec<Hash>, Error> {
        let tiles: BTreeMap<TileId, Vec<Hash>> =
            self.tiles().into_iter().map(|id| (id, read(id).unwrap_or_default())).collect();
        self.spans.iter().map(|span| span.hash(&tiles)).collect()
    }
}

impl Span {
    /// The two sides of its topmost node; it has at least two leaves.
    fn halves(self) -> (Self, Self) {
        let left = 1 << (self.len - 1).ilog2();
        let right = Self { start: self.start + left, len: self.len - left };
        (Self { start: self.start, len: left }, right)
    }

    /// The perfect subtrees that it consists of, smallest and rightmost first.
    fn subtrees(self) -> impl Iterator<Item = Subtree> {
        let mut rest = self.len;
        std::iter::from_fn(move || {
            let height = (rest > 0).then(|| rest.trailing_zeros())?;
            rest &= rest - 1;
            Some(Subtree { height, index: (self.start + rest) >> height })
        })
    }

    fn hash(self, tiles: &BTreeMap<TileId, Vec<Hash>>) -> Result<Hash, Error> {
        let mut root = None;
        for subtree in self.subtrees() {
            let (tile, hashes) = subtree.place();
            let found = tiles.get(&tile).map_or(&[][..], Vec::as_slice);
            let missing = || Error::Tile { tile, found: found.len(), needed: hashes.end };
            let left = perfect(found.get(hashes.clone()).ok_or_else(missing)?);
            root = Some(root.map_or(left, |right| node(left, right)));
        }
        Ok(root.unwrap_or_else(|| perfect(&[])))
    }
}

/// A node over `2^height` leaves: the `index`-th in its row.
#[derive(Debug, Clone, Copy)]
struct Subtree {
    height: u32,
    index: u64,
}

impl Subtree {
    /// The tile that it is in, and which hashes there it is the root of.
    fn place(self) -> (TileId, std::ops::Range<usize>) {
        let within = self.height % TILE_HEIGHT;
        let first = self.index << within;
        let level = u8::try_from(self.height / TILE_HEIGHT).unwrap_or(u8::MAX);
        let start = usize::try_from(first % TILE_WIDTH as u64).unwrap_or(0);
        (TileId { level, index: first >> TILE_HEIGHT }, start..start + (1 << within))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::merkle::{Tree, TreeHead, leaf, verify_consistency, verify_inclusion};
    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|number| leaf(&number.to_be_bytes())).collect()
    }

    /// `MTH` of RFC 6962, section 2.1, word for word.
    fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of(b""),
            [only] => *only,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node(mth(left), mth(right))
            }
        }
    }

    /// What a store does: keeps the complete tiles, and overwrites the incomplete ones.
    #[derive(Default)]
    struct Store(HashMap<TileId, Vec<Hash>>);

    impl Store {
        fn of(leaves: &[Hash]) -> (Self, Tree) {
            let (mut store, mut tree) = (Self::default(), Tree::default());
            for leaf in leaves {
                store.keep(tree.append(*leaf));
            }
            store.keep(tree.incomplete());
            (store, tree)
        }

        fn keep(&mut self, tiles: impl IntoIterator<Item = Tile>) {
            self.0.extend(tiles.into_iter().map(|tile| (tile.id, tile.hashes)));
        }

        fn read(&self, id: TileId) -> Option<Vec<Hash>> {
            self.0.get(&id).cloned()
        }

        fn head(&self, size: u64) -> TreeHead {
            let whole = Span { start: 0, len: size };
            let tiles = self.0.iter().map(|(id, hashes)| (*id, hashes.clone())).collect();
            TreeHead { size, root: whole.hash(&tiles).unwrap() }
        }
    }

    /// All pairs up to 80 leaves; beyond, every 40th partner of each size and those at the edges of
    /// tiles, since a proof over hundreds of leaves hashes them all.
    #[test]
    fn every_proof_between_small_trees_holds_and_the_roots_are_those_of_the_rfc() {
        let all = leaves(600);
        let (store, mut heads) = (Store::of(&all).0, vec![TreeHead::empty()]);
        let mut tree = Tree::default();
        for leaf in &all {
            tree.append(*leaf);
            heads.push(tree.head());
        }
        for (size, new) in heads.iter().enumerate() {
            assert_eq!(new.root, mth(&all[..size]), "root of {size}");
            let edges = [254, 255, 256, 257, 511, 512, size.saturating_sub(1), size];
            let chosen = |other: &usize| size <= 80 || (size + other).is_multiple_of(40);
            for other in (0..=size).filter(|other| chosen(other) || edges.contains(other)) {
                let proof = consistency_proof(other as u64, new.size, |id| store.read(id)).unwrap();
                verify_consistency(heads[other], *new, &proof).unwrap();
                if other < size {
                    let index = other as u64;
                    let proof = inclusion_proof(index, new.size, |id| store.read(id)).unwrap();
                    verify_inclusion(all[other], index, &proof, *new).unwrap();
                }
            }
        }
    }

    #[test]
    fn no_proof_holds_with_a_bit_flipped_or_a_hash_more_or_less() {
        let all = leaves(37);
        let (store, tree) = Store::of(&all);
        let new = tree.head();
        for size in 1..=new.size {
            let old = store.head(size);
            let proof = consistency_proof(size, new.size, |id| store.read(id)).unwrap();
            for wrong in wrong_proofs(&proof) {
                assert!(verify_consistency(old, new, &wrong).is_err(), "from {size}");
            }
            for flipped in flips(old.root) {
                assert!(
                    verify_consistency(TreeHead { root: flipped, ..old }, new, &proof).is_err()
                );
            }
            for flipped in flips(new.root) {
                assert!(
                    verify_consistency(old, TreeHead { root: flipped, ..new }, &proof).is_err()
                );
            }
            let index = size - 1;
            let leaf = all[usize::try_from(index).unwrap()];
            let proof = inclusion_proof(index, new.size, |id| store.read(id)).unwrap();
            for wrong in wrong_proofs(&proof) {
                assert!(verify_inclusion(leaf, index, &wrong, new).is_err(), "of {index}");
            }
            for other in (0..64).map(|bit| index ^ 1 << bit) {
                assert!(verify_inclusion(leaf, other, &proof, new).is_err(), "{index} as {other}");
            }
            for flipped in flips(new.root) {
                let tree = TreeHead { root: flipped, ..new };
                assert_eq!(verify_inclusion(leaf, index, &proof, tree), Err(Error::Root));
            }
            for flipped in flips(leaf) {
                assert_eq!(verify_inclusion(flipped, index, &proof, new), Err(Error::Root));
            }
        }
    }

    fn flips(hash: Hash) -> impl Iterator<Item = Hash> {
        (0..256).map(move |bit| {
            let mut flipped = hash;
            flipped.0[bit / 8] ^= 1 << (bit % 8);
            flipped
        })
    }

    /// Each bit flipped, each hash left out, doubled or swapped with the next, one too many.
    fn wrong_proofs(proof: &[Hash]) -> Vec<Vec<Hash>> {
        let mut wrong = Vec::new();
        for at in 0..proof.len() {
            for flipped in flips(proof[at]) {
                wrong.push(proof.to_vec());
                wrong.last_mut().unwrap()[at] = flipped;
            }
            let (mut less, mut more, mut swapped) =
                (proof.to_vec(), proof.to_vec(), proof.to_vec());
            less.remove(at);
            more.insert(at, proof[at]);
            wrong.extend([less, more]);
            if at + 1 < proof.len() {
                swapped.swap(at, at + 1);
                wrong.push(swapped);
            }
        }
        let mut more = proof.to_vec();
        more.push(Hash::ZERO);
        wrong.push(more);
        wrong
    }

    #[test]
    fn the_tiles_of_70_000_leaves_are_those_of_the_specification() {
        let all = leaves(70_000);
        let (mut store, mut tree) = (Store::default(), Tree::default());
        let mut complete = Vec::new();
        for leaf in &all {
            let tiles = tree.append(*leaf);
            complete.extend(tiles.iter().map(|tile| tile.id));
            store.keep(tiles);
        }
        store.keep(tree.incomplete());
        // Computed with Python's hashlib over the leaf data `n.to_bytes(8, "big")`.
        let root = "0759167a0f98e35e802d46ff7c7d29d2c3f03a63a256deb6abbff357a91b63b1";
        assert_eq!(tree.head().root.to_string(), root);
        // The example of C2SP tlog-tiles, section "Partial Tiles".
        let widths = |level: u8| -> Vec<usize> {
            let mut ids: Vec<&TileId> = store.0.keys().filter(|id| id.level == level).collect();
            ids.sort();
            ids.into_iter().map(|id| store.0[id].len()).collect()
        };
        let mut level_0 = vec![256; 273];
        level_0.push(112);
        assert_eq!(widths(0), level_0);
        assert_eq!(widths(1), [256, 17]);
        assert_eq!(widths(2), [1]);
        for (id, hashes) in &store.0 {
            assert_eq!(id.width(70_000), hashes.len(), "{id:?}");
        }
        complete.sort();
        assert_eq!(completed(0, 70_000).collect::<Vec<_>>(), complete);
    }

    #[test]
    fn a_tile_survives_its_bytes_and_nothing_else_is_one() {
        let tile = Tile { id: TileId { level: 0, index: 0 }, hashes: leaves(256) };
        let bytes = tile.to_bytes();
        assert_eq!(bytes.len(), 8_192);
        assert_eq!(Tile::hashes_in(&bytes), Some(tile.hashes.clone()));
        assert_eq!(Tile::hashes_in(&bytes[..64]), Some(tile.hashes[..2].to_vec()));
        assert_eq!(Tile::hashes_in(&bytes[..63]), None);
        assert_eq!(Tile::hashes_in(&[]), None);
        assert_eq!(Tile::hashes_in(&[0; 257 * 32]), None);
    }

    #[test]
    fn growth_completes_each_tile_once() {
        let of = |old, new| -> Vec<(u8, u64)> {
            completed(old, new).map(|id| (id.level, id.index)).collect()
        };
        assert_eq!(of(0, 255), []);
        assert_eq!(of(255, 256), [(0, 0)]);
        assert_eq!(of(256, 511), []);
        assert_eq!(of(65_535, 65_536), [(0, 255), (1, 0)]);
        assert_eq!(of(300, 1_024), [(0, 1), (0, 2), (0, 3)]);
        assert_eq!(of(1_024, 300), []);
    }

    #[test]
    fn a_missing_or_short_tile_is_named() {
        let (mut store, tree) = Store::of(&leaves(300));
        let id = TileId { level: 0, index: 1 };
        store.0.get_mut(&id).unwrap().pop();
        let short = Error::Tile { tile: id, found: 43, needed: 44 };
        let read = |id| store.read(id);
        assert_eq!(inclusion_proof(3, 300, read), Err(short.clone()));
        assert_eq!(Tree::resume(300, read).unwrap_err(), short);
        // A shorter tree does not need what is gone.
        assert!(inclusion_proof(3, 299, read).is_ok());
        assert!(Tree::resume(299, read).is_ok());
        assert_eq!(tree.head().size, 300);
        let missing = Error::Tile { tile: TileId { level: 0, index: 0 }, found: 0, needed: 1 };
        assert_eq!(inclusion_proof(1, 2, |_| None), Err(missing));
    }

    #[test]
    fn the_largest_sizes_do_not_overflow() {
        for (index, size) in [(0, u64::MAX), (u64::MAX - 1, u64::MAX), (1 << 63, u64::MAX)] {
            assert!(Plan::inclusion(index, size).unwrap().tiles().len() <= 16);
            assert!(Plan::consistency(index, size).unwrap().tiles().len() <= 16);
            assert!(Plan::consistency(size, size).unwrap().tiles().is_empty());
        }
        let full = |_| Some(vec![Hash::ZERO; TILE_WIDTH]);
        assert_eq!(Tree::resume(u64::MAX, full).unwrap().head().size, u64::MAX);
        assert_eq!(TileId { level: 255, index: u64::MAX }.width(u64::MAX), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn a_tree_that_is_resumed_from_tiles_goes_on_as_if_it_had_never_stopped(
            old in 0_usize..3_000, more in 0_usize..3_000,
            index in any::<proptest::sample::Index>(),
        ) {
            let all = leaves((old + more) as u64);
            let (mut store, before) = Store::of(&all[..old]);
            // Wider tiles than those of the old tree do no harm.
            if more % 2 == 0 {
                store = Store::of(&all).0;
            }
            let mut tree = Tree::resume(old as u64, |id| store.read(id)).unwrap();
            prop_assert_eq!(tree.head(), before.head());
            let mut seen = Vec::new();
            for leaf in &all[old..] {
                let tiles = tree.append(*leaf);
                seen.extend(tiles.iter().map(|tile| tile.id));
                store.keep(tiles);
            }
            store.keep(tree.incomplete());
            seen.sort();
            let grown: Vec<TileId> = completed(old as u64, (old + more) as u64).collect();
            prop_assert_eq!(grown, seen);
            let new = tree.head();
            prop_assert_eq!(new.root, mth(&all));
            let read = |id| store.read(id);
            let proof = consistency_proof(old as u64, new.size, read).unwrap();
            verify_consistency(before.head(), new, &proof).unwrap();
            if new.size > 0 {
                let index = index.index(all.len());
                let plan = Plan::inclusion(index as u64, new.size).unwrap();
                let tiles = plan.tiles();
                let fetched = |id| if tiles.contains(&id) { read(id) } else { None };
                let proof = plan.read(fetched).unwrap();
                verify_inclusion(all[index], index as u64, &proof, new).unwrap();
            }
        }

        /// Sizes at which three levels are at work, with made-up hashes in place of most tiles.
        #[test]
        fn proofs_in_trees_of_billions_hold(index in 0_u64..1 << 40, more in 1_u64..1 << 33) {
            let size = index + more;
            // A perfect tree of equal leaves has equal hashes in each row.
            let mut rows = vec![leaf(b"same")];
            for row in 0..64 {
                rows.push(node(rows[row], rows[row]));
            }
            let read = |id: TileId| {
                Some(vec![rows[usize::from(id.level) * 8]; id.width(size)])
            };
            let whole = |size| {
                let mut span = (Span { start: 0, len: size }).subtrees();
                let first = rows[span.next().unwrap().height as usize];
                span.fold(first, |right, left| node(rows[left.height as usize], right))
            };
            let head = TreeHead { size, root: whole(size) };
            let proof = inclusion_proof(index, size, read).unwrap();
            verify_inclusion(rows[0], index, &proof, head).unwrap();
            if index > 0 {
                let old = TreeHead { size: index, root: whole(index) };
                let proof = consistency_proof(index, size, read).unwrap();
                verify_consistency(old, head, &proof).unwrap();
            }
        }
    }
}
