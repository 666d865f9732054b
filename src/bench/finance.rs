//! The finance pipeline under load: many small statements at once, and one very large one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use genie_agents::finance::domain::generate::{SAMPLE_TEN_ROWS, Spec, statement};
use genie_agents::finance::domain::statement::LayoutName;
use genie_core::Agent;
use tokio::task::JoinSet;

use super::{Bench, Effort, Figure, host, percentile_ms, question};

/// Runs in flight at once.
const IN_FLIGHT: usize = 64;

pub(super) const QUESTION: &str = "Where did I overspend compared with last month?";

/// Asks from `IN_FLIGHT` tasks until `more` says no; the durations of all runs, sorted.
pub(super) async fn load(
    bench: Arc<Bench>,
    more: impl Fn() -> bool + Clone + Send + 'static,
) -> anyhow::Result<Vec<Duration>> {
    let mut askers = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (bench, more) = (bench.clone(), more.clone());
        askers.spawn(async move {
            let mut took = Vec::new();
            while more() {
                let ask = question(QUESTION, SAMPLE_TEN_ROWS.into());
                let started = Instant::now();
                let run = bench.running.kernel().ask(&bench.principal, ask).await?;
                let outcome = run.outcome().await;
                took.push(started.elapsed());
                anyhow::ensure!(outcome.name() == "completed", "a run ended as {outcome:?}");
            }
            Ok(took)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = askers.join_next().await {
        all.append(&mut done??);
    }
    all.sort_unstable();
    Ok(all)
}

pub(super) async fn throughput(
    effort: Effort,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<Vec<Figure>> {
    let bench = Arc::new(Bench::start(agents, |_| {}).await?);
    let started = Instant::now();
    let until = Duration::from_secs(effort.seconds);
    let took = load(bench.clone(), move || started.elapsed() < until).await?;
    let rate = took.len() as f64 / started.elapsed().as_secs_f64();
    bench.running.drain().await;
    Ok(vec![
        Figure::new("finance runs over ten rows, 64 in flight", rate, "/s").at_least(8_000.0),
        Figure::new("finance run, p50", percentile_ms(&took, 50), "ms"),
        Figure::new("finance run, p99", percentile_ms(&took, 99), "ms").at_most(30.0),
    ])
}

pub(super) async fn soak(
    effort: Effort,
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<Vec<Figure>> {
    let bench = Arc::new(Bench::start(agents, |_| {}).await?);
    let mut outcomes = 0;
    let mut after_first_tenth = None;
    for _ in 0..10 {
        let left = Arc::new(AtomicU64::new(effort.soak_runs / 10));
        let more = move || {
            let taken =
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            taken.is_ok()
        };
        outcomes += load(bench.clone(), more).await?.len();
        after_first_tenth = after_first_tenth.or_else(host::resident_bytes);
    }
    let grown = after_first_tenth.zip(host::resident_bytes());
    let grown = grown.map_or(0.0, |(first, last)| (last - first) / host::MIB);
    bench.running.drain().await;
    let runs = effort.soak_runs / 10 * 10;
    Ok(vec![
        Figure::new("runs of the soak without an outcome", runs as f64 - outcomes as f64, "runs")
            .at_most(0.0),
        Figure::new("runs of the soak", outcomes as f64, "runs"),
        Figure::new("memory grown after the first tenth", grown, "MiB").at_most(16.0),
    ])
}

pub(super) async fn large_statement(
    agents: &'static [&'static dyn Agent],
) -> anyhow::Result<Vec<Figure>> {
    let spec = Spec { rows: Some(100_000), ..Spec::of_2025(1, LayoutName::Plain) };
    let content = statement(&spec).bytes;
    let bench = Bench::start(agents, |_| {}).await?;
    let started = Instant::now();
    let ask = question(QUESTION, content);
    let outcome = bench.running.kernel().ask(&bench.principal, ask).await?.outcome().await;
    let took = started.elapsed().as_secs_f64();
    anyhow::ensure!(outcome.name() == "completed", "the run ended as {outcome:?}");
    bench.running.drain().await;
    let peak = host::resident_peak_bytes().unwrap_or(0.0) / host::MIB;
    Ok(vec![
        Figure::new("statement of 100,000 rows, answered", took, "s").at_most(2.0),
        Figure::new("peak memory of it, generator included", peak, "MiB").at_most(190.7),
    ])
}
