//! One client's place in the generic cell rate algorithm: a single number.
//!
//! # Source
//!
//! ITU-T I.371, annex A (GCRA, "virtual scheduling"): each call pushes a theoretical arrival time
//! on by one interval, and a call may come so much before it.

use std::time::Duration;

use crate::rate_limit::Decision;
use crate::rate_limit::shard::Cell;

/// Interval and tolerance, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) limit: u32,
    interval: u64,
    tolerance: u64,
}

/// A century in nanoseconds: with the time that a process runs it fits a number of 64 bits.
const LONGEST_TOLERANCE: u64 = 100 * 365 * 86_400 * 1_000_000_000;

impl Rule {
    /// At most `limit` calls in every window, `burst` of them at once; `1 <= burst <= limit`.
    ///
    /// Of calls in a window, as half-open interval of length W, the k-th is at least
    /// `(k - burst) * interval` after the first. So there are fewer than `burst + W / interval`,
    /// and `interval = W / (limit - burst + 1)`, rounded up, makes that `limit`.
    pub(crate) fn new(limit: u32, window: Duration, burst: u32) -> Self {
        let rest = u128::from(limit - burst + 1);
        let interval = window.as_nanos().div_ceil(rest) as u64;
        // A burst that would take centuries to come back is cut to one that takes a century.
        let tolerance = u128::from(interval) * u128::from(burst - 1);
        let tolerance = tolerance.min(u128::from(LONGEST_TOLERANCE)) as u64;
        Self { limit, interval, tolerance }
    }
}

/// The theoretical arrival time of the next call, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival(u64);

impl Cell for Arrival {
    type Rule = Rule;

    fn check(&mut self, rule: Rule, now: u64) -> Decision {
        let ahead = self.0.saturating_sub(now);
        let allowed = ahead <= rule.tolerance;
        let ahead = if allowed { ahead + rule.interval } else { ahead };
        if allowed {
            self.0 = now + ahead;
        }
        let (remaining, retry_after) = match rule.tolerance.checked_sub(ahead) {
            Some(free) => ((free / rule.interval) as u32 + 1, 0),
            None => (0, ahead - rule.tolerance),
        };
        Decision {
            allowed,
            limit: rule.limit,
            remaining,
            reset: Duration::from_nanos(ahead),
            retry_after: Duration::from_nanos(retry_after),
        }
    }

    fn forget(&mut self, _: Rule, _: u64) {}

    fn is_over(&self, _: Rule, now: u64) -> bool {
        self.0 <= now
    }

    fn copy_from(&mut self, other: &Self) {
        *self = *other;
    }

    fn heap_bytes(&self) -> usize {
        0
    }

    fn most_heap_bytes(_: Rule) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rule(limit: u32, burst: u32) -> Rule {
        Rule::new(limit, Duration::from_secs(60), burst)
    }

    #[test]
    fn a_burst_passes_at_once_and_the_rest_at_an_even_pace() {
        // 60 in 60 s, 11 of them at once: the other 50 at one in 1.2 s.
        let (rule, mut cell) = (rule(60, 11), Arrival::default());
        for left in (0..11).rev() {
            let decision = cell.check(rule, SECOND);
            assert_eq!((decision.allowed, decision.remaining), (true, left));
        }
        let decision = cell.check(rule, SECOND);
        assert!(!decision.allowed);
        assert_eq!(decision.retry_after, Duration::from_millis(1_200));
        assert_eq!(decision.reset, Duration::from_millis(11 * 1_200));
        assert!(!cell.check(rule, SECOND + 1_199_999_999).allowed);
        let decision = cell.check(rule, SECOND + 1_200_000_000);
        assert_eq!((decision.allowed, decision.remaining), (true, 0));
        assert_eq!(decision.retry_after, Duration::from_millis(1_200));
    }

    #[test]
    fn a_quiet_client_has_its_whole_burst_again_and_no_more() {
        let (rule, mut cell) = (rule(60, 11), Arrival::default());
        let at =
            |cell: &mut Arrival, now| (0..100).filter(|_| cell.check(rule, now).allowed).count();
        assert_eq!(at(&mut cell, SECOND), 11);
        assert_eq!(at(&mut cell, 1_000 * SECOND), 11);
    }

    #[test]
    fn the_largest_limit_in_the_longest_window_overflows_nothing() {
        let day = Duration::from_secs(86_400);
        let (most, now) = (1_000_000, 100 * SECOND);
        for burst in [most, most / 2, 1] {
            let (rule, mut cell) = (Rule::new(most, day, burst), Arrival::default());
            let passed = (0..50_000).filter(|_| cell.check(rule, now).allowed).count();
            // One call a day beyond the burst, for the whole of it: a century of days.
            let least = if burst == most { 36_500 } else { 50_000.min(burst as usize) };
            assert!((least..=burst as usize).contains(&passed), "{burst}: {passed}");
        }
    }

    proptest! {
        #[test]
        fn admits_at_most_the_limit_in_every_window(
            limit in 1_u32..40, burst_part in 0_u32..40, window in 1_u64..2_000,
            waits in prop::collection::vec(0_u64..200, 1..400),
        ) {
            let burst = 1 + burst_part % limit;
            let rule = Rule::new(limit, Duration::from_nanos(window), burst);
            let (mut cell, mut now, mut admitted) = (Arrival::default(), 1, Vec::new());
            for wait in waits {
                now += wait % (1 + window / u64::from(limit) * 2);
                if cell.check(rule, now).allowed {
                    admitted.push(now);
                }
                let last = admitted.iter().filter(|call| now - **call < window).count();
                prop_assert!(last <= limit as usize, "{last} in a window, limit {limit}");
            }
        }

        #[test]
        fn what_it_says_about_later_is_what_happens_later(
            limit in 1_u32..40, burst_part in 0_u32..40, calls in 1_u32..60, gap in 0_u64..100,
        ) {
            let rule = Rule::new(limit, Duration::from_micros(50), 1 + burst_part % limit);
            let (mut cell, mut now) = (Arrival::default(), 1);
            for _ in 0..calls {
                let before = cell;
                let decision = cell.check(rule, now);
                if !decision.allowed {
                    let wait = decision.retry_after.as_nanos() as u64;
                    prop_assert!(!before.clone().check(rule, now + wait - 1).allowed);
                    prop_assert!(before.clone().check(rule, now + wait).allowed);
                }
                let left = decision.remaining as usize;
                let mut next = cell;
                prop_assert_eq!((0..100).filter(|_| next.check(rule, now).allowed).count(), left);
                prop_assert!(cell.is_over(rule, now + decision.reset.as_nanos() as u64));
                now += gap;
            }
        }
    }
}
