//! Following a run by its records, whichever process works on it.

use std::sync::Arc;
use std::time::Duration;

use genie_core::Kernel;
use genie_core::ids::RunId;
use genie_core::journal::{Journal, Record};
use genie_core::outcome::Outcome;
use genie_core::tap::Event;
use tokio::time::Instant;

use super::run::event::Told;
use super::run::watch::{End, Screen, Stop, Waiting};
use super::story::Story;

/// How often to look for new records.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where a run has come to a halt.
pub(crate) enum Halt {
    /// At its end.
    Ended(Outcome, End),
    /// At what a human must decide.
    Waiting(Waiting),
}

/// Reads on in the records of one run.
pub(crate) struct Follower {
    journal: Arc<dyn Journal>,
    run: RunId,
    /// The number of the last record that was shown.
    seen: u64,
}

impl Follower {
    /// Follows the run from after its record number `seen`.
    pub(crate) fn after(journal: Arc<dyn Journal>, run: RunId, seen: u64) -> Self {
        Self { journal, run, seen }
    }

    /// As [`Self::follow`], but however long nothing new comes while this process works on runs.
    pub(crate) async fn follow_here(
        &mut self,
        kernel: &Kernel,
        screen: &mut Screen,
        patience: Duration,
    ) -> anyhow::Result<Option<Halt>> {
        let began = Instant::now();
        loop {
            let halt = self.follow(screen, Some(LOOK_EVERY * 5)).await?;
            let is_over = kernel.runs_in_flight() == 0 && began.elapsed() > patience;
            if halt.is_some() || is_over {
                return Ok(halt);
            }
        }
    }

    /// Shows what is new until the run halts; `None` if nothing new comes for so long.
    pub(crate) async fn follow(
        &mut self,
        screen: &mut Screen,
        patience: Option<Duration>,
    ) -> anyhow::Result<Option<Halt>> {
        let mut heard = Instant::now();
        loop {
            let records = self.journal.read_run(self.run).await?;
            let new: Vec<&Arc<Record>> =
                records.iter().filter(|record| record.number > self.seen).collect();
            let mut stop = None;
            for record in &new {
                self.seen = record.number;
                heard = Instant::now();
                screen.show(Told::Here(&Event::Recorded((*record).clone())))?;
                // If it went on after that, it is not where it halts.
                stop = Stop::of(record).or(stop.filter(|_| !goes_on(record)));
            }
            match stop {
                Some(Stop::Waiting(waiting)) => return Ok(Some(Halt::Waiting(waiting))),
                Some(Stop::Ended(end)) => {
                    let outcome = Story::of_records(&records).outcome;
                    let outcome = outcome.ok_or_else(|| anyhow::anyhow!("the outcome is gone"))?;
                    return Ok(Some(Halt::Ended(outcome, end)));
                }
                None if patience.is_some_and(|patience| heard.elapsed() > patience) => {
                    return Ok(None);
                }
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
}

fn goes_on(record: &Record) -> bool {
    matches!(record.entry, genie_core::journal::Entry::RunResumed { .. })
}
