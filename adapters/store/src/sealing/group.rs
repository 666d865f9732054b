//! Seals and packs what a transaction of the journal writes, just before it is written: what waits
//! in memory until then is in the clear there.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use genie_core::ids::RunId;

use super::cipher::{Failed, Nonces, Place};
use super::{Error, Sealer, Sealing};
use crate::group::{Content, Group, Row};
use crate::pack::{Pack, Packer};
use crate::pool::on;
use crate::rows;

/// Most subjects whose keys, and most runs whose subjects, are remembered.
const REMEMBERED_MAX: usize = 16_384;

/// Content when it is sealed, and the key.
pub(crate) type SealedContent = (Vec<u8>, i64);

/// What is sealed of a group.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    /// The rows of its records.
    pub(crate) packs: Vec<Pack>,
    /// One for each content of the group, with the key; `None` stays in the clear.
    pub(crate) contents: Vec<Option<SealedContent>>,
    /// The keys that it was done with: all of them must still be there when it is written.
    pub(crate) keys: Vec<i64>,
}

impl Sealed {
    /// Content with its columns when it is sealed.
    pub(crate) fn of_contents<'a>(
        &'a self,
        contents: &'a [Content],
    ) -> Vec<(&'a Content, Option<&'a SealedContent>)> {
        let sealed = self.contents.iter().map(Option::as_ref).chain(std::iter::repeat(None));
        contents.iter().zip(sealed).collect()
    }
}

type Subject = (Arc<str>, Arc<str>);

/// Seals the groups of one chain.
#[derive(Debug)]
pub(crate) struct GroupSealer {
    /// `None` where nothing is sealed.
    sealing: Option<Arc<Sealing>>,
    chain: i64,
    keys: HashMap<Subject, Sealer>,
    runs: HashMap<RunId, Subject>,
    nonces: Nonces,
}

impl GroupSealer {
    pub(crate) fn new(sealing: Option<Arc<Sealing>>, chain: i64) -> Self {
        let (keys, runs) = (HashMap::new(), HashMap::new());
        Self { sealing, chain, keys, runs, nonces: Nonces::default() }
    }

    /// Takes note that keys were erased by another process.
    pub(crate) fn forget(&mut self) {
        self.keys.clear();
    }

    /// Seals what may hold anything that somebody wrote.
    pub(crate) async fn seal(&mut self, group: &Group) -> Result<Sealed, Error> {
        let mut packer = Packer::after(group.before);
        let Some(sealing) = self.sealing.clone() else {
            group.rows.iter().try_for_each(|row| clear(&mut packer, row))?;
            let packs = packer.packs(group.after.seq);
            return Ok(Sealed { packs, ..Sealed::default() });
        };
        if self.keys.len() > REMEMBERED_MAX || self.runs.len() > REMEMBERED_MAX {
            self.keys.clear();
            self.runs.clear();
        }
        for change in &group.changes {
            if let Some(started) = &change.started {
                let subject = (started.tenant.clone(), started.subject.clone());
                self.runs.insert(change.run, subject);
            }
        }
        let sealers = if let Some(sealers) = self.of_runs(group) {
            sealers
        } else {
            // Rare, and large: in a place of its own it is not moved with every group.
            Box::pin(self.learn(&sealing, group)).await?;
            self.of_runs(group).ok_or_else(unknown)?
        };
        let mut sealed = Sealed::default();
        for row in &group.rows {
            if row.is_structure {
                clear(&mut packer, row)?;
                continue;
            }
            let key = sealers.get(&row.run).ok_or_else(unknown)?;
            let (chain, seq) = (self.chain, rows::number(row.seq));
            let place = Place::Record { chain, seq, run: row.run.0.as_bytes() };
            packer.add(row, Some(key.id), |there| {
                let text = (place, row.body.as_bytes());
                key.cipher.seal_onto(there, &mut self.nonces, &key.holder, text)
            })?;
        }
        sealed.packs = packer.packs(group.after.seq);
        for content in &group.contents {
            let subject = (content.tenant.clone(), content.subject.clone());
            let key = self.keys.get(&subject).ok_or_else(unknown)?;
            let place = Place::Blob { sha256: &content.sha256.0 };
            let text = &content.stored.content;
            let bytes = key.cipher.seal_next(&mut self.nonces, &key.holder, place, text)?;
            sealed.contents.push(Some((bytes, key.id)));
        }
        let of_rows = sealed.packs.iter().filter_map(|pack| pack.key_id);
        let of_contents = sealed.contents.iter().flatten().map(|(_, key)| *key);
        sealed.keys = of_rows.chain(of_contents).collect();
        sealed.keys.sort_unstable();
        sealed.keys.dedup();
        for change in group.changes.iter().filter(|change| !change.owned) {
            self.runs.remove(&change.run);
        }
        Ok(sealed)
    }

    /// Asks the database for the subjects and the keys that are not remembered.
    async fn learn(&mut self, sealing: &Sealing, group: &Group) -> Result<(), Error> {
        for row in group.rows.iter().filter(|row| !row.is_structure) {
            let subject = self.subject(sealing, row.run).await?;
            self.key(sealing, &subject).await?;
        }
        for content in &group.contents {
            self.key(sealing, &(content.tenant.clone(), content.subject.clone())).await?;
        }
        Ok(())
    }

    /// The keys of the runs that something is to be sealed of; `None` if one is not remembered, or
    /// one for content.
    fn of_runs(&self, group: &Group) -> Option<HashMap<RunId, Sealer>> {
        let mut sealers = HashMap::new();
        for row in group.rows.iter().filter(|row| !row.is_structure) {
            if let Entry::Vacant(place) = sealers.entry(row.run) {
                place.insert(self.keys.get(self.runs.get(&row.run)?)?.clone());
            }
        }
        let of_content = |content: &Content| (content.tenant.clone(), content.subject.clone());
        let knows = |content| self.keys.contains_key(&of_content(content));
        group.contents.iter().all(knows).then_some(sealers)
    }

    async fn key(&mut self, sealing: &Sealing, subject: &Subject) -> Result<(), Error> {
        if !self.keys.contains_key(subject) {
            let sealer = sealing.sealer(&subject.0, &subject.1).await?;
            self.keys.insert(subject.clone(), sealer);
        }
        Ok(())
    }

    /// Whose run it is; of one that began in an earlier group or process, the database knows.
    async fn subject(&mut self, sealing: &Sealing, run: RunId) -> Result<Subject, Error> {
        if let Some(subject) = self.runs.get(&run) {
            return Ok(subject.clone());
        }
        let sql = "SELECT tenant, subject FROM runs WHERE run_id = $1";
        let found: Option<(String, String)> = on!(&sealing.pools().write, pool => {
            sqlx::query_as(sql).bind(&run.0.as_bytes()[..]).fetch_optional(pool).await
        })?;
        let unknown = || Error::Cipher(format!("run {run} has no start, so that it is nobody's"));
        let (tenant, subject) = found.ok_or_else(unknown)?;
        let subject: Subject = (tenant.into(), subject.into());
        self.runs.insert(run, subject.clone());
        Ok(subject)
    }
}

/// Packs a record as it is.
fn clear(packer: &mut Packer, row: &Row) -> Result<(), Failed> {
    packer.add(row, None, |there| {
        there.extend(row.body.as_bytes());
        Ok(())
    })
}

fn unknown() -> Error {
    Error::Cipher("the key of a subject was not kept".to_owned())
}
