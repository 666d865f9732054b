//! Which sampled allocations are still there: their addresses with the numbers of their samples, in
//! a table of fixed size that every thread changes without waiting.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Places of a bucket, and buckets: room for 65,536 samples, which at one for each 512 KiB are
/// 32 GiB in use. A megabyte, once it is used.
const PLACES: usize = 8;
const BUCKETS: usize = 8_192;

/// Nothing is at this address.
const NOWHERE: usize = 0;
/// No sample has this number.
pub(crate) const NONE: u64 = 0;

struct Place {
    address: AtomicUsize,
    number: AtomicU64,
}

/// The samples that are still there.
pub(crate) struct Live {
    buckets: [[Place; PLACES]; BUCKETS],
}

impl Place {
    const fn new() -> Self {
        Self { address: AtomicUsize::new(NOWHERE), number: AtomicU64::new(NONE) }
    }
}

impl Live {
    #[expect(clippy::large_stack_arrays, reason = "it is a static")]
    pub(crate) const fn new() -> Self {
        Self { buckets: [const { [const { Place::new() }; PLACES] }; BUCKETS] }
    }

    /// Neighbours in memory are none in the table.
    fn bucket(&self, address: usize) -> &[Place; PLACES] {
        let mixed = (address as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.buckets[(mixed >> 32) as usize % BUCKETS]
    }

    /// Adds a sample; gives whether there was room for it.
    pub(crate) fn add(&self, address: usize, number: u64) -> bool {
        let taken = |place: &&Place| {
            let order = (Ordering::AcqRel, Ordering::Relaxed);
            place.address.compare_exchange(NOWHERE, address, order.0, order.1).is_ok()
        };
        let place = self.bucket(address).iter().find(taken);
        place.inspect(|place| place.number.store(number, Ordering::Release)).is_some()
    }

    /// Takes a sample out; gives its number, or [`NONE`] if it is not there.
    pub(crate) fn remove(&self, address: usize) -> u64 {
        let is_it = |place: &&Place| place.address.load(Ordering::Relaxed) == address;
        let Some(place) = self.bucket(address).iter().find(is_it) else { return NONE };
        let number = place.number.swap(NONE, Ordering::Acquire);
        place.address.store(NOWHERE, Ordering::Release);
        number
    }

    /// The numbers of all that are there.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        let places = self.buckets.iter().flatten();
        places.map(|place| place.number.load(Ordering::Acquire)).filter(|number| *number != NONE)
    }

    /// Takes all out.
    pub(crate) fn clear(&self) {
        for place in self.buckets.iter().flatten() {
            // What was never used is not to take memory now.
            if place.address.load(Ordering::Relaxed) != NOWHERE {
                place.number.store(NONE, Ordering::Relaxed);
                place.address.store(NOWHERE, Ordering::Release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_freed_is_not_there_and_everything_else_is() {
        static LIVE: Live = Live::new();
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                scope.spawn(move || {
                    for index in 1..=2_000_usize {
                        let (address, number) = (thread << 32 | index << 4, index as u64);
                        assert!(LIVE.add(address, number));
                        assert_eq!(LIVE.remove(address + 8 * 16 * 2_000), NONE);
                        if index % 2 == 0 {
                            assert_eq!(LIVE.remove(address), number);
                            assert_eq!(LIVE.remove(address), NONE);
                        }
                    }
                });
            }
        });
        assert_eq!(LIVE.numbers().count(), 4 * 1_000);
        assert!(LIVE.numbers().all(|number| number % 2 == 1));
        LIVE.clear();
        assert_eq!(LIVE.numbers().count(), 0);
    }

    #[test]
    fn a_full_bucket_takes_no_more() {
        static LIVE: Live = Live::new();
        let added = (0..BUCKETS * PLACES * 2).filter(|index| LIVE.add((index + 1) << 4, 1)).count();
        assert!(added <= BUCKETS * PLACES && added > BUCKETS * PLACES / 2, "{added}");
    }
}
