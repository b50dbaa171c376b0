//! How long to wait before a retry: exponential, with full jitter.
//!
//! # Source
//!
//! Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: full jitter makes the
//! fewest calls in total, because callers that failed together do not come back together.

use std::time::Duration;

use crate::sliding::nanos;

/// Waits between 0 and a cap that doubles from retry to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
}

/// A backoff setting is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the first backoff `{first:?}` is longer than the longest, `{most:?}`; swap or raise them")]
pub struct InvalidBackoff {
    /// The cap of the first wait.
    pub first: Duration,
    /// The cap of every wait.
    pub most: Duration,
}

impl Default for Backoff {
    /// At most 1 s, 2 s, 4 s, 4 s, and so on (R17).
    fn default() -> Self {
        Self { first: Duration::from_secs(1), most: Duration::from_secs(4) }
    }
}

impl Backoff {
    /// Caps that start with `first` and double up to `most`. Zero waits not at all.
    ///
    /// # Errors
    ///
    /// [`InvalidBackoff`] when the first is longer than the longest.
    pub fn try_new(first: Duration, most: Duration) -> Result<Self, InvalidBackoff> {
        if first > most { Err(InvalidBackoff { first, most }) } else { Ok(Self { first, most }) }
    }

    /// The longest wait before this retry; the first retry is number 1.
    pub fn cap(&self, retry: u32) -> Duration {
        let doublings = retry.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }

    /// The wait before this retry, for 64 random bits: from nothing up to, not including, the cap.
    pub fn delay(&self, retry: u32, random: u64) -> Duration {
        // The bits as a fraction of 2^64. A cap past 584 years is that.
        let cap = u128::from(nanos(self.cap(retry)));
        Duration::from_nanos(((cap * u128::from(random)) >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn caps_double_from_one_second_to_four() {
        let caps: Vec<u64> = (1..6).map(|retry| Backoff::default().cap(retry).as_secs()).collect();
        assert_eq!(caps, [1, 2, 4, 4, 4]);
    }

    #[test]
    fn a_first_wait_over_the_longest_is_refused() {
        let error = Backoff::try_new(Duration::from_secs(2), Duration::from_secs(1)).unwrap_err();
        assert!(error.to_string().contains("`2s` is longer than the longest, `1s`"), "{error}");
    }

    #[test]
    fn jitter_is_full_from_nothing_to_the_cap() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay(2, 0), Duration::ZERO);
        assert_eq!(backoff.delay(2, 1 << 63), Duration::from_secs(1));
        assert!(backoff.delay(2, u64::MAX) > Duration::from_millis(1999));
    }

    proptest! {
        #[test]
        fn a_wait_is_never_over_its_cap_and_a_cap_never_over_the_longest(
            first in 0_u64..10_000, more in 0_u64..10_000, retry: u32, random: u64,
        ) {
            let most = Duration::from_millis(first + more);
            let backoff = Backoff::try_new(Duration::from_millis(first), most).unwrap();
            prop_assert!(backoff.delay(retry, random) <= backoff.cap(retry));
            prop_assert!(backoff.cap(retry) <= most);
            prop_assert!(backoff.cap(retry) <= backoff.cap(retry.saturating_add(1)));
        }
    }
}
