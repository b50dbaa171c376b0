//! Which revisions are kept, as time passes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Samples within the time that is kept; the compaction is late by at most one of them.
const SAMPLES: u32 = 12;

/// Remembers which revision was the latest when.
#[derive(Debug)]
pub(crate) struct Retention {
    keep: Duration,
    samples: VecDeque<(Instant, i64)>,
}

impl Retention {
    /// What is older than `keep` may go.
    pub(crate) fn new(keep: Duration) -> Self {
        Self { keep, samples: VecDeque::new() }
    }

    /// The time between two samples.
    pub(crate) fn interval(&self) -> Duration {
        (self.keep / SAMPLES).max(Duration::from_secs(1))
    }

    /// Takes note of the latest revision; answers the one to compact at, if there is one.
    pub(crate) fn sample(&mut self, now: Instant, revision: i64) -> Option<i64> {
        self.samples.push_back((now, revision));
        let is_old = |sample: &(Instant, i64)| now.duration_since(sample.0) >= self.keep;
        let old = self.samples.partition_point(is_old);
        self.samples.drain(..old).next_back().map(|(_, revision)| revision)
    }
}

/// Where to compact when the history takes too much memory: in the middle, so that the work is
/// done rarely and half of the history stays.
pub(crate) fn middle(compacted: i64, revision: i64) -> i64 {
    let compacted = compacted.max(0);
    compacted + (revision - compacted) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a first instant to count from")]
    fn what_was_latest_an_hour_ago_is_where_to_compact() {
        let start = Instant::now();
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let mut retention = Retention::new(Duration::from_secs(3600));
        assert_eq!(retention.interval(), Duration::from_secs(300));
        assert_eq!(retention.sample(at(0), 5), None);
        assert_eq!(retention.sample(at(20), 7), None);
        assert_eq!(retention.sample(at(59), 8), None);
        assert_eq!(retention.sample(at(60), 9), Some(5));
        assert_eq!(retention.sample(at(61), 9), None);
        assert_eq!(retention.sample(at(119), 12), Some(8));
    }

    #[test]
    fn the_middle_moves_forward() {
        assert_eq!(middle(-1, 1), 0);
        assert_eq!(middle(0, 100), 50);
        assert_eq!(middle(50, 100), 75);
    }
}
