//! What the threads execute, sampled by the clock of the time that they execute for.

use std::convert::Infallible;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::encode::{Profile, Type};
use crate::raw;
use crate::stacks::Stacks;
use crate::taking::{self, NotTaken, Taking, Wanted};
use crate::unwind::Registers;

/// How long threads execute between two samples: what pprof's own profilers take.
const PERIOD: Duration = Duration::from_millis(10);
const PERIOD_NS: f64 = 10_000_000.0;

/// Samples what the threads execute, for so long or until the other end of `gone` is dropped; gives
/// the profile, compressed. Blocks its thread.
///
/// # Errors
/// [`NotTaken`] if another is being taken, or nobody wants it, or the system lets nobody.
pub fn cpu(wanted: &Wanted, gone: &Receiver<Infallible>) -> Result<Vec<u8>, NotTaken> {
    let taking = Taking::begin()?;
    let mut stacks = Stacks::default();
    let ticking = Ticking::begin()?;
    taking.sample(wanted.lasts, gone, |sample| count(&mut stacks, sample.calls))?;
    finished(wanted, &taking, ticking, stacks)
}

fn count(stacks: &mut Stacks, calls: &[u64]) {
    let place = stacks.place(calls);
    stacks.add(place, [1.0, PERIOD_NS, 0.0, 0.0]);
}

fn finished(
    wanted: &Wanted,
    taking: &Taking,
    ticking: Ticking,
    mut stacks: Stacks,
) -> Result<Vec<u8>, NotTaken> {
    drop(ticking);
    let ended = taking.end(|sample| count(&mut stacks, sample.calls));
    let Some((unwinder, dropped)) = ended else { return Err(NotTaken::Gone) };
    let comment = match dropped {
        0 => String::new(),
        dropped => format!("{dropped} samples came too fast and are missing"),
    };
    let profile = Profile {
        types: &[
            Type { name: "samples", unit: "count" },
            Type { name: "cpu", unit: "nanoseconds" },
        ],
        period: (Type { name: "cpu", unit: "nanoseconds" }, PERIOD_NS as i64),
        default_type: "cpu",
        comment,
        drop_frames: "",
        wanted: *wanted,
    };
    Ok(profile.encoded(&stacks, &unwinder)?)
}

/// The clock, while it ticks.
struct Ticking(());

impl Ticking {
    fn begin() -> Result<Self, NotTaken> {
        raw::tick_every(PERIOD)?;
        Ok(Self(()))
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        // It cannot fail where it could be started.
        let _ = raw::tick_every(Duration::ZERO);
    }
}

/// The clock ticks, on a thread with these registers. Runs in a signal handler.
pub(crate) fn tick(registers: &Registers) {
    taking::leave(registers, 0, 0);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;

    use super::*;
    use crate::encode::tests::{Read, read};
    use crate::ring::Sample;
    use crate::taking::tests::alone;

    /// Executes until it is told to stop, and unwinds again and again, which is what a sample must
    /// not be disturbed by.
    #[inline(never)]
    fn busy(stop: &AtomicBool) -> u64 {
        let mut sum = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            for index in 0..10_000 {
                sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(index));
            }
            let unwound = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(1_u8)));
            assert!(unwound.is_err());
        }
        sum
    }

    /// The profile of two busy threads, when enough of it was seen.
    fn profile_of_busy_threads() -> Read {
        let (_here, gone) = channel();
        let wanted = Wanted { lasts: Duration::ZERO, began_at_ns: 7 };
        let (stop, mut stacks, mut seen) = (AtomicBool::new(false), Stacks::default(), 0);
        let taking = Taking::begin().unwrap();
        std::thread::scope(|scope| {
            let threads = [scope.spawn(|| busy(&stop)), scope.spawn(|| busy(&stop))];
            let ticking = Ticking::begin().unwrap();
            while seen < 100 {
                let each = |sample: &Sample<'_>| {
                    seen += 1;
                    count(&mut stacks, sample.calls);
                };
                taking.sample(taking::TURN, &gone, each).unwrap();
            }
            let profile = finished(&wanted, &taking, ticking, stacks).unwrap();
            stop.store(true, Ordering::Relaxed);
            for thread in threads {
                thread.join().unwrap();
            }
            read(&profile)
        })
    }

    #[test]
    fn a_busy_function_is_seen_and_named() {
        let _alone = alone();
        let profile = profile_of_busy_threads();
        assert_eq!(profile.types, ["samples/count", "cpu/nanoseconds"]);
        let all: i64 = profile.samples.iter().map(|(_, values)| values[0]).sum();
        let busy: i64 = profile.of("genie_profile::cpu::tests::busy").map(|it| it[0]).sum();
        assert!(all >= 100 && 2 * busy > all, "{busy} of {all}: {:#?}", profile.samples);
        assert!(profile.samples.iter().all(|(_, values)| values[1] == values[0] * 10_000_000));
        assert_eq!((profile.period, profile.began_at_ns), (10_000_000, 7));
    }

    #[test]
    fn one_is_taken_at_a_time_and_none_for_who_has_gone() {
        let _alone = alone();
        let (here, gone) = channel();
        let long = Wanted { lasts: Duration::from_mins(10), began_at_ns: 0 };
        std::thread::scope(|scope| {
            let first = scope.spawn(move || {
                // One of those below may have come first.
                let mut taken = cpu(&long, &gone);
                while matches!(taken, Err(NotTaken::Busy)) {
                    taken = cpu(&long, &gone);
                }
                taken
            });
            // Until it has begun.
            let (_stays, other) = channel();
            let none = Wanted { lasts: Duration::ZERO, began_at_ns: 0 };
            while !matches!(cpu(&none, &other), Err(NotTaken::Busy)) {
                std::thread::yield_now();
            }
            drop(here);
            assert!(matches!(first.join().unwrap(), Err(NotTaken::Gone)));
            assert!(cpu(&none, &other).is_ok());
        });
    }
}
