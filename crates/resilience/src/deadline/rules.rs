//! What is left of a deadline, and how much of it a try may take.

use std::time::{Duration, Instant};

/// The time left until the deadline; none when it is over. Zero never is: with no time left nothing
/// is begun.
pub fn left(now: Instant, deadline: Instant) -> Option<Duration> {
    deadline.checked_duration_since(now).filter(|left| !left.is_zero())
}

/// The time one try may take: what is left, or less if the try has a timeout of its own. None when
/// the deadline is over.
///
/// Of a call that could not be repeated (`last`), the try gets all that is left: giving up on it
/// early would gain nothing.
pub fn for_try(
    now: Instant,
    deadline: Instant,
    try_timeout: Duration,
    last: bool,
) -> Option<Duration> {
    left(now, deadline).map(|left| if last { left } else { left.min(try_timeout) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::now;

    const TRY: Duration = Duration::from_secs(5);

    #[test]
    fn at_the_deadline_nothing_is_left() {
        let now = now();
        let deadline = now + TRY;
        assert_eq!(left(now, deadline), Some(TRY));
        assert_eq!(
            left(deadline - Duration::from_nanos(1), deadline),
            Some(Duration::from_nanos(1))
        );
        assert_eq!(left(deadline, deadline), None);
        assert_eq!(left(deadline + TRY, deadline), None);
    }

    #[test]
    fn a_try_takes_its_timeout_and_never_more_than_is_left() {
        let now = now();
        assert_eq!(for_try(now, now + 3 * TRY, TRY, false), Some(TRY));
        assert_eq!(for_try(now, now + TRY / 2, TRY, false), Some(TRY / 2));
        assert_eq!(for_try(now, now + 3 * TRY, TRY, true), Some(3 * TRY));
        assert_eq!(for_try(now, now, TRY, true), None);
    }

    proptest! {
        #[test]
        fn however_many_tries_and_waits_all_end_by_the_deadline(
            total in 1_u64..20_000, steps in prop::collection::vec((1_u64..6_000, 0_u64..3_000), 1..20),
        ) {
            let start = now();
            let deadline = start + Duration::from_millis(total);
            let mut now = start;
            for (try_timeout, wait) in steps {
                let Some(time) = for_try(now, deadline, Duration::from_millis(try_timeout), false)
                else { break };
                now += time;
                prop_assert!(now <= deadline);
                now += Duration::from_millis(wait);
            }
        }
    }
}
