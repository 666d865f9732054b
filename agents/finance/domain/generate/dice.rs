//! Seeded chance.
//!
//! Owns the mapping from random words to ranges, so that a seed gives the same statement whatever
//! a random-number crate changes. The stream is `ChaCha8`, which is stable by definition.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A source of chance that a seed fixes.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number from 0 up to, not including, `bound`; 0 if `bound` is 0.
    ///
    /// The multiply-and-shift of Lemire, "Fast Random Integer Generation in an Interval" (2019),
    /// without its rejection step: the bias is below 2⁻³².
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        let wide = u128::from(self.0.next_u64()) * u128::from(bound);
        u32::try_from(wide >> 64).unwrap_or_default()
    }

    /// A number between both ends, both included.
    pub(super) fn between(&mut self, (low, high): (u32, u32)) -> u32 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// One of the items; none of an empty slice.
    pub(super) fn pick<'t, T>(&mut self, items: &'t [T]) -> Option<&'t T> {
        let bound = u32::try_from(items.len()).unwrap_or(u32::MAX);
        items.get(usize::try_from(self.below(bound)).ok()?)
    }

    /// A 12-digit reference number as UPI gives to each payment.
    pub(super) fn reference(&mut self) -> u64 {
        let head = u64::from(self.between((400_000, 599_999)));
        head * 1_000_000 + u64::from(self.below(1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_every_throw_and_ranges_are_kept() {
        let (mut one, mut same) = (Dice::new(7), Dice::new(7));
        for _ in 0..1_000 {
            let throw = one.between((3, 9));
            assert!((3..=9).contains(&throw));
            assert_eq!(throw, same.between((3, 9)));
            assert_eq!(one.reference().to_string().len(), 12);
            same.reference();
        }
        assert_eq!((one.below(0), one.pick::<u8>(&[])), (0, None));
    }
}
