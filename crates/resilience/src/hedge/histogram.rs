//! Latencies of the last minute, each kept to a sixteenth of itself.

use std::time::Duration;

/// Counts of latencies in buckets that grow with them.
///
/// # Source
///
/// Tene, HdrHistogram: a bucket per leading bits of the value. Here four bits after the first, so
/// a bucket is at most a sixteenth of its value wide; values in microseconds, up to 67 s.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Box<[u32; BUCKETS]>,
    total: u64,
}

/// Bits after the leading one.
const BITS: u32 = 4;
/// The leading one is at most this bit.
const MOST: u32 = 25;
const BUCKETS: usize = ((MOST - BITS + 2) << BITS) as usize;

impl Histogram {
    pub(super) fn new() -> Self {
        Self { counts: Box::new([0; BUCKETS]), total: 0 }
    }

    pub(super) fn add(&mut self, latency: Duration) {
        let count = &mut self.counts[bucket(latency)];
        *count = count.saturating_add(1);
        self.total += 1;
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// The latency that `percent` of these and the other's are at most; at least the true one, at
    /// most a sixteenth more. None when there are none.
    pub(super) fn percentile(&self, other: &Self, percent: u32) -> Option<Duration> {
        let total = self.total + other.total;
        let rank = (total * u64::from(percent)).div_ceil(100);
        let mut seen = 0;
        let both = self.counts.iter().zip(other.counts.iter());
        for (bucket, (one, two)) in both.enumerate() {
            seen += u64::from(*one) + u64::from(*two);
            if seen >= rank && total > 0 {
                return Some(upper(bucket));
            }
        }
        None
    }
}

fn bucket(latency: Duration) -> usize {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    let micros = micros.min((2 << MOST) - 1);
    if micros < 1 << BITS {
        return micros as usize;
    }
    let leading = micros.ilog2();
    let rest = (micros >> (leading - BITS)) & ((1 << BITS) - 1);
    (u64::from(leading - BITS + 1) << BITS | rest) as usize
}

/// The largest latency of the bucket.
fn upper(bucket: usize) -> Duration {
    let (octave, rest) = (bucket as u64 >> BITS, bucket as u64 & ((1 << BITS) - 1));
    let micros = match octave.checked_sub(1) {
        None => rest,
        Some(shift) => (((1 << BITS) + rest + 1) << shift) - 1,
    };
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_one_knows_nothing() {
        assert_eq!(Histogram::new().percentile(&Histogram::new(), 95), None);
    }

    #[test]
    fn what_is_cleared_is_forgotten() {
        let mut histogram = Histogram::new();
        histogram.add(Duration::from_secs(1));
        histogram.clear();
        assert_eq!((histogram.total(), histogram.percentile(&Histogram::new(), 50)), (0, None));
    }

    proptest! {
        #[test]
        fn a_percentile_is_at_least_the_true_one_and_a_sixteenth_more_at_most(
            micros in prop::collection::vec(0_u64..60_000_000, 1..200), percent in 1_u32..=100,
            split in 0_usize..200,
        ) {
            let (mut one, mut two) = (Histogram::new(), Histogram::new());
            for (place, micros) in micros.iter().enumerate() {
                let half = if place < split { &mut one } else { &mut two };
                half.add(Duration::from_micros(*micros));
            }
            let mut sorted = micros.clone();
            sorted.sort_unstable();
            let rank = (sorted.len() * percent as usize).div_ceil(100);
            let exact = sorted[rank - 1];
            let found = one.percentile(&two, percent).unwrap().as_micros() as u64;
            prop_assert!(found >= exact && found <= exact + exact / 16, "{found} for {exact}");
        }
    }

    #[test]
    fn latencies_over_the_largest_are_in_the_last_bucket() {
        let mut histogram = Histogram::new();
        histogram.add(Duration::MAX);
        let found = histogram.percentile(&Histogram::new(), 100).unwrap();
        assert_eq!(found, Duration::from_micros((2 << MOST) - 1));
    }
}
