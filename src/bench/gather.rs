//! What waiting costs: parallel legs, a dead leg, and thousands of runs parked in a gather.

use std::time::{Duration, Instant};

use genie_core::Ask;

use super::agents::{DEAD_LEG, FAN_OUT, LEGS, Order, PARKED};
use super::{Bench, Figure, host, percentile_ms};

/// Runs parked at once.
const PARKED_RUNS: u32 = 10_000;

pub(super) async fn latency() -> anyhow::Result<Vec<Figure>> {
    let bench = Bench::start(&[&FAN_OUT, &DEAD_LEG, &LEGS[0], &LEGS[1], &LEGS[2]], |_| {}).await?;
    let mut figures = Vec::new();
    for (agent, name, budget) in [
        ("bench_fan", "three parallel 50 ms legs, p50", 60.0),
        ("bench_dead_leg", "a dead leg with a 200 ms deadline, p50", 210.0),
    ] {
        let mut took = Vec::new();
        for _ in 0..20 {
            let started = Instant::now();
            let ask = Ask::new(agent, &Order { count: 0 });
            let outcome = bench.running.kernel().ask(&bench.principal, ask).await?.outcome().await;
            anyhow::ensure!(outcome.name() == "completed", "a fan-out ended as {outcome:?}");
            took.push(started.elapsed());
        }
        took.sort_unstable();
        figures.push(Figure::new(name, percentile_ms(&took, 50), "ms").at_most(budget));
    }
    bench.running.drain().await;
    Ok(figures)
}

pub(super) async fn parked() -> anyhow::Result<Vec<Figure>> {
    let bench = Bench::start(&[&PARKED, &LEGS[0]], |config| {
        config.limits.runs_in_flight_max = PARKED_RUNS as usize;
        config.limits.run_deadline = Duration::from_hours(1);
        config.limits.drain = Duration::from_millis(1);
        config.journal_records_max = 1_000_000;
    })
    .await?;
    let before = host::resident_bytes();
    let mut parked = Vec::new();
    for _ in 0..PARKED_RUNS {
        let ask = Ask::new("bench_parked", &Order { count: 0 });
        parked.push(bench.running.kernel().ask(&bench.principal, ask).await?);
    }
    // Nothing in a run can go on before its leg's timer is due, so each leaves the memory.
    while bench.running.kernel().runs_in_flight() > 0 {
        tokio::task::yield_now().await;
    }
    let after = host::resident_bytes();
    let each = before.zip(after).map(|(before, after)| (after - before) / f64::from(PARKED_RUNS));
    let started = Instant::now();
    for run in parked {
        bench.running.kernel().cancel(&bench.principal, run.run_id, "enough").await;
        anyhow::ensure!(run.outcome().await.name() == "cancelled", "a parked run is lost");
    }
    let cancelled = started.elapsed().as_secs_f64() * 1_000.0;
    bench.running.drain().await;
    Ok(vec![
        Figure::new("a run parked in a gather", each.unwrap_or(0.0) / 1_024.0, "KiB").at_most(16.0),
        Figure::new("10,000 parked runs cancelled", cancelled, "ms"),
    ])
}
