//! Seeded simulation: random agents, faults and clients on paused time, then the invariants.
//!
//! A seed gives everything, so a failing one reproduces: `SIM_SEED=17 cargo test -p genie-core
//! --test kernel simulation`. `SIM_SEEDS=100000` plays more of them, from that seed on.
//! [`world`] makes the agents and what they do, [`faults`] the journal that fails, [`lives`] the
//! processes that die, [`check`] says what must hold afterwards.

mod check;
mod faults;
mod lives;
mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use genie_core::ids::{Ids, RunId, SeededIds};
use genie_core::journal::Record;
use genie_core::kernel::Options;
use genie_core::label::{Classification, Label};
use genie_core::limits::Limits;
use genie_core::outcome::Outcome;
use genie_core::policy::PolicySet;
use genie_core::tap::{Event, Tap};
use genie_core::{Ask, Refused};

use crate::{Desk, Hops, Lenient, Words, millis, options, question};
use faults::Faulty;
use world::World;

/// Seeds that a plain `cargo test` runs.
const SEEDS: u64 = 200;

/// Everything random of one simulation, or of one handler in it.
pub(crate) struct Dice(SeededIds);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededIds::new(seed))
    }

    /// A number from zero to one less than `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.0.random() % bound
    }

    pub(crate) fn between(&self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn index(&self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }

    /// A text that policy may have something against.
    pub(crate) fn text(&self) -> String {
        match self.below(100) {
            0..5 => "forbidden".into(),
            5..10 => format!("secret {}", self.below(10)),
            10..13 => "approval".into(),
            13 => "undecided".into(),
            14 => "policy crash".into(),
            15 => "misplaced".into(),
            _ => format!("text {}", self.below(1_000)),
        }
    }
}

/// What a client has seen of one request.
pub(crate) struct Asked {
    pub(crate) run: Result<(RunId, Arc<Outcome>), Refused>,
}

/// What is left of a simulation when it is over.
pub(crate) struct Trace {
    pub(crate) desk: Desk,
    pub(crate) world: Arc<World>,
    pub(crate) asked: Vec<Asked>,
    /// What an observer saw that kept up, and one that looked only at the end.
    pub(crate) observed: [Vec<Arc<Record>>; 2],
}

fn limits(dice: &Dice) -> Limits {
    let size = |least, most| usize::try_from(dice.between(least, most)).unwrap();
    Limits {
        runs_in_flight_max: size(2, 12),
        queued_per_agent_max: size(4, 40),
        queued_per_activation_max: size(1, 6),
        messages_per_run_max: u32::try_from(dice.between(10, 120)).unwrap(),
        hops_max: 6,
        blobs_per_run_bytes_max: size(20, 200),
        failures_per_run_max: size(1, 8),
        run_deadline: millis(dice.between(50, 400)),
        tap_events_max: size(1, 64),
        drain: millis(dice.between(20, 500)),
        ..Limits::default()
    }
}

/// One client: waits, asks, perhaps cancels, and waits for the outcome.
async fn client(desk: &Desk, world: &World, dice: Dice) -> Asked {
    tokio::time::sleep(millis(dice.below(60))).await;
    let to = world.names[dice.index(world.names.len())];
    let mut ask = Ask::new(to, &question(&dice.text()));
    if dice.chance(30) {
        ask = ask.within(millis(dice.below(100)));
    }
    if dice.chance(30) {
        ask = ask.labelled(Label::new(Classification::Confidential).with_region("in"));
    }
    if dice.chance(20) {
        ask = ask.with_content(dice.text().into_bytes());
    }
    let running = match desk.kernel.ask(&desk.principal, ask).await {
        Ok(running) => running,
        Err(refused) => return Asked { run: Err(refused) },
    };
    let run_id = running.run_id;
    let (outcome, ()) = tokio::join!(running.outcome(), async {
        if dice.chance(25) {
            tokio::time::sleep(millis(dice.below(80))).await;
            desk.kernel.cancel(&desk.principal, run_id, "at random").await;
        }
    });
    Asked { run: Ok((run_id, outcome)) }
}

/// Looks at records until there are no more for now.
async fn observe(tap: &mut Tap, seen: &mut Vec<Arc<Record>>) {
    while let Some(event) = tap.next().await.unwrap() {
        if let Event::Recorded(record) = event {
            seen.push(record);
        }
    }
}

/// Plays one seed to its end.
async fn play(seed: u64) -> Trace {
    let dice = Dice::new(seed);
    let world = World::of(seed, &dice, false);
    let journal = Arc::new(Faulty::of(&dice));
    let policies = PolicySet::new(vec![Arc::new(Words), Arc::new(Hops), Arc::new(Lenient)]);
    let desk = Desk::of(Options {
        limits: limits(&dice),
        journal: journal.clone(),
        policies: policies.unwrap(),
        ids: Arc::new(SeededIds::new(seed)),
        ..options(&World::agents(&world, &dice))
    })
    .await;
    let (mut keeps_up, mut looks_late) = (desk.system().tap(), desk.system().tap());
    let mut observed = [Vec::new(), Vec::new()];
    let clients = (0..dice.between(1, 14)).map(|number| {
        let dice = Dice::new(seed ^ (number + 1).wrapping_mul(0xd1b5_4a32_d192_ed03));
        client(&desk, &world, dice)
    });
    let drained = dice.chance(20).then(|| millis(dice.below(100)));
    let asked = tokio::select! {
        biased;
        asked = async {
            let asking = futures::future::join_all(clients);
            let Some(after) = drained else { return asking.await };
            let kernel = desk.kernel.clone();
            let (asked, _) = tokio::join!(asking, async {
                tokio::time::sleep(after).await;
                kernel.drain().await
            });
            asked
        } => asked,
        () = observe(&mut keeps_up, &mut observed[0]) => unreachable!("the kernel is there"),
    };
    journal.mend();
    desk.kernel.drain().await;
    for (tap, seen) in [&mut keeps_up, &mut looks_late].into_iter().zip(&mut observed) {
        // The kernel lives, so a tap that has seen everything waits.
        let _ = tokio::time::timeout(millis(1), observe(tap, seen)).await;
    }
    assert_eq!(world.at_work.load(Ordering::Relaxed), 0, "handlers outlive the kernel");
    Trace { desk, world, asked, observed }
}

/// Plays one seed and checks it; gives the journal as a file.
fn simulate(seed: u64) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let trace = play(seed).await;
        check::invariants(&trace).await;
        trace.desk.file().await
    })
}

/// The setting of this name, if it is a number.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration but its environment")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Plays seeds twice each; both times must give the same journal.
fn all_seeds(simulate: fn(u64) -> Vec<u8>) {
    let first = setting("SIM_SEED");
    let count = setting("SIM_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let first = first.unwrap_or(0);
    for seed in first..first + count {
        let result = std::panic::catch_unwind(|| {
            let (once, twice) = (simulate(seed), simulate(seed));
            check::identical(&once, &twice);
        });
        assert!(
            result.is_ok(),
            "seed {seed} failed; reproduce with `SIM_SEED={seed} cargo test -p genie-core --test \
             kernel simulation`"
        );
    }
}

#[test]
fn the_invariants_hold_whatever_agents_clients_and_journals_do() {
    all_seeds(simulate);
}

#[test]
fn the_invariants_hold_whatever_processes_and_humans_do() {
    all_seeds(lives::simulate);
}
