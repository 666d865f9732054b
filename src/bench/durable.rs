//! What durability costs: the finance pipeline with memory, SQLite and PostgreSQL side by side.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use genie_agents::finance::domain::generate::SAMPLE_TEN_ROWS;
use genie_core::Agent;

use super::finance::{QUESTION, load};
use super::{Bench, Effort, Figure, percentile_ms, question};
use crate::storage::Storage;

/// Runs that are asked for one after the other.
const LONE: u32 = 400;

/// A small append, and half of what a lone run records, sealed: the budget has two syncs for it.
const SMALL_BYTES: usize = 4 << 10;
const HALF_BYTES: usize = 35 << 9;

/// The names of one store's figures.
struct Names {
    rate: &'static str,
    p99: &'static str,
    lone: &'static str,
}

const MEMORY: Names = Names {
    rate: "finance runs, memory",
    p99: "finance run, memory, p99",
    lone: "a lone finance run, memory, p50",
};
const SQLITE: Names = Names {
    rate: "durable finance runs, SQLite",
    p99: "durable finance run, SQLite, p99",
    lone: "a lone durable finance run, SQLite, p50",
};
const POSTGRES: Names = Names {
    rate: "durable finance runs, PostgreSQL",
    p99: "durable finance run, PostgreSQL, p99",
    lone: "a lone durable finance run, PostgreSQL, p50",
};

pub(super) async fn side_by_side(
    effort: Effort,
    agents: &'static [&'static dyn Agent],
    storage: &Storage,
) -> anyhow::Result<Vec<Figure>> {
    let directory = tempdir()?;
    let mut disk = Disk::new(&directory.0)?;
    let mut stores = vec![
        Store::start(agents, Storage::Memory, MEMORY).await?,
        Store::start(agents, Storage::Directory(directory.0.join("data")), SQLITE).await?,
    ];
    if matches!(storage, Storage::Database(_)) {
        stores.push(Store::start(agents, storage.clone(), POSTGRES).await?);
    }
    let mut loads = Vec::new();
    for store in &stores {
        loads.push(store.load(effort).await?);
    }
    // Each in turn, with what the load has left there: what the hour does to one it does to all.
    for _ in 0..LONE {
        for store in &mut stores {
            store.one().await?;
        }
        disk.sync()?;
    }
    let [small, half] = disk.p50_ms();
    let mut figures = vec![
        Figure::new("one fsync of a small append, p50", small, "ms"),
        Figure::new("one fsync of half of a run's records, p50", half, "ms"),
    ];
    let mut memory = None;
    for (store, [mut rate, p99]) in stores.into_iter().zip(loads) {
        let mut lone = store.end().await;
        if store.names.rate == SQLITE.rate {
            rate = rate.at_least(2_000.0);
            // As much as in memory, and two syncs of what it records.
            lone = lone.at_most(memory.unwrap_or_default() + 2.0 * half);
        }
        memory = memory.or(Some(lone.value));
        figures.extend([rate, p99, lone]);
    }
    Ok(figures)
}

/// One way to keep the journal.
struct Store {
    names: Names,
    bench: Arc<Bench>,
    took: Vec<Duration>,
}

impl Store {
    async fn start(
        agents: &'static [&'static dyn Agent],
        storage: Storage,
        names: Names,
    ) -> anyhow::Result<Self> {
        let bench = Arc::new(Bench::start(agents, |config| config.storage = storage).await?);
        Ok(Self { names, bench, took: Vec::new() })
    }

    async fn load(&self, effort: Effort) -> anyhow::Result<[Figure; 2]> {
        let started = Instant::now();
        let until = Duration::from_secs(effort.seconds);
        let took = load(self.bench.clone(), move || started.elapsed() < until).await?;
        let rate = took.len() as f64 / started.elapsed().as_secs_f64();
        let p99 = percentile_ms(&took, 99);
        Ok([Figure::new(self.names.rate, rate, "/s"), Figure::new(self.names.p99, p99, "ms")])
    }

    /// A run that is alone.
    async fn one(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let ask = question(QUESTION, SAMPLE_TEN_ROWS.into());
        let asked = self.bench.running.kernel().ask(&self.bench.principal, ask).await?;
        let outcome = asked.outcome().await;
        anyhow::ensure!(outcome.name() == "completed", "a run ended as {outcome:?}");
        self.took.push(started.elapsed());
        Ok(())
    }

    async fn end(&self) -> Figure {
        self.bench.running.drain().await;
        let mut took = self.took.clone();
        took.sort_unstable();
        Figure::new(self.names.lone, percentile_ms(&took, 50), "ms")
    }
}

/// A directory that is removed in the end, on the disk of the working directory: a temporary
/// directory may be in memory, where a sync costs nothing.
pub(super) struct Directory(pub(super) std::path::PathBuf);

pub(super) fn tempdir() -> std::io::Result<Directory> {
    let path = std::env::current_dir()?.join(format!(".genie-bench-{}", std::process::id()));
    std::fs::create_dir_all(&path)?;
    Ok(Directory(path))
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is left for whoever looks.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How long this disk takes to make an append durable. Measured between the runs in memory, since a
/// run syncs after other work, too: right behind another sync, one takes up to a third less.
struct Disk {
    file: std::fs::File,
    took: [Vec<Duration>; 2],
}

impl Disk {
    fn new(directory: &Path) -> std::io::Result<Self> {
        let file = std::fs::File::create(directory.join("fsync"))?;
        Ok(Self { file, took: [Vec::new(), Vec::new()] })
    }

    /// One sync, of either size in turn.
    fn sync(&mut self) -> std::io::Result<()> {
        let [small, half] = &mut self.took;
        let (bytes, took) =
            if small.len() > half.len() { (HALF_BYTES, half) } else { (SMALL_BYTES, small) };
        let content = vec![7; bytes];
        let started = Instant::now();
        self.file.write_all(&content)?;
        self.file.sync_data()?;
        took.push(started.elapsed());
        Ok(())
    }

    fn p50_ms(self) -> [f64; 2] {
        self.took.map(|mut took| {
            took.sort_unstable();
            percentile_ms(&took, 50)
        })
    }
}
