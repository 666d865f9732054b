//! What is allocated through [`crate::Allocator`], and what of it stays, by samples.
//!
//! Bytes are sampled at random, about one in [`BYTES_PER_SAMPLE`], so that an allocation of `s`
//! bytes is in the sample with the probability `1 - exp(-s / BYTES_PER_SAMPLE)`. Divided by that,
//! counts and bytes are unbiased estimates: tcmalloc and Go do the same,
//! <https://github.com/google/tcmalloc/blob/master/docs/sampling.md>.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::hint::black_box;
use std::ptr::from_ref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use crate::encode::{Profile, Type};
use crate::live::{Live, NONE};
use crate::raw;
use crate::ring::Sample;
use crate::stacks::Stacks;
use crate::taking::{self, NotTaken, Taking, Wanted};

/// What is allocated between two samples, on average; as in Go.
const BYTES_PER_SAMPLE: f64 = 524_288.0;
/// Samples that are remembered before those that were freed are forgotten.
const SAMPLES_MAX: usize = 262_144;
/// What is not the program's doing but that of its allocator. Whoever reads a profile leaves such
/// functions out, with what they call.
const DROP_FRAMES: &str = "<?genie_profile::.*|_*rust_.*alloc.*|_*rg_.*|__rustc::.*|\
                           <?alloc::alloc::.*|<?alloc::raw_vec::.*";

/// Whether allocations are sampled.
static WATCHED: AtomicBool = AtomicBool::new(false);
/// Whether the allocator has noticed.
static NOTICED: AtomicBool = AtomicBool::new(false);
/// The number of the next sample; never [`NONE`] and never the same twice.
static NEXT: AtomicU64 = AtomicU64::new(NONE + 1);
/// Samples for which there was no room in [`LIVE`].
static CROWDED: AtomicU64 = AtomicU64::new(0);
static LIVE: Live = Live::new();

thread_local! {
    /// Bytes that this thread may still allocate before the next sample; negative before the first.
    static LEFT: Cell<f64> = const { Cell::new(-1.0) };
    /// The state of this thread's random numbers; zero before the first.
    static SEED: Cell<u64> = const { Cell::new(0) };
    /// Whether what this thread allocates is none of the program's business.
    static OURS: Cell<bool> = const { Cell::new(false) };
}

#[inline]
pub(crate) fn is_watched() -> bool {
    WATCHED.load(Ordering::Relaxed)
}

/// Something was allocated here. Called by the allocator while the heap is watched.
#[cold]
#[inline(never)]
pub(crate) fn allocated(address: usize, bytes: usize) {
    NOTICED.store(true, Ordering::Relaxed);
    if address == 0 || OURS.get() {
        return;
    }
    let left = match LEFT.get() {
        unset if unset < 0.0 => next_after(),
        left => left,
    } - bytes as f64;
    if left > 0.0 {
        LEFT.set(left);
        return;
    }
    LEFT.set(next_after());
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    if !LIVE.add(address, number) {
        CROWDED.fetch_add(1, Ordering::Relaxed);
    }
    if !taking::leave(&raw::here(), number, bytes as u64) {
        LIVE.remove(address);
    }
}

/// Something is about to be freed. Gives the number of its sample, or [`NONE`].
#[cold]
#[inline(never)]
pub(crate) fn freed(address: usize) -> u64 {
    LIVE.remove(address)
}

/// What was about to be freed was not.
#[cold]
pub(crate) fn stays(address: usize, number: u64) {
    if number != NONE {
        LIVE.add(address, number);
    }
}

/// Bytes until the next sample: exponentially distributed, so that every byte has the same chance.
fn next_after() -> f64 {
    let seed = match SEED.get() {
        0 => NEXT.fetch_add(1, Ordering::Relaxed) ^ SEED.with(|seed| from_ref(seed).addr() as u64),
        seed => seed,
    };
    // SplitMix64, <https://doi.org/10.1145/2714064.2660195>.
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    SEED.set(seed);
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let bits = (mixed ^ (mixed >> 31)) >> 11;
    // In (0, 1], so that its logarithm is finite.
    let random = (bits + 1) as f64 / (1_u64 << 53) as f64;
    -random.ln() * BYTES_PER_SAMPLE
}

/// How many allocations of this size a sampled one stands for.
fn weight(bytes: u64) -> f64 {
    let chance = -(-(bytes as f64) / BYTES_PER_SAMPLE).exp_m1();
    if chance > 0.0 { 1.0 / chance } else { 0.0 }
}

/// Samples allocations, for so long or until the other end of `gone` is dropped; gives the profile,
/// compressed. Blocks its thread.
///
/// # Errors
/// [`NotTaken`] if another is being taken, or nobody wants it, or allocations cannot be seen.
pub fn heap(wanted: &Wanted, gone: &Receiver<Infallible>) -> Result<Vec<u8>, NotTaken> {
    let taking = Taking::begin()?;
    let mut tally = Tally::default();
    let watching = Watching::begin()?;
    taking.sample(wanted.lasts, gone, |sample| tally.count(sample))?;
    finished(wanted, &taking, watching, tally)
}

fn finished(
    wanted: &Wanted,
    taking: &Taking,
    watching: Watching,
    mut tally: Tally,
) -> Result<Vec<u8>, NotTaken> {
    drop(watching);
    let Some((unwinder, dropped)) = taking.end(|sample| tally.count(sample)) else {
        return Err(NotTaken::Gone);
    };
    let crowded = CROWDED.swap(0, Ordering::Relaxed);
    let comment = match (dropped, crowded) {
        (0, 0) => String::new(),
        _ => format!("{dropped} samples are missing, {crowded} more count as freed"),
    };
    let stacks = tally.with_what_stays();
    LIVE.clear();
    let profile = Profile {
        types: &[
            Type { name: "alloc_objects", unit: "count" },
            Type { name: "alloc_space", unit: "bytes" },
            Type { name: "inuse_objects", unit: "count" },
            Type { name: "inuse_space", unit: "bytes" },
        ],
        period: (Type { name: "space", unit: "bytes" }, BYTES_PER_SAMPLE as i64),
        default_type: "inuse_space",
        comment,
        drop_frames: DROP_FRAMES,
        wanted: *wanted,
    };
    Ok(profile.encoded(&stacks, &unwinder)?)
}

/// The heap, while it is watched. What the thread that watches allocates is not counted.
struct Watching(());

impl Watching {
    fn begin() -> Result<Self, NotTaken> {
        OURS.set(true);
        LIVE.clear();
        NOTICED.store(false, Ordering::Relaxed);
        let watching = Self(());
        WATCHED.store(true, Ordering::SeqCst);
        drop(black_box(Box::new(black_box(0_u8))));
        if NOTICED.load(Ordering::Relaxed) { Ok(watching) } else { Err(NotTaken::Allocator) }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        WATCHED.store(false, Ordering::SeqCst);
        OURS.set(false);
    }
}

/// What was sampled.
#[derive(Default)]
struct Tally {
    stacks: Stacks,
    /// The samples that may still be there, with the places of their stacks and their bytes.
    samples: HashMap<u64, (usize, u64)>,
}

impl Tally {
    fn count(&mut self, sample: &Sample<'_>) {
        // Where the sample was taken is the first call, and always the same.
        let place = self.stacks.place(sample.calls.get(1..).unwrap_or_default());
        let objects = weight(sample.bytes);
        self.stacks.add(place, [objects, objects * sample.bytes as f64, 0.0, 0.0]);
        if self.samples.len() >= SAMPLES_MAX {
            let live: HashSet<u64> = LIVE.numbers().collect();
            self.samples.retain(|number, _| live.contains(number));
        }
        self.samples.insert(sample.number, (place, sample.bytes));
    }

    fn with_what_stays(mut self) -> Stacks {
        for number in LIVE.numbers() {
            if let Some((place, bytes)) = self.samples.get(&number) {
                let objects = weight(*bytes);
                self.stacks.add(*place, [0.0, 0.0, objects, objects * *bytes as f64]);
            }
        }
        self.stacks
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::encode::tests::{Read, read};
    use crate::taking::tests::alone;

    const MIB: usize = 1 << 20;

    #[inline(never)]
    fn kept_large() -> Vec<Vec<u8>> {
        (0..64).map(|_| black_box(Vec::with_capacity(MIB))).collect()
    }

    #[inline(never)]
    #[expect(clippy::vec_box, reason = "one allocation for each is what is counted")]
    fn kept_small() -> Vec<Box<[u8; 1_024]>> {
        (0..65_536).map(|_| black_box(Box::new([7; 1_024]))).collect()
    }

    #[inline(never)]
    fn grown() -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::new();
        while bytes.len() < 64 * MIB {
            bytes.resize(2 * bytes.len().max(1_024), 7);
        }
        black_box(bytes)
    }

    #[inline(never)]
    fn let_go() {
        for _ in 0..64 {
            drop(black_box(Vec::<u8>::with_capacity(MIB)));
        }
    }

    /// The profile of what happens meanwhile, however long it takes.
    fn profile(during: impl FnOnce() + Send) -> Read {
        let (_here, gone) = channel();
        let wanted = Wanted { lasts: Duration::ZERO, began_at_ns: 0 };
        let (taking, mut tally) = (Taking::begin().unwrap(), Tally::default());
        let watching = Watching::begin().unwrap();
        std::thread::scope(|scope| {
            let meanwhile = scope.spawn(during);
            while !meanwhile.is_finished() {
                taking.sample(taking::TURN, &gone, |sample| tally.count(sample)).unwrap();
            }
        });
        read(&finished(&wanted, &taking, watching, tally).unwrap())
    }

    fn sum(profile: &Read, function: &str, figure: usize) -> f64 {
        let name = format!("genie_profile::heap::tests::{function}");
        profile.of(&name).map(|figures| figures[figure] as f64).sum()
    }

    #[test]
    fn what_is_kept_is_told_from_what_was_let_go_at_about_its_size() {
        let _alone = alone();
        let before = kept_large();
        let mut kept = None;
        let profile = profile(|| {
            let_go();
            drop(before);
            kept = Some((kept_large(), kept_small(), grown()));
        });
        drop(kept);
        let types = [
            "alloc_objects/count",
            "alloc_space/bytes",
            "inuse_objects/count",
            "inuse_space/bytes",
        ];
        assert_eq!(profile.types, types);
        // By chance, but far less than once in a million times.
        let about = |function: &str, figure: usize, expected: usize| {
            let (found, expected) = (sum(&profile, function, figure), expected as f64);
            assert!((found / expected - 1.0).abs() < 0.45, "{function}: {found}, not {expected}");
        };
        about("kept_large", 0, 64);
        about("kept_large", 1, 64 * MIB);
        about("kept_large", 3, 64 * MIB);
        about("kept_small", 2, 65_536);
        about("kept_small", 3, 64 * MIB);
        about("let_go", 1, 64 * MIB);
        assert!(sum(&profile, "let_go", 3) < 1.0, "{}", sum(&profile, "let_go", 3));
        // It is one block, however often it moved.
        assert!(sum(&profile, "grown", 2) < 3.0, "{}", sum(&profile, "grown", 2));
        about("grown", 3, 64 * MIB);
    }

    #[test]
    fn what_nobody_looks_at_is_not_sampled() {
        let _alone = alone();
        let next = NEXT.load(Ordering::Relaxed);
        drop(black_box((kept_large(), kept_small())));
        assert!(NEXT.load(Ordering::Relaxed) <= next + 1);
    }

    #[test]
    fn a_sampled_allocation_stands_for_as_many_as_were_not() {
        // A byte is hardly ever sampled, and what is much larger than the distance always.
        assert!((weight(1) * 1.0 / BYTES_PER_SAMPLE - 1.0).abs() < 0.001);
        assert!((weight(100 * 524_288) - 1.0).abs() < 0.001);
        let mean = (0..100_000).map(|_| next_after()).sum::<f64>() / 100_000.0;
        assert!((mean / BYTES_PER_SAMPLE - 1.0).abs() < 0.03, "{mean}");
    }
}
