//! When to ask again and from which index: pure rules.

use std::time::Duration;

/// Where a sequence of blocking queries stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rhythm {
    /// The index to wait beyond; 0 asks for an answer at once.
    index: u64,
    failures: u32,
}

/// What an answer's index says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The registry began anew: its index went backwards.
    pub(crate) was_reset: bool,
    /// How long to wait before the next query.
    pub(crate) pause: Duration,
}

impl Rhythm {
    /// A registry that answers at once without news is asked no more often than this.
    const LEAST_TURN: Duration = Duration::from_secs(1);

    /// The index to send; none to be answered at once.
    pub(crate) fn index(&self) -> Option<u64> {
        (self.index > 0).then_some(self.index)
    }

    /// Takes the index of an answer that came after `elapsed` (Consul, "Blocking queries": start
    /// anew from 0 when an index goes backwards, and expect an index of 0 or none).
    pub(crate) fn answered(&mut self, index: Option<u64>, elapsed: Duration) -> Heard {
        let (before, now) = (self.index, index.unwrap_or(0));
        let was_reset = now < before;
        self.index = if was_reset { 0 } else { now };
        self.failures = 0;
        let is_news = now > before;
        let pause = if is_news || was_reset && before > 0 && now > 0 {
            Duration::ZERO
        } else {
            Self::LEAST_TURN.saturating_sub(elapsed)
        };
        Heard { was_reset, pause }
    }

    /// Takes a failure and says how long to wait: exponential with full jitter (AWS, "Exponential
    /// backoff and jitter", 2015). The next query is answered at once, so that the truth is known
    /// as soon as the registry is back. `random` is in `[0, 1)`.
    pub(crate) fn failed(&mut self, first: Duration, max: Duration, random: f64) -> Duration {
        let bound = first.saturating_mul(2_u32.saturating_pow(self.failures)).min(max);
        self.index = 0;
        self.failures = self.failures.saturating_add(1);
        // Never at once, however the dice fall.
        bound.mul_f64(random.max(0.01))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_beyond_the_index_of_the_answer() {
        let mut rhythm = Rhythm::default();
        assert_eq!(rhythm.index(), None);
        let heard = rhythm.answered(Some(7), Duration::ZERO);
        assert_eq!(heard, Heard { was_reset: false, pause: Duration::ZERO });
        assert_eq!(rhythm.index(), Some(7));
    }

    #[test]
    fn starts_anew_when_the_index_goes_backwards() {
        let mut rhythm = Rhythm::default();
        rhythm.answered(Some(7), SECOND);
        let heard = rhythm.answered(Some(3), SECOND);
        assert!(heard.was_reset);
        assert_eq!(rhythm.index(), None);
    }

    #[test]
    fn does_not_spin_on_a_registry_that_sends_no_index_or_answers_without_news() {
        let mut rhythm = Rhythm::default();
        for index in [None, Some(0)] {
            assert_eq!(rhythm.answered(index, Duration::ZERO).pause, SECOND);
            assert_eq!(rhythm.index(), None);
        }
        rhythm.answered(Some(7), Duration::ZERO);
        let same = rhythm.answered(Some(7), Duration::from_millis(400));
        assert_eq!(same.pause, Duration::from_millis(600));
        assert_eq!(rhythm.answered(Some(7), 2 * SECOND).pause, Duration::ZERO);
        let gone = rhythm.answered(None, Duration::ZERO);
        assert_eq!(gone, Heard { was_reset: true, pause: SECOND });
    }

    #[test]
    fn asks_for_an_answer_at_once_after_a_failure() {
        let mut rhythm = Rhythm::default();
        rhythm.answered(Some(7), SECOND);
        let waits: Vec<_> =
            (0..4).map(|_| rhythm.failed(SECOND, 5 * SECOND, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5]);
        assert_eq!(rhythm.index(), None);
        rhythm.answered(Some(7), SECOND);
        assert_eq!(rhythm.failed(SECOND, 5 * SECOND, 1.0), SECOND);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_zero_and_never_over_the_bound(random in 0.0..1.0, before in 0_u32..99) {
            let mut rhythm = Rhythm::default();
            (0..before).for_each(|_| {
                rhythm.failed(SECOND, 5 * SECOND, random);
            });
            let wait = rhythm.failed(SECOND, 5 * SECOND, random);
            prop_assert!(wait > Duration::ZERO && wait <= 5 * SECOND);
        }
    }
}
