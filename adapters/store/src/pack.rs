//! How records lie in the database: those that one transaction writes of one run are one row.
//!
//! A row for each record costs more than the record itself: its parameters, its places in the
//! table and in the index, its share of the log. Runs write records by the dozen.

use std::collections::HashMap;
use std::sync::Arc;

use genie_core::ids::RunId;
use genie_core::journal::chain::{Hash, Head};
use sqlx::{ColumnIndex, Decode, FromRow, Type};

use crate::group::Row;
use crate::rows;

/// The columns that a row is written with.
macro_rules! written {
    () => {
        "chain, seq, until, run_id, number, key_id, sealed, meta, hashes, data"
    };
}
pub(crate) use written;

/// The columns of [`Index`].
macro_rules! index {
    () => {
        "chain, seq, number, meta, hashes"
    };
}
pub(crate) use index;

/// The columns of [`Packed`].
macro_rules! packed {
    () => {
        concat!($crate::pack::index!(), ", run_id, key_id, data")
    };
}
pub(crate) use packed;

/// The last row of a chain.
pub(crate) const LAST: &str =
    concat!("SELECT ", index!(), " FROM packs WHERE chain = $1 ORDER BY seq DESC LIMIT 1");

/// Of each record: the hash of the record before, its own, and that of its text.
const HASHES: usize = 3 * 32;

/// So many bytes of texts make a row full. Whoever wants one record reads the row.
const FULL: usize = 256 << 10;

/// What `meta` says of a record: its number in the chain, the bytes of its text in `data`, 1 if
/// that is sealed or erased, and its type; only what was in the clear may lack one.
type Meta<'a> = (u64, usize, u8, Option<&'a str>);

/// Records of one run, in its order, that are going to be a row.
#[derive(Debug)]
pub(crate) struct Pack {
    /// The number of the last of them in the chain.
    pub(crate) seq: u64,
    /// That of the last record which is written at once with them: the rows before have none
    /// beyond it, those behind it none before.
    pub(crate) until: u64,
    pub(crate) run: RunId,
    /// The number of the last of them in the run; the others are those before it.
    pub(crate) number: u64,
    /// What those that are sealed are sealed with, and how many they are.
    pub(crate) key_id: Option<i64>,
    pub(crate) sealed: u64,
    pub(crate) meta: String,
    pub(crate) hashes: Vec<u8>,
    pub(crate) data: Vec<u8>,
    /// What `meta` is going to say.
    said: Vec<(u64, usize, u8, Arc<str>)>,
}

/// Packs the records of a group.
#[derive(Debug)]
pub(crate) struct Packer {
    prev: Hash,
    /// Where more of a run's records go.
    open: HashMap<RunId, usize>,
    packs: Vec<Pack>,
}

impl Packer {
    /// For the records that follow `before`.
    pub(crate) fn after(before: Head) -> Self {
        Self { prev: before.hash, open: HashMap::new(), packs: Vec::new() }
    }

    /// The next record, whose text `put` adds to what is there: sealed, if a key is given.
    pub(crate) fn add<E>(
        &mut self,
        row: &Row,
        key: Option<i64>,
        put: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let follows = |pack: &Pack| {
            let same_key = pack.key_id.is_none() || key.is_none() || pack.key_id == key;
            same_key && pack.number + 1 == row.number && pack.data.len() < FULL
        };
        let at = self.open.get(&row.run).copied();
        let at = at.filter(|at| self.packs.get(*at).is_some_and(follows));
        let at = at.unwrap_or_else(|| {
            self.packs.push(Pack::new(row.run));
            self.open.insert(row.run, self.packs.len() - 1);
            self.packs.len() - 1
        });
        if let Some(pack) = self.packs.get_mut(at) {
            let before = pack.data.len();
            put(&mut pack.data)?;
            // The hash of a text in the clear follows from it.
            let of_text = if key.is_some() { row.sha256 } else { Hash::ZERO };
            pack.key_id = pack.key_id.or(key);
            let text = (pack.data.len() - before, key.is_some());
            let hashes = [self.prev, row.hash, of_text];
            pack.say((row.seq, row.number, row.kind.clone()), hashes, text);
        }
        self.prev = row.hash;
        Ok(())
    }

    /// The rows, in the order of their numbers in the chain.
    pub(crate) fn packs(self, until: u64) -> Vec<Pack> {
        let mut packs = self.packs;
        packs.sort_unstable_by_key(|pack| pack.seq);
        for pack in &mut packs {
            pack.until = until;
            pack.close();
        }
        packs
    }
}

impl Pack {
    fn new(run: RunId) -> Self {
        // A group may have as many of them as records, so that none takes more than it needs.
        let (meta, hashes, data, said) = (String::new(), Vec::new(), Vec::new(), Vec::new());
        Self { seq: 0, until: 0, run, number: 0, key_id: None, sealed: 0, meta, hashes, data, said }
    }

    /// Takes note of a record, whose text is in the data already.
    fn say(
        &mut self,
        (seq, number, kind): (u64, u64, Arc<str>),
        hashes: [Hash; 3],
        (length, is_sealed): (usize, bool),
    ) {
        self.said.push((seq, length, u8::from(is_sealed), kind));
        for hash in hashes {
            self.hashes.extend(hash.0);
        }
        self.sealed += u64::from(is_sealed);
        (self.seq, self.number) = (seq, number);
    }

    fn close(&mut self) {
        // Numbers and plain words are always JSON.
        self.meta = serde_json::to_string(&self.said).unwrap_or_default();
    }
}

/// What a row says of its records, as the database has it.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) chain: i64,
    /// The number of the last of them in the chain, and in the run.
    pub(crate) seq: i64,
    pub(crate) number: i64,
    meta: Vec<u8>,
    hashes: Vec<u8>,
}

/// A row as the database has it.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) index: Index,
    pub(crate) run_id: Vec<u8>,
    pub(crate) key_id: Option<i64>,
    data: Vec<u8>,
}

/// Bytes are taken as they are, even where there should be text: what was tampered with is handed
/// over.
fn bytes<'r, R>(row: &'r R, at: usize) -> Result<Vec<u8>, sqlx::Error>
where
    R: sqlx::Row,
    usize: ColumnIndex<R>,
    &'r [u8]: Decode<'r, R::Database>,
{
    Ok(row.try_get_unchecked::<&[u8], _>(at)?.to_vec())
}

impl<'r, R> FromRow<'r, R> for Index
where
    R: sqlx::Row,
    usize: ColumnIndex<R>,
    &'r [u8]: Decode<'r, R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let (chain, seq, number) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(Self { chain, seq, number, meta: bytes(row, 3)?, hashes: bytes(row, 4)? })
    }
}

impl<'r, R> FromRow<'r, R> for Packed
where
    R: sqlx::Row,
    usize: ColumnIndex<R>,
    &'r [u8]: Decode<'r, R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let (index, run_id) = (Index::from_row(row)?, bytes(row, 5)?);
        Ok(Self { index, run_id, key_id: row.try_get(6)?, data: bytes(row, 7)? })
    }
}

/// A record in a row.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) seq: u64,
    pub(crate) number: u64,
    pub(crate) prev_hash: Hash,
    pub(crate) hash: Hash,
    /// Of the text; zeros if that is in the clear.
    pub(crate) sha256: Hash,
    pub(crate) is_sealed: bool,
    pub(crate) kind: Option<&'a str>,
    length: usize,
}

/// Why a row is not as it was written, in a clause.
pub(crate) type Broken = &'static str;

impl Index {
    /// The records in the row.
    ///
    /// # Errors
    /// [`Broken`].
    pub(crate) fn parts(&self) -> Result<Vec<Part<'_>>, Broken> {
        let meta: Vec<Meta<'_>> = serde_json::from_slice(&self.meta)
            .map_err(|_| "lies in a row that does not say what is in it")?;
        if self.hashes.len() != meta.len() * HASHES {
            return Err("lies in a row that has not as many hashes as records");
        }
        if meta.last().map(|(seq, ..)| rows::number(*seq)) != Some(self.seq) {
            return Err("lies in a row that is filed under another record than its last");
        }
        if !meta.is_sorted_by(|(one, ..), (next, ..)| one < next) {
            return Err("lies in a row whose records are not in order");
        }
        // A number that is too small is what somebody has put there.
        let before = self.number.cast_unsigned().wrapping_sub(meta.len() as u64);
        let hashes = self.hashes.as_chunks::<32>().0.as_chunks::<3>().0;
        let mut parts = Vec::with_capacity(meta.len());
        for ((at, (seq, length, sealed, kind)), hashes) in (1..).zip(meta).zip(hashes) {
            let [prev_hash, hash, sha256] = hashes.map(Hash);
            let (number, is_sealed) = (before.wrapping_add(at), sealed != 0);
            parts.push(Part { seq, number, prev_hash, hash, sha256, is_sealed, kind, length });
        }
        Ok(parts)
    }

    /// The last of the records; its hash is zeros if the row is not as it was written.
    pub(crate) fn head(&self) -> Head {
        let hash = self.parts().ok().and_then(|parts| parts.last().map(|part| part.hash));
        Head { seq: self.seq.cast_unsigned(), hash: hash.unwrap_or(Hash::ZERO) }
    }
}

impl Packed {
    /// The records in the row, with the texts or what these were sealed as; nothing once erased.
    ///
    /// # Errors
    /// [`Broken`].
    pub(crate) fn parts(&self) -> Result<Vec<(Part<'_>, &[u8])>, Broken> {
        let (mut parts, mut data) = (Vec::new(), &self.data[..]);
        for part in self.index.parts()? {
            let Some((text, rest)) = data.split_at_checked(part.length) else {
                return Err("lies in a row that has less text than it says");
            };
            parts.push((part, text));
            data = rest;
        }
        if data.is_empty() {
            return Ok(parts);
        }
        Err("lies in a row that has more text than it says")
    }

    /// The row without the texts in the clear that somebody's are: those that `kind` gives the type
    /// of. With how many they are; `None` if there is none.
    pub(crate) fn emptied(&self, kind: impl Fn(&[u8]) -> Option<String>) -> Option<(Pack, u64)> {
        let run = rows::run_id(&self.run_id).unwrap_or(RunId(uuid::Uuid::nil()));
        let mut pack = Pack::new(run);
        pack.key_id = self.key_id;
        let mut count = 0;
        let Ok(parts) = self.parts() else {
            // It is nobody's evidence.
            return (!self.data.is_empty()).then_some((pack, 1));
        };
        for (part, text) in parts {
            let Part { seq, number, hash, prev_hash, sha256, is_sealed, .. } = part;
            let gone = if is_sealed { None } else { kind(text) };
            let of_text = if gone.is_some() { Hash::of(text) } else { sha256 };
            let (text, is_sealed) =
                if gone.is_some() { (&[][..], true) } else { (text, is_sealed) };
            count += u64::from(gone.is_some());
            let kind = gone.as_deref().or(part.kind).unwrap_or("unknown").into();
            pack.data.extend(text);
            pack.say((seq, number, kind), [prev_hash, hash, of_text], (text.len(), is_sealed));
        }
        pack.close();
        (count > 0).then_some((pack, count))
    }
}
