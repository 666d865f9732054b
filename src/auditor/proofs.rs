//! Receipts, proofs that a log only grew, and journal files, from a database.

use std::io::Write;

use genie_core::audit::checkpoint::Checkpoint;
use genie_core::audit::keys::VerifierKey;
use genie_core::audit::merkle::{TreeHead, verify_consistency};
use genie_core::audit::receipt::{self, Receipt};
use genie_core::audit::tiles::Plan;
use genie_core::ids::RunId;
use genie_core::journal::chain::{Hash, Head};
use genie_core::journal::lines;
use genie_core::journal::restore::{Corrupt, Row, restore};
use genie_core::journal::{Entry, Record};
use genie_store::{AuditError, Checkpoints};

use super::log;

/// Records that are read at once.
const PAGE: u64 = 1_024;

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] AuditError),
    /// The log.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// A record is not as it was written.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The receipt cannot be put together.
    #[error(transparent)]
    Receipt(#[from] receipt::Error),
    /// There is no such run.
    #[error("there is no run `{0}` here; `genie runs list` shows those that are")]
    NoRun(RunId),
    /// The run goes on.
    #[error("run `{0}` has not ended; a receipt proves how a run ended")]
    Open(RunId),
    /// How it ended was erased.
    #[error(
        "how run `{0}` ended was erased with the data of whoever asked for it; a receipt from \
         before the erasure still proves it, a new one cannot be made"
    )]
    Erased(RunId),
    /// No checkpoint covers the run.
    #[error("no checkpoint covers the end of run `{0}` yet; `genie audit checkpoint` signs one")]
    Uncovered(RunId),
    /// The file cannot be written.
    #[error("cannot write the journal")]
    Write(#[from] std::io::Error),
}

/// The receipt of a run that has ended, under the latest checkpoint.
pub(crate) async fn receipt(store: &Checkpoints, run: RunId) -> Result<Receipt, Error> {
    let places = store.places(run).await?;
    let &(chain, end) = places.last().ok_or(Error::NoRun(run))?;
    let rows = store.rows(chain, end.saturating_sub(2), 2).await?;
    let records = restore(rows)?;
    let [outcome, last] = records.as_slice() else { return Err(Error::Open(run)) };
    if outcome.entry.is_erased() {
        return Err(Error::Erased(run));
    }
    if !ends(outcome, last, run) {
        return Err(Error::Open(run));
    }
    let signed = store.latest_checkpoint(chain).await?;
    let signed = signed.filter(|signed| signed.size >= end).ok_or(Error::Uncovered(run))?;
    let plan = Plan::inclusion(end - 1, signed.size).map_err(log::Error::from)?;
    let proof = log::prove(store, chain, &plan).await?;
    Ok(Receipt::new([outcome, last], proof, signed.note)?)
}

fn ends(outcome: &Record, last: &Record, run: RunId) -> bool {
    matches!(&outcome.entry, Entry::Outcome { run_id, .. } if *run_id == run)
        && matches!(&last.entry, Entry::RunEnd { run_id, .. } if *run_id == run)
}

/// The chain of a run's last record.
pub(crate) async fn chain_of(store: &Checkpoints, run: RunId) -> Result<i64, Error> {
    let places = store.places(run).await?;
    places.last().map(|(chain, _)| *chain).ok_or(Error::NoRun(run))
}

/// That a log only grew: the older tree, the newer checkpoint and the proof between them.
pub(crate) struct Growth {
    pub(crate) old: TreeHead,
    pub(crate) new: TreeHead,
    pub(crate) note: String,
    pub(crate) proof: Vec<Hash>,
    /// Why the newer log does not continue the older one, if it does not.
    pub(crate) refused: Option<String>,
}

/// Proves the latest checkpoint of a chain consistent with an older one; `None` if the chain has
/// none that a trusted key has signed.
pub(crate) async fn growth(
    store: &Checkpoints,
    chain: i64,
    old: &Checkpoint,
    trusted: &[VerifierKey],
) -> Result<Option<Growth>, Error> {
    let Some(latest) = store.latest_checkpoint(chain).await? else { return Ok(None) };
    let signed = Checkpoint::open(&latest.note, trusted).map_err(log::Error::from)?;
    let (old, new, note) = (old.tree, signed.tree, latest.note);
    let plan = match Plan::consistency(old.size, new.size) {
        Ok(plan) => plan,
        Err(error) => {
            let refused = Some(error.to_string());
            return Ok(Some(Growth { old, new, note, proof: Vec::new(), refused }));
        }
    };
    let proof = log::prove(store, chain, &plan).await?;
    let refused = verify_consistency(old, new, &proof).err().map(|error| error.to_string());
    Ok(Some(Growth { old, new, note, proof, refused }))
}

/// How much was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Exported {
    pub(crate) records: u64,
    pub(crate) head: Option<(i64, Head)>,
}

/// Writes every record of every chain.
pub(crate) async fn export(store: &Checkpoints, out: &mut impl Write) -> Result<Exported, Error> {
    let mut writer = Exporter { out, exported: Exported::default() };
    for chain in store.chains().await? {
        let mut after = 0;
        loop {
            let rows = store.rows(chain.chain, after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.seq;
            for row in rows {
                writer.row(chain.chain, &row)?;
            }
        }
    }
    Ok(writer.exported)
}

/// Writes the records of one run, and where they stand among those of others.
pub(crate) async fn export_run(
    store: &Checkpoints,
    run: RunId,
    out: &mut impl Write,
) -> Result<Exported, Error> {
    let places = store.places(run).await?;
    if places.is_empty() {
        return Err(Error::NoRun(run));
    }
    let mut writer = Exporter { out, exported: Exported::default() };
    // Runs of neighbouring records are read at once.
    for (first, last) in neighbours(&places) {
        let (chain, start) = first;
        let rows = store.rows(chain, start - 1, last - start + 1).await?;
        for row in rows {
            writer.row(chain, &row)?;
        }
    }
    Ok(writer.exported)
}

/// Joins places that follow each other: the first of each with the number of its last.
pub(super) fn neighbours(places: &[(i64, u64)]) -> Vec<((i64, u64), u64)> {
    let mut spans: Vec<((i64, u64), u64)> = Vec::new();
    for (chain, seq) in places {
        match spans.last_mut() {
            Some(((held, start), last))
                if held == chain && *last + 1 == *seq && *seq - *start < PAGE =>
            {
                *last = *seq;
            }
            _ => spans.push(((*chain, *seq), *seq)),
        }
    }
    spans
}

struct Exporter<'a, W> {
    out: &'a mut W,
    exported: Exported,
}

impl<W: Write> Exporter<'_, W> {
    fn row(&mut self, chain: i64, row: &Row) -> Result<(), Error> {
        let expected = self.exported.head.unwrap_or((1, Head::EMPTY));
        if (chain, row.seq) != (expected.0, expected.1.seq + 1) {
            let before = Head { seq: row.seq - 1, hash: row.prev_hash };
            lines::write_after(chain, before, self.out)?;
        }
        lines::write_row(row, self.out)?;
        self.exported.records += 1;
        self.exported.head = Some((chain, Head { seq: row.seq, hash: row.hash }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_next_to_each_other_are_read_together() {
        let spans = neighbours(&[(1, 4), (1, 5), (1, 7), (2, 8), (2, 9)]);
        assert_eq!(spans, [((1, 4), 5), ((1, 7), 7), ((2, 8), 9)]);
        let long: Vec<(i64, u64)> = (1..=PAGE + 1).map(|seq| (1, seq)).collect();
        assert_eq!(neighbours(&long).len(), 2);
    }
}
