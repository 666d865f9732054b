//! Samples on their way from where they are taken, which may be a signal handler or an allocator,
//! to who counts them. Neither side waits, and none allocates; what finds no place is counted.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crate::unwind::FRAMES_MAX;

/// Samples that wait to be counted. They are counted every [`crate::taking::TURN`], so that this is
/// enough for 12,800 a second. With their calls they take half a megabyte, once they are used.
const SLOTS: usize = 256;
/// Places that a sample looks at.
const TRIES: usize = 16;

/// What a slot is to whom.
const FREE: u8 = 0;
const BEING_WRITTEN: u8 = 1;
const WRITTEN: u8 = 2;

struct Slot {
    state: AtomicU8,
    number: AtomicU64,
    bytes: AtomicU64,
    len: AtomicUsize,
    calls: [AtomicU64; FRAMES_MAX],
}

/// The samples that wait.
pub(crate) struct Ring {
    slots: [Slot; SLOTS],
    next: AtomicUsize,
    dropped: AtomicU64,
}

/// A sample as it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample<'a> {
    /// What tells it from others, if that matters.
    pub(crate) number: u64,
    /// What was allocated, if anything was.
    pub(crate) bytes: u64,
    /// The latest first.
    pub(crate) calls: &'a [u64],
}

impl Slot {
    const fn new() -> Self {
        Self {
            state: AtomicU8::new(FREE),
            number: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            len: AtomicUsize::new(0),
            calls: [const { AtomicU64::new(0) }; FRAMES_MAX],
        }
    }

    fn turns(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

impl Ring {
    #[expect(clippy::large_stack_arrays, reason = "it is a static")]
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const { Slot::new() }; SLOTS],
            next: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Leaves a sample; gives whether there was a place for it.
    pub(crate) fn leave(&self, sample: &Sample<'_>) -> bool {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let places = (0..TRIES).map(|more| &self.slots[start.wrapping_add(more) % SLOTS]);
        let Some(slot) = places.into_iter().find(|slot| slot.turns(FREE, BEING_WRITTEN)) else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        slot.number.store(sample.number, Ordering::Relaxed);
        slot.bytes.store(sample.bytes, Ordering::Relaxed);
        for (kept, call) in slot.calls.iter().zip(sample.calls) {
            kept.store(*call, Ordering::Relaxed);
        }
        slot.len.store(sample.calls.len().min(FRAMES_MAX), Ordering::Relaxed);
        slot.state.store(WRITTEN, Ordering::Release);
        true
    }

    /// Takes what is there.
    pub(crate) fn take(&self, mut each: impl FnMut(&Sample<'_>)) {
        let mut calls = [0; FRAMES_MAX];
        for slot in &self.slots {
            if slot.state.load(Ordering::Acquire) != WRITTEN {
                continue;
            }
            let len = slot.len.load(Ordering::Relaxed).min(FRAMES_MAX);
            for (call, kept) in calls.iter_mut().zip(&slot.calls[..len]) {
                *call = kept.load(Ordering::Relaxed);
            }
            let number = slot.number.load(Ordering::Relaxed);
            let bytes = slot.bytes.load(Ordering::Relaxed);
            slot.state.store(FREE, Ordering::Release);
            each(&Sample { number, bytes, calls: &calls[..len] });
        }
    }

    /// How many found no place since this was asked last.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_counted_once_or_counted_as_dropped() {
        static RING: Ring = Ring::new();
        const EACH: u64 = 20_000;
        let mut seen = std::collections::HashSet::new();
        let left = std::thread::scope(|scope| {
            let writers = (0..4_u64).map(|writer| {
                scope.spawn(move || {
                    let leave = |index| {
                        let number = writer * EACH + index;
                        let calls = vec![number; 1 + (number % 7) as usize];
                        RING.leave(&Sample { number, bytes: number, calls: &calls })
                    };
                    (0..EACH).filter(|index| leave(*index)).count()
                })
            });
            let writers: Vec<_> = writers.collect();
            let take = |seen: &mut std::collections::HashSet<u64>| {
                RING.take(|sample| {
                    assert_eq!(sample.calls.len() as u64, 1 + sample.number % 7);
                    assert!(sample.calls.iter().all(|call| *call == sample.number));
                    assert_eq!(sample.bytes, sample.number);
                    assert!(seen.insert(sample.number), "{} came twice", sample.number);
                });
            };
            while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                take(&mut seen);
            }
            take(&mut seen);
            writers.into_iter().map(|writer| writer.join().unwrap()).sum::<usize>()
        });
        assert_eq!(seen.len(), left);
        assert_eq!(RING.dropped() + left as u64, 4 * EACH);
        assert_eq!(RING.dropped(), 0);
    }
}
