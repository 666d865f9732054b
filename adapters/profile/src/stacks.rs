//! How often each stack was seen, and what it comes to.

use std::collections::HashMap;

/// Most different stacks; what is seen beyond them is counted for a stack without calls.
const STACKS_MAX: usize = 16_384;
/// Figures of a stack.
pub(crate) const FIGURES: usize = 4;

/// Stacks with their figures.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    places: HashMap<Box<[u64]>, usize>,
    figures: Vec<[f64; FIGURES]>,
}

impl Stacks {
    /// The place of a stack.
    pub(crate) fn place(&mut self, calls: &[u64]) -> usize {
        let is_new = !self.places.contains_key(calls);
        let calls = if is_new && self.figures.len() >= STACKS_MAX { &[] } else { calls };
        if let Some(place) = self.places.get(calls) {
            return *place;
        }
        self.figures.push([0.0; FIGURES]);
        self.places.insert(calls.into(), self.figures.len() - 1);
        self.figures.len() - 1
    }

    pub(crate) fn add(&mut self, place: usize, figures: [f64; FIGURES]) {
        if let Some(sums) = self.figures.get_mut(place) {
            for (sum, figure) in sums.iter_mut().zip(figures) {
                *sum += figure;
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u64], &[f64; FIGURES])> {
        self.places.iter().map(|(calls, place)| (&**calls, &self.figures[*place]))
    }

    /// Every address in any of them, once.
    pub(crate) fn addresses(&self) -> Vec<u64> {
        let mut all: Vec<u64> =
            self.places.keys().flat_map(|calls| calls.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_counted_where_it_was_and_too_many_are_counted_together() {
        let mut stacks = Stacks::default();
        for index in 0..STACKS_MAX as u64 + 100 {
            let place = stacks.place(&[index, 7]);
            stacks.add(place, [1.0, 0.0, 0.0, 2.0]);
        }
        let place = stacks.place(&[3, 7]);
        stacks.add(place, [1.0, 0.0, 0.0, 0.0]);
        let figures = |calls: &[u64]| {
            let found = stacks.iter().find(|(it, _)| *it == calls).unwrap();
            found.1.map(|figure| figure as u64)
        };
        assert_eq!(figures(&[3, 7]), [2, 0, 0, 2]);
        assert_eq!(figures(&[]), [100, 0, 0, 200]);
        assert_eq!(stacks.iter().count(), STACKS_MAX + 1);
        assert_eq!(stacks.addresses().len(), STACKS_MAX);
    }
}
