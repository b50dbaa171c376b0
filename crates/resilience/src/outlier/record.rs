//! One instance's ejections: until when, and how many so far.

use std::time::{Duration, Instant};

use crate::outlier::Settings;

/// Whether an instance is ejected, and how often it was of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The end of the present or last ejection.
    until: Option<Instant>,
    /// Ejections of late: one more for each, one less for each quiet look.
    times: u32,
}

impl Record {
    /// Ejects the instance at `now`, for longer each time; says for how long.
    ///
    /// # Source
    ///
    /// Envoy, "Outlier detection": the base time times the number of ejections, up to the longest.
    pub fn eject(&mut self, settings: &Settings, now: Instant) -> Duration {
        self.times = self.times.saturating_add(1);
        let time = settings.base_ejection.saturating_mul(self.times).min(settings.max_ejection);
        // A time too long for the clock: 30 years will do.
        let far = Duration::from_secs(30 * 365 * 86_400);
        self.until = Some(now + time.min(far));
        time
    }

    /// Whether it is out at `now`.
    pub fn is_ejected(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// The end of the present ejection; none when it is in at `now`.
    pub fn ejected_until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }

    /// Ejections of late; the next one takes one more than this times the base.
    pub fn times(&self) -> u32 {
        self.times
    }

    /// Takes note of a look at which the instance was in and did not become an outlier: an
    /// instance that does well is trusted again, one ejection a look.
    pub fn quiet(&mut self, now: Instant) {
        if !self.is_ejected(now) {
            self.times = self.times.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::now;

    #[test]
    fn each_ejection_takes_thirty_seconds_longer_up_to_three_hundred() {
        let (settings, now, mut record) = (Settings::default(), now(), Record::default());
        let times: Vec<u64> = (0..12).map(|_| record.eject(&settings, now).as_secs()).collect();
        assert_eq!(times, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
    }

    #[test]
    fn it_is_in_again_at_the_end_and_not_before() {
        let (settings, now, mut record) = (Settings::default(), now(), Record::default());
        assert!(!record.is_ejected(now));
        record.eject(&settings, now);
        let end = now + Duration::from_secs(30);
        assert!(record.is_ejected(end - Duration::from_nanos(1)));
        assert_eq!(record.ejected_until(now), Some(end));
        assert!(!record.is_ejected(end));
        assert_eq!(record.ejected_until(end), None);
    }

    #[test]
    fn quiet_looks_forgive_one_ejection_each_but_none_while_it_is_out() {
        let (settings, now, mut record) = (Settings::default(), now(), Record::default());
        record.eject(&settings, now);
        record.eject(&settings, now);
        record.quiet(now);
        assert_eq!(record.times(), 2);
        let later = now + Duration::from_secs(60);
        record.quiet(later);
        assert_eq!(record.times(), 1);
        record.quiet(later);
        record.quiet(later);
        assert_eq!(record.times(), 0);
    }

    proptest! {
        #[test]
        fn no_ejection_is_longer_than_the_longest_or_shorter_than_the_first(
            base in 1_u64..1_000, more in 0_u64..10_000, times in 1_u32..50,
        ) {
            let settings = Settings {
                base_ejection: Duration::from_millis(base),
                max_ejection: Duration::from_millis(base + more),
                ..Settings::default()
            };
            let (now, mut record) = (now(), Record::default());
            for _ in 0..times {
                let time = record.eject(&settings, now);
                prop_assert!((settings.base_ejection..=settings.max_ejection).contains(&time));
            }
        }
    }
}
