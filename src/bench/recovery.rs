//! What waiting and coming back cost when the database keeps the runs.

use std::time::{Duration, Instant};

use genie_core::approval::{Choice, Filter};
use genie_core::principal::Identity;
use genie_core::{Ask, Refused, Running};

use super::agents::{FAN_OUT, LEGS, LONG_FAN, Order, PARKED, PAYER, TURNS, Turns, Wire};
use super::durable::{Directory, tempdir};
use super::{Bench, Figure, host, percentile_ms};
use crate::config::Config;
use crate::storage::Storage;

/// Runs that are unfinished when the process stops.
const UNFINISHED: u32 = 10_000;

/// Runs that wait on disk.
const PARKED_RUNS: u32 = 100_000;

/// Turns of one conversation, and the bytes of each.
const CONVERSATION: (u32, usize) = (200, 2_048);

fn keep_in(directory: &Directory) -> impl Fn(&mut Config) {
    let data = directory.0.join("data");
    move |config| {
        config.storage = Storage::Directory(data.clone());
        config.limits.runs_in_flight_max = 2 * UNFINISHED as usize;
        config.limits.run_deadline = Duration::from_hours(2);
        config.limits.drain = Duration::from_millis(1);
    }
}

/// Stops with thousands of runs at work, starts again, and waits until they are.
pub(super) async fn unfinished() -> anyhow::Result<Vec<Figure>> {
    let directory = tempdir()?;
    let keep = keep_in(&directory);
    let never_park = |config: &mut Config| {
        keep(config);
        config.limits.park_after = Duration::from_hours(24);
    };
    let agents: &[&'static dyn genie_core::Agent] = &[&LONG_FAN, &LEGS[0], &LEGS[1], &LEGS[2]];
    let bench = Bench::start(agents, never_park).await?;
    for _ in 0..UNFINISHED {
        admitted(&bench, "bench_long").await?;
    }
    let head = bench.running.kernel().head().seq;
    bench.running.kernel().durable(head).await?;
    bench.running.drain().await;

    let started = Instant::now();
    let bench = Bench::start(agents, never_park).await?;
    let opened = bench.running.kernel().head().seq;
    while bench.running.kernel().head().seq == opened {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let first = started.elapsed();
    bench.running.kernel().caught_up().await;
    let all = started.elapsed();
    anyhow::ensure!(
        bench.running.kernel().runs_in_flight() == UNFINISHED as usize,
        "only {} runs came back",
        bench.running.kernel().runs_in_flight()
    );
    bench.running.drain().await;
    Ok(vec![
        Figure::new("10,000 unfinished runs, first progress", first.as_secs_f64(), "s")
            .at_most(5.0),
        Figure::new("10,000 unfinished runs, all at work", all.as_secs_f64(), "s"),
    ])
}

/// Parks runs by the hundred thousand; then brings single ones back by a decision.
pub(super) async fn parked() -> anyhow::Result<Vec<Figure>> {
    let directory = tempdir()?;
    let keep = keep_in(&directory);
    let bench =
        Bench::with(&[&PARKED, &LEGS[0], &FAN_OUT, &PAYER], keep, |app| app.tool(Wire)).await?;
    let kernel = bench.running.kernel();
    let mut resident = Vec::new();
    let started = Instant::now();
    for number in 1..=PARKED_RUNS {
        drop(admitted(&bench, "bench_parked").await?);
        // The first tenth fills caches and pools.
        if number % (PARKED_RUNS / 10) == 0 {
            settle(kernel).await;
            resident.extend(host::resident_bytes().map(|bytes| (f64::from(number), bytes)));
        }
        while kernel.runs_in_flight() > 1_000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    settle(kernel).await;
    let rate = f64::from(PARKED_RUNS) / started.elapsed().as_secs_f64();
    let each = slope(&resident);

    let approver = bench.running.admit(Identity {
        tenant: "bench".into(),
        subject: "approver".into(),
        roles: ["approver".to_owned()].into(),
        ..Identity::default()
    });
    let mut took = Vec::new();
    for _ in 0..50 {
        let ask = Ask::new("bench_payer", &Order { count: 1 });
        let run = kernel.ask(&bench.principal, ask).await?;
        settle(kernel).await;
        let filter = Filter { run_id: Some(run.run_id), limit: 1, ..Filter::default() };
        let found = kernel.approvals(approver.tenant(), &filter).await?;
        let approval = found.first().ok_or_else(|| anyhow::anyhow!("nobody was asked"))?;
        let started = Instant::now();
        kernel.decide(&approver, approval.id, None, (Choice::Approve, "go on")).await?;
        let outcome = run.outcome().await;
        anyhow::ensure!(outcome.name() == "completed", "a payment ended as {outcome:?}");
        took.push(started.elapsed());
    }
    took.sort_unstable();
    bench.running.drain().await;
    let stored = std::fs::metadata(directory.0.join("data/genie.db"))?.len();
    let on_disk = stored as f64 / f64::from(PARKED_RUNS) / 1_024.0;
    Ok(vec![
        Figure::new("memory of a run parked on disk", each, "bytes").at_most(64.0),
        Figure::new("disk of a parked run", on_disk, "KiB").at_most(16.0),
        Figure::new("runs parked", rate, "/s"),
        Figure::new("decision to answer of a parked run, p50", percentile_ms(&took, 50), "ms")
            .at_most(5.0),
    ])
}

/// By how much the second grows with the first: the median over all pairs of points (Theil and
/// Sen), which single leaps of the allocator do not move. 0 if there are not two.
fn slope(points: &[(f64, f64)]) -> f64 {
    let pairs = points.iter().enumerate().flat_map(|(at, from)| {
        points[at + 1..].iter().map(move |to| (to.1 - from.1) / (to.0 - from.0))
    });
    let mut slopes: Vec<f64> = pairs.collect();
    slopes.sort_unstable_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or(0.0)
}

/// Asks until there is room.
async fn admitted(bench: &Bench, agent: &str) -> anyhow::Result<Running> {
    loop {
        let ask = Ask::new(agent, &Order { count: 0 });
        match bench.running.kernel().ask(&bench.principal, ask).await {
            Err(Refused::Overloaded { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
            asked => return Ok(asked?),
        }
    }
}

async fn settle(kernel: &genie_core::Kernel) {
    while kernel.runs_in_flight() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A conversation of many turns costs about its own payload.
pub(super) async fn conversation() -> anyhow::Result<Vec<Figure>> {
    let directory = tempdir()?;
    let (turns, bytes) = CONVERSATION;
    let bench = Bench::start(&[&TURNS, &super::agents::LISTENER], keep_in(&directory)).await?;
    let ask = Ask::new("bench_turns", &Turns { turns, bytes });
    let outcome = bench.running.kernel().ask(&bench.principal, ask).await?.outcome().await;
    anyhow::ensure!(outcome.name() == "completed", "a conversation ended as {outcome:?}");
    bench.running.drain().await;
    let stored = std::fs::metadata(directory.0.join("data/genie.db"))?.len();
    // Each turn is what one of the two says.
    let payload = f64::from(turns) * bytes as f64;
    let times = stored as f64 / payload;
    Ok(vec![Figure::new("200 turns of 2 KB on disk, for their payload", times, "×").at_most(3.0)])
}
