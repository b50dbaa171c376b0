//! Turns by weight: exact in every period, spread evenly within it, and without a lock.
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
