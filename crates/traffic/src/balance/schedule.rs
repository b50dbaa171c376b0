//! Turns by weight: exact, spread evenly, without a lock.
//!
//! # Source
//!
//! The weights share a circle of as many places as their sum; turn `k` takes the place `k` times a
//! stride that is coprime to the sum, so a period visits every place once. A stride next to the
//! golden section of the circle spreads the turns of each weight (three-distance theorem; Knuth,
//! *The Art of Computer Programming*, vol. 3, 6.4, "Fibonacci hashing"). nginx's smooth weighted
//! round robin has the same two properties but needs a lock and a look at every weight for a turn.

use std::sync::atomic::{AtomicU64, Ordering};

/// Hands out the numbers of its entries in turn, each as often as its weight says.
#[derive(Debug)]
pub struct Schedule {
    /// Where the next entry's part of the circle begins, for each entry.
    ends: Box<[u64]>,
    /// All weights are the same, so that the place is the entry.
    even: bool,
    total: u64,
    stride: u64,
    turn: AtomicU64,
}

impl Schedule {
    /// Turns for entries of these weights, beginning at any turn, so that many processes do not
    /// all begin with the same entry.
    pub fn new(weights: impl IntoIterator<Item = u32>, first_turn: u64) -> Self {
        let weights: Vec<u64> = weights.into_iter().map(u64::from).collect();
        let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
        let mut total = 0;
        let sum = |weight: u64| {
            total += weight / divisor;
            total
        };
        let ends: Box<[u64]> = weights.iter().copied().map(sum).collect();
        let even = ends.iter().zip(1..).all(|(end, count)| *end == count);
        let stride = if even { 1 } else { stride(total) };
        Self { ends, even, total, stride, turn: AtomicU64::new(first_turn) }
    }

    /// The entry whose turn it is; none when all weights are zero.
    pub fn next(&self) -> Option<usize> {
        if self.total == 0 {
            return None;
        }
        // Only the number counts, nothing is published with it.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.total;
        if self.even {
            return Some(turn as usize);
        }
        let place = match turn.checked_mul(self.stride) {
            Some(product) => product % self.total,
            None => (u128::from(turn) * u128::from(self.stride) % u128::from(self.total)) as u64,
        };
        Some(self.at(place))
    }

    /// The entry at a random place, for 64 random bits; none when all weights are zero.
    pub fn random(&self, random: u64) -> Option<usize> {
        // Lemire, "Fast Random Integer Generation in an Interval", 2019, without its last step:
        // the bias is under total / 2^64.
        let place = (u128::from(random) * u128::from(self.total)) >> 64;
        (self.total > 0).then(|| self.at(place as u64))
    }

    /// The turn that comes next, to go on from in another schedule.
    pub fn turn(&self) -> u64 {
        self.turn.load(Ordering::Relaxed)
    }

    fn at(&self, place: u64) -> usize {
        if self.even { place as usize } else { self.ends.partition_point(|end| *end <= place) }
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The number nearest to the golden section of `total` that is coprime to it.
fn stride(total: u64) -> u64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let golden = (total as f64 * GOLDEN) as u64;
    let near = (0..total).flat_map(|away| [golden.saturating_sub(away), golden + away]);
    near.into_iter().find(|stride| greatest_common_divisor(total, *stride) == 1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(schedule: &Schedule, count: u64) -> Vec<usize> {
        (0..count).map(|_| schedule.next().unwrap()).collect()
    }

    #[test]
    fn equal_weights_take_turns_one_after_the_other() {
        assert_eq!(turns(&Schedule::new([3, 3, 3], 0), 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(turns(&Schedule::new([1, 1, 1], 2), 3), [2, 0, 1]);
    }

    #[test]
    fn a_heavy_entry_does_not_take_all_its_turns_at_once() {
        let turns = turns(&Schedule::new([5, 1, 1], 0), 14);
        assert!(turns.windows(5).all(|window| window.iter().any(|entry| *entry != 0)), "{turns:?}");
    }

    #[test]
    fn the_largest_weights_there_are_do_not_overflow() {
        let schedule = Schedule::new([u32::MAX, u32::MAX - 1, 1], u64::MAX - 5);
        assert!(turns(&schedule, 100).iter().all(|entry| *entry < 3));
    }

    #[test]
    fn without_weight_it_is_nobodys_turn() {
        assert_eq!(Schedule::new([], 0).next(), None);
        assert_eq!(Schedule::new([0, 0], 7).next(), None);
        assert_eq!(Schedule::new([0, 0], 7).random(7), None);
    }

    proptest! {
        #[test]
        fn every_period_meets_the_weights_exactly(
            weights in prop::collection::vec(0_u32..60, 1..12), first_turn: u32,
        ) {
            let total: u32 = weights.iter().sum();
            prop_assume!(total > 0);
            let schedule = Schedule::new(weights.clone(), first_turn.into());
            let mut counts = vec![0; weights.len()];
            turns(&schedule, total.into()).into_iter().for_each(|entry| counts[entry] += 1);
            prop_assert_eq!(counts, weights);
        }

        #[test]
        fn any_stretch_is_near_the_weights(
            weights in prop::collection::vec(1_u32..60, 1..12), first_turn: u32, length in 1_u64..400,
        ) {
            let total: u32 = weights.iter().sum();
            let schedule = Schedule::new(weights.clone(), first_turn.into());
            let turns = turns(&schedule, length);
            for (entry, weight) in weights.iter().enumerate() {
                let count = turns.iter().filter(|turn| **turn == entry).count() as f64;
                let share = length as f64 * f64::from(*weight) / f64::from(total);
                // Drawn at random, 400 turns are off by 30 now and then.
                prop_assert!((count - share).abs() <= 10.0, "{count} instead of {share}");
            }
        }

        #[test]
        fn a_random_turn_is_as_likely_as_the_weight_says(
            weights in prop::collection::vec(0_u32..60, 1..12), seed: u64,
        ) {
            let total: u32 = weights.iter().sum();
            prop_assume!(total > 0);
            let schedule = Schedule::new(weights.clone(), 0);
            let mut counts = vec![0_u32; weights.len()];
            // Evenly spread bits in place of random ones: each count is off by one at most.
            let step = u64::MAX / u64::from(total) / 16;
            for draw in 0..u64::from(total) * 16 {
                counts[schedule.random(seed % step + draw * step).unwrap()] += 1;
            }
            for (count, weight) in counts.iter().zip(&weights) {
                prop_assert!(count.abs_diff(weight * 16) <= 1);
            }
        }
    }
}
