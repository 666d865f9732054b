//! What both profiles have in common: one is taken at a time, for so long, unless whoever wants it
//! goes; and what their samples need is there before the first and gone after the last.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::ring::{Ring, Sample};
use crate::unwind::{FRAMES_MAX, Registers, Unwinder};

/// How often samples are counted.
pub(crate) const TURN: Duration = Duration::from_millis(20);

/// What profile is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// How long to sample.
    pub lasts: Duration,
    /// When it begins, in nanoseconds since 1970.
    pub began_at_ns: i64,
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// One at a time.
    #[error("a profile is just being taken; wait until it is done")]
    Busy,
    /// Nobody wants it any more.
    #[error("whoever wanted the profile has gone")]
    Gone,
    /// The samples of the heap are of another allocator.
    #[error(
        "the allocations of this program cannot be seen; make `genie_profile::Allocator` its \
         `#[global_allocator]`"
    )]
    Allocator,
    /// The system does not let a process look at itself.
    #[error("this process cannot look at itself; it needs `/proc` and the signal `SIGPROF`")]
    System(#[from] io::Error),
}

/// Whether a profile is being taken.
static BUSY: AtomicBool = AtomicBool::new(false);
/// What samples are taken with. Readers never wait for it; who changes it waits until they are out.
static UNWINDER: RwLock<Option<Unwinder>> = RwLock::new(None);
static RING: Ring = Ring::new();

/// A profile being taken.
pub(crate) struct Taking(());

impl Taking {
    pub(crate) fn begin() -> Result<Self, NotTaken> {
        if BUSY.swap(true, Ordering::SeqCst) {
            return Err(NotTaken::Busy);
        }
        let taking = Self(());
        let unwinder = Unwinder::new()?;
        // What a sample left that was late for its profile.
        RING.take(|_| {});
        RING.dropped();
        *UNWINDER.write().unwrap_or_else(PoisonError::into_inner) = Some(unwinder);
        Ok(taking)
    }

    /// Counts samples until it has lasted long enough.
    #[expect(clippy::unused_self, reason = "only what is being taken is sampled")]
    pub(crate) fn sample(
        &self,
        lasts: Duration,
        gone: &Receiver<Infallible>,
        mut each: impl FnMut(&Sample<'_>),
    ) -> Result<(), NotTaken> {
        let began = Instant::now();
        while let Some(left) = lasts.checked_sub(began.elapsed()) {
            match gone.recv_timeout(left.min(TURN)) {
                Err(RecvTimeoutError::Timeout) => RING.take(&mut each),
                Err(RecvTimeoutError::Disconnected) => return Err(NotTaken::Gone),
                Ok(never) => match never {},
            }
        }
        Ok(())
    }

    /// Ends sampling: counts what is left, and gives what the addresses are to be looked up in, and
    /// how many samples found no place.
    #[expect(clippy::unused_self, reason = "only what is being taken ends")]
    pub(crate) fn end(&self, mut each: impl FnMut(&Sample<'_>)) -> Option<(Unwinder, u64)> {
        let unwinder = UNWINDER.write().unwrap_or_else(PoisonError::into_inner).take();
        RING.take(&mut each);
        unwinder.map(|unwinder| (unwinder, RING.dropped()))
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        *UNWINDER.write().unwrap_or_else(PoisonError::into_inner) = None;
        BUSY.store(false, Ordering::SeqCst);
    }
}

/// Takes a sample of the thread that this runs on; gives whether it will be counted. Neither waits
/// nor allocates.
pub(crate) fn leave(registers: &Registers, number: u64, bytes: u64) -> bool {
    // Not to be had while a profile begins or ends.
    let Ok(unwinder) = UNWINDER.try_read() else { return false };
    let Some(unwinder) = unwinder.as_ref() else { return false };
    let mut calls = [0; FRAMES_MAX];
    let count = unwinder.walk(*registers, &mut calls);
    RING.leave(&Sample { number, bytes, calls: &calls[..count] })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// One test at a time: there is one profile in a process.
    pub(crate) fn alone() -> MutexGuard<'static, ()> {
        static TURN: Mutex<()> = Mutex::new(());
        TURN.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
