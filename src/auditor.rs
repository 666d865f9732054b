//! The auditor: signs the log of this process on a schedule, on demand and at its end; and all that
//! checks a database against what was signed.
//!
//! The trees, notes and proofs are the kernel's; here is the I/O around them. Verifying is done by
//! `genie audit`, in a process of its own.

pub(crate) mod blame;
mod claims;
mod contents;
pub(crate) mod evidence;
pub(crate) mod inspect;
pub(crate) mod keys;
pub(crate) mod log;
pub(crate) mod proofs;
pub(crate) mod receipts;
mod records;

use std::sync::Arc;
use std::time::Duration;

use genie_core::clock::Clock;
use genie_core::ids::Ids;
use genie_core::tasks::Tasks;
use genie_store::Checkpoints;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use keys::KeyFile;
use log::Log;

/// Why a checkpoint was not signed.
pub(crate) use log::Error;

/// What an auditor works with.
pub(crate) struct Options {
    /// The database, opened by whoever writes its chain.
    pub(crate) store: Checkpoints,
    /// Where the key is kept.
    pub(crate) key: KeyFile,
    /// The time of day.
    pub(crate) clock: Arc<dyn Clock>,
    /// Randomness for the first key.
    pub(crate) ids: Arc<dyn Ids>,
    /// How often the chain is signed, if it has grown.
    pub(crate) every: Duration,
}

/// Asks a running auditor. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    asked: mpsc::Sender<oneshot::Sender<Result<(), Error>>>,
}

impl Handle {
    /// Signs what is durable now, unless that is signed already.
    ///
    /// # Errors
    /// Why not; an auditor that has stopped signs nothing and is no error.
    pub(crate) async fn checkpoint(&self) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        if self.asked.send(answer).await.is_err() {
            return Ok(());
        }
        answered.await.unwrap_or(Ok(()))
    }
}

/// Starts an auditor; it stops with the tasks.
pub(crate) fn start(options: Options, chain: i64, tasks: &Tasks) -> Handle {
    let (asked, asking) = mpsc::channel(1);
    let service = Service { options, chain, log: None, signed: 0 };
    tasks.spawn(service.run(asking));
    Handle { asked }
}

struct Service {
    options: Options,
    chain: i64,
    /// The tree, once it was needed.
    log: Option<Log>,
    /// How many records the last checkpoint covers.
    signed: u64,
}

impl Service {
    async fn run(mut self, mut asking: mpsc::Receiver<oneshot::Sender<Result<(), Error>>>) {
        let every = self.options.every;
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = ticks.tick() => None,
                asked = asking.recv() => match asked {
                    Some(asked) => Some(asked),
                    None => return,
                },
            };
            let signed = self.sign().await;
            if signed.is_err() {
                // What was grown in vain is grown again, from what is kept.
                self.log = None;
            }
            match asked {
                // Whoever has asked may have gone.
                Some(asked) => drop(asked.send(signed)),
                None => {
                    if let Err(error) = signed {
                        tracing::error!(%error, "no checkpoint was signed");
                    }
                }
            }
        }
    }

    async fn sign(&mut self) -> Result<(), Error> {
        let Options { store, key, clock, ids, .. } = &self.options;
        // Read each time, so that a rotation takes effect.
        let keys = key.load_or_make(&**ids)?;
        let log = if let Some(log) = &mut self.log {
            log
        } else {
            let trusted = keys::for_chain(&key.trusted()?, self.chain);
            let log = Log::resume(store, self.chain, &trusted).await?;
            self.signed = log.size();
            self.log.insert(log)
        };
        log.grow(u64::MAX).await?;
        if log.size() == self.signed {
            return Ok(());
        }
        log.sign(&keys, clock.now()).await?;
        self.signed = log.size();
        key.retire(&keys)?;
        Ok(())
    }
}
