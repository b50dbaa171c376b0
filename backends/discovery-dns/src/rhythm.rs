//! When to look up again: pure rules.

use std::time::Duration;

use crate::Options;

/// How many look-ups failed in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rhythm {
    failures: u32,
}

impl Rhythm {
    /// Takes an answer that holds for this time; says how long to wait.
    pub(crate) fn answered(&mut self, options: &Options, holds_for: Duration) -> Duration {
        self.failures = 0;
        holds_for.clamp(options.least_refresh, options.most_refresh)
    }

    /// Takes a failure; says how long to wait: exponential with full jitter (AWS, "Exponential
    /// backoff and jitter", 2015). `random` is in `[0, 1)`.
    pub(crate) fn failed(&mut self, options: &Options, random: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        let bound = options.first_backoff.saturating_mul(doubled).min(options.max_backoff);
        // Never at once, however the dice fall.
        bound.mul_f64(random.max(0.01))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_again_when_the_records_are_too_old_within_bounds() {
        let (options, mut rhythm) = (Options::default(), Rhythm::default());
        let wait = |rhythm: &mut Rhythm, seconds| {
            rhythm.answered(&options, Duration::from_secs(seconds)).as_secs()
        };
        assert_eq!([0, 5, 3600].map(|seconds| wait(&mut rhythm, seconds)), [1, 5, 30]);
    }

    #[test]
    fn waits_longer_with_each_failure_and_starts_anew_after_an_answer() {
        let (options, mut rhythm) = (Options::default(), Rhythm::default());
        let waits: Vec<_> = (0..6).map(|_| rhythm.failed(&options, 1.0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000]);
        assert!(rhythm.failed(&options, 0.0) > Duration::ZERO);
        rhythm.answered(&options, Duration::ZERO);
        assert_eq!(rhythm.failed(&options, 1.0).as_millis(), 500);
    }
}
