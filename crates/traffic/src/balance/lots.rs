//! Draws by weight at random, each with one look at one place.
//!
//! # Source
//!
//! Walker, "An Efficient Method for Generating Discrete Random Variables with General
//! Distributions", 1977, as Vose builds it ("A Linear Algorithm for Generating Random Numbers with
//! a Given Distribution", 1991), in whole numbers: each entry has a column of the same width, and
//! what a light one leaves of it is filled by one heavy entry. A search among sums of weights would
//! take a dozen looks at as many cache lines for ten thousand entries.

/// Entries with weights, drawn as often as their weights say.
#[derive(Debug, Default)]
pub(crate) struct Lots {
    /// Empty when all weights are the same: each column is its entry's own.
    columns: Box<[Column]>,
    count: u64,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    /// Of the 2^64 parts of its width those that are its own entry's.
    own: u64,
    /// Whose the rest are.
    other: u32,
}

impl Lots {
    /// Lots for entries of these weights.
    pub(crate) fn new(weights: impl Iterator<Item = u32> + Clone) -> Self {
        let count = weights.clone().count() as u64;
        let total: u64 = weights.clone().map(u64::from).sum();
        if total == 0 {
            return Self::default();
        }
        let is_even = weights.clone().all(|weight| u64::from(weight) * count == total);
        if is_even {
            return Self { columns: Box::default(), count };
        }
        // A column is `total` wide, and an entry covers its weight times `count`; together they fit.
        let mut left: Vec<u64> = weights.map(|weight| u64::from(weight) * count).collect();
        let (mut light, mut heavy): (Vec<usize>, Vec<usize>) =
            (0..left.len()).partition(|entry| left[*entry] < total);
        let full = |entry: usize| Column { own: u64::MAX, other: entry as u32 };
        let mut columns: Box<[Column]> = (0..left.len()).map(full).collect();
        while let Some(short) = light.pop()
            && let Some(long) = heavy.last().copied()
        {
            let own = (u128::from(left[short]) << 64) / u128::from(total);
            columns[short] = Column { own: own as u64, other: long as u32 };
            left[long] -= total - left[short];
            if left[long] < total {
                heavy.pop();
                light.push(long);
            }
        }
        Self { columns, count }
    }

    /// The entry of a lot, for 64 random bits; none when all weights are zero.
    pub(crate) fn draw(&self, random: u64) -> Option<usize> {
        // The column is the whole part (Lemire, "Fast Random Integer Generation in an Interval",
        // 2019, without its last step), and what is left over is as random.
        let product = u128::from(random) * u128::from(self.count);
        let (column, part) = ((product >> 64) as usize, product as u64);
        match self.columns.get(column) {
            Some(held) if part >= held.own => Some(held.other as usize),
            Some(_) => Some(column),
            None => (self.count > 0).then_some(column),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lots(weights: &[u32]) -> Lots {
        Lots::new(weights.iter().copied())
    }

    #[test]
    fn without_weight_nobody_is_drawn() {
        assert_eq!(lots(&[]).draw(7), None);
        assert_eq!(lots(&[0, 0]).draw(7), None);
    }

    #[test]
    fn the_largest_weights_there_are_do_not_overflow() {
        let lots = lots(&[u32::MAX, u32::MAX - 1, 1, 0]);
        let drawn = [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX].map(|random| lots.draw(random));
        assert!(drawn.iter().all(|entry| entry.is_some_and(|entry| entry < 3)), "{drawn:?}");
    }

    proptest! {
        #[test]
        fn a_draw_is_as_likely_as_the_weight_says(
            weights in prop::collection::vec(0_u32..60, 1..12), seed: u64,
        ) {
            const DRAWS: u64 = 256;
            let total = weights.iter().sum::<u32>();
            prop_assume!(total > 0);
            let lots = lots(&weights);
            let mut counts = vec![0_u32; weights.len()];
            // Evenly spread bits in place of random ones: each part of a column is off by one.
            let step = u64::MAX / (u64::from(total) * DRAWS);
            for draw in 0..u64::from(total) * DRAWS {
                counts[lots.draw(seed % step + draw * step).unwrap()] += 1;
            }
            let most = weights.len() as u32;
            for (count, weight) in counts.iter().zip(&weights) {
                prop_assert!(count.abs_diff(weight * DRAWS as u32) <= most, "{counts:?}");
                prop_assert!(*weight > 0 || *count == 0);
            }
        }
    }
}
