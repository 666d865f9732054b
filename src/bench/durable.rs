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
const LONE: u32 = 200;

/// A small append, and one of what a lone run records, sealed.
const SMALL_BYTES: usize = 4_096;
const RUN_BYTES: usize = 35 << 10;

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
    let fsync = fsync_ms(&directory.0, SMALL_BYTES)?;
    let of_run = fsync_ms(&directory.0, RUN_BYTES)?;
    let mut figures = vec![
        Figure::new("one fsync of a small append, p50", fsync, "ms"),
        Figure::new("one fsync of an append like a run, p50", of_run, "ms"),
    ];
    let memory = one(effort, agents, Storage::Memory, MEMORY).await?;
    let lone = memory[2].value;
    figures.extend(memory);
    let sqlite = Storage::Directory(directory.0.join("data"));
    let [rate, p99, durable] = one(effort, agents, sqlite, SQLITE).await?;
    figures.extend([
        rate.at_least(2_000.0),
        p99,
        // As much as in memory, and two syncs.
        durable.at_most(lone + 2.0 * fsync),
    ]);
    if matches!(storage, Storage::Database(_)) {
        figures.extend(one(effort, agents, storage.clone(), POSTGRES).await?);
    }
    Ok(figures)
}

async fn one(
    effort: Effort,
    agents: &'static [&'static dyn Agent],
    storage: Storage,
    names: Names,
) -> anyhow::Result<[Figure; 3]> {
    let bench = Arc::new(Bench::start(agents, |config| config.storage = storage).await?);
    let mut took = Vec::new();
    for _ in 0..LONE {
        let started = Instant::now();
        let ask = question(QUESTION, SAMPLE_TEN_ROWS.into());
        let outcome = bench.running.kernel().ask(&bench.principal, ask).await?.outcome().await;
        anyhow::ensure!(outcome.name() == "completed", "a run ended as {outcome:?}");
        took.push(started.elapsed());
    }
    took.sort_unstable();
    let lone = percentile_ms(&took, 50);
    let started = Instant::now();
    let until = Duration::from_secs(effort.seconds);
    let took = load(bench.clone(), move || started.elapsed() < until).await?;
    let rate = took.len() as f64 / started.elapsed().as_secs_f64();
    bench.running.drain().await;
    Ok([
        Figure::new(names.rate, rate, "/s"),
        Figure::new(names.p99, percentile_ms(&took, 99), "ms"),
        Figure::new(names.lone, lone, "ms"),
    ])
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

/// How long this disk takes to make an append of so many bytes durable.
fn fsync_ms(directory: &Path, bytes: usize) -> std::io::Result<f64> {
    let mut file = std::fs::File::create(directory.join("fsync"))?;
    let content = vec![7; bytes];
    let mut took = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        file.write_all(&content)?;
        file.sync_data()?;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    Ok(percentile_ms(&took, 50))
}
