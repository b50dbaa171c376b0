//! A sequence of random numbers from one.

use crate::balance::mix;

/// As many random numbers as a pick needs, from the 64 bits that it was given.
///
/// # Source
///
/// SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(random: u64) -> Self {
        Self(random)
    }

    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`, or 0 if that is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.roll()) * end as u128) >> 64) as usize
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        // 53 bits are what an f64 holds.
        (((self.roll() >> 11) as f64) / ((1_u64 << 53) as f64)) < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolls_evenly() {
        let mut dice = Dice::new(1);
        let mut counts = [0_u32; 6];
        (0..60_000).for_each(|_| counts[dice.below(6)] += 1);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        let heads = (0..10_000).filter(|_| dice.chance(0.25)).count();
        assert!((2_300..2_700).contains(&heads), "{heads}");
        assert_eq!((dice.below(0), dice.below(1)), (0, 0));
        assert!(dice.chance(1.0) && !dice.chance(0.0));
    }
}
