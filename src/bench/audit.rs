//! What proof costs: a database of a million records verified, and the receipts of its runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use genie_core::audit::receipt;
use genie_core::runs::Query;
use genie_core::{Agent, Tenant};
use genie_store::{Mode, Options, open};

use super::durable::tempdir;
use super::finance::load;
use super::{Bench, Effort, Figure, percentile_ms};
use crate::auditor::inspect::{Known, inspect};
use crate::auditor::keys::{self, KeyFile};
use crate::auditor::proofs;
use crate::config::Config;
use crate::storage::Storage;

/// Records of the database, with the usual five seconds of effort, and with none.
const RECORDS: u64 = 1_000_000;
const RECORDS_MIN: u64 = 1_000;

/// Receipts that are made and checked.
const RECEIPTS: usize = 200;

/// Fills a database with finance runs, then verifies it and proves the ends of some of them.
pub(super) async fn proofs(
    effort: Effort,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<Vec<Figure>> {
    let wanted = (RECORDS / 5 * effort.seconds).max(RECORDS_MIN);
    let directory = tempdir()?;
    let storage = Storage::Directory(directory.0.join("data"));
    let config = Config { storage: storage.clone(), ..Config::default() };
    let bench = Arc::new(Bench::start(agents, |config| config.storage = storage).await?);
    let filling = bench.clone();
    let more = move || filling.running.kernel().head().seq < wanted;
    load(bench.clone(), more).await?;
    // Signs what was written.
    bench.running.drain().await;

    let missing = || anyhow::anyhow!("the benchmark has no database");
    let location = config.storage.location().ok_or_else(missing)?;
    let key = KeyFile::at(config.checkpoint_key().ok_or_else(missing)?);
    let options = Options { sealing: config.sealing(), ..Options::default() };
    let store = open(&location, Mode::Look, options).await?;
    let known = Known { keys: key.trusted()?, ..Known::default() };
    let mut verified = Vec::new();
    let mut records = 0;
    for _ in 0..3 {
        let started = Instant::now();
        records = inspect(&store.checkpoints, &known, |_, _| {}).await?.records;
        verified.push(started.elapsed().as_secs_f64());
    }
    verified.sort_by(f64::total_cmp);

    let query = Query { limit: RECEIPTS, ..Query::default() };
    let runs = store.runs.list(&Tenant::of_operator(&*store.runs, "bench"), &query).await?;
    let (mut made, mut checked, mut largest) = (Vec::new(), Vec::new(), 0);
    for run in runs {
        let started = Instant::now();
        let receipt = proofs::receipt(&store.checkpoints, run.run_id).await?.to_text();
        made.push(started.elapsed());
        largest = largest.max(receipt.len());
        let trusted = keys::for_chain(&known.keys, 1);
        let started = Instant::now();
        receipt::check(&receipt, &trusted)?;
        checked.push(started.elapsed());
    }
    store.close().await?;
    Ok(figures(records, &verified, (made, checked, largest)))
}

fn figures(
    records: u64,
    verified: &[f64],
    (mut made, mut checked, largest): (Vec<Duration>, Vec<Duration>, usize),
) -> Vec<Figure> {
    made.sort_unstable();
    checked.sort_unstable();
    let median = verified.get(verified.len() / 2).copied().unwrap_or_default();
    // A few runs are at work when the last of the million is written.
    let million = median * RECORDS as f64 / records as f64;
    vec![
        Figure::new("a million records verified", million, "s").at_most(5.0),
        Figure::new("a receipt made, p50", percentile_ms(&made, 50), "ms").at_most(5.0),
        Figure::new("a receipt made, p99", percentile_ms(&made, 99), "ms"),
        Figure::new("a receipt checked, p50", percentile_ms(&checked, 50), "ms").at_most(1.0),
        Figure::new("the largest receipt", largest as f64 / 1_024.0, "KiB").at_most(4.0),
    ]
}
