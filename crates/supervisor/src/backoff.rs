//! When a part that died starts again.

use std::time::{Duration, Instant};

/// How long to wait before a part starts again, and when its past is forgotten.
///
/// The delay doubles with each death in a row, from `base` to `max`; half of it is drawn at random,
/// so that parts which died together do not return together ("equal jitter").
///
/// # Source
///
/// Brooker, *Exponential Backoff and Jitter*, AWS Architecture Blog, 2015.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Delay after the first death. Default 200 ms: a service with a passing fault is back before
    /// callers notice.
    pub base: Duration,
    /// Longest delay. Default 30 s: a mended service is back within half a minute.
    pub max: Duration,
    /// Time of being ready after which deaths before no longer count. Default 60 s.
    pub forget_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(200),
            max: Duration::from_secs(30),
            forget_after: Duration::from_secs(60),
        }
    }
}

/// Deaths in a row from which on a part counts as crash-looping.
pub const CRASH_LOOP: u32 = 3;

/// What happened to one part so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deaths {
    in_a_row: u32,
    ready_since: Option<Instant>,
}

impl Deaths {
    /// The part answers.
    pub(crate) fn ready(&mut self, now: Instant) {
        self.ready_since.get_or_insert(now);
    }

    /// The part runs but does not answer: this is no health that makes its past forgotten.
    pub(crate) fn unready(&mut self) {
        self.ready_since = None;
    }

    /// The part is gone; `random` in 0..1 draws the jitter. Returns the delay until the next start.
    pub(crate) fn died(&mut self, now: Instant, backoff: &Backoff, random: f64) -> Duration {
        let healthy = self.ready_since.take().map(|since| now.saturating_duration_since(since));
        if healthy.is_some_and(|time| time >= backoff.forget_after) {
            self.in_a_row = 0;
        }
        let doubled = backoff.base.saturating_mul(1 << self.in_a_row.min(20));
        self.in_a_row = self.in_a_row.saturating_add(1);
        let delay = doubled.min(backoff.max);
        delay / 2 + (delay / 2).mul_f64(random.clamp(0.0, 1.0))
    }

    /// Whether it keeps dying.
    pub(crate) fn is_crash_loop(&self) -> bool {
        self.in_a_row >= CRASH_LOOP
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_millis(200),
        max: Duration::from_secs(30),
        forget_after: Duration::from_secs(60),
    };

    #[test]
    fn doubles_with_each_death_in_a_row_up_to_the_limit() {
        let now = crate::clock::now();
        let mut deaths = Deaths::default();
        let delays: Vec<_> = (0..10).map(|_| deaths.died(now, &BACKOFF, 1.0).as_millis()).collect();
        assert_eq!(delays, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
    }

    #[test]
    fn a_minute_of_health_forgets_the_deaths_before() {
        let now = crate::clock::now();
        let mut deaths = Deaths::default();
        for _ in 0..5 {
            deaths.died(now, &BACKOFF, 1.0);
        }
        deaths.ready(now);
        let delay = deaths.died(now + Duration::from_secs(60), &BACKOFF, 1.0);
        assert_eq!(delay, BACKOFF.base);
        assert!(!deaths.is_crash_loop());
    }

    #[test]
    fn less_than_a_minute_of_health_forgets_nothing() {
        let now = crate::clock::now();
        let mut deaths = Deaths::default();
        deaths.died(now, &BACKOFF, 1.0);
        deaths.ready(now);
        let delay = deaths.died(now + Duration::from_millis(59_999), &BACKOFF, 1.0);
        assert_eq!(delay, BACKOFF.base * 2);
    }

    #[test]
    fn time_without_readiness_is_no_health() {
        let now = crate::clock::now();
        let mut deaths = Deaths::default();
        deaths.died(now, &BACKOFF, 1.0);
        deaths.ready(now);
        deaths.unready();
        deaths.ready(now + Duration::from_secs(50));
        let delay = deaths.died(now + Duration::from_secs(70), &BACKOFF, 1.0);
        assert_eq!(delay, BACKOFF.base * 2);
    }

    #[test]
    fn three_deaths_in_a_row_are_a_crash_loop() {
        let now = crate::clock::now();
        let mut deaths = Deaths::default();
        deaths.died(now, &BACKOFF, 0.0);
        deaths.died(now, &BACKOFF, 0.0);
        assert!(!deaths.is_crash_loop());
        deaths.died(now, &BACKOFF, 0.0);
        assert!(deaths.is_crash_loop());
    }

    proptest! {
        #[test]
        fn jitter_takes_at_most_half_of_the_delay(count in 0_u32..2000, random in 0.0..1.0) {
            let now = crate::clock::now();
            let mut full = Deaths { in_a_row: count, ready_since: None };
            let mut drawn = full.clone();
            let longest = full.died(now, &BACKOFF, 1.0);
            let delay = drawn.died(now, &BACKOFF, random);
            prop_assert!(delay >= longest / 2 && delay <= longest && longest <= BACKOFF.max);
        }
    }
}
