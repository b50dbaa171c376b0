//! How much of its share a new instance gets: a pure rule.

use std::time::Duration;

/// A new instance begins with a part of its share that grows until it has all of it, so that cold
/// caches, pools and compilers do not meet the full load.
///
/// What counts is how much younger it is than the oldest: instances that come together, or when
/// there is none, share alike, since nobody else would take the calls.
///
/// # Source
///
/// Envoy, "Slow start mode": `share = max(least, (age / window) ^ (1 / aggression))`. Ours has an
/// aggression of 1, a straight line: the load then grows as evenly as caches fill, and one number
/// less is to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStart {
    /// Time from joining to the full share. Default 30 s: pools fill and code warms up within
    /// seconds, and a deployment that replaces instances one by one still goes on; 0 switches slow
    /// start off, at most 1 h.
    pub window: Duration,
    /// The share at the beginning, in percent. Default 10 (Envoy's value: enough to warm up); 1 to
    /// 100.
    pub least_percent: u32,
}

impl Default for SlowStart {
    fn default() -> Self {
        Self { window: Duration::from_secs(30), least_percent: 10 }
    }
}

impl SlowStart {
    /// The longest window: an hour is no start any more.
    pub const LONGEST: Duration = Duration::from_secs(3600);

    /// No slow start.
    pub const OFF: Self = Self { window: Duration::ZERO, least_percent: 100 };

    /// The part of its share that an instance of this age gets beside one of the oldest's age; more
    /// than 0, at most 1.
    pub fn share(&self, age: Duration, oldest: Duration) -> f64 {
        (self.warmth(age) / self.warmth(oldest)).min(1.0)
    }

    fn warmth(&self, age: Duration) -> f64 {
        if age >= self.window {
            return 1.0;
        }
        let grown = age.as_secs_f64() / self.window.as_secs_f64();
        grown.max(f64::from(self.least_percent) / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_in_a_straight_line_from_the_least_to_all() {
        let slow_start = SlowStart::default();
        let at = |seconds| slow_start.share(Duration::from_secs(seconds), Duration::MAX);
        assert_eq!([at(0), at(3), at(15), at(30), at(31)], [0.1, 0.1, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn instances_that_come_together_share_alike() {
        let slow_start = SlowStart::default();
        let at = |age, oldest| {
            slow_start.share(Duration::from_millis(age), Duration::from_millis(oldest))
        };
        assert_eq!([at(0, 0), at(0, 1_000), at(9_000, 10_000)], [1.0, 1.0, 0.9]);
    }

    #[test]
    fn off_is_the_whole_share_at_once() {
        assert_eq!(SlowStart::OFF.share(Duration::ZERO, Duration::MAX), 1.0);
    }
}
